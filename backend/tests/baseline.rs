//! Blocks of the baseline compiler, placed and run.

#![expect(unsafe_code, reason = "runs generated code")]

use base::{CpuFrame, GuestVirt, RegSlot};
use ferry_backend::baseline::{self, BaselineOptions, UPGRADE};
use ferry_backend::{CodeMemory, ExitCode, PlacedRegion, entry};
use ir::interp::Lowerer;
use ir::types::MemOrder;
use ir::{BadJumps, BlockKey, Builder, FpRules, Guest, SlotClass, Terminator, Type};

const A: RegSlot = RegSlot(1);
const B: RegSlot = RegSlot(2);

static GUEST: Guest = Guest {
    name: "test",
    slot_name: |_| None,
    slot_class: |_| SlotClass::Integer,
    helpers: &[],
    fp_flags: RegSlot(64),
    fp: FpRules::RiscV,
    stack_pointer: A,
    bad_jumps: BadJumps::Target,
};

const PC: GuestVirt = GuestVirt(0x5555_0000_1000);

struct Machine {
    frame: Box<CpuFrame>,
    memory: CodeMemory,
}

impl Machine {
    fn new() -> Self {
        Self { frame: CpuFrame::new(), memory: CodeMemory::new(1 << 20).expect("code memory") }
    }

    /// A block of one instruction.
    fn place(&mut self, number: u32, executions: u32, emit: impl FnOnce(&Builder)) -> PlacedRegion {
        let b = Builder::new();
        b.begin(BlockKey::new(PC, 0));
        b.begin_insn(PC, 4);
        emit(&b);
        b.end_insn();
        let block = b.finish(PC.wrapping_add(4));
        let code = Lowerer::new().lower(&GUEST, &block, 1).expect("a block");
        let options = BaselineOptions { executions, count_instructions: true };
        self.memory.place(&baseline::compile(&code, options), number).expect("a place")
    }

    fn run(&mut self, placed: &PlacedRegion) -> ExitCode {
        // SAFETY: the block was placed in this memory, and the frame is this machine's own.
        let raw =
            unsafe { entry::enter(&mut *self.frame, placed.entry(0).unwrap().0 as *const u8) };
        ExitCode::from_raw(raw)
    }
}

/// Addresses of 48 bits are no immediates of the host: nothing that is needed later may be where they are put.
#[test]
fn far_addresses_leave_values_alone() {
    let mut machine = Machine::new();
    let mut there = Box::new(0_u64);
    let address = (&raw mut *there) as u64;
    let placed = machine.place(0, 10, |b| {
        b.store(Type::I64, b.konst(address), 0, b.slot(A), MemOrder::Plain);
        b.set_slot(B, b.load_u(Type::I64, b.konst(address), 0, MemOrder::Plain) + b.konst(1));
    });
    machine.frame.set(A, 0x1234_5678_9abc_def0);
    assert_eq!(machine.run(&placed), ExitCode::Unlinked);
    // SAFETY: it was written by the guest's code just now.
    assert_eq!(unsafe { (&raw const *there).read_volatile() }, 0x1234_5678_9abc_def0);
    assert_eq!(machine.frame.get(B), 0x1234_5678_9abc_def1);
    *there = 0;
}

#[test]
fn a_block_that_has_run_hot_says_so_and_goes_where_it_is_linked_to() {
    let mut machine = Machine::new();
    let count = |b: &Builder| {
        b.set_slot(A, b.slot(A) + b.konst(1));
        b.terminate(Terminator::Jump { target: PC, hint: ir::Hint::Plain });
    };
    let placed = machine.place(3, 5, count);
    // It goes on with itself.
    placed.link(1, placed.entry(0).unwrap());
    assert_eq!(machine.run(&placed), ExitCode::Unlinked);
    assert_eq!((machine.frame.region, machine.frame.exit), (3, UPGRADE));
    assert_eq!((machine.frame.get(A), machine.frame.retired), (5, 5));
    placed.set_executions(2);
    assert_eq!(machine.run(&placed), ExitCode::Unlinked);
    assert_eq!(machine.frame.get(A), 7);
    let better = machine.place(4, 100, |b| b.set_slot(A, b.konst(1000)));
    placed.link(UPGRADE as usize, better.entry(0).unwrap());
    placed.set_executions(0);
    assert_eq!(machine.run(&placed), ExitCode::Unlinked);
    assert_eq!((machine.frame.region, machine.frame.exit, machine.frame.get(A)), (4, 1, 1000));
}

#[test]
fn an_interrupt_is_taken_before_the_block() {
    let mut machine = Machine::new();
    let placed = machine.place(0, 10, |b| b.set_slot(A, b.konst(1)));
    *machine.frame.interrupt.get_mut() = 1;
    assert_eq!(machine.run(&placed), ExitCode::Interrupted);
    assert_eq!((machine.frame.pc, machine.frame.get(A)), (PC.0, 0));
}
