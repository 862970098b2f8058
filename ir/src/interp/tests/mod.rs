//! Tier 0 against the definitions of the operations.

#![expect(unsafe_code, reason = "runs lowered code on a frame")]

mod fused;

use base::cpu::{Approach, Effects, Helper, HelperCode};
use base::sys::fault;
use base::{CpuFrame, GuestVirt, HelperId, RegSlot};

use super::*;
use crate::block::{Hint, Terminator, Trap};
use crate::types::{FpRound, MemOrder, Type};
use crate::{BadJumps, Block, BlockKey, Builder, FpRules, Guest, Opcode, SlotClass, Val};

unsafe extern "C" fn sum_of_four(_: *mut CpuFrame, a: u64, b: u64, c: u64, d: u64) -> u64 {
    a + b + c + d
}

unsafe extern "C" fn faults_at(frame: *mut CpuFrame, addr: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: tests pass a valid frame.
    unsafe {
        (*frame).fault = 1;
        (*frame).fault_addr = addr;
    }
    0
}

static GUEST: Guest = Guest {
    name: "test",
    slot_name: |_| None,
    slot_class: |_| SlotClass::Integer,
    helpers: &[
        Helper {
            name: "sum_of_four",
            args: 4,
            effects: Effects::Pure,
            code: HelperCode::Scalar(sum_of_four),
            intrinsic: None,
        },
        Helper {
            name: "faults_at",
            args: 1,
            effects: Effects::Memory,
            code: HelperCode::Scalar(faults_at),
            intrinsic: None,
        },
    ],
    fp_flags: FLAGS,
    fp: FpRules::RiscV,
    stack_pointer: RegSlot(2),
    bad_jumps: BadJumps::Target,
};

const A: RegSlot = RegSlot(1);
const B: RegSlot = RegSlot(2);
const C: RegSlot = RegSlot(3);
const OUT: RegSlot = RegSlot(10);
const FLAGS: RegSlot = RegSlot(64);
const PC: GuestVirt = GuestVirt(0x1000);

fn block(build: impl FnOnce(&Builder)) -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(PC, 0));
    b.begin_insn(PC, 4);
    build(&b);
    b.end_insn();
    b.finish(GuestVirt(0x1004))
}

fn lower(block: &Block) -> Code {
    Lowerer::new().lower(&GUEST, block, 1000).expect("a good block")
}

fn run_on<M: Memory>(frame: &mut CpuFrame, memory: &mut M, code: &Code) -> (Stop, u64) {
    let mut cx = Context { frame, memory, jumps: &Alone, retired: 0 };
    // SAFETY: the frame is this test's, and `Alone` follows no links.
    let stop = unsafe { run(&mut cx, code.entry()) };
    (stop, cx.retired)
}

/// Runs one instruction on registers A, B and C; returns OUT.
fn eval(inputs: [u64; 3], build: impl FnOnce(&Builder)) -> u64 {
    let mut frame = CpuFrame::new();
    for (slot, value) in [A, B, C].into_iter().zip(inputs) {
        frame.set(slot, value);
    }
    frame.temps.fill(0xdead_beef_dead_beef);
    let code = lower(&block(build));
    let (stop, retired) = run_on(&mut frame, &mut Direct, &code);
    let target = GuestVirt(0x1004);
    assert_eq!(stop, Stop::Unlinked { from: code.entry(), side: Side::Taken, target });
    assert_eq!(retired, 1);
    frame.get(OUT)
}

