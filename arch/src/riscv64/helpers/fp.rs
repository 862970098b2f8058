//! Floating point that IR has no operation for: half precision (Zfh), most of Zfa, FCLASS.
//! Operands and results are whole registers, NaN-boxed.

use base::float::soft::{self, Inexact, Int};
use base::float::{Env, F64, Format, RawBits, Round};

/// A value of a narrower format in a register; the canonical NaN if it is not NaN-boxed
/// (volume I, "NaN Boxing of Narrower Values").
fn unbox<F: Format>(register: u64) -> F::Bits {
    let narrow = F::SIGN | (F::SIGN - 1);
    let boxed = register | narrow == u64::MAX;
    F::Bits::from_u64(if boxed { register & narrow } else { F::QUIET_NAN })
}

fn boxed<F: Format>(value: F::Bits) -> u64 {
    let narrow = F::SIGN | (F::SIGN - 1);
    value.to_u64() | !narrow
}

/// A rounding mode as `frm` numbers it. The translator lets no other number through.
fn mode(rm: u64) -> Round {
    Round::from_frm(rm as u8).unwrap_or(Round::NearestEven)
}

/// FMADD: f[rs1] × f[rs2] + f[rs3], rounded once.
pub(super) fn fma<F: Format>(env: &mut Env, a: u64, b: u64, c: u64, rm: u64) -> u64 {
    env.round = mode(rm);
    boxed::<F>(soft::fma::<F>(unbox::<F>(a), unbox::<F>(b), unbox::<F>(c), env))
}

macro_rules! rounded {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*);)*) => {
        $($(#[$doc])*
        pub(super) fn $name<F: Format>(env: &mut Env, $($arg: u64,)* rm: u64) -> u64 {
            env.round = mode(rm);
            boxed::<F>(soft::$name::<F>($(unbox::<F>($arg),)* env))
        })*
    };
}

rounded! {
    /// FADD.
    add(a, b);
    /// FSUB.
    sub(a, b);
    /// FMUL.
    mul(a, b);
    /// FDIV.
    div(a, b);
    /// FSQRT.
    sqrt(a);
}

macro_rules! unrounded {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name<F: Format>(env: &mut Env, a: u64, b: u64) -> u64 {
            boxed::<F>(soft::$op::<F>(unbox::<F>(a), unbox::<F>(b), env))
        })*
    };
}

unrounded! {
    /// FMIN: a number wins over a NaN.
    min = minimum_number;
    /// FMAX.
    max = maximum_number;
    /// FMINM (Zfa): a NaN wins.
    minm = minimum;
    /// FMAXM (Zfa).
    maxm = maximum;
}

macro_rules! comparison {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name<F: Format>(env: &mut Env, a: u64, b: u64) -> u64 {
            u64::from(soft::$op::<F>(unbox::<F>(a), unbox::<F>(b), env))
        })*
    };
}

comparison! {
    /// FEQ: quiet.
    eq = eq;
    /// FLT: signalling.
    lt = lt;
    /// FLE: signalling.
    le = le;
    /// FLTQ (Zfa): quiet.
    ltq = lt_quiet;
    /// FLEQ (Zfa): quiet.
    leq = le_quiet;
}

/// FSGNJ: the sign of `b`.
pub(super) fn sgnj<F: Format>(a: u64, b: u64) -> u64 {
    with_sign::<F>(a, |_, b| b, b)
}

/// FSGNJN: the opposite of the sign of `b`.
pub(super) fn sgnjn<F: Format>(a: u64, b: u64) -> u64 {
    with_sign::<F>(a, |_, b| !b, b)
}

/// FSGNJX: the signs of both, exclusive or.
pub(super) fn sgnjx<F: Format>(a: u64, b: u64) -> u64 {
    with_sign::<F>(a, |a, b| a ^ b, b)
}

fn with_sign<F: Format>(a: u64, sign: impl FnOnce(u64, u64) -> u64, b: u64) -> u64 {
    let (a, b) = (unbox::<F>(a).to_u64(), unbox::<F>(b).to_u64());
    boxed::<F>(F::Bits::from_u64(a & !F::SIGN | sign(a, b) & F::SIGN))
}

/// FCLASS.
pub(super) fn class<F: Format>(a: u64) -> u64 {
    u64::from(soft::classify::<F>(unbox::<F>(a)))
}

/// FCVT between formats.
pub(super) fn convert<F: Format, G: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    env.round = mode(rm);
    boxed::<G>(soft::convert::<F, G>(unbox::<F>(a), env))
}

/// FCVT.W.*: 32-bit results are sign-extended, unsigned ones too.
pub(super) fn to_w<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    i64::from(to_int::<F, i32>(env, a, rm)) as u64
}

/// FCVT.WU.*.
pub(super) fn to_wu<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    i64::from(to_int::<F, u32>(env, a, rm) as i32) as u64
}

/// FCVT.L.*.
pub(super) fn to_l<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    to_int::<F, i64>(env, a, rm) as u64
}

/// FCVT.LU.*.
pub(super) fn to_lu<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    to_int::<F, u64>(env, a, rm)
}

fn to_int<F: Format, I: Int>(env: &mut Env, a: u64, rm: u64) -> I {
    soft::to_int::<F, I>(unbox::<F>(a), mode(rm), env)
}

/// FCVT.*.W.
pub(super) fn from_w<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    from_int::<F, i32>(env, a as i32, rm)
}

/// FCVT.*.WU.
pub(super) fn from_wu<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    from_int::<F, u32>(env, a as u32, rm)
}

/// FCVT.*.L.
pub(super) fn from_l<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    from_int::<F, i64>(env, a as i64, rm)
}

/// FCVT.*.LU.
pub(super) fn from_lu<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    from_int::<F, u64>(env, a, rm)
}

fn from_int<F: Format, I: Int>(env: &mut Env, a: I, rm: u64) -> u64 {
    env.round = mode(rm);
    boxed::<F>(soft::from_int::<F, I>(a, env))
}

/// FROUND (Zfa).
pub(super) fn round<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    boxed::<F>(soft::round_to_integral::<F>(unbox::<F>(a), mode(rm), Inexact::Suppress, env))
}

/// FROUNDNX (Zfa).
pub(super) fn roundnx<F: Format>(env: &mut Env, a: u64, rm: u64) -> u64 {
    boxed::<F>(soft::round_to_integral::<F>(unbox::<F>(a), mode(rm), Inexact::Signal, env))
}

/// FCVTMOD.W.D (Zfa): toward zero, modulo 2^32.
pub(super) fn to_w_modular(env: &mut Env, a: u64) -> u64 {
    i64::from(soft::to_i32_modular(unbox::<F64>(a), env).0) as u64
}
