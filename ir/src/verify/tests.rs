//! Each rule once broken, and what must pass.

use super::*;
use crate::testing::GUEST;
use crate::text::parse_block;

fn check(body: &str) -> Result<(), VerifyError> {
    let text = format!("block 0x1000 {{ insn 0 4 {body} }}");
    verify(&parse_block(&text, &GUEST).unwrap(), &GUEST)
}

#[track_caller]
fn accepts(body: &str) {
    assert_eq!(check(&format!("{body} lookup 0")), Ok(()), "{body}");
}

#[track_caller]
fn rejects(body: &str, message: &str) {
    let error = check(&format!("{body} lookup 0")).unwrap_err();
    assert_eq!(error.to_string(), message, "{body}");
}

#[test]
fn accepted() {
    for body in [
        "",
        "r0 = add.i64 r1, 5",
        "r0 = add.i64 0x123456789abcdef0, -1",
        "%0 = add.i32 r1, r2  r0 = sext.i32 %0",
        "%0 = add.i32 r1, r2  r0 = zext.i8 %0",
        "%0 = load_u.f32 [sp - 8]  f0 = nan_box %0",
        "%0 = nan_unbox f1  %1 = fsqrt.f32.rup %0  f0 = nan_box %1",
        "%0 = select.f32 r0, f1, f2",
        "r0 = fto_s.f64.i32.rtz f0",
        "f0 = uto_f.f64.i64.rne r1",
        "%0 = atomic_cas.i32.sc [r0], r1, r2  store.i16.rel [r0 + 2], %0",
        "call rotate()  r1 = call mix(r0, 7)  call probe(r1)",
        "align_check.i64 [r0 + 4]  fence.sc",
        "insn 4 2  insn 8 4",
    ] {
        accepts(body);
    }
}

#[test]
fn wrong_types() {
    rejects("%0 = add.f64 r0, r1", "op 1: does not work at f64");
    rejects("%0 = fadd.i64.rne r0, r1", "op 1: does not work at i64");
    rejects("%0 = load_s.f32 [r0]", "op 1: does not work at f32");
    rejects("%0 = fto_s.f64.i16.rtz r0", "op 1: does not convert from or to i16");
    rejects("%0 = fcvt.f64.i32.rtz r0", "op 1: does not convert from or to i32");
}

#[test]
fn wrong_operands() {
    rejects("r0 = add.i64 r1, _", "op 1: operand 1 is missing");
    rejects("store.i64 [_], r0", "op 1: operand 0 is missing");
    rejects("r0 = call mix(r1)", "op 1: operand 1 is missing");
    rejects("call rotate(r1)", "op 1: operand 0 is one too many");
    rejects("call #77()", "op 1: the guest has no helper 77");
    rejects("r0 = mov.i64 $63", "op 1: the guest has no slot 63");
    rejects("r0 = mov.i64 $600", "op 1: the guest has no slot 600");
    rejects("r0 = mov.i64 %0", "op 1: %0 is not below the block's number of temporaries");
    rejects("%1 = mov.i64 %0", "op 1: %0 is not defined here");
    rejects("%0 = mov.i64 %0", "op 1: %0 is not defined here");
    rejects("%0 = mov.i32 r0 r0 = mov.i64 %0", "op 2: %0 has 32 bits, 64 are read");
    rejects("%0 = add.i8 r0, r1 %1 = add.i16 %0, r1", "op 2: %0 has 8 bits, 16 are read");
    rejects("%0 = load_u.f32 [r0] r0 = mov.i64 %0", "op 2: %0 has 32 bits, 64 are read");
}

#[test]
fn wrong_results() {
    rejects("add.i64 r0, r1", "op 1: needs a place for its result");
    rejects("r0 = store.i64 [r0], r1", "op 1: has no result");
    rejects("r0 = add.i32 r0, r1", "op 1: a slot takes 64 bits or 128, not i32");
    rejects("r0 = load_u.f32 [r0]", "op 1: a slot takes 64 bits or 128, not f32");
    rejects("5 = add.i64 r0, r1", "op 1: a constant cannot be written");
    rejects("$63 = add.i64 r0, r1", "op 1: the guest has no slot 63");
    rejects("%0 = mov.i64 r0 %0 = mov.i64 r1", "op 2: %0 is defined a second time");
}

