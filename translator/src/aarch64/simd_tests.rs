//! Floating point and Advanced SIMD: what holds for all instructions, and what each of a few does to the parts of
//! registers that it should leave alone.
#![expect(unsafe_code, reason = "the evaluator calls helpers")]

use arch::aarch64::{fpcr, slot};
use base::{CpuFrame, GuestVirt};
use decoders::aarch64::{ExtensionSet, INSTRUCTIONS, identify};
use ir::testing::Sandbox;
use ir::{Block, BlockKey, Builder, Terminator};

use super::{Frontend, GUEST};
use crate::{Frontend as _, Limits, Translation};

const START: GuestVirt = GuestVirt(0x1_0000);

/// The block of one instruction with this FPCR.
fn block(frontend: &Frontend, builder: &Builder, fpcr: u64, word: u32) -> Block {
    let key = BlockKey::new(START, fpcr::key_flags(0, fpcr));
    match frontend.translate(builder, key, &word.to_le_bytes(), Limits::STEP) {
        Translation::Done { next } => builder.finish(next),
        Translation::Unfetchable(_) => panic!("complete"),
    }
}

fn frontend() -> Frontend {
    Frontend { cpu: "max".parse().unwrap(), extensions: ExtensionSet::ALL }
}

/// Registers before or after an instruction.
#[derive(Clone, Copy)]
struct Registers<'a> {
    fpcr: u64,
    nzcv: u64,
    v: &'a [u128],
}

const NONE: Registers<'_> = Registers { fpcr: 0, nzcv: 0, v: &[] };

/// Executes an instruction, which is defined.
fn execute(word: u32, before: Registers<'_>) -> Box<CpuFrame> {
    let block = block(&frontend(), &Builder::new(), before.fpcr, word);
    assert!(matches!(block.terminator, Terminator::Jump { .. }), "{word:08x} is undefined");
    let mut frame = CpuFrame::new();
    for (n, &value) in before.v.iter().enumerate() {
        frame.set_wide(slot::v(n as u8), value);
    }
    fpcr::set_fpcr(&mut frame, before.fpcr);
    frame.set(slot::NZCV, before.nzcv);
    let mut memory = Sandbox::new(GuestVirt(0x2000_0000), 16);
    // SAFETY: the helpers of floating point touch nothing but the frame's own fields.
    unsafe { ir::eval::run(&block, &GUEST, &mut frame, &mut memory, 0x1234_5678_9abc_def0) };
    frame
}

fn v(frame: &CpuFrame, n: u8) -> u128 {
    frame.get_wide(slot::v(n))
}

/// `a` and `b` in all lanes of two registers: `a` in the lower halves, `b` in the upper.
fn halves(a: u64, b: u64) -> u128 {
    u128::from(a) | u128::from(b) << 64
}

#[test]
fn every_instruction_makes_valid_blocks_whatever_its_operands() {
    let (frontend, builder) = (frontend(), Builder::new());
    let mut random = 1_u64;
    for info in INSTRUCTIONS.iter() {
        for _ in 0..200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let word = (random >> 32) as u32 & !info.mask | info.value;
            let fpcr = random & fpcr::FPCR_WRITABLE;
            let block = block(&frontend, &builder, fpcr, word);
            ir::verify(&block, &GUEST).unwrap_or_else(|error| panic!("{word:08x}: {error}"));
            let trap = matches!(block.terminator, Terminator::Trap { .. });
            assert!(trap || identify(word, ExtensionSet::ALL).is_some());
        }
    }
}

