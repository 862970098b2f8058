//! Every operation by integer arithmetic, written once for all formats: unpack, compute exactly
//! (or with a sticky bit), round and pack once.

mod add_mul;
mod compare;
mod convert;
mod div_sqrt;
mod estimate;
mod fma;
mod half;
mod integral;
mod minmax;
mod nan;
mod round;
mod step;
mod unpack;

pub use add_mul::{add, mul, sub};
pub use compare::{
    class, classify, compare_quiet, compare_signaling, eq, le, le_quiet, lt, lt_quiet,
};
pub use convert::{Int, convert, from_fixed, from_int, to_fixed, to_int};
pub use div_sqrt::{div, sqrt};
pub use estimate::{
    recip_estimate, recip_exponent, rsqrt_estimate, unsigned_recip_estimate,
    unsigned_rsqrt_estimate,
};
pub use fma::fma;
pub use half::{from_alternative_half, to_alternative_half};
pub use integral::{Inexact, round_to_integral, round_to_sized, to_i32_modular};
pub use minmax::{
    max_num, max_x86, maximum, maximum_number, min_num, min_x86, minimum, minimum_number,
};
pub use step::{mul_extended, recip_step, rsqrt_step};