#[test]
fn wrong_vectors() {
    rejects("v0 = mov.i64 r0", "op 1: a slot takes 64 bits or 128, not i64");
    rejects("r0 = add.i8x16 v0, v1", "op 1: a slot takes 64 bits or 128, not i8x16");
    rejects("v0 = add.i8x16 v0, r1", "op 1: slot 2 has 64 bits, 128 are read");
    rejects("v0 = add.i8x16 v0, 1", "op 1: operand 1 is a constant in place of a vector");
    rejects("%0 = mov.i64 r0 v0 = add.i8x16 v0, %0", "op 2: %0 has 64 bits, 128 are read");
    rejects("%0 = mov.i64x2 v0 %1 = mov.i64 r0", "op 2: %1 is defined a second time");
    rejects("v0 = shuffle v0, v1, 32, 0", "op 1: does not name bytes of its operands by constants");
    rejects(
        "r0 = lane_u.i16x8 v0, 8",
        "op 1: imm 8 says something that the operation has no use for",
    );
    rejects("v0 = fadd.f32x4.rne v0, r1", "op 1: slot 2 has 64 bits, 128 are read");
}

#[test]
fn wrong_marks() {
    rejects("insn 2 2", "op 1: the mark lies before the end of the instruction before it");
    rejects("insn 4 0", "op 1: the mark's instruction has no length");
    for (text, message) in [
        ("block 0 { lookup 0 }", "the block does not start with a mark"),
        ("block 0 { fence lookup 0 }", "the block does not start with a mark"),
        ("block 0 bytes 8 { insn 0 4 lookup 0 }", "the marks make 4 guest bytes, the block says 8"),
        (
            "block 0 insns 2 { insn 0 4 lookup 0 }",
            "the marks make 1 guest instructions, the block says 2",
        ),
        ("block 0 temps 600 { insn 0 4 lookup 0 }", "600 temporaries are more than a frame holds"),
    ] {
        let block = parse_block(text, &GUEST).unwrap();
        assert_eq!(verify(&block, &GUEST).unwrap_err().to_string(), message);
    }
}

#[test]
fn wrong_terminators() {
    for (text, message) in [
        ("branch %0, 0, 0", "op 1: %0 is not below the block's number of temporaries"),
        ("indirect _", "op 1: operand 0 is missing"),
        ("%0 = mov.i32 r0 branch %0, 0, 0", "op 2: %0 has 32 bits, 64 are read"),
    ] {
        assert_eq!(check(text).unwrap_err().to_string(), message);
    }
    assert_eq!(check("branch 1, 0, 0"), Ok(()));
    assert_eq!(check("indirect r0 return"), Ok(()));
}

#[test]
fn fields_that_the_text_form_cannot_say() {
    let text = "block 0 { insn 0 4 r0 = add.i64 r1, 0x123456789a fence %0 = fneg.f64 f0 lookup 0 }";
    let good = parse_block(text, &GUEST).unwrap();
    let broken = |breaks: fn(&mut Block)| {
        let mut block = good.clone();
        breaks(&mut block);
        verify(&block, &GUEST).unwrap_err()
    };
    assert_eq!(broken(|b| b.pool.clear()), VerifyError::Pool { at: 1, index: 0 });
    assert_eq!(broken(|b| b.insts[1].imm = 1), VerifyError::Imm { at: 1, imm: 1 });
    assert_eq!(broken(|b| b.insts[1].aux = 1), VerifyError::Aux { at: 1, aux: 1 });
    assert_eq!(broken(|b| b.insts[2].aux = 4), VerifyError::Aux { at: 2, aux: 4 });
    assert_eq!(broken(|b| b.insts[2].ty = Type::I8), VerifyError::Type { at: 2, ty: Type::I8 });
    assert_eq!(broken(|b| b.insts[3].aux = 1), VerifyError::Aux { at: 3, aux: 1 });
}
