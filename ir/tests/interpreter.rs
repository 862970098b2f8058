//! The interpreter against the evaluator, on blocks out of nothing.
#![expect(unsafe_code, reason = "the interpreter runs on raw frames")]

use base::sys::access::Faulted;
use base::{CpuFrame, GuestVirt};
use ferry_ir::Precision;
use ferry_ir::eval::{Denied, Exit, Memory as _};
use ferry_ir::interp::{Alone, Context, Lowerer, Memory, Site, Stop, run};
use ferry_ir::opt::{Options, Passes, optimise};
use ferry_ir::testing::{ARM_GUEST, Choices, GUEST, Outcome, Sandbox, block, outcome};
use ferry_ir::{Block, Guest, Opcode};
use proptest::collection::vec;
use proptest::prelude::*;

/// The sandbox as the interpreter's memory; keeps the address of the last fault.
struct Guarded {
    sandbox: Sandbox,
    denied: GuestVirt,
}

impl Guarded {
    fn note<T>(&mut self, result: Result<T, Denied>) -> Result<T, Faulted> {
        result.map_err(|Denied(addr)| {
            self.denied = addr;
            Faulted
        })
    }
}

macro_rules! accesses {
    ($($type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        impl Memory for Guarded {
            const ADDRESS_BITS: u32 = 47;
            $(
                fn $load(&mut self, _: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    let loaded = self.sandbox.load(addr, <$type>::BITS / 8);
                    self.note(loaded).map(|value| value as $type)
                }

                fn $store(&mut self, _: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    let stored = self.sandbox.store(addr, <$type>::BITS / 8, value.into());
                    self.note(stored)
                }

                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    let old = self.$load(site, addr)?;
                    if old == expected {
                        self.$store(site, addr, new)?;
                    }
                    Ok(old)
                }
            )*

            fn load128(&mut self, _: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                let loaded = self.sandbox.load(addr, 16);
                self.note(loaded)
            }

            fn store128(&mut self, _: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                let stored = self.sandbox.store(addr, 16, value);
                self.note(stored)
            }
        }
    };
}

accesses! {
    u8, load8, store8, compare_exchange8;
    u16, load16, store16, compare_exchange16;
    u32, load32, store32, compare_exchange32;
    u64, load64, store64, compare_exchange64;
}

/// Runs a block by the interpreter; `None` if it is too large for it.
fn interpreted(guest: &Guest, block: &Block, mut choices: Choices<'_>) -> Option<Outcome> {
    let code = Lowerer::new().lower(guest, block, 1).ok()?;
    let mut frame = Outcome::start(&mut choices);
    frame.temps.fill(0x5a5a_5a5a_5a5a_5a5a);
    let sandbox = Sandbox::new(Outcome::SANDBOX, Outcome::SANDBOX_BYTES);
    let mut memory = Guarded { sandbox, denied: GuestVirt(0) };
    let frame_ptr: *mut CpuFrame = &raw mut *frame;
    let mut cx = Context { frame: frame_ptr, memory: &mut memory, jumps: &Alone, retired: 0 };
    // SAFETY: the frame and the code are this function's, and the test guest's helpers touch
    // nothing but the frame.
    let stop = unsafe { run(&mut cx, code.entry()) };
    let exit = match stop {
        Stop::Unlinked { target, .. } | Stop::Indirect(target) => Exit::Goto(target),
        Stop::Lookup(target) => Exit::Lookup(target),
        Stop::Trap(trap, pc) => Exit::Trap(trap, pc),
        Stop::Fault(pc) => Exit::Fault { pc, addr: memory.denied },
        Stop::HelperFault { pc, addr } => Exit::Fault { pc, addr },
        Stop::Misaligned { pc, addr } => Exit::Misaligned { pc, addr },
        Stop::Attention(_) | Stop::Interrupted(_) => panic!("nobody asked for {stop:?}"),
    };
    Some(Outcome::of(exit, &frame, memory.sandbox))
}

fn shown(block: &Block) -> String {
    block.display(&GUEST).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(5_000)
    })]

    #[test]
    fn the_interpreter_agrees(
        numbers in vec(any::<u32>(), 0..600),
        registers in vec(any::<u32>(), 80),
        arm in any::<bool>(),
    ) {
        let guest = if arm { &ARM_GUEST } else { &GUEST };
        let block = block(&mut Choices::new(&numbers));
        if let Some(interpreted) = interpreted(guest, &block, Choices::new(&registers)) {
            let evaluated = outcome(guest, &block, Choices::new(&registers), 0);
            prop_assert_eq!(interpreted, evaluated, "{}", shown(&block));
        }
    }

    #[test]
    fn the_interpreter_runs_optimised_blocks(
        numbers in vec(any::<u32>(), 0..600),
        registers in vec(any::<u32>(), 80),
    ) {
        let before = block(&mut Choices::new(&numbers));
        let mut after = before.clone();
        let options = Options { passes: Passes::ALL, precision: Precision::EveryAccess };
        optimise(&mut after, &GUEST, options);
        if let Some(interpreted) = interpreted(&GUEST, &after, Choices::new(&registers)) {
            let evaluated = outcome(&GUEST, &before, Choices::new(&registers), 0);
            prop_assert_eq!(interpreted, evaluated, "{}", shown(&after));
        }
    }
}

#[test]
fn most_blocks_fit_the_interpreter() {
    let numbers: Vec<u32> = (0..500_u32).map(|n| n.wrapping_mul(0x9e37_79b9) >> 3).collect();
    let block = block(&mut Choices::new(&numbers));
    assert!(block.insts.iter().any(|inst| inst.op == Opcode::Store), "{}", shown(&block));
    assert!(interpreted(&GUEST, &block, Choices::new(&numbers)).is_some());
}
