//! What x86-64 instructions need and IR has no operation for. [`HELPERS`] is the table that IR's helper ids index; the
//! constants are those ids.
//!
//! Helpers of vectors have their operands in the SDM's order. What else they need to know is a number, `arg`.

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

pub mod integer;
pub mod string;
pub mod system;

use base::cpu::{Effects, HelperCode};
use base::float::{Env, Flags};
use base::wide::{HostVector, bits_of, vector_of};
use base::{CpuFrame, Helper, HelperId, Intrinsic};

use super::{mxcsr, slot};
pub use crate::frame::FrameRef;

/// Runs `op` in the guest's SSE environment.
fn with_fp<R>(frame: &mut FrameRef, op: impl FnOnce(&mut Env) -> R) -> R {
    let mut env = mxcsr::env(frame.get(slot::MXCSR) as u32);
    let result = op(&mut env);
    frame.accrue(slot::FP_FLAGS, env.flags.without(Flags(frame.get(slot::FP_FLAGS) as u8)));
    result
}

/// The function around a safe one, by its kind. What stands here is all that touches the frame's pointer.
///
/// | Kind | Function |
/// |---|---|
/// | `Pure` | `fn(u64, …) -> u64` |
/// | `FpFlags` | `fn(&mut Env, u64, …) -> u64` |
/// | `Frame`, `Memory` | `fn(FrameRef, u64, …) -> u64` |
/// | `Bits` | `fn(u128, …) -> u128` |
/// | `Lanes` | `fn(u64, u128, …) -> u128`, with `arg` first |
/// | `Float` | `fn(&mut Env, u64, u128, …) -> u128` |
macro_rules! code {
    (Pure ($($arg:ident),*) $func:path) => {
        code!(@scalar |_frame| ($($arg),*) $func($($arg),*))
    };
    (FpFlags ($($arg:ident),*) $func:path) => {
        code!(@scalar |frame| ($($arg),*) with_fp(&mut frame(), |fp| $func(fp, $($arg),*)))
    };
    (Frame ($($arg:ident),*) $func:path) => {
        code!(@scalar |frame| ($($arg),*) $func(frame(), $($arg),*))
    };
    (Memory ($($arg:ident),*) $func:path) => {
        code!(@scalar |frame| ($($arg),*) $func(frame(), $($arg),*))
    };
    (Bits ($($arg:ident),*) $func:path) => {
        code!(@wide |_frame, _arg| ($($arg),*) $func($($arg),*))
    };
    (Lanes ($($arg:ident),*) $func:path) => {
        code!(@wide |_frame, arg| ($($arg),*) $func(arg, $($arg),*))
    };
    (Float ($($arg:ident),*) $func:path) => {
        code!(@wide |frame, arg| ($($arg),*) with_fp(&mut frame(), |fp| $func(fp, arg, $($arg),*)))
    };
    (@scalar |$frame:ident| ($($arg:ident),*) $body:expr) => {{
        unsafe extern "C" fn shim(f: *mut CpuFrame, a: u64, b: u64, c: u64, d: u64) -> u64 {
            let [$($arg,)* ..] = [a, b, c, d];
            // SAFETY: the engines pass the frame of the CPU that runs on this thread.
            let $frame = || unsafe { FrameRef::new(f) };
            $body
        }
        HelperCode::Scalar(shim)
    }};
    (@wide |$frame:ident, $number:ident| ($($arg:ident),*) $body:expr) => {{
        #[expect(improper_ctypes_definitions, reason = "see `base::cpu::WideHelperFn`")]
        unsafe extern "C" fn shim(
            f: *mut CpuFrame,
            $number: u64,
            a: HostVector,
            b: HostVector,
            c: HostVector,
        ) -> HostVector {
            let [$($arg,)* ..] = [a, b, c].map(bits_of);
            // SAFETY: the engines pass the frame of the CPU that runs on this thread.
            let $frame = || unsafe { FrameRef::new(f) };
            vector_of($body)
        }
        HelperCode::Wide(shim)
    }};
}

/// What IR is told of a kind's effects.
macro_rules! effects {
    (Bits) => {
        Effects::Pure
    };
    (Lanes) => {
        Effects::Pure
    };
    (Float) => {
        Effects::FpFlags
    };
    ($effects:ident) => {
        Effects::$effects
    };
}

/// How many arguments IR passes: vectors always all.
macro_rules! args {
    (Bits ($($arg:ident),*)) => { 4 };
    (Lanes ($($arg:ident),*)) => { 4 };
    (Float ($($arg:ident),*)) => { 4 };
    ($effects:ident ($($arg:ident),*)) => { <[&str]>::len(&[$(stringify!($arg)),*]) as u8 };
}

