//! Forwarding, value numbering and checks.

use super::*;

#[track_caller]
fn check(passes: Passes, before: &str, after: &str) {
    check_by(passes, Precision::EveryAccess, before, after);
}

#[test]
fn nothing_runs_that_is_off() {
    let body = "r0 = mov.i64 r0; %0 = add.i64 2, 3; r1 = mov.i64 %0; align_check.i8 [r0]";
    check(Passes::NONE, body, body);
    for (pass, name) in Passes::NAMED {
        assert!(Passes::ALL.has(pass), "{name}");
        assert!(!Passes::ALL.without(pass).has(pass), "{name}");
    }
}

#[test]
fn forwarding_reads_the_first_holder() {
    check(
        Passes::FORWARD,
        "%0 = mov.i64 r1; r2 = add.i64 %0, r1",
        "%0 = mov.i64 r1; r2 = add.i64 r1, r1",
    );
    check(
        Passes::FORWARD,
        "%0 = mov.i64 r1; r1 = mov.i64 7; r2 = add.i64 %0, r1",
        "%0 = mov.i64 r1; r1 = mov.i64 7; r2 = add.i64 %0, 7",
    );
    check(
        Passes::FORWARD,
        "%0 = add.i64 r1, 1; r1 = mov.i64 %0; r2 = add.i64 r1, 1",
        "%0 = add.i64 r1, 1; r1 = mov.i64 %0; r2 = add.i64 %0, 1",
    );
    check(Passes::FORWARD, "r1 = mov.i64 r2; r2 = mov.i64 r1", "r1 = mov.i64 r2");
}

#[test]
fn forwarding_keeps_widths_apart() {
    check(
        Passes::FORWARD,
        "%0 = mov.i32 r1; r1 = mov.i64 7; r2 = sext.i32 %0",
        "%0 = mov.i32 r1; r1 = mov.i64 7; r2 = sext.i32 %0",
    );
}

#[test]
fn helpers_change_slots() {
    check(
        Passes::FORWARD,
        "r0 = mov.i64 7; call rotate(); r1 = mov.i64 r0",
        "r0 = mov.i64 7; call rotate(); r1 = mov.i64 r0",
    );
    check(
        Passes::FORWARD,
        "r0 = mov.i64 7; fflags = mov.i64 0; call raise(1); r1 = add.i64 r0, fflags",
        "r0 = mov.i64 7; fflags = mov.i64 0; call raise(1); r1 = add.i64 7, fflags",
    );
}

#[test]
fn equal_operations_merge() {
    check(
        Passes::NUMBER,
        "%0 = add.i64 r1, r2; %1 = add.i64 r2, r1; r0 = add.i64 %1, 1; r3 = add.i64 %0, 1",
        "%0 = add.i64 r1, r2; %1 = mov.i64 %0; r0 = add.i64 %1, 1; r3 = mov.i64 r0",
    );
    check(
        Passes::NUMBER,
        "%0 = add.i64 r1, r2; r1 = mov.i64 0; %1 = add.i64 r1, r2",
        "%0 = add.i64 r1, r2; r1 = mov.i64 0; %1 = add.i64 r1, r2",
    );
    check(
        Passes::NUMBER,
        "r0 = sub.i64 r1, r2; r3 = sub.i64 r2, r1",
        "r0 = sub.i64 r1, r2; r3 = sub.i64 r2, r1",
    );
    check(
        Passes::NUMBER,
        "%0 = add.i8 r1, r2; %1 = add.i16 r1, r2",
        "%0 = add.i8 r1, r2; %1 = add.i16 r1, r2",
    );
}

#[test]
fn a_result_that_nothing_holds_is_computed_again() {
    let body = "r0 = add.i64 r1, r2; r0 = mov.i64 5; r3 = add.i64 r1, r2";
    check(Passes::NUMBER, body, body);
}

#[test]
fn loads_and_calls_with_effects_do_not_merge() {
    for body in [
        "%0 = load_u.i64 [r1]; %1 = load_u.i64 [r1]",
        "%0 = call raise(1); %1 = call raise(1)",
        "%0 = call rotate(); %1 = call rotate()",
    ] {
        check(Passes::NUMBER, body, body);
    }
    check(
        Passes::NUMBER,
        "%0 = call mix(r1, 2); r0 = call mix(r1, 2)",
        "%0 = call mix(r1, 2); r0 = mov.i64 %0",
    );
}

#[test]
fn floating_point_merges_while_its_flags_stand() {
    check(
        Passes::NUMBER,
        "%0 = fadd.f64.rne f1, f2; f0 = fadd.f64.rne f1, f2",
        "%0 = fadd.f64.rne f1, f2; f0 = mov.f64 %0",
    );
    for body in [
        "%0 = fadd.f64.rne f1, f2; f0 = fadd.f64.rup f1, f2",
        "%0 = fadd.f64.rne f1, f2; fflags = mov.i64 0; f0 = fadd.f64.rne f1, f2",
        "%0 = fadd.f64.rne f1, f2; call raise(0); f0 = fadd.f64.rne f1, f2",
    ] {
        check(Passes::NUMBER, body, body);
    }
    check(
        Passes::ALL,
        "r0 = mov.i64 fflags; f0 = fadd.f64.rne f1, f2; r1 = mov.i64 fflags",
        "r0 = mov.i64 fflags; f0 = fadd.f64.rne f1, f2; r1 = mov.i64 fflags",
    );
}

#[test]
fn alignment_is_checked_once() {
    check(
        Passes::CHECKS,
        "align_check.i64 [r1]; align_check.i64 [r1]; align_check.i32 [r1 + 4]; align_check.i32 [r1 + 2]",
        "align_check.i64 [r1]; align_check.i32 [r1 + 2]",
    );
    check(
        Passes::CHECKS,
        "align_check.i32 [r1]; align_check.i64 [r1]; align_check.i32 [r1]",
        "align_check.i32 [r1]; align_check.i64 [r1]",
    );
    check(
        Passes::CHECKS,
        "align_check.i32 [r1]; r1 = add.i64 r1, 1; align_check.i32 [r1]",
        "align_check.i32 [r1]; r1 = add.i64 r1, 1; align_check.i32 [r1]",
    );
    check(
        Passes::CHECKS,
        "align_check.i8 [r1 + 1]; align_check.i64 [4096 + 8]; align_check.i64 [4096 + 4]",
        "align_check.i64 [0x1000 + 4]",
    );
}