#[test]
fn missing_halves_raise_no_flags_and_do_not_saturate() {
    let one = 0x3f80_0000_3f80_0000;
    for (word, lower, upper) in [
        (0x2e22_fc20, [one, one], [0, 0]),                     // fdiv v0.2s
        (0x0e22_d420, [one, one], [0x7f80_0001, 0]),           // fadd v0.2s
        (0x2e22_dc20, [one, one], [0x7f7f_ffff, 0x7f7f_ffff]), // fmul v0.2s
        (0x2ea1_f820, [one, one], [0xbf80_0000, 0]),           // fsqrt v0.2s
        (0x0ea1_b820, [one, one], [0x7fc0_0000, 0]),           // fcvtzs v0.2s
        (0x0e22_0c20, [0x0101, 0x0202], [0x7f7f_7f7f, 0x7f7f_7f7f]), // sqadd v0.8b
        (0x0e62_b420, [0x0101, 0x0202], [0x8000, 0x8000]),     // sqdmulh v0.4h
        (0x0e20_7820, [1, 0], [0x80, 0]),                      // sqabs v0.8b
    ] {
        let registers = [u128::MAX, halves(lower[0], upper[0]), halves(lower[1], upper[1])];
        let frame = execute(word, Registers { v: &registers, ..NONE });
        assert_eq!(fpcr::fpsr(&frame), 0, "{word:08x}");
        assert_eq!(v(&frame, 0) >> 64, 0, "{word:08x}");
        // All of them, with q = 1 and the lanes that were missing.
        let frame = execute(word | 1 << 30, Registers { v: &registers, ..NONE });
        assert_ne!(fpcr::fpsr(&frame), 0, "{word:08x}");
    }
}

#[test]
fn scalars_clear_the_rest_of_their_registers() {
    let registers = [u128::MAX, halves(0x3ff0_0000_3f80_3c00, u64::MAX), 0];
    for (word, bits) in [
        (0x1ee2_2820, 16), // fadd h0, h1, h2
        (0x1e22_2820, 32), // fadd s0, s1, s2
        (0x1e62_2820, 64), // fadd d0, d1, d2
        (0x1e20_4020, 32), // fmov s0, s1
        (0x5e01_0420, 8),  // dup b0, v1.b[0]
        (0x5e22_0c20, 8),  // sqadd b0, b1, b2
        (0x5ee2_8420, 64), // add d0, d1, d2
        (0x0e31_b820, 8),  // addv b0, v1.8b
        (0x5e28_0820, 32), // sha1h s0, s1
    ] {
        let frame = execute(word, Registers { v: &registers, ..NONE });
        assert_eq!(v(&frame, 0) >> bits, 0, "{word:08x}");
    }
}

#[test]
fn a_conditional_comparison_that_is_not_made_raises_nothing() {
    let signalling = [0x7ff0_0000_0000_0001, 0];
    let nzcv = |frame: &CpuFrame| frame.get(slot::NZCV) >> 28;
    // fccmp d0, d1, #5, eq
    let made = execute(0x1e61_0405, Registers { nzcv: 1 << 30, v: &signalling, ..NONE });
    assert_eq!((nzcv(&made), fpcr::fpsr(&made)), (0b0011, 1));
    let not_made = execute(0x1e61_0405, Registers { v: &signalling, ..NONE });
    assert_eq!((nzcv(&not_made), fpcr::fpsr(&not_made)), (5, 0));
}

#[test]
fn fpcr_is_obeyed() {
    let third = |fpcr| {
        let registers = [0, 0x3f80_0000, 0x4040_0000];
        let frame = execute(0x1e22_1820, Registers { fpcr, v: &registers, ..NONE }); // fdiv s0
        v(&frame, 0)
    };
    assert_eq!([0, 1, 2, 3].map(|mode| third(mode << fpcr::RMODE_SHIFT) & 0xf), [11, 11, 10, 10]);
    let sum = |fpcr, a, b| {
        let frame = execute(0x1e22_2820, Registers { fpcr, v: &[0, a, b], ..NONE }); // fadd s0
        (v(&frame, 0), fpcr::fpsr(&frame))
    };
    assert_eq!(sum(0, 0xffa0_0001, 0x7fc0_0002), (0xffe0_0001, 1));
    assert_eq!(sum(fpcr::DN, 0xffa0_0001, 0x7fc0_0002), (0x7fc0_0000, 1));
    assert_eq!(sum(0, 1, 0), (1, 0));
    assert_eq!(sum(fpcr::FZ, 1, 0), (0, 128));
}
