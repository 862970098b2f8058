//! Executing an instruction on as little as it needs, where it has no effects beyond: neither over- nor underflow of the stack,
//! nor an exception that is not masked.

use std::cell::Cell;

use base::cpu::SLOT_COUNT;

use super::host::{Done, Few, Register, USUAL};
use super::ops::{Shape, Uses};
use super::{ES, EXCEPTIONS, F80, TOP_SHIFT};
use crate::frame::FrameRef;
use crate::x86_64::helpers::memory;
use crate::x86_64::{flags, slot};

/// The frame's register slots.
pub(super) type Slots = [Cell<u64>; SLOT_COUNT];

/// What an instruction is called with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The opcode, and the operand's bits 79:64 above it.
    pub(super) what: u64,
    /// Where it stands.
    pub(super) pc: u64,
    /// The operand's bits 63:0.
    pub(super) low: u64,
    /// The operand's address.
    pub(super) address: u64,
}

impl Call {
    /// Without what an instruction does not look at, so that it need not be kept.
    #[inline(always)]
    const fn only(self, uses: Uses) -> Self {
        if uses.is_told { self } else { Self { low: 0, address: 0, ..self } }
    }
}

/// Executes an instruction: see [`super::ops::execute`], which has the same arguments and result.
pub(super) type RunFn = fn(FrameRef, u64, u64, u64, u64) -> u64;

/// Which control words an instruction is executed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// Only [`USUAL`].
    Usual,
    /// All that mask all exceptions.
    Masked,
}

impl Control {
    #[inline(always)]
    fn has(self, control: u16) -> bool {
        match self {
            Self::Usual => control == USUAL,
            Self::Masked => control & EXCEPTIONS == EXCEPTIONS,
        }
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
            Shape::Both | Shape::Flags | Shape::Exchange => Self { top: 1, other: 1, ..NONE },
            Shape::Push => Self { pushes: 1, ..NONE },
            Shape::Load => Self { other: 1, pushes: 1, ..NONE },
            Shape::Copy => Self { top: 1, fills: 1, ..NONE },
            Shape::Whole => NONE,
        }
    }
}

/// By how often an instruction pops: which registers become empty, if ST(0) is the first.
const POPPED: [u8; 3] = [0, 1, 3];

/// Whether FPREM and FPREM1 have a number for a result.
pub(super) fn has_remainder(dividend: &Register, divisor: &Register) -> bool {
    let tag = |register: &Register| {
        F80 { significand: register[0].get(), sign_exponent: register[1].get() as u16 }.tag()
    };
    tag(dividend) <= 1 && tag(divisor) == 0
}

/// Executes an instruction that has found another TOP in the status word. As a call, so that the host guesses that it does not
/// happen.
#[cold]
#[inline(never)]
fn surprise(mut frame: FrameRef, what: u64, pc: u64, low: u64, address: u64) -> u64 {
    let top = top_of(frame.get(slot::FSW) as u16);
    frame.set(slot::EXPECTED_TOP, top.into());
    super::execute(frame, what, pc, low, address)
}

#[inline(always)]
fn top_of(status: u16) -> u8 {
    (status >> TOP_SHIFT & 7) as u8
}

/// A physical register.
#[inline(always)]
fn register(slots: &Slots, n: u8) -> &Register {
    let at = slot::fpr(n & 7).index();
    #[expect(clippy::unwrap_used, reason = "it is as long as that")]
    slots[at..at + 2].try_into().unwrap()
}

