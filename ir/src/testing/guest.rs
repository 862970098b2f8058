//! A guest without an architecture.
#![expect(unsafe_code, reason = "helpers get the frame as a raw pointer")]

use base::cpu::{Effects, HelperCode, WideHelperFn};
use base::wide::{HostVector, bits_of, vector_of};
use base::{CpuFrame, Helper, HelperFn, HelperId, RegSlot};

use crate::guest::{BadJumps, FpRules, Guest, SlotClass};

/// The test guest: integer registers `r0` to `r15` (slots 1 to 16), floating-point registers `f0`
/// to `f7` (slots 32 to 39), vector registers `v0` to `v3` (slots 40 to 47), `fflags` (64), the stack
/// pointer `sp` (17), and a helper of each kind of effects.
pub static GUEST: Guest = Guest {
    name: "test",
    slot_name,
    slot_class,
    helpers: &HELPERS,
    fp_flags: RegSlot(64),
    fp: FpRules::RiscV,
    stack_pointer: RegSlot(17),
    bad_jumps: BadJumps::Target,
};

const INTEGER_NAMES: [&str; 17] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15", "sp",
];
/// The same with the floating-point rules of another architecture.
pub static ARM_GUEST: Guest = Guest { fp: FpRules::Arm, ..GUEST };
/// The same with those of SSE and AVX.
pub static X86_GUEST: Guest = Guest { fp: FpRules::X86, ..GUEST };

const VECTOR_NAMES: [&str; 4] = ["v0", "v1", "v2", "v3"];
const FLOAT_NAMES: [&str; 8] = ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"];

fn slot_name(slot: RegSlot) -> Option<&'static str> {
    match slot.0 {
        n @ 1..=17 => Some(INTEGER_NAMES[usize::from(n) - 1]),
        n @ 32..=39 => Some(FLOAT_NAMES[usize::from(n) - 32]),
        n @ 40..=47 if n % 2 == 0 => Some(VECTOR_NAMES[usize::from(n - 40) / 2]),
        64 => Some("fflags"),
        _ => None,
    }
}

fn slot_class(slot: RegSlot) -> SlotClass {
    match slot.0 {
        32..=39 => SlotClass::Float,
        40..=47 => SlotClass::Vector,
        _ => SlotClass::Integer,
    }
}

/// The helper of that name.
///
/// # Panics
/// If [`GUEST`] has none.
#[must_use]
pub fn helper_id(name: &str) -> HelperId {
    let index = GUEST.helpers.iter().position(|helper| helper.name == name);
    HelperId(index.expect("a helper of the test guest") as u16)
}

const fn row(name: &'static str, args: u8, effects: Effects, func: HelperFn) -> Helper {
    Helper { name, args, effects, code: HelperCode::Scalar(func), intrinsic: None }
}

const fn wide_row(name: &'static str, effects: Effects, func: WideHelperFn) -> Helper {
    Helper { name, args: 4, effects, code: HelperCode::Wide(func), intrinsic: None }
}

static HELPERS: [Helper; 6] = [
    row("mix", 2, Effects::Pure, mix),
    row("raise", 1, Effects::FpFlags, raise),
    row("rotate", 0, Effects::Frame, rotate),
    row("probe", 1, Effects::Memory, probe),
    wide_row("blend", Effects::Pure, blend),
    wide_row("note", Effects::FpFlags, note),
];

/// Anything that depends on all its operands.
///
/// # Safety
/// None is asked for.
#[expect(improper_ctypes_definitions, reason = "as `WideHelperFn`")]
unsafe extern "C" fn blend(
    _: *mut CpuFrame,
    number: u64,
    a: HostVector,
    b: HostVector,
    c: HostVector,
) -> HostVector {
    let [a, b, c] = [a, b, c].map(bits_of);
    vector_of(a.rotate_left(number as u32 & 127) ^ b.swap_bytes() ^ c.reverse_bits())
}

/// Raises the flags in the first operand, and gives what they were.
///
/// # Safety
/// As [`WideHelperFn`] has it: the frame is live and nobody else's.
#[expect(improper_ctypes_definitions, reason = "as `WideHelperFn`")]
unsafe extern "C" fn note(
    frame: *mut CpuFrame,
    _: u64,
    a: HostVector,
    _: HostVector,
    _: HostVector,
) -> HostVector {
    // SAFETY: by this function's contract.
    let frame = unsafe { &mut *frame };
    let old = frame.get(GUEST.fp_flags);
    frame.set(GUEST.fp_flags, old | bits_of(a) as u64 & 31);
    vector_of(old.into())
}

extern "C" fn mix(_: *mut CpuFrame, a: u64, b: u64, _: u64, _: u64) -> u64 {
    a.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ b
}

/// Adds to the floating-point flags; the result is what they were.
///
/// # Safety
/// As [`HelperFn`] has it: the frame is live and nobody else's.
unsafe extern "C" fn raise(frame: *mut CpuFrame, flags: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: by this function's contract.
    let frame = unsafe { &mut *frame };
    let old = frame.get(GUEST.fp_flags);
    frame.set(GUEST.fp_flags, old | flags & 31);
    old
}

/// Moves `r0` to `r3` around.
///
/// # Safety
/// As [`HelperFn`] has it: the frame is live and nobody else's.
unsafe extern "C" fn rotate(frame: *mut CpuFrame, _: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: by this function's contract.
    let frame = unsafe { &mut *frame };
    frame.slots[1..5].rotate_left(1);
    frame.slots[1]
}

/// Faults at an odd address; at others it writes the address to `r15`.
///
/// # Safety
/// As [`HelperFn`] has it: the frame is live and nobody else's.
unsafe extern "C" fn probe(frame: *mut CpuFrame, addr: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: by this function's contract.
    let frame = unsafe { &mut *frame };
    if addr % 2 == 1 {
        (frame.fault, frame.fault_addr) = (1, addr);
    } else {
        frame.set(RegSlot(16), addr);
    }
    addr / 2
}