const CORNERS: [u64; 13] = [
    0,
    1,
    2,
    31,
    63,
    0x7f,
    0x80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// Applies a pure operation to two values, as a translator would.
fn apply<'b>(op: Opcode, a: Val<'b>, b: Val<'b>) -> Val<'b> {
    match op {
        Opcode::Add => a + b,
        Opcode::Sub => a - b,
        Opcode::And => a & b,
        Opcode::Or => a | b,
        Opcode::Xor => a ^ b,
        Opcode::AndNot => a.and_not(b),
        Opcode::Shl => a.shl(b),
        Opcode::ShrU => a.shr_u(b),
        Opcode::ShrS => a.shr_s(b),
        Opcode::Rotl => a.rotl(b),
        Opcode::Rotr => a.rotr(b),
        Opcode::Mul => a * b,
        Opcode::MulHiU => a.mulhi_u(b),
        Opcode::MulHiS => a.mulhi_s(b),
        Opcode::MulHiSU => a.mulhi_su(b),
        Opcode::DivU => a.div_u(b),
        Opcode::DivS => a.div_s(b),
        Opcode::RemU => a.rem_u(b),
        Opcode::RemS => a.rem_s(b),
        Opcode::MinU => a.min_u(b),
        Opcode::MinS => a.min_s(b),
        Opcode::MaxU => a.max_u(b),
        Opcode::MaxS => a.max_s(b),
        Opcode::Eq => a.eq(b),
        Opcode::Ne => a.ne(b),
        Opcode::LtU => a.lt_u(b),
        Opcode::LeU => a.le_u(b),
        Opcode::LtS => a.lt_s(b),
        Opcode::LeS => a.le_s(b),
        Opcode::Not => !a,
        Opcode::Neg => a.negate(),
        Opcode::Clz => a.clz(),
        Opcode::Ctz => a.ctz(),
        Opcode::Popcnt => a.popcnt(),
        Opcode::Bswap => a.bswap(),
        _ => a,
    }
}

/// What the operation's definition gives, in 128-bit arithmetic and without [`pure_function`].
fn expected(op: Opcode, ty: Type, a: u64, b: u64) -> u64 {
    let bits = ty.bits();
    let mask = u64::MAX >> (64 - bits);
    let signed = |x: u64| i128::from((x << (64 - bits)) as i64 >> (64 - bits));
    let (ua, ub) = (u128::from(a & mask), u128::from(b & mask));
    let (sa, sb) = (signed(a), signed(b));
    let amount = (b & mask) as u32 % bits;
    let rotate_left = |by: u32| (ua << by | ua >> (bits - by)) as u64;
    let value = match op {
        Opcode::Add => (ua + ub) as u64,
        Opcode::Sub => ua.wrapping_sub(ub) as u64,
        Opcode::And => (ua & ub) as u64,
        Opcode::Or => (ua | ub) as u64,
        Opcode::Xor => (ua ^ ub) as u64,
        Opcode::AndNot => (ua & !ub) as u64,
        Opcode::Shl => (ua << amount) as u64,
        Opcode::ShrU => (ua >> amount) as u64,
        Opcode::ShrS => (sa >> amount) as u64,
        Opcode::Rotl => rotate_left(amount),
        Opcode::Rotr => rotate_left(bits - amount),
        Opcode::Mul => (ua as u64).wrapping_mul(ub as u64),
        Opcode::MulHiU => ((ua * ub) >> bits) as u64,
        Opcode::MulHiS => ((sa * sb) >> bits) as u64,
        Opcode::MulHiSU => (sa.wrapping_mul(ub as i128) >> bits) as u64,
        Opcode::DivU => ua.checked_div(ub).map_or(u64::MAX, |q| q as u64),
        Opcode::DivS => sa.checked_div(sb).map_or(u64::MAX, |q| q as u64),
        Opcode::RemU => ua.checked_rem(ub).unwrap_or(ua) as u64,
        Opcode::RemS => sa.checked_rem(sb).unwrap_or(sa) as u64,
        Opcode::MinU => ua.min(ub) as u64,
        Opcode::MinS => sa.min(sb) as u64,
        Opcode::MaxU => ua.max(ub) as u64,
        Opcode::MaxS => sa.max(sb) as u64,
        Opcode::Eq => u64::from(ua == ub),
        Opcode::Ne => u64::from(ua != ub),
        Opcode::LtU => u64::from(ua < ub),
        Opcode::LeU => u64::from(ua <= ub),
        Opcode::LtS => u64::from(sa < sb),
        Opcode::LeS => u64::from(sa <= sb),
        Opcode::Not => !ua as u64,
        Opcode::Neg => ua.wrapping_neg() as u64,
        Opcode::Clz => u64::from(ua.leading_zeros() - (128 - bits)),
        Opcode::Ctz => u64::from(if ua == 0 { bits } else { ua.trailing_zeros() }),
        Opcode::Popcnt => u64::from(ua.count_ones()),
        Opcode::Bswap => (ua as u64).swap_bytes() >> (64 - bits),
        _ => ua as u64,
    };
    value & mask
}

/// Every pure operation at every type, with operands in registers and as constants, on all pairs of
/// corner values; the result is read zero- and sign-extended.
#[test]
fn integer_operations_mean_what_they_say() {
    use crate::ops::Shape;
    for &op in Opcode::ALL {
        if !matches!(op.info().shape, Shape::Unary | Shape::Binary | Shape::Compare)
            || matches!(op, Opcode::Mov | Opcode::NanBox | Opcode::NanUnbox)
        {
            continue;
        }
        for ty in [Type::I8, Type::I16, Type::I32, Type::I64] {
            for (a, b) in CORNERS.into_iter().flat_map(|a| CORNERS.map(|b| (a, b))) {
                check_operation(op, ty, a, b);
            }
        }
    }
}

fn check_operation(op: Opcode, ty: Type, a: u64, b: u64) {
    let want = expected(op, ty, a, b);
    let signed = ((want << (64 - ty.bits())) as i64 >> (64 - ty.bits())) as u64;
    for form in 0..4 {
        let got = eval([a, b, 0], |builder| {
            let x = if form & 1 != 0 { builder.konst(a) } else { builder.slot(A) };
            let y = if form & 2 != 0 { builder.konst(b) } else { builder.slot(B) };
            let result = apply(op, x.at(ty), y.at(ty));
            builder.set_slot(OUT, if result.ty() == ty { result.zext() } else { result });
        });
        assert_eq!(got, want, "{op:?}.{ty:?} {a:#x} {b:#x} form {form}");
    }
    let got = eval([a, b, 0], |builder| {
        let result = apply(op, builder.slot(A).at(ty), builder.slot(B).at(ty));
        builder.set_slot(OUT, if result.ty() == ty { result.sext() } else { result });
    });
    let want = if op.info().shape == crate::ops::Shape::Compare { want } else { signed };
    assert_eq!(got, want, "sext of {op:?}.{ty:?} {a:#x} {b:#x}");
}

#[test]
fn select_extends_and_calls() {
    for cond in [0, 1, 1 << 40] {
        let got = eval([cond, 5, 6], |b| {
            b.set_slot(OUT, b.slot(A).select(b.slot(B), b.slot(C)));
        });
        assert_eq!(got, if cond != 0 { 5 } else { 6 });
    }
    let got = eval([0x1_8000_8080, 0, 0], |b| {
        let a = b.slot(A);
        b.set_slot(OUT, a.low8().sext() + a.low16().sext() + a.low32().zext());
    });
    let wide = 0x8000_8080_u64;
    let want = (0x80_u8 as i8 as u64).wrapping_add(0x8080_u16 as i16 as u64).wrapping_add(wide);
    assert_eq!(got, want);
    let got = eval([1, 20, 300], |b| {
        b.set_slot(OUT, b.call(HelperId(0), &[b.slot(A), b.konst(4000), b.slot(B), b.slot(C)]));
    });
    assert_eq!(got, 4321);
}

/// The condition is fused into the branch: all comparisons, both ways, with constants on each side.
#[test]
fn branches_go_where_their_condition_says() {
    for op in [Opcode::Eq, Opcode::Ne, Opcode::LtU, Opcode::LeU, Opcode::LtS, Opcode::LeS] {
        for (x, y) in CORNERS.into_iter().flat_map(|a| CORNERS.map(|b| (a, b))) {
            for form in 0..4 {
                check_branch(op, x, y, form);
            }
        }
    }
}

fn check_branch(op: Opcode, x: u64, y: u64, form: u32) {
    let code = lower(&block(|b| {
        let left = if form & 1 != 0 { b.konst(x) } else { b.slot(A) };
        let right = if form & 2 != 0 { b.konst(y) } else { b.slot(B) };
        let cond = apply(op, left, right).operand();
        let (taken, fallthrough) = (GuestVirt(0x2000), GuestVirt(0x1004));
        b.terminate(Terminator::Branch { cond, taken, fallthrough });
    }));
    let mut frame = CpuFrame::new();
    frame.set(A, x);
    frame.set(B, y);
    let (stop, _) = run_on(&mut frame, &mut Direct, &code);
    let (side, target) = match expected(op, Type::I64, x, y) {
        0 => (Side::Fallthrough, GuestVirt(0x1004)),
        _ => (Side::Taken, GuestVirt(0x2000)),
    };
    assert_eq!(stop, Stop::Unlinked { from: code.entry(), side, target }, "{op:?} {x:#x} {y:#x}");
}

#[test]
fn indirect_jumps_clear_the_low_bit() {
    for (offset, set_link) in [(0, false), (-3, false), (7, true)] {
        let code = lower(&block(|b| {
            let target = (b.slot(A) + b.konst(offset as u64)) & b.konst(!1);
            if set_link {
                b.set_slot(A, b.konst(0x1004));
            }
            let (target, approach) = (target.operand(), Approach::PLAIN);
            b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach });
        }));
        let mut frame = CpuFrame::new();
        frame.set(A, 0x5001);
        let (stop, _) = run_on(&mut frame, &mut Direct, &code);
        let target = 0x5001_u64.wrapping_add_signed(i64::from(offset)) & !1;
        assert_eq!(stop, Stop::Indirect(GuestVirt(target)));
        assert_eq!(frame.get(A), if set_link { 0x1004 } else { 0x5001 });
    }
}

