//! Regions compiled, placed and run.

#![expect(unsafe_code, reason = "runs generated code")]

use std::collections::HashMap;

use backend::{CodeMemory, CompileOptions, Compiler, ExitCode, Region, entry};
use base::cpu::{Approach, JumpCacheEntry};
use base::{CpuFrame, GuestVirt, RegSlot};
use ferry_backend as backend;
use ir::types::{FpRound, MemOrder};
use ir::{
    BadJumps, Block, BlockKey, Builder, FpRules, Guest, Hint, SlotClass, Terminator, Trap, Type,
};

const A: RegSlot = RegSlot(1);
const B: RegSlot = RegSlot(2);
const C: RegSlot = RegSlot(3);
const F: RegSlot = RegSlot(32);
const FLAGS: RegSlot = RegSlot(64);

static GUEST: Guest = Guest {
    name: "test",
    slot_name: |_| None,
    slot_class: |slot| if slot.0 == F.0 { SlotClass::Float } else { SlotClass::Integer },
    helpers: &[],
    fp_flags: FLAGS,
    fp: FpRules::RiscV,
    stack_pointer: A,
    bad_jumps: BadJumps::Target,
};

fn block(pc: u64, emit: impl FnOnce(&Builder)) -> Block {
    let b = Builder::new();
    b.begin(BlockKey::new(GuestVirt(pc), 0));
    b.begin_insn(GuestVirt(pc), 4);
    emit(&b);
    b.end_insn();
    b.finish(GuestVirt(pc + 4))
}

/// Adds B to A, C times.
fn adding_loop() -> Region {
    let add = block(0x1000, |b| b.set_slot(A, b.slot(A) + b.slot(B)));
    let count = block(0x1004, |b| {
        let left = b.slot(C) - b.konst(1);
        b.set_slot(C, left);
        b.terminate(Terminator::Branch {
            cond: left.operand(),
            taken: GuestVirt(0x1000),
            fallthrough: GuestVirt(0x1008),
        });
    });
    Region::new(vec![add, count], vec![0, 1])
}

struct Machine {
    frame: Box<CpuFrame>,
    memory: CodeMemory,
    _jump_cache: Vec<JumpCacheEntry>,
}

impl Machine {
    fn new() -> Self {
        let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
        let mut jump_cache = vec![empty; JumpCacheEntry::COUNT];
        let mut frame = CpuFrame::new();
        frame.jump_cache = jump_cache.as_mut_ptr();
        frame.fp_slow = Some(backend::fp_slow::call);
        let memory = CodeMemory::new(1 << 20).expect("code memory");
        Self { frame, memory, _jump_cache: jump_cache }
    }

    fn run(&mut self, region: &Region, entry_number: usize) -> ExitCode {
        let mut compiler = Compiler::new(&GUEST, CompileOptions::for_host()).expect("a compiler");
        let compiled = compiler.compile(region).expect("a region");
        let placed = self.memory.place(&compiled, 7).expect("a place");
        let code = placed.entry(entry_number).unwrap().0 as *const u8;
        // SAFETY: the region was just placed and the frame is this machine's own.
        ExitCode::from_raw(unsafe { entry::enter(&mut *self.frame, code) })
    }
}

#[test]
fn a_loop_runs_to_its_exit() {
    let mut machine = Machine::new();
    machine.frame.set(B, 5);
    machine.frame.set(C, 1000);
    assert_eq!(machine.run(&adding_loop(), 0), ExitCode::Unlinked);
    assert_eq!((machine.frame.get(A), machine.frame.get(C)), (5000, 0));
    assert_eq!((machine.frame.region, machine.frame.exit), (7, 0));
}

#[test]
fn a_region_may_be_entered_at_each_entry() {
    let mut machine = Machine::new();
    machine.frame.set(B, 5);
    machine.frame.set(C, 3);
    assert_eq!(machine.run(&adding_loop(), 1), ExitCode::Unlinked);
    assert_eq!(machine.frame.get(A), 10);
}

