//! Operations that become one with their neighbours.

use super::*;

/// Builds a block of several instructions of four bytes each.
fn block_of(insns: &[&dyn Fn(&Builder)]) -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(PC, 0));
    let mut pc = PC;
    for insn in insns {
        b.begin_insn(pc, 4);
        insn(&b);
        b.end_insn();
        pc = pc.wrapping_add(4);
    }
    b.finish(pc)
}

/// Runs a block on registers A, B, C; returns A, B, C and OUT.
fn run_block(block: &Block, inputs: [u64; 3]) -> ([u64; 4], Stop) {
    let mut frame = CpuFrame::new();
    for (slot, value) in [A, B, C].into_iter().zip(inputs) {
        frame.set(slot, value);
    }
    let code = lower(block);
    let (stop, _) = run_on(&mut frame, &mut Direct, &code);
    ([A, B, C, OUT].map(|slot| frame.get(slot)), stop)
}

#[test]
fn shifts_fuse_only_where_nobody_sees_the_middle() {
    let shift = |to, from, by| move |b: &Builder| b.set_slot(to, b.slot(from).shl(b.konst(by)));
    let back = |to, from, by| move |b: &Builder| b.set_slot(to, b.slot(from).shr_u(b.konst(by)));
    let add = |to, x, y| move |b: &Builder| b.set_slot(to, b.slot(x) + b.slot(y));
    let x = 0x8123_4567_89ab_cdef_u64;
    // Zero extension, by way of the result or of another register.
    let fused = block_of(&[&shift(OUT, A, 32), &back(OUT, OUT, 28)]);
    assert_eq!(run_block(&fused, [x, 0, 0]).0[3], 0x8_9abc_def0);
    assert_eq!(
        lower(&fused).word_count() + 1,
        lower(&block_of(&[&shift(B, A, 32), &back(OUT, B, 28)])).word_count()
    );
    let seen = block_of(&[&shift(B, A, 32), &back(OUT, B, 28)]);
    assert_eq!(run_block(&seen, [x, 0, 0]).0, [x, x << 32, 0, 0x8_9abc_def0]);
    // An index, from either side; and the shifted value added to itself.
    let index = block_of(&[&shift(B, A, 3), &add(B, B, C)]);
    assert_eq!(run_block(&index, [5, 0, 100]).0[1], 140);
    let index = block_of(&[&shift(B, A, 3), &add(B, C, B)]);
    assert_eq!(run_block(&index, [5, 0, 100]).0[1], 140);
    let twice = block_of(&[&shift(B, A, 3), &add(B, B, B)]);
    assert_eq!(run_block(&twice, [5, 0, 100]).0[1], 80);
    let kept = block_of(&[&shift(B, A, 3), &add(OUT, B, C)]);
    assert_eq!(run_block(&kept, [5, 0, 100]).0, [5, 40, 100, 140]);
}

#[test]
fn the_second_of_a_pair_faults_as_itself() {
    fault::install();
    let load = |to, offset| {
        move |b: &Builder| b.set_slot(to, b.load_u(Type::I64, b.slot(A), offset, MemOrder::Plain))
    };
    let mut page = Page::new();
    let end = page.end();
    page.set_last(0x1122);
    let loads = block_of(&[&load(B, 0), &load(C, 8)]);
    let (registers, stop) = run_block(&loads, [end - 8, 3, 4]);
    assert_eq!((registers, stop), ([end - 8, 0x1122, 4, 0], Stop::Fault(GuestVirt(0x1004))));
    let (registers, stop) = run_block(&loads, [end, 3, 4]);
    assert_eq!((registers, stop), ([end, 3, 4, 0], Stop::Fault(PC)));
    let add = |b: &Builder| b.set_slot(A, b.slot(A) + b.slot(B));
    let indexed = block_of(&[&add, &load(C, 0)]);
    let (registers, stop) = run_block(&indexed, [end - 8, 8, 4]);
    assert_eq!((registers, stop), ([end, 8, 4, 0], Stop::Fault(GuestVirt(0x1004))));
    let store = |offset| {
        move |b: &Builder| b.store(Type::I64, b.slot(A), offset, b.slot(B), MemOrder::Plain)
    };
    let stores = block_of(&[&store(0), &store(8)]);
    let (_, stop) = run_block(&stores, [end - 8, 77, 0]);
    assert_eq!((page.last(), stop), (77, Stop::Fault(GuestVirt(0x1004))));
    let bytes =
        |to| move |b: &Builder| b.set_slot(to, b.load_u(Type::I8, b.slot(A), 0, MemOrder::Plain));
    let (registers, _) =
        run_block(&block_of(&[&bytes(B), &bytes(C), &bytes(OUT)]), [end - 8, 0, 0]);
    assert_eq!(registers[1..], [77; 3]);
}

/// A page with nothing behind it.
struct Page(*mut u8);

impl Page {
    fn new() -> Self {
        let (flags, access) =
            (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping of two pages, the second of which is made inaccessible.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), 8192, access, flags, -1, 0).cast::<u8>();
            assert_eq!(libc::mprotect(at.add(4096).cast(), 4096, libc::PROT_NONE), 0);
            Self(at)
        }
    }

    fn end(&self) -> u64 {
        self.0 as u64 + 4096
    }

    fn set_last(&mut self, value: u64) {
        base::sys::access::store64(GuestVirt(self.end() - 8), value).unwrap();
    }

    fn last(&self) -> u64 {
        base::sys::access::load64(GuestVirt(self.end() - 8)).unwrap()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.0.cast(), 8192) };
    }
}

const BOXED: u64 = 0xffff_ffff << 32;

fn single(x: f32) -> u64 {
    BOXED | u64::from(x.to_bits())
}

