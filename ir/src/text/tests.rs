//! What the text form looks like, that it comes back, and what its errors say.

use super::*;
use crate::testing::GUEST;

/// A block in canonical form: printing what was parsed gives the text itself.
#[track_caller]
fn round_trips(text: &str) {
    let block = parse_block(text, &GUEST).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(block.display(&GUEST).to_string(), text);
    assert_eq!(parse_block(&block.display(&GUEST).to_string(), &GUEST).unwrap(), block);
}

#[test]
fn every_kind_of_operation() {
    round_trips(
        "\
block 0x10078/0x2 {
  insn 0x0 4
  r0 = add.i64 r1, r2
  %0 = add.i32 r1, -1
  r3 = sext.i32 %0
  %1 = lt_u.i64 r1, 0x8000000000000000
  r4 = select.i64 %1, r1, r2
  insn 0x4 2
  %2 = load_s.i32 [sp + 8]
  %3 = load_u.i64.acq [r5 - 2048]
  store.i8.rel [r0], %2
  %4 = atomic_add.i32.sc [r0], 5
  %5 = atomic_cas.i64.sc [r0 + 16], r1, %3
  align_check.i64 [r0]
  fence.sc
  %6 = nan_unbox f1
  %7 = fadd.f32.rne %6, %6
  f0 = nan_box %7
  f2 = fmul_add.f64.rup f0, f1, f2
  r1 = fto_s.f32.i64.rtz %7
  f3 = sto_f.f64.i32.rmm r1
  f4 = fcvt.f64.f32.rdn %6
  r2 = flt_q.f64 f1, f2
  r6 = call mix(r0, 0x7fffffff)
  call probe(%2)
  branch %1, 0x10100, 0x10080
}
",
    );
}

#[test]
fn every_terminator() {
    for terminator in [
        "jump 0x1000",
        "jump 0x1000 call 0x2004",
        "jump 0x1000 return",
        "branch 1, 0x1000, 0x2000",
        "indirect r0",
        "indirect r0 call 0x2004",
        "indirect r0 return",
        "indirect r0 by 3",
        "indirect r0 call 0x2004 by 2",
        "trap illegal, 0x1000",
        "trap breakpoint, 0x1000",
        "trap syscall, 0x1004",
        "trap misaligned, 0x1004",
        "lookup 0xffffffffffffffff",
    ] {
        round_trips(&format!("block 0x1000 {{\n  insn 0x0 4\n  {terminator}\n}}\n"));
    }
    round_trips("block 0x1000 admits 17 {\n  insn 0x0 4\n  trap breakpoint, 0x1000\n}\n");
    round_trips("block 0x1000 admits 5 {\n  insn 0x0 4\n  jump 0x2000\n}\n");
}

#[test]
fn broken_blocks_print_too() {
    round_trips(
        "\
block 0xffffffffffff0000/0xffff bytes 7 insns 9 temps 12 {
  %3 = add.i64 $63, _
  call #77(_, r0)
  insn 0x4 0
  lookup 0x0
}
",
    );
}

#[test]
fn layout_is_free() {
    let tight = parse_block("block 4096{insn 0 4 r0=add.i64 r1,0xff jump 0x2000}", &GUEST).unwrap();
    let loose = "block 0x1000 // a comment\n{ insn 0x0 4\n\n r0 = add.i64 r1 , 255 // another\n jump 8192 }";
    assert_eq!(tight, parse_block(loose, &GUEST).unwrap());
    let two = parse_blocks("block 0 {lookup 0} block 4 {lookup 0}", &GUEST).unwrap();
    assert_eq!(two.len(), 2);
}

#[test]
fn equality_is_by_value() {
    let parse = |body: &str| parse_block(&format!("block 0 {{ {body} }}"), &GUEST).unwrap();
    let mut other_pool = parse("r0 = mov.i64 0x123456789abcdef lookup 0");
    other_pool.pool.insert(0, 7);
    let padded = other_pool.constant(0x123_4567_89ab_cdef);
    other_pool.insts[0].args[0] = padded;
    assert_eq!(other_pool, parse("r0 = mov.i64 0x123456789abcdef lookup 0"));
    assert_ne!(other_pool, parse("r0 = mov.i64 0x123456789abcdee lookup 0"));
    assert_ne!(parse("branch r0, 0, 0"), parse("branch r1, 0, 0"));
    assert_ne!(parse("branch r0, 0, 4"), parse("branch r0, 0, 0"));
}

#[test]
fn errors_say_where_and_what() {
    for (text, message) in [
        ("", "1:1: expected `block`, found the end of the text"),
        ("block x", "1:7: expected a number, found `x`"),
        ("block 0x", "1:7: expected a number, found `0x`"),
        (
            "block 0x1000000000000 {",
            "1:7: 0x1000000000000 does not fit a pc of 48 bits, sign-extended",
        ),
        ("block 0/65536 {", "1:9: 65536 does not fit 16 bits of flags"),
        (
            "block 0 words 7 {",
            "1:9: expected `bytes`, `insns`, `temps`, `admits` or `{`, found `words`",
        ),
        ("block 0 {\n  r0 = foo r1\n}", "2:8: expected an operation, found `foo`"),
        (
            "block 0 {\n  r99 = mov.i64 r1\n}",
            "2:3: expected an operation, a destination or a terminator, found `r99`",
        ),
        ("block 0 {\n  r0 = mov r1\n}", "2:12: expected `.` and a type, found `r1`"),
        ("block 0 {\n  r0 = mov.i7 r1\n}", "2:12: expected a type, found `i7`"),
        ("block 0 {\n  r0 = add.i64 r1 }", "2:19: expected `,`, found `}`"),
        ("block 0 { %65536 = mov.i64 r1 }", "1:12: 65536 does not fit a temporary's index"),
        (
            "block 0 { store.i8 [r0 + 0x80000000], 1 }",
            "1:26: 0x80000000 does not fit an offset of 32 bits",
        ),
        ("block 0 { fence.xx }", "1:17: expected a memory ordering, found `xx`"),
        ("block 0 { call nobody() }", "1:16: expected a helper of the guest, found `nobody`"),
        (
            "block 0 { call mix(1,2,3,4,5) }",
            "1:27: expected `)`: a helper takes four arguments at most, found `,`",
        ),
        (
            "block 0 { trap sudden, 0 }",
            "1:16: expected `illegal`, `breakpoint`, `syscall`, `misaligned` or `system`, found `sudden`",
        ),
        ("block 0 { jump 0 jump 0 }", "1:18: expected `}`, found `jump`"),
        ("block 0 { lookup 0 } x", "1:22: expected the end of the text, found `x`"),
        ("block 0 { lookup 0x1ffffffffffffffff }", "1:18: 0x1ffffffffffffffff does not fit a pc"),
        (
            "block 0 { r0 = mov.i64 -0x8000000000000001",
            "1:25: 0x8000000000000001 does not fit 64 bits, signed",
        ),
    ] {
        assert_eq!(parse_block(text, &GUEST).unwrap_err().to_string(), message, "{text}");
    }
}