#[test]
fn traps_name_their_pc() {
    for trap in Trap::ALL {
        let code = lower(&block(|b| b.terminate(Terminator::Trap { trap, pc: PC })));
        let (stop, retired) = run_on(&mut CpuFrame::new(), &mut Direct, &code);
        assert_eq!(stop, Stop::Trap(trap, PC));
        assert_eq!(retired, u64::from(trap == Trap::Syscall));
    }
    let code = lower(&block(|b| b.terminate(Terminator::Lookup { target: PC })));
    assert_eq!(run_on(&mut CpuFrame::new(), &mut Direct, &code).0, Stop::Lookup(PC));
}

#[test]
fn memory_is_read_and_written_at_every_width() {
    let mut cell = Box::new([0x8182_8384_8586_8788_u64, 0]);
    let at = &raw mut cell[0] as u64;
    let load = |ty, signed: bool| {
        eval([at - 5, 0, 0], |b| {
            let value = if signed {
                b.load_s(ty, b.slot(A), 5, MemOrder::Plain)
            } else {
                b.load_u(ty, b.slot(A), 5, MemOrder::Acquire)
            };
            b.set_slot(OUT, value);
        })
    };
    assert_eq!(load(Type::I8, false), 0x88);
    assert_eq!(load(Type::I8, true), 0x88_u8 as i8 as u64);
    assert_eq!(load(Type::I16, true), 0x8788_u16 as i16 as u64);
    assert_eq!(load(Type::I32, false), 0x8586_8788);
    assert_eq!(load(Type::I32, true), 0x8586_8788_u32 as i32 as u64);
    assert_eq!(load(Type::I64, true), cell[0]);
    for (ty, want) in [(Type::I8, 0xff), (Type::I16, 0xffff), (Type::I32, 0xffff_ffff)] {
        cell[1] = 0;
        eval([at, u64::MAX, 0], |b| {
            b.store(ty, b.slot(A), 8, b.slot(B), MemOrder::SeqCst);
        });
        assert_eq!(cell[1], want);
    }
}

