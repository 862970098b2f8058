//! Folding and algebra.

use super::*;

/// What the value that ends up in `r0` is computed by.
#[track_caller]
fn check(before: &str, after: &str) {
    let passes = Passes::FORWARD.with(Passes::SIMPLIFY).with(Passes::DEAD);
    check_by(passes, Precision::EveryAccess, before, after);
}

/// One operation of 64 bits on `r1` and what it becomes.
#[track_caller]
fn op(before: &str, after: &str) {
    check(&format!("r0 = {before}"), &format!("r0 = {after}"));
}

/// The same at 32 bits.
#[track_caller]
fn op32(before: &str, after: &str) {
    let show = |op: &str| format!("%0 = {op};r0 = sext.i32 %0");
    check(&show(before), &show(after));
}

#[test]
fn constants_fold() {
    op("add.i64 2, 3", "mov.i64 5");
    op("div_u.i64 7, 0", "mov.i64 -1");
    op("lt_s.i8 0x80, 0x7f", "mov.i64 1");
    op("select.i64 1, 2, 3", "mov.i64 2");
    check("%0 = add.i32 0x7fffffff, 1; r0 = sext.i32 %0", "r0 = mov.i64 0xffffffff80000000");
    check("%0 = add.i64 r1, r2; %1 = sub.i64 %0, %0; r0 = add.i64 %1, 7", "r0 = mov.i64 7");
    check("r1 = mov.i64 5; r0 = add.i64 r1, 1", "r1 = mov.i64 5; r0 = mov.i64 6");
}

#[test]
fn constants_go_right() {
    op("add.i64 5, r1", "add.i64 r1, 5");
    op("eq.i64 5, r1", "eq.i64 r1, 5");
    op("sub.i64 5, r1", "sub.i64 5, r1");
}

#[test]
fn sums() {
    op("add.i64 r1, 0", "mov.i64 r1");
    op("sub.i64 r1, 0", "mov.i64 r1");
    op("sub.i64 r1, 5", "add.i64 r1, -5");
    op("sub.i64 r1, r1", "mov.i64 0");
    op("sub.i64 0, r1", "neg.i64 r1");
    check("%0 = add.i64 r1, 5; r0 = add.i64 %0, -7", "r0 = add.i64 r1, -2");
    check("%0 = add.i64 r1, 5; r0 = sub.i64 %0, 5", "r0 = mov.i64 r1");
    check("r1 = add.i64 r1, 5; r0 = add.i64 r1, 7", "r1 = add.i64 r1, 5; r0 = add.i64 r1, 7");
}

#[test]
fn bits() {
    op("and.i64 r1, 0", "mov.i64 0");
    op("and.i64 r1, -1", "mov.i64 r1");
    op("and.i64 r1, 0xff", "zext.i8 r1");
    op("and.i64 r1, 0xffffffff", "zext.i32 r1");
    op("or.i64 r1, 0", "mov.i64 r1");
    op("or.i64 r1, -1", "mov.i64 -1");
    op("xor.i64 r1, -1", "not.i64 r1");
    op("xor.i64 r1, r1", "mov.i64 0");
    op("andnot.i64 r1, 5", "and.i64 r1, -6");
    op("andnot.i64 -1, r1", "not.i64 r1");
    check("%0 = and.i64 r1, 12; r0 = and.i64 %0, 10", "r0 = and.i64 r1, 8");
    check("%0 = or.i64 r1, 12; r0 = or.i64 %0, 3", "r0 = or.i64 r1, 15");
    check("%0 = not.i64 r1; r0 = not.i64 %0", "r0 = mov.i64 r1");
    check("%0 = load_u.i8 [sp]; r0 = and.i64 %0, 0x1ff", "%0 = load_u.i8 [sp]; r0 = mov.i64 %0");
}