macro_rules! intrinsic {
    () => {
        None
    };
    ($intrinsic:ident) => {
        Some(Intrinsic::$intrinsic)
    };
}

macro_rules! helpers {
    ($($id:ident $name:literal $kind:ident ($($arg:ident),*) $func:path $(, $intrinsic:ident)?;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the ids")]
        enum Index { $($id,)* }

        $(#[doc = concat!("`", $name, "`")]
        pub const $id: HelperId = HelperId(Index::$id as u16);)*

        /// Every helper, by id.
        pub static HELPERS: &[Helper] = &[$(Helper {
            name: $name,
            args: args!($kind ($($arg),*)),
            effects: effects!($kind),
            code: code!($kind ($($arg),*) $func),
            intrinsic: intrinsic!($($intrinsic)?),
        },)*];
    };
}

helpers! {
    // Flags and control registers.
    EFLAGS "eflags" Frame () system::eflags;
    SET_EFLAGS "set_eflags" Frame (value, mask) system::set_eflags;
    MXCSR "mxcsr" Frame () system::mxcsr;
    SET_MXCSR "set_mxcsr" Frame (value) system::set_mxcsr;
    // Time and waiting.
    PAUSE "pause" Frame () system::pause;
    TSC "tsc" Frame () system::tsc;
    TSC_AUX "tsc_aux" Frame () system::tsc_aux;
    RANDOM "random" Frame () system::random;
    BAD_SELECTOR "bad_selector" Pure (selector, place) system::bad_selector;
    SYNC_CODE "sync_code" Frame () system::sync_code;
    // Integers.
    DIV128 "div128" Pure (low, high, divisor) integer::div128;
    IDIV128 "idiv128" Pure (low, high, divisor) integer::idiv128;
    IDIV128_OVERFLOWS "idiv128_overflows" Pure (low, high, divisor) integer::idiv128_overflows;
    PDEP "pdep" Pure (value, mask) integer::pdep;
    PEXT "pext" Pure (value, mask) integer::pext;
    CRC32 "crc32" Pure (accumulator, value, bytes) integer::crc32;
    LOCK_NEG "lock_neg" Memory (addr, bytes) integer::lock_neg;
    CMPXCHG16B "cmpxchg16b" Memory (addr) integer::cmpxchg16b;
    // String instructions.
    REP_MOVS "rep_movs" Memory (repeat) string::movs;
    REP_STOS "rep_stos" Memory (repeat) string::stos;
    REP_LODS "rep_lods" Memory (repeat) string::lods;
    REP_CMPS "rep_cmps" Memory (repeat) string::cmps;
    REP_SCAS "rep_scas" Memory (repeat) string::scas;
}

/// Calls a helper of vectors as IR does; `None` if it is none.
#[must_use]
pub fn call_wide(frame: &mut CpuFrame, id: HelperId, arg: u64, vectors: [u128; 3]) -> Option<u128> {
    let HelperCode::Wide(code) = HELPERS.get(usize::from(id.0))?.code else { return None };
    let [a, b, c] = vectors.map(vector_of);
    // SAFETY: the frame is borrowed, and no helper keeps it.
    Some(bits_of(unsafe { code(frame, arg, a, b, c) }))
}

/// Calls a helper of numbers as IR does; `None` if it is none.
#[must_use]
pub fn call(frame: &mut CpuFrame, id: HelperId, args: [u64; 4]) -> Option<u64> {
    let HelperCode::Scalar(code) = HELPERS.get(usize::from(id.0))?.code else { return None };
    let [a, b, c, d] = args;
    // SAFETY: the frame is borrowed, and no helper keeps it.
    Some(unsafe { code(frame, a, b, c, d) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86_64::{flags, key};

    #[test]
    fn registers_that_are_packed_come_and_go_by_helpers() {
        let mut frame = CpuFrame::new();
        super::super::reset(&mut frame);
        let _ = call(&mut frame, SET_EFLAGS, [u64::MAX, flags::POPF, 0, 0]);
        let expected = flags::POPF | flags::IF | flags::FIXED;
        assert_eq!(call(&mut frame, EFLAGS, [0; 4]), Some(expected));
        assert_eq!(flags::eflags(&frame), expected);
        let _ = call(&mut frame, SET_MXCSR, [0x7fbf, 0, 0, 0]);
        assert_eq!(call(&mut frame, MXCSR, [0; 4]), Some(0x7fbf));
        assert_eq!(frame.key_flags, key::RC);
        assert_eq!(call_wide(&mut frame, MXCSR, 0, [0; 3]), None);
    }

    #[test]
    fn helpers_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            HELPERS.iter().map(|helper| helper.name).collect();
        assert_eq!(names.len(), HELPERS.len());
    }
}