#[test]
fn atomics_return_what_was_there() {
    let mut cell = Box::new(0xffff_ffff_0000_0005_u64);
    let at = &raw mut *cell as u64;
    let atomic = |op, ty, value: u64| {
        let old = eval([at, value, 0], |b| {
            b.set_slot(OUT, b.atomic(op, ty, b.slot(A), b.slot(B).at(ty)).sext());
        });
        (old, *cell)
    };
    assert_eq!(atomic(Opcode::AtomicAdd, Type::I32, u64::MAX), (5, 0xffff_ffff_0000_0004));
    assert_eq!(atomic(Opcode::AtomicMinS, Type::I32, 1 << 31), (4, 0xffff_ffff_8000_0000));
    assert_eq!(
        atomic(Opcode::AtomicMaxU, Type::I32, 3),
        (0xffff_ffff_8000_0000, 0xffff_ffff_8000_0000)
    );
    assert_eq!(atomic(Opcode::AtomicSwap, Type::I64, 9).1, 9);
    let swap = |expected| {
        eval([at, expected, 77], |b| {
            let (expected, new) = (b.slot(B).low32(), b.slot(C).low32());
            b.set_slot(OUT, b.atomic_cas(Type::I32, b.slot(A), expected, new).sext());
        })
    };
    assert_eq!((swap(8), swap(9), swap(9)), (9, 9, 77));
}