#[test]
fn shifts() {
    op("shl.i64 r1, 0", "mov.i64 r1");
    op("shl.i64 r1, 64", "mov.i64 r1");
    op("shl.i64 r1, 65", "shl.i64 r1, 1");
    op32("shr_s.i32 r1, 33", "shr_s.i32 r1, 1");
    op("rotl.i64 0, r1", "mov.i64 0");
    check("%0 = shl.i64 r1, 40; r0 = shl.i64 %0, 30", "r0 = mov.i64 0");
    check("%0 = shr_s.i64 r1, 40; r0 = shr_s.i64 %0, 30", "r0 = shr_s.i64 r1, 63");
    check("%0 = rotl.i64 r1, 40; r0 = rotl.i64 %0, 30", "r0 = rotl.i64 r1, 6");
    check("%0 = shl.i64 r1, 32; r0 = shr_u.i64 %0, 32", "r0 = zext.i32 r1");
    check("%0 = shl.i64 r1, 48; r0 = shr_s.i64 %0, 48", "r0 = sext.i16 r1");
    check("%0 = load_u.i8 [sp]; r0 = shr_u.i64 %0, 8", "%0 = load_u.i8 [sp]; r0 = mov.i64 0");
}

#[test]
fn products_and_quotients() {
    op("mul.i64 r1, 0", "mov.i64 0");
    op("mul.i64 r1, 1", "mov.i64 r1");
    op("mul.i64 r1, 8", "shl.i64 r1, 3");
    op("mul.i64 r1, -1", "neg.i64 r1");
    op("mulhi_u.i64 r1, 1", "mov.i64 0");
    op("div_u.i64 r1, 8", "shr_u.i64 r1, 3");
    op("div_u.i64 r1, 0", "mov.i64 -1");
    op("div_s.i64 r1, -1", "neg.i64 r1");
    op("div_s.i64 r1, 8", "div_s.i64 r1, 8");
    op("rem_u.i64 r1, 8", "and.i64 r1, 7");
    op("rem_u.i64 r1, 0", "mov.i64 r1");
    op("rem_s.i64 r1, -1", "mov.i64 0");
    op("rem_s.i64 r1, r1", "mov.i64 0");
    op("div_s.i64 r1, r1", "div_s.i64 r1, r1");
}

#[test]
fn extremes() {
    op("min_u.i64 r1, 0", "mov.i64 0");
    op("max_u.i64 r1, 0", "mov.i64 r1");
    op("min_s.i64 r1, 0", "min_s.i64 r1, 0");
    op("max_s.i64 r1, 0x7fffffffffffffff", "mov.i64 0x7fffffffffffffff");
    op("min_s.i64 r1, r1", "mov.i64 r1");
}

#[test]
fn comparisons() {
    op("eq.i64 r1, r1", "mov.i64 1");
    op("lt_u.i64 r1, 0", "mov.i64 0");
    op("lt_u.i64 r1, 1", "eq.i64 r1, 0");
    op("lt_u.i64 0, r1", "ne.i64 r1, 0");
    op("le_u.i8 r1, 0xff", "mov.i64 1");
    op("lt_s.i32 r1, 0x80000000", "mov.i64 0");
    check("%0 = sub.i64 r1, r2; r0 = eq.i64 %0, 0", "r0 = eq.i64 r1, r2");
    check("%0 = xor.i64 r1, r2; r0 = lt_u.i64 0, %0", "r0 = ne.i64 r1, r2");
    check("%0 = lt_s.i64 r1, r2; r0 = ne.i64 %0, 0", "%0 = lt_s.i64 r1, r2; r0 = mov.i64 %0");
    check("%0 = lt_s.i32 r1, r2; r0 = xor.i64 %0, 1", "r0 = le_s.i32 r2, r1");
    check("%0 = lt_u.i64 r1, r2; r0 = eq.i64 %0, 0", "r0 = le_u.i64 r2, r1");
    check("%0 = load_u.i8 [sp]; r0 = lt_u.i64 %0, 256", "%0 = load_u.i8 [sp]; r0 = mov.i64 1");
}