#[test]
fn an_interrupt_leaves_an_endless_loop_with_exact_state() {
    let spin = block(0x1000, |b| {
        b.set_slot(A, b.slot(A) + b.konst(1));
        b.terminate(Terminator::Jump { target: GuestVirt(0x1000), hint: Hint::Plain });
    });
    let mut machine = Machine::new();
    let interrupt = &raw const machine.frame.interrupt as usize;
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        // SAFETY: the frame outlives this thread, which is joined below.
        let interrupt = unsafe { &*(interrupt as *const std::sync::atomic::AtomicU32) };
        interrupt.store(1, std::sync::atomic::Ordering::Relaxed);
    });
    let exit = machine.run(&Region::new(vec![spin], vec![0]), 0);
    thread.join().expect("the interrupting thread");
    assert_eq!((exit, machine.frame.pc), (ExitCode::Interrupted, 0x1000));
    assert!(machine.frame.get(A) > 0);
}

#[test]
fn memory_and_indirect_jumps() {
    let mut cell = Box::new(0x1_0000_0007_u64);
    let region = block(0x1000, |b| {
        let value = b.load_s(Type::I32, b.slot(A), 0, MemOrder::Plain);
        b.set_slot(B, value);
        let (target, approach) = (value.operand(), Approach::PLAIN);
        b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach });
    });
    let mut machine = Machine::new();
    machine.frame.set(A, &raw mut *cell as u64);
    assert_eq!(machine.run(&Region::new(vec![region], vec![0]), 0), ExitCode::Indirect);
    assert_eq!((machine.frame.get(B), machine.frame.pc), (7, 7));
}

#[test]
fn floating_point_takes_the_slow_path_until_inexact_is_set() {
    let region = block(0x1000, |b| {
        let value = b.slot(F).at(Type::F64);
        let third = value.fdiv(b.konst_of(Type::F64, 3.0_f64.to_bits()), FpRound::NearestEven);
        b.set_slot(F, third.fadd(value, FpRound::NearestEven));
    });
    let region = Region::new(vec![region], vec![0]);
    let mut machine = Machine::new();
    for flags in [0, 1] {
        machine.frame.set(F, 1.0_f64.to_bits());
        machine.frame.set(FLAGS, flags);
        machine.run(&region, 0);
        assert_eq!(f64::from_bits(machine.frame.get(F)), 1.0 / 3.0 + 1.0);
        assert_eq!(machine.frame.get(FLAGS), 1);
    }
    machine.frame.set(F, f64::INFINITY.to_bits() | 1);
    machine.run(&region, 0);
    assert_eq!((machine.frame.get(F), machine.frame.get(FLAGS)), (f64::NAN.to_bits(), 0x11));
}

/// A region that stores the bytes of B through A, loads from C, and leaves what it found in B.
fn bytes_and_a_word(between: impl FnOnce(&Builder)) -> Region {
    let region = block(0x1000, |b| {
        let value = b.slot(B);
        for byte in 0..4 {
            let part = value.shr_u(b.konst(8 * byte));
            b.store(Type::I8, b.slot(A), byte as i32, part, MemOrder::Plain);
        }
        between(b);
        b.set_slot(B, b.load_s(Type::I32, b.slot(C), 0, MemOrder::Plain));
    });
    Region::new(vec![region], vec![0])
}

#[test]
fn a_word_is_what_its_bytes_were_stored_as_through_the_same_address_or_another() {
    let mut cells = [0_u32, 0x7654_3210];
    let (first, second) = (&raw mut cells[0] as u64, &raw mut cells[1] as u64);
    for (from, found) in [(first, 0xffff_ffff_89ab_cdef_u64), (second, 0x7654_3210)] {
        let mut machine = Machine::new();
        machine.frame.set(A, first);
        machine.frame.set(B, 0x89ab_cdef);
        machine.frame.set(C, from);
        machine.run(&bytes_and_a_word(|_| ()), 0);
        assert_eq!(machine.frame.get(B), found);
    }
    assert_eq!(cells[0], 0x89ab_cdef, "the bytes were stored all the same");
}

#[test]
fn a_later_store_elsewhere_may_overlap_the_bytes() {
    let mut cell = 0_u32;
    let address = &raw mut cell as u64;
    let mut machine = Machine::new();
    machine.frame.set(A, address);
    machine.frame.set(B, 0x89ab_cdef);
    machine.frame.set(C, address);
    let region = bytes_and_a_word(|b| {
        b.store(Type::I8, b.slot(C), 1, b.konst(0x11), MemOrder::Plain);
    });
    machine.run(&region, 0);
    assert_eq!(machine.frame.get(B), 0xffff_ffff_89ab_11ef);
}