#[test]
fn floats_round_and_raise_by_the_rules() {
    let run = |round, a: f64, b: f64| {
        let mut frame = CpuFrame::new();
        frame.set(A, a.to_bits());
        frame.set(B, b.to_bits());
        let code = lower(&block(|builder| {
            let (a, b) = (builder.slot(A).at(Type::F64), builder.slot(B).at(Type::F64));
            builder.set_slot(OUT, a.fdiv(b, round));
        }));
        run_on(&mut frame, &mut Direct, &code);
        (f64::from_bits(frame.get(OUT)), frame.get(FLAGS))
    };
    assert_eq!(run(FpRound::NearestEven, 6.0, 3.0), (2.0, 0));
    assert_eq!(run(FpRound::NearestEven, 1.0, 3.0), (1.0 / 3.0, 1));
    assert_eq!(run(FpRound::Up, 1.0, 3.0), ((1.0_f64 / 3.0).next_up(), 1));
    assert_eq!(run(FpRound::NearestEven, 1.0, 0.0), (f64::INFINITY, 8));
    assert_eq!(run(FpRound::TowardZero, 1.0, 0.0), (f64::INFINITY, 8));
}

#[test]
fn floats_convert_compare_and_box() {
    let got = eval([2.75_f64.to_bits(), 0, 0], |b| {
        let narrow = b.slot(A).at(Type::F64).fcvt(Type::F32, FpRound::NearestEven);
        b.set_slot(OUT, narrow.nan_box());
    });
    assert_eq!(got, 0xffff_ffff_0000_0000 | u64::from(2.75_f32.to_bits()));
    let got = eval([got, 0, 0], |b| {
        b.set_slot(OUT, b.slot(A).at(Type::F64).nan_unbox().fto_s(Type::I32, FpRound::Down));
    });
    assert_eq!(got, 2);
    let unboxed = eval([2.75_f32.to_bits().into(), 0, 0], |b| {
        b.set_slot(OUT, b.slot(A).at(Type::F64).nan_unbox().at(Type::I32).zext());
    });
    assert_eq!(unboxed, 0x7fc0_0000);
    let less = |a: f64, c: f64| {
        eval([a.to_bits(), c.to_bits(), 0], |b| {
            let (x, y) = (b.slot(A).at(Type::F64), b.slot(B).at(Type::F64));
            b.set_slot(OUT, x.flt(y) + x.fle(y) + x.feq(y));
        })
    };
    assert_eq!((less(1.0, 2.0), less(2.0, 2.0), less(f64::NAN, 2.0)), (2, 2, 0));
    let signs = eval([1.0_f64.to_bits(), (-2.0_f64).to_bits(), 0], |b| {
        let (x, y) = (b.slot(A).at(Type::F64), b.slot(B).at(Type::F64));
        b.set_slot(OUT, x.fcopysign(y).fneg().fabs().fneg());
    });
    assert_eq!(f64::from_bits(signs), -1.0);
}

/// Three instructions: OUT = 1; OUT = load [A]; OUT = 3.
fn faulting_block() -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(PC, 0));
    b.begin_insn(PC, 4);
    b.set_slot(OUT, b.konst(1));
    b.end_insn();
    b.begin_insn(GuestVirt(0x1004), 2);
    b.set_slot(B, b.konst(7));
    b.set_slot(OUT, b.load_u(Type::I64, b.slot(A), 0, MemOrder::Plain));
    b.end_insn();
    b.begin_insn(GuestVirt(0x1006), 4);
    b.set_slot(OUT, b.konst(3));
    b.end_insn();
    b.finish(GuestVirt(0x100a))
}

#[test]
fn a_fault_leaves_the_registers_of_the_instruction_before() {
    fault::install();
    let code = lower(&faulting_block());
    let mut frame = CpuFrame::new();
    frame.set(A, 0x18);
    let (stop, retired) = run_on(&mut frame, &mut Direct, &code);
    assert_eq!((stop, retired), (Stop::Fault(GuestVirt(0x1004)), 1));
    assert_eq!((frame.get(OUT), frame.get(B)), (1, 0));
    assert_eq!(fault::last_fault().addr, GuestVirt(0x18));
    let code = lower(&block(|b| b.align_check(Type::I32, b.slot(A))));
    frame.set(A, 0x1a);
    let misaligned = Stop::Misaligned { pc: PC, addr: GuestVirt(0x1a) };
    assert_eq!(run_on(&mut frame, &mut Direct, &code), (misaligned, 0));
    let code = lower(&block(|b| b.set_slot(OUT, b.call(HelperId(1), &[b.konst(0x99)]))));
    let (stop, _) = run_on(&mut frame, &mut Direct, &code);
    assert_eq!(stop, Stop::HelperFault { pc: PC, addr: GuestVirt(0x99) });
    assert_eq!((frame.get(OUT), frame.fault), (1, 0));
}