/// `OUT = op(A, B, C)` on NaN-boxed operands, as a translator writes it.
fn boxed_arithmetic(op: Opcode, inputs: [u64; 3], flags: u64) -> (u64, u64) {
    let round = FpRound::NearestEven;
    let code = lower(&block(|b| {
        let [x, y, z] = [A, B, C].map(|slot| b.slot(slot).at(Type::F64));
        let result = match op {
            Opcode::FAdd => x.nan_unbox().fadd(y.nan_unbox(), round),
            Opcode::FSub => x.nan_unbox().fsub(y.nan_unbox(), round),
            Opcode::FMul => x.nan_unbox().fmul(y.nan_unbox(), round),
            Opcode::FDiv => x.nan_unbox().fdiv(y.nan_unbox(), round),
            _ => x.nan_unbox().fmul_add(y.nan_unbox(), z.nan_unbox(), round),
        };
        b.set_slot(OUT, result.nan_box());
    }));
    let mut frame = CpuFrame::new();
    for (slot, value) in [A, B, C, FLAGS].into_iter().zip([inputs[0], inputs[1], inputs[2], flags])
    {
        frame.set(slot, value);
    }
    run_on(&mut frame, &mut Direct, &code);
    (frame.get(OUT), frame.get(FLAGS))
}

/// The micro-operations for boxed operands agree with the general functions, on values that are
/// exact, inexact, tiny, infinite, not numbers, or not boxed; with "inexact" raised before or not.
#[test]
fn boxed_singles_are_exact() {
    use base::float::{Env, F32, Rules, soft};
    let values =
        [0.0, -0.0, 1.0, 3.0, 1e-38, 1.5e-45, 3e38, f32::INFINITY, f32::NAN, 0.1].map(single);
    let unboxed = [u64::from(1.0_f32.to_bits()), 0x7fff_ffff_3f80_0000];
    let values: Vec<u64> = values.into_iter().chain(unboxed).collect();
    let low = |x: u64| if x >= BOXED { x as u32 } else { 0x7fc0_0000 };
    for op in [Opcode::FAdd, Opcode::FSub, Opcode::FMul, Opcode::FDiv, Opcode::FMulAdd] {
        for (&x, &y) in values.iter().flat_map(|x| values.iter().map(move |y| (x, y))) {
            for (z, flags) in [(single(0.1), 0), (single(-3.0), 1)] {
                let mut env = Env::new(Rules::RISCV);
                let (a, b, c) = (low(x), low(y), low(z));
                let want = match op {
                    Opcode::FAdd => soft::add::<F32>(a, b, &mut env),
                    Opcode::FSub => soft::sub::<F32>(a, b, &mut env),
                    Opcode::FMul => soft::mul::<F32>(a, b, &mut env),
                    Opcode::FDiv => soft::div::<F32>(a, b, &mut env),
                    _ => soft::fma::<F32>(a, b, c, &mut env),
                };
                let want = (BOXED | u64::from(want), flags | u64::from(env.flags.0));
                assert_eq!(boxed_arithmetic(op, [x, y, z], flags), want, "{op:?} {x:#x} {y:#x}");
            }
        }
    }
}

#[test]
fn singles_compare_load_and_square() {
    let compare = |x: u64, y: u64| {
        eval([x, y, 0], |b| {
            let [x, y] = [A, B].map(|slot| b.slot(slot).at(Type::F64));
            let less = x.nan_unbox().flt(y.nan_unbox());
            let not_more = x.nan_unbox().fle(y.nan_unbox());
            b.set_slot(OUT, less + not_more + x.nan_unbox().feq(y.nan_unbox()));
        })
    };
    assert_eq!(compare(single(1.0), single(2.0)), 2);
    assert_eq!(compare(single(2.0), single(2.0)), 2);
    assert_eq!(compare(u64::from(1.0_f32.to_bits()), single(2.0)), 0, "not boxed");
    let cell = Box::new(1.5_f32);
    let loaded = eval([&raw const *cell as u64, 0, 0], |b| {
        b.set_slot(OUT, b.load_f(Type::F32, b.slot(A), 0).nan_box());
    });
    assert_eq!(loaded, single(1.5));
    // One unboxed value, read twice: it stays an operation of its own.
    let square = eval([single(1.5), 0, 0], |b| {
        let x = b.slot(A).at(Type::F64).nan_unbox();
        b.set_slot(OUT, x.fmul(x, FpRound::NearestEven).nan_box());
    });
    assert_eq!(square, single(2.25));
}

#[test]
fn calls_write_the_return_address_after_they_read_their_target() {
    let code = lower(&block(|b| {
        let target = b.slot(A) & b.konst(!1);
        b.set_slot(A, b.konst(0x1004));
        let (target, approach) = (target.operand(), Approach::PLAIN);
        b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach });
    }));
    let mut frame = CpuFrame::new();
    frame.set(A, 0x5001);
    assert_eq!(run_on(&mut frame, &mut Direct, &code).0, Stop::Indirect(GuestVirt(0x5000)));
    assert_eq!(frame.get(A), 0x1004);
    let target = GuestVirt(0x9000);
    let code = lower(&block(|b| {
        b.set_slot(A, b.konst(0x1004));
        b.terminate(Terminator::Jump { target, hint: Hint::Call(GuestVirt(0x1004)) });
    }));
    frame.set(A, 0);
    let stop = Stop::Unlinked { from: code.entry(), side: Side::Taken, target };
    assert_eq!((run_on(&mut frame, &mut Direct, &code).0, frame.get(A)), (stop, 0x1004));
    code.set_link(Side::Taken, Some(code.entry()));
    let (stop, _) = follow(&mut frame, code.entry(), None);
    assert_eq!(stop, Stop::Attention(code.entry()), "the link is where it is looked for");
}