#[test]
fn comparisons_of_what_was_computed_for_them() {
    let flags = "%0 = sub.i32 r1, r2; %1 = sext.i32 %0;";
    check(&format!("{flags} r0 = eq.i64 %1, 0"), "r0 = eq.i32 r1, r2");
    check(&format!("{flags} r0 = lt_s.i64 %1, 0"), "%0 = sub.i32 r1, r2; r0 = lt_s.i32 %0, 0");
    check("%0 = sext.i32 r1; r0 = lt_s.i64 %0, -5", "r0 = lt_s.i32 r1, -5");
    check("%0 = zext.i8 r1; r0 = lt_u.i64 %0, 0x90", "r0 = lt_u.i8 r1, -112");
    check("%0 = sext.i8 r1; r0 = lt_s.i64 %0, 144", "%0 = sext.i8 r1; r0 = lt_s.i64 %0, 144");
    check("%0 = add.i64 r1, -5; r0 = ne.i64 %0, 0", "r0 = ne.i64 r1, 5");
    check("%0 = add.i32 r1, 5; r0 = eq.i32 %0, 2", "r0 = eq.i32 r1, -3");
}

#[test]
fn two_conditions_on_one_comparison() {
    let both = |order: &str| format!("%0 = {order}.i32 r1, r2; %1 = eq.i32 r2, r1;");
    check(&format!("{} r0 = or.i64 %0, %1", both("lt_s")), "r0 = le_s.i32 r1, r2");
    check(&format!("{} r0 = or.i64 %1, %0", both("lt_u")), "r0 = le_u.i32 r1, r2");
    check(
        &format!("{} %2 = or.i64 %0, %1; r0 = xor.i64 %2, 1", both("lt_u")),
        "r0 = lt_u.i32 r2, r1",
    );
    check("%0 = le_s.i64 r1, r2; %1 = ne.i64 r1, r2; r0 = and.i64 %0, %1", "r0 = lt_s.i64 r1, r2");
    let other = "%0 = lt_s.i64 r1, r2; %1 = eq.i64 r1, r3; r0 = or.i64 %0, %1";
    check(other, other);
    let as_words = "%0 = lt_s.i64 r1, r2; %1 = eq.i32 r1, r2; r0 = or.i64 %0, %1";
    check(as_words, as_words);
}

#[test]
fn parts_of_registers_are_read_as_they_were_written() {
    let written = "%0 = and.i64 r1, -256; %1 = ne.i64 r2, 0; %2 = or.i64 %0, %1;";
    check(&format!("{written} r0 = zext.i8 %2"), "%1 = ne.i64 r2, 0; r0 = mov.i64 %1");
    let wider = format!("{written} r0 = zext.i16 %2");
    check(&wider, &wider);
}

#[test]
fn selections() {
    op("select.i64 r1, r2, r2", "mov.i64 r2");
    op("select.i64 r1, 1, 0", "ne.i64 r1, 0");
    op("select.i64 r1, 0, 1", "eq.i64 r1, 0");
    check("%0 = ne.i64 r1, 0; r0 = select.i64 %0, r2, 0", "r0 = select.i64 r1, r2, 0");
    check("%0 = eq.i64 r1, 0; r0 = select.i64 %0, r2, 0", "r0 = select.i64 r1, 0, r2");
    check(
        "%0 = lt_u.i64 r1, r2; r0 = select.i64 %0, 1, 0",
        "%0 = lt_u.i64 r1, r2; r0 = mov.i64 %0",
    );
}

#[test]
fn extensions_of_what_is_extended() {
    for (value, extension) in [
        ("load_s.i32 [sp]", "sext.i32"),
        ("load_s.i8 [sp]", "sext.i32"),
        ("load_u.i16 [sp]", "sext.i32"),
        ("load_u.i32 [sp]", "zext.i32"),
        ("lt_s.i64 r1, r2", "sext.i8"),
        ("clz.i64 r1", "zext.i8"),
        ("fto_s.f64.i32.rtz f0", "sext.i32"),
        ("and.i64 r1, 0x7fff", "sext.i16"),
        ("shr_u.i64 r1, 33", "sext.i32"),
        ("shr_s.i64 r1, 32", "sext.i32"),
    ] {
        let (first, second) = (format!("%0 = {value}"), format!("r0 = {extension} %0"));
        let lines = optimised(
            &format!("{first} {second} lookup 0"),
            Passes::FORWARD.with(Passes::SIMPLIFY),
            Precision::EveryAccess,
        );
        assert_eq!(lines[1], "r0 = mov.i64 %0", "{value}");
    }
    check("%0 = load_u.i32 [sp]; r0 = sext.i32 %0", "%0 = load_u.i32 [sp]; r0 = sext.i32 %0");
    check("%0 = add.i32 r1, r2; r0 = zext.i32 %0", "%0 = add.i32 r1, r2; r0 = zext.i32 %0");
}