struct Follow(Option<Entry>);

impl Jumps for Follow {
    const FOLLOW: bool = true;
    fn probe(&self, _: &mut CpuFrame, _: GuestVirt, _: u64) -> Option<Entry> {
        self.0
    }
}

/// A = A - 1; goes back while A is not zero.
fn countdown() -> Block {
    block(|b| {
        let next = b.slot(A) - b.konst(1);
        b.set_slot(A, next);
        let cond = next.ne(b.konst(0)).operand();
        b.terminate(Terminator::Branch { cond, taken: PC, fallthrough: GuestVirt(0x1004) });
    })
}

fn follow(frame: &mut CpuFrame, start: Entry, probe: Option<Entry>) -> (Stop, u64) {
    let mut cx = Context { frame, memory: &mut Direct, jumps: &Follow(probe), retired: 0 };
    // SAFETY: the frame is this test's, and callers keep the blocks.
    let stop = unsafe { run(&mut cx, start) };
    (stop, cx.retired)
}

#[test]
fn blocks_that_work_on_vectors_have_smaller_budgets() {
    let budget = |vectors: u64| {
        let b = Builder::new();
        b.begin(BlockKey::new(PC, 0));
        for n in 0..4 {
            b.begin_insn(PC.wrapping_add(4 * n), 4);
            if n < vectors {
                let value = b.slot_at(A, Type::I8x16);
                b.set_wide(A, value + value);
            } else {
                let value = b.slot(C);
                b.set_slot(C, value + value);
            }
            b.end_insn();
        }
        let code = lower(&b.finish(GuestVirt(0x1010)));
        (code.head().weight(), code.head().budget.load(std::sync::atomic::Ordering::Relaxed))
    };
    assert_eq!([0, 1, 2, 4].map(budget), [(1, 1000), (1, 1000), (2, 500), (4, 250)]);
}

#[test]
fn links_are_followed_until_the_budget_is_spent() {
    let code = lower(&countdown());
    code.set_link(Side::Taken, Some(code.entry()));
    let mut frame = CpuFrame::new();
    frame.set(A, 100);
    let (stop, retired) = follow(&mut frame, code.entry(), None);
    let (from, target) = (code.entry(), GuestVirt(0x1004));
    assert_eq!((stop, retired), (Stop::Unlinked { from, side: Side::Fallthrough, target }, 100));
    frame.set(A, 1_000_000);
    let (stop, _) = follow(&mut frame, code.entry(), None);
    // 99 steps of the budget went before; the first block costs none.
    assert_eq!((stop, frame.get(A)), (Stop::Attention(from), 1_000_000 - 902));
    code.set_link(Side::Taken, None);
    let (stop, _) = follow(&mut frame, code.entry(), None);
    assert_eq!(stop, Stop::Unlinked { from, side: Side::Taken, target: PC });
}

#[test]
fn an_interrupt_stops_before_the_next_block() {
    let code = lower(&countdown());
    code.set_link(Side::Taken, Some(code.entry()));
    let mut frame = CpuFrame::new();
    frame.set(A, 100);
    frame.interrupt.store(1, std::sync::atomic::Ordering::Relaxed);
    let (stop, retired) = follow(&mut frame, code.entry(), None);
    assert_eq!((stop, retired, frame.get(A)), (Stop::Interrupted(code.entry()), 1, 99));
}

#[test]
fn indirect_jumps_are_probed() {
    let leave = lower(&block(|b| b.terminate(Terminator::Trap { trap: Trap::Syscall, pc: PC })));
    let jump = lower(&block(|b| {
        let target = b.slot(A).operand();
        b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach: Approach::PLAIN });
    }));
    let mut frame = CpuFrame::new();
    let (stop, retired) = follow(&mut frame, jump.entry(), Some(leave.entry()));
    assert_eq!((stop, retired), (Stop::Trap(Trap::Syscall, PC), 2));
    assert_eq!(follow(&mut frame, jump.entry(), None).0, Stop::Indirect(GuestVirt(0)));
}

