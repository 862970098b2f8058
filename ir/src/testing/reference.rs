//! What a block of the test guest does, as the evaluator has it.
#![expect(unsafe_code, reason = "the evaluator calls helpers")]

use base::cpu::SLOT_COUNT;
use base::{CpuFrame, GuestVirt, RegSlot};

use super::{Choices, GUEST, Sandbox};
use crate::block::Block;
use crate::eval::{self, Exit};
use crate::guest::Guest;

/// Everything that a guest could tell of a block's execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How the block was left.
    pub exit: Exit,
    /// The register slots then, those that the guest has a name for.
    pub slots: Vec<(&'static str, u128)>,
    /// Its memory then.
    pub memory: Sandbox,
}

impl Outcome {
    /// Where the sandbox starts, and the test guest's stack pointer points to.
    pub const SANDBOX: GuestVirt = GuestVirt(0x2000_0000);
    /// Bytes in the sandbox: a page, so that engines on the host's memory can have the same.
    pub const SANDBOX_BYTES: usize = 4096;

    /// The frame to start with: registers that `choices` make, the stack pointer in the sandbox.
    #[must_use]
    pub fn start(choices: &mut Choices<'_>) -> Box<CpuFrame> {
        let mut frame = CpuFrame::new();
        for slot in (0..SLOT_COUNT as u16).map(RegSlot) {
            if (GUEST.slot_name)(slot).is_some() {
                frame.set(slot, choices.value());
                if GUEST.is_wide(slot) {
                    let high = u128::from(choices.value()) << 64;
                    frame.set_wide(slot, high | u128::from(frame.get(slot)));
                }
            }
        }
        frame.set(GUEST.stack_pointer, Self::SANDBOX.0);
        let flags = frame.get(GUEST.fp_flags);
        frame.set(GUEST.fp_flags, flags & 31);
        frame
    }

    /// What an engine left behind.
    #[must_use]
    pub fn of(exit: Exit, frame: &CpuFrame, memory: Sandbox) -> Self {
        let held = |slot| match GUEST.is_wide(slot) {
            true => frame.get_wide(slot),
            false => frame.get(slot).into(),
        };
        let named = |slot| (GUEST.slot_name)(slot).map(|name| (name, held(slot)));
        let slots = (0..SLOT_COUNT as u16).map(RegSlot).filter_map(named).collect();
        Self { exit, slots, memory }
    }
}

/// Runs a valid block of a test guest by the evaluator, on registers that `choices` make.
#[must_use]
pub fn outcome(guest: &Guest, block: &Block, choices: Choices<'_>, garbage: u64) -> Outcome {
    outcome_of_all(guest, &[block], choices, garbage)
}

/// The same with several blocks, one after the other until one does not go on at another block.
/// Where it goes on does not matter.
///
/// # Panics
/// If there is no block.
#[must_use]
pub fn outcome_of_all(
    guest: &Guest,
    blocks: &[&Block],
    mut choices: Choices<'_>,
    garbage: u64,
) -> Outcome {
    let mut frame = Outcome::start(&mut choices);
    let mut memory = Sandbox::new(Outcome::SANDBOX, Outcome::SANDBOX_BYTES);
    let mut last = None;
    for block in blocks {
        // SAFETY: the test guest's helpers touch nothing but the frame's own fields.
        let exit = unsafe { eval::run(block, guest, &mut frame, &mut memory, garbage) };
        last = Some(exit);
        if !matches!(exit, Exit::Goto(_)) {
            break;
        }
    }
    Outcome::of(last.expect("a block"), &frame, memory)
}