#[test]
fn operands_skip_what_is_not_read() {
    check(
        "r1 = sext.i32 r2; %0 = add.i32 r1, r3; r1 = sext.i32 %0",
        "%0 = add.i32 r2, r3; r1 = sext.i32 %0",
    );
    check("%0 = and.i64 r1, 0xfff; store.i8 [sp], %0", "store.i8 [sp], r1");
    check("%0 = and.i64 r1, 0x7f; store.i8 [sp], %0", "%0 = and.i64 r1, 127; store.i8 [sp], %0");
    check("%0 = sext.i16 r1; r0 = zext.i16 %0", "r0 = zext.i16 r1");
    check("%0 = sext.i16 r1; r0 = zext.i32 %0", "%0 = sext.i16 r1; r0 = zext.i32 %0");
    check("store.i32 [sp], 0xffffffff", "store.i32 [sp], -1");
}

#[test]
fn addresses_absorb_sums() {
    check("%0 = add.i64 sp, 16; r0 = load_u.i64 [%0 + 8]", "r0 = load_u.i64 [sp + 24]");
    check(
        "%0 = add.i64 sp, 0x7fffffff; r0 = load_u.i64 [%0 + 8]",
        "%0 = add.i64 sp, 0x7fffffff; r0 = load_u.i64 [%0 + 8]",
    );
    check(
        "sp = add.i64 sp, -16; store.i64 [sp + 8], r1",
        "sp = add.i64 sp, -16; store.i64 [sp + 8], r1",
    );
}

#[test]
fn boxes() {
    check("%0 = nan_unbox f1; f0 = nan_box %0", "%0 = nan_unbox f1; f0 = nan_box %0");
    check(
        "%0 = nan_unbox f1; %1 = fneg.f32 %0; f0 = nan_box %1; %2 = nan_unbox f0; %3 = fneg.f32 %2; f1 = nan_box %3",
        "%0 = nan_unbox f1; %1 = fneg.f32 %0; f0 = nan_box %1; f1 = nan_box %0",
    );
    op("fabs.f64 -1", "mov.f64 0x7fffffffffffffff");
    check("%0 = fneg.f64 f1; f0 = fabs.f64 %0", "f0 = fabs.f64 f1");
}

#[test]
fn floating_point_does_not_fold() {
    op("fto_s.f64.i64.rtz 0", "fto_s.f64.i64.rtz 0");
    op("feq.f64 r1, r1", "feq.f64 r1, r1");
}

#[test]
fn ends_of_blocks() {
    let passes = Passes::ALL;
    let last = |body| optimised(body, passes, Precision::EveryAccess).pop().unwrap();
    assert_eq!(last("%0 = eq.i64 r1, r1 branch %0, 0x10, 0x20"), "jump 0x10");
    assert_eq!(last("branch 0, 0x10, 0x20"), "jump 0x20");
    assert_eq!(last("%0 = ne.i64 r1, 0 branch %0, 0x10, 0x20"), "branch r1, 0x10, 0x20");
    assert_eq!(
        last("%0 = ne.i64 r1, 0 r1 = mov.i64 0 branch %0, 0x10, 0x20"),
        "branch %0, 0x10, 0x20"
    );
    assert_eq!(last("%0 = ne.i8 r1, 0 branch %0, 0x10, 0x20"), "branch %0, 0x10, 0x20");
    assert_eq!(last("r1 = mov.i64 0x40 indirect r1 call 0x8"), "jump 0x40 call 0x8");
}
