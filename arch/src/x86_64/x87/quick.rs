//! Executing an instruction on as little as it needs, where it has no effects beyond: neither over- nor underflow of the stack,
//! nor an exception that is not masked.

use std::cell::Cell;

use base::cpu::SLOT_COUNT;

use super::host::{Few, Memory, Register};
use super::ops::{Op, Shape, Uses};
use super::{ES, EXCEPTIONS, F80, TOP_SHIFT};
use crate::frame::FrameRef;
use crate::x86_64::slot;

/// The frame's register slots.
pub(super) type Slots = [Cell<u64>; SLOT_COUNT];

/// Executes an instruction, and finds out what becomes of status and tags; `None`, and nothing done, if the whole state is needed.
pub(super) type QuickFn = fn(&Slots, Op, &mut Memory) -> Option<Outcome>;

/// What an instruction changes beside numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    status: u16,
    valid: u8,
}

impl Outcome {
    /// Makes it so, of an instruction at `pc`.
    #[inline]
    pub(super) fn commit(self, frame: &mut FrameRef, pc: u64) {
        frame.set(slot::FIP, pc);
        frame.set(slot::FSW, self.status.into());
        frame.set(slot::FTW, self.valid.into());
    }
}

/// Which registers must be valid or empty, and which become valid: ones and zeros, for the bits of tags.
#[derive(Clone, Copy)]
struct Needs {
    /// ST(0) is read.
    top: u8,
    /// ST(i) is read.
    other: u8,
    /// ST(i) is written, and may have been empty.
    fills: u8,
    /// A number is pushed.
    pushes: u8,
}

impl Needs {
    const fn of(shape: Shape) -> Self {
        const NONE: Needs = Needs { top: 0, other: 0, fills: 0, pushes: 0 };
        match shape {
            Shape::Top | Shape::Store(_) => Self { top: 1, ..NONE },
            Shape::Both | Shape::Exchange => Self { top: 1, other: 1, ..NONE },
            Shape::Push => Self { pushes: 1, ..NONE },
            Shape::Load => Self { other: 1, pushes: 1, ..NONE },
            Shape::Copy => Self { top: 1, fills: 1, ..NONE },
            Shape::Whole => NONE,
        }
    }
}

/// What an instruction returns for a status word if it has done nothing, as the whole state is needed.
pub(super) const NOT_EXECUTED: u16 = ES;

/// By how often an instruction pops: which registers become empty, if ST(0) is the first.
const POPPED: [u8; 3] = [0, 1, 3];

/// Whether FPREM and FPREM1 have a number for a result.
pub(super) fn has_remainder(dividend: &Register, divisor: &Register) -> bool {
    let tag = |register: &Register| {
        F80 { significand: register[0].get(), sign_exponent: register[1].get() as u16 }.tag()
    };
    tag(dividend) <= 1 && tag(divisor) == 0
}

thread_local! {
    /// What TOP was after the last instruction. The host knows it without waiting for the status word, of which the last
    /// instruction's result decides other bits.
    static TOP: Cell<u8> = const { Cell::new(0) };
}

/// Sees to it that the next instruction finds the right TOP.
#[inline]
pub(super) fn expect_top(status: u16) {
    let top = (status >> TOP_SHIFT & 7) as u8;
    if TOP.get() != top {
        surprise(top);
    }
}

/// As a call, so that the host guesses that it does not happen.
#[cold]
#[inline(never)]
fn surprise(top: u8) {
    TOP.set(top);
}

/// A physical register.
#[inline(always)]
fn register(slots: &Slots, n: u8) -> &Register {
    let at = slot::fpr(n & 7).index();
    #[expect(clippy::unwrap_used, reason = "it is as long as that")]
    slots[at..at + 2].try_into().unwrap()
}

/// Executes `insn`, of which `uses` tells, after [`expect_top`].
#[inline(always)]
pub(super) fn execute(
    uses: Uses,
    op: Op,
    slots: &Slots,
    memory: &mut Memory,
    insn: impl Fn(Few<'_>) -> u16,
) -> Option<Outcome> {
    let control = &slots[slot::FCW.index()];
    let old = slots[slot::FSW.index()].get() as u16;
    let valid = slots[slot::FTW.index()].get() as u8;
    let top = TOP.get();
    let needs = Needs::of(uses.shape);
    let other = (top + op.register(uses)) & 7;
    let first = top.wrapping_sub(needs.pushes) & 7;
    let read = needs.top << top | needs.other << other;
    let pushed = needs.pushes << first;
    let has_room = valid & read == read && valid & pushed == 0;
    if control.get() as u16 & EXCEPTIONS != EXCEPTIONS || !has_room {
        return None;
    }
    let (st0, other_register) = (register(slots, first), register(slots, other));
    let status = insn(Few { control, status: old, st0, other: other_register, memory });
    if status & NOT_EXECUTED != 0 {
        return None;
    }
    let popped = POPPED[usize::from(uses.pops)].rotate_left(first.into());
    let valid = (valid | pushed | needs.fills << other) & !popped;
    let top = (first + uses.pops) & 7;
    TOP.set(top);
    let kept = old & !uses.codes & !(7 << TOP_SHIFT);
    let status = kept | status & (uses.codes | EXCEPTIONS) | u16::from(top) << TOP_SHIFT;
    Some(Outcome { status, valid })
}
