//! Exact floating point (IEEE 754-2019) on raw encodings, with every flag.
//!
//! [`soft`] computes with integers only and is right in every mode; [`fast`] has the same
//! functions for `f32` and `f64` and takes the host's result where that is provably the same,
//! flags included. [`Env`] carries the rounding mode, the accumulated flags and the points in which
//! guest architectures differ. Nothing here knows a guest's registers, encodings or NaN boxing.
//! The host's control register is neither changed nor read: it must be in its default state
//! (round to nearest, exceptions masked, no flushing).
//!
//! Not here: binary128 (needs wider significands), x87's extended format, decimal formats,
//! remainder, FPCR.AH and what comes with it.

mod env;
pub mod fast;
mod format;
pub mod soft;
mod sys;
#[cfg(test)]
mod tests;

pub use env::{DenormalsIn, DenormalsOut, Env, Flags, InvalidInt, NanRule, Round, Rules, Tininess};
pub use format::{
    BF16, F16, F32, F64, Format, RawBits, is_nan, is_negative, is_signaling, is_subnormal, negate,
    negate_number,
};
pub use soft::{Inexact, Int};