/// Jumps to where C says, until one of its blocks does not add to A.
fn switch(targets: u64) -> Region {
    let at = |n: u64| 0x2000 + 0x18 * n;
    let jump = block(0x1000, |b| {
        let target = b.slot(C).operand();
        let approach = Approach::PLAIN;
        b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach });
    });
    let cases = (0..targets).map(|n| {
        block(at(n), |b| {
            b.set_slot(A, b.slot(A) * b.konst(10) + b.konst(n));
            b.set_slot(C, b.slot(C) + b.slot(B));
            b.terminate(Terminator::Jump { target: GuestVirt(0x1000), hint: Hint::Plain });
        })
    });
    let known = (0..targets).map(|n| GuestVirt(at(n))).chain([GuestVirt(0x9000)]);
    let jumps = HashMap::from([(0, known.collect())]);
    Region::with_jumps(std::iter::once(jump).chain(cases).collect(), vec![0], jumps)
}

#[test]
fn computed_jumps_stay_inside_where_they_went_before() {
    for targets in [1, 3, 4, 5, 9] {
        let mut machine = Machine::new();
        machine.frame.set(B, 0x18);
        machine.frame.set(C, 0x2000);
        assert_eq!(machine.run(&switch(targets), 0), ExitCode::Indirect, "{targets}");
        let digits = (0..targets).fold(0, |all, n| all * 10 + n);
        assert_eq!(machine.frame.get(A), digits, "{targets}");
        assert_eq!(machine.frame.pc, 0x2000 + 0x18 * targets, "{targets}");
    }
}

#[test]
fn a_target_that_only_looks_like_another_leaves() {
    let mut machine = Machine::new();
    machine.frame.set(C, 0x2000 + (1 << 20));
    assert_eq!(machine.run(&switch(9), 0), ExitCode::Indirect);
    assert_eq!((machine.frame.get(A), machine.frame.pc), (0, 0x2000 + (1 << 20)));
}

/// Calls a function where C says, which goes on to another that returns to B; then a third, directly, which
/// returns there, too. Each adds a digit to A.
fn calls() -> Region {
    let jump = |b: &Builder, target, hint| {
        b.terminate(Terminator::Jump { target: GuestVirt(target), hint });
    };
    let digit = |b: &Builder, n| b.set_slot(A, b.slot(A) * b.konst(10) + b.konst(n));
    let indirect = |b: &Builder, slot, hint| {
        let target = b.slot(slot).operand();
        b.terminate(Terminator::Indirect { target, hint, approach: Approach::PLAIN });
    };
    let blocks = vec![
        block(0x1000, |b| {
            b.set_slot(B, b.konst(0x1004));
            indirect(b, C, Hint::Call(GuestVirt(0x1004)));
        }),
        block(0x1004, |b| {
            digit(b, 1);
            b.set_slot(B, b.konst(0x1008));
            jump(b, 0x4000, Hint::Call(GuestVirt(0x1008)));
        }),
        block(0x1008, |b| {
            digit(b, 2);
            b.terminate(Terminator::Trap { trap: Trap::Syscall, pc: GuestVirt(0x100c) });
        }),
        block(0x2000, |b| {
            digit(b, 3);
            jump(b, 0x3000, Hint::Plain);
        }),
        block(0x3000, |b| {
            digit(b, 4);
            indirect(b, B, Hint::Return);
        }),
        block(0x4000, |b| {
            digit(b, 5);
            indirect(b, B, Hint::Return);
        }),
    ];
    Region::with_jumps(blocks, vec![0], HashMap::from([(0, vec![GuestVirt(0x2000)])]))
}

#[test]
fn returns_stay_inside_where_their_functions_were_called() {
    let region = calls();
    assert_eq!(region.predicted(0), [3]);
    assert_eq!(region.predicted(4), [1], "by way of a jump from the function that is called");
    assert_eq!(region.predicted(5), [2]);
    let mut machine = Machine::new();
    machine.frame.set(C, 0x2000);
    assert_eq!(machine.run(&region, 0), ExitCode::Syscall);
    assert_eq!(machine.frame.get(A), 34152);
}
