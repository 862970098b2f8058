//! How a guest's table of helpers is written: a row names a helper, its kind and the safe function that it is.
//!
//! | Kind | Function |
//! |---|---|
//! | `Pure` | `fn(u64, …) -> u64` |
//! | `FpFlags` | `fn(&mut E, u64, …) -> u64` |
//! | `Frame`, `Memory` | `fn(FrameRef, u64, …) -> u64` |
//! | `Bits` | `fn(u128, …) -> u128` |
//! | `Lanes` | `fn(A, u128, …) -> u128` |
//! | `Float` | `fn(&mut E, A, u128, …) -> u128` |
//! | `Saturating` | `fn(&mut S, A, u128, …) -> u128` |
//!
//! `E` is what the module's own `with_fp` lends, `S` what its `with_qc` does, and `A` anything that is made from a `u64`.
//! What stands here is all that touches the frame's pointer.

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

use base::cpu::HelperCode;
use base::wide::{bits_of, vector_of};
use base::{CpuFrame, Helper, HelperId};

/// The function around a safe one, by its kind.
macro_rules! code {
    (Pure ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(@scalar |_frame| ($($arg),*) $func($($arg),*))
    };
    (FpFlags ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(
            @scalar |frame| ($($arg),*) with_fp(&mut frame(), |fp| $func(fp, $($arg),*))
        )
    };
    (Frame ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(@scalar |frame| ($($arg),*) $func(frame(), $($arg),*))
    };
    (Memory ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(@scalar |frame| ($($arg),*) $func(frame(), $($arg),*))
    };
    (Bits ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(@wide |_frame, _arg| ($($arg),*) $func($($arg),*))
    };
    (Lanes ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(@wide |_frame, arg| ($($arg),*) $func(arg.into(), $($arg),*))
    };
    (Float ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(
            @wide |frame, arg| ($($arg),*)
            with_fp(&mut frame(), |fp| $func(fp, arg.into(), $($arg),*))
        )
    };
    (Saturating ($($arg:ident),*) $func:path) => {
        $crate::helper_table::code!(
            @wide |frame, arg| ($($arg),*)
            with_qc(&mut frame(), |qc| $func(qc, arg.into(), $($arg),*))
        )
    };
    (@scalar |$frame:ident| ($($arg:ident),*) $body:expr) => {{
        unsafe extern "C" fn shim(f: *mut ::base::CpuFrame, a: u64, b: u64, c: u64, d: u64) -> u64 {
            let [$($arg,)* ..] = [a, b, c, d];
            // SAFETY: the engines pass the frame of the CPU that runs on this thread.
            let $frame = || unsafe { $crate::frame::FrameRef::new(f) };
            $body
        }
        ::base::cpu::HelperCode::Scalar(shim)
    }};
    (@wide |$frame:ident, $number:ident| ($($arg:ident),*) $body:expr) => {{
        #[expect(improper_ctypes_definitions, reason = "see `base::cpu::WideHelperFn`")]
        unsafe extern "C" fn shim(
            f: *mut ::base::CpuFrame,
            $number: u64,
            a: ::base::wide::HostVector,
            b: ::base::wide::HostVector,
            c: ::base::wide::HostVector,
        ) -> ::base::wide::HostVector {
            let [$($arg,)* ..] = [a, b, c].map(::base::wide::bits_of);
            // SAFETY: the engines pass the frame of the CPU that runs on this thread.
            let $frame = || unsafe { $crate::frame::FrameRef::new(f) };
            ::base::wide::vector_of($body)
        }
        ::base::cpu::HelperCode::Wide(shim)
    }};
}

/// What IR is told of a kind's effects. That something saturated counts as one of the floating-point flags.
macro_rules! effects {
    (Bits) => {
        ::base::cpu::Effects::Pure
    };
    (Lanes) => {
        ::base::cpu::Effects::Pure
    };
    (Float) => {
        ::base::cpu::Effects::FpFlags
    };
    (Saturating) => {
        ::base::cpu::Effects::FpFlags
    };
    ($effects:ident) => {
        ::base::cpu::Effects::$effects
    };
}

/// How many arguments IR passes: vectors always all.
macro_rules! args {
    (Bits ($($arg:ident),*)) => { 4 };
    (Lanes ($($arg:ident),*)) => { 4 };
    (Float ($($arg:ident),*)) => { 4 };
    (Saturating ($($arg:ident),*)) => { 4 };
    ($effects:ident ($($arg:ident),*)) => { <[&str]>::len(&[$(stringify!($arg)),*]) as u8 };
}

/// What a helper computes, if the row says so.
macro_rules! intrinsic {
    () => {
        None
    };
    ($intrinsic:ident) => {
        Some(::base::Intrinsic::$intrinsic)
    };
    (Packed($packed:ident)) => {
        Some(::base::Intrinsic::Packed(::base::Packed::$packed))
    };
}

/// `HELPERS`, an id for each row, and `call` and `call_wide`: `ID "name" Kind (arguments) function[, Intrinsic];`.
macro_rules! helpers {
    ($($id:ident $name:literal $kind:ident ($($arg:ident),*) $func:path $(, $intrinsic:ident $(($packed:ident))?)?;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the ids")]
        enum Index { $($id,)* }

        $(#[doc = concat!("`", $name, "`")]
        pub const $id: ::base::HelperId = ::base::HelperId(Index::$id as u16);)*

        /// Every helper, by id.
        pub static HELPERS: &[::base::Helper] = &[$(::base::Helper {
            name: $name,
            args: $crate::helper_table::args!($kind ($($arg),*)),
            effects: $crate::helper_table::effects!($kind),
            code: $crate::helper_table::code!($kind ($($arg),*) $func),
            intrinsic: $crate::helper_table::intrinsic!($($intrinsic $(($packed))?)?),
        },)*];

        /// Calls a helper of numbers as IR does; `None` if it is none.
        #[must_use]
        pub fn call(
            frame: &mut ::base::CpuFrame,
            id: ::base::HelperId,
            args: [u64; 4],
        ) -> Option<u64> {
            $crate::helper_table::call(HELPERS, frame, id, args)
        }

        /// Calls a helper of vectors as IR does; `None` if it is none.
        #[must_use]
        pub fn call_wide(
            frame: &mut ::base::CpuFrame,
            id: ::base::HelperId,
            arg: impl Into<u64>,
            vectors: [u128; 3],
        ) -> Option<u128> {
            $crate::helper_table::call_wide(HELPERS, frame, id, arg.into(), vectors)
        }
    };
}

pub(crate) use {args, code, effects, helpers, intrinsic};

/// Calls a helper of vectors; `None` if it is none.
pub(crate) fn call_wide(
    helpers: &[Helper],
    frame: &mut CpuFrame,
    id: HelperId,
    arg: u64,
    vectors: [u128; 3],
) -> Option<u128> {
    let HelperCode::Wide(code) = helpers.get(usize::from(id.0))?.code else { return None };
    let [a, b, c] = vectors.map(vector_of);
    // SAFETY: the frame is borrowed, and no helper keeps it.
    Some(bits_of(unsafe { code(frame, arg, a, b, c) }))
}

/// Calls a helper of numbers; `None` if it is none.
pub(crate) fn call(
    helpers: &[Helper],
    frame: &mut CpuFrame,
    id: HelperId,
    args: [u64; 4],
) -> Option<u64> {
    let HelperCode::Scalar(code) = helpers.get(usize::from(id.0))?.code else { return None };
    let [a, b, c, d] = args;
    // SAFETY: the frame is borrowed, and no helper keeps it.
    Some(unsafe { code(frame, a, b, c, d) })
}