#[test]
fn bad_blocks_are_refused() {
    let mut lowerer = Lowerer::new();
    let bad_slot = block(|b| b.set_slot(RegSlot(512), b.konst(1)));
    assert!(matches!(lowerer.lower(&GUEST, &bad_slot, 1), Err(LowerError::BadOperand(_))));
    let bad_helper = block(|b| b.call_void(HelperId(9), &[]));
    let error = lowerer.lower(&GUEST, &bad_helper, 1).unwrap_err();
    assert_eq!(error, LowerError::UnknownHelper(HelperId(9)));
    let mut large = faulting_block();
    large.temps = 511;
    assert_eq!(lowerer.lower(&GUEST, &large, 1).unwrap_err(), LowerError::TooLarge(511));
    let mut missing = block(|b| b.set_slot(OUT, b.slot(A) + b.slot(B)));
    missing.insts[1].args[1] = crate::Operand::NONE;
    assert!(matches!(lowerer.lower(&GUEST, &missing, 1), Err(LowerError::BadOperand(_))));
    // What was refused leaves nothing behind.
    assert!(lowerer.lower(&GUEST, &faulting_block(), 1).is_ok());
}

/// Stores 1 at [A], 2 at [A + 8], loads [A] to OUT, stores 3 at [A + 16].
fn stores_then_load() -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(PC, 0));
    for (index, value) in [(0, 1), (1, 2)] {
        b.begin_insn(GuestVirt(PC.0 + 4 * index), 4);
        b.store(Type::I64, b.slot(A), 8 * index as i32, b.konst(value), MemOrder::Plain);
        b.end_insn();
    }
    b.begin_insn(GuestVirt(0x1008), 4);
    b.set_slot(OUT, b.load_u(Type::I64, b.slot(A), 0, MemOrder::Plain));
    b.end_insn();
    b.begin_insn(GuestVirt(0x100c), 4);
    b.store(Type::I64, b.slot(A), 16, b.konst(3), MemOrder::Plain);
    b.end_insn();
    b.finish(GuestVirt(0x1010))
}

/// Stores 1 at [A], 2 at [A + 8], 3 at [A + 16], with a full fence before the second.
fn stores_and_a_fence() -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(PC, 0));
    for index in 0..3 {
        b.begin_insn(GuestVirt(PC.0 + 4 * index), 4);
        if index == 1 {
            b.fence(MemOrder::SeqCst);
        }
        let (offset, value) = (8 * index as i32, b.konst(index + 1));
        b.store(Type::I64, b.slot(A), offset, value, MemOrder::Plain);
        b.end_insn();
    }
    b.finish(GuestVirt(0x100c))
}

fn replay(cells: &mut [u64; 3], fault_pc: GuestVirt, fault_index: u64) -> (CpuFrame, Stop) {
    replay_block(&stores_then_load(), cells, fault_pc, fault_index)
}

fn replay_block(
    block: &Block,
    cells: &mut [u64; 3],
    fault_pc: GuestVirt,
    fault_index: u64,
) -> (CpuFrame, Stop) {
    let code = lower(block);
    let mut frame = CpuFrame::new();
    let base = cells.as_mut_ptr() as u64;
    frame.set(A, base);
    let mut direct = Direct;
    let mut memory = Replay::new(&mut direct, GuestVirt(base + 8 * fault_index + 3));
    // SAFETY: the code lives to the end of this function.
    unsafe { memory.enter(code.entry(), fault_pc) };
    assert!(memory.is_suppressing());
    let (stop, _) = run_on(&mut frame, &mut memory, &code);
    assert!(!memory.is_suppressing());
    (*frame, stop)
}

#[test]
fn a_replay_performs_no_store_before_the_first_load() {
    let mut cells = [10, 20, 30];
    let (frame, _) = replay(&mut cells, GuestVirt(0x1008), 0);
    assert_eq!((frame.get(OUT), cells), (10, [10, 20, 3]));
}

#[test]
fn a_replay_performs_no_store_again_because_of_a_fence() {
    // As if another thread had taken the lock that the second store released.
    let mut cells = [10, 20, 30];
    replay_block(&stores_and_a_fence(), &mut cells, GuestVirt(0x1008), 2);
    assert_eq!(cells, [10, 20, 3]);
}

#[test]
fn a_replay_performs_the_store_that_faulted() {
    let mut cells = [10, 20, 30];
    let (frame, _) = replay(&mut cells, GuestVirt(0x1004), 1);
    assert_eq!((frame.get(OUT), cells), (10, [10, 2, 3]));
    // The same address from another instruction is not the one.
    let (_, _) = replay(&mut cells, GuestVirt(0x100c), 1);
    assert_eq!(cells, [10, 2, 3]);
}