/// Executes `insn`, of which `uses` tells, or, where that has no result or this is not enough, `otherwise`, which comes last so
/// that nothing has to be kept for it.
///
/// Which registers it uses is decided by [`slot::EXPECTED_TOP`]: the status word waits for the last instruction's result.
#[inline(always)]
pub(super) fn run(
    (uses, control): (Uses, Control),
    mut frame: FrameRef,
    call: Call,
    insn: impl Fn(Few<'_>) -> Option<Done>,
    otherwise: RunFn,
) -> u64 {
    let Call { what, pc, low, address } = call.only(uses);
    let slots = frame.slots();
    let old = slots[slot::FSW.index()].get() as u16;
    let top = slots[slot::EXPECTED_TOP.index()].get() as u8;
    if top != top_of(old) {
        return surprise(frame, what, pc, low, address);
    }
    if old & ES != 0 {
        return otherwise(frame, what, pc, low, address);
    }
    // From here on it is the last instruction, unless it faults; so its address need not be kept.
    let (fip, may_fault) = (&slots[slot::FIP.index()], uses.stores().is_some());
    if !may_fault {
        fip.set(pc);
    }
    let pc = || if may_fault { pc } else { fip.get() };
    let (places, word) = (Places::of(uses, top, what), &slots[slot::FCW.index()]);
    let tags = slots[slot::FTW.index()].get() as u8;
    if !control.has(word.get() as u16) || !places.fit(uses, tags) {
        let pc = pc();
        return otherwise(frame, what, pc, low, address);
    }
    let (st0, other) = (register(slots, places.first), register(slots, places.other));
    let few = Few { control: word, status: old, st0, other, low, high: (what >> 16) as u16 };
    let Some(done) = insn(few) else {
        let pc = pc();
        return otherwise(frame, what, pc, low, address);
    };
    if let Some(bytes) = uses.stores() {
        if !store(&mut frame, address, &done.memory.to_le_bytes()[..bytes]) {
            return 0;
        }
        frame.set(slot::FIP, call.pc);
    }
    commit(uses, &mut frame, places, (old, tags), done.status);
    0
}

/// Where an instruction finds its registers.
#[derive(Clone, Copy)]
struct Places {
    /// ST(0), or what becomes it by a push.
    first: u8,
    /// ST(i)
    other: u8,
}

impl Places {
    #[inline(always)]
    fn of(uses: Uses, top: u8, what: u64) -> Self {
        let pushes = Needs::of(uses.shape).pushes;
        Self { first: top.wrapping_sub(pushes) & 7, other: (top + uses.register(what)) & 7 }
    }

    /// Whether the stack neither under- nor overflows.
    #[inline(always)]
    fn fit(self, uses: Uses, tags: u8) -> bool {
        let needs = Needs::of(uses.shape);
        let read = needs.top << self.first | needs.other << self.other;
        tags & read == read && tags & needs.pushes << self.first == 0
    }
}

/// Writes what an instruction changes beside numbers, of which status and tags were as `old` says.
#[inline(always)]
fn commit(uses: Uses, frame: &mut FrameRef, places: Places, old: (u16, u8), result: u16) {
    let needs = Needs::of(uses.shape);
    let Places { first, other } = places;
    let top = (first + uses.pops) & 7;
    let kept = old.0 & !uses.codes & !(7 << TOP_SHIFT);
    let status = kept | result & (uses.codes | EXCEPTIONS) | u16::from(top) << TOP_SHIFT;
    frame.set(slot::FSW, status.into());
    if needs.pushes + needs.fills + uses.pops != 0 {
        let popped = POPPED[usize::from(uses.pops)].rotate_left(first.into());
        let filled = old.1 | needs.pushes << first | needs.fills << other;
        frame.set(slot::FTW, (filled & !popped).into());
        frame.set(slot::EXPECTED_TOP, top.into());
    }
    if uses.shape == Shape::Flags {
        // C3, C2 and C0 stand where ZF, PF and CF do.
        set_flags(frame, (result >> 8).into());
    }
}

/// FCOMI and its like: the flags ZF, PF and CF get what they say, the other three are cleared.
#[inline(always)]
pub(super) fn set_flags(frame: &mut FrameRef, result: u64) {
    const RESULT: u64 = flags::ZF | flags::PF | flags::CF;
    let mut unpacked = flags::Unpacked::read(|slot| frame.get(slot));
    unpacked.set_status(result & RESULT);
    unpacked.write(|slot, value| frame.set(slot, value));
}

/// Writes what an instruction stores, and says whether it could: 80 bits by two accesses, of 64 bits and of 16.
#[inline(always)]
pub(super) fn store(frame: &mut FrameRef, address: u64, bytes: &[u8]) -> bool {
    let (low, high) = bytes.split_at(bytes.len().min(8));
    memory::write(frame, address, low)
        .and_then(|()| memory::write(frame, address.wrapping_add(8), high))
        .is_ok()
}
