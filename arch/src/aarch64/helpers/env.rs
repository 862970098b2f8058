//! FPCR as the operations of `base::float` need it, and the flags that they raise.

use base::float::{
    DenormalsIn, DenormalsOut, Env, F16, F32, F64, Flags, Format, NanRule, Round, Rules,
};

use crate::aarch64::fpcr;

/// A format of A64's arithmetic.
pub(super) trait ArmFormat: Format {
    /// What FPCR calls flushing in this format.
    const FLUSH: u64;
    /// What becomes of a subnormal operand then: only in single and double precision it is reported.
    const FLUSHED_INPUT: DenormalsIn;
}

impl ArmFormat for F16 {
    const FLUSH: u64 = fpcr::FZ16;
    const FLUSHED_INPUT: DenormalsIn = DenormalsIn::Flush;
}

impl ArmFormat for F32 {
    const FLUSH: u64 = fpcr::FZ;
    const FLUSHED_INPUT: DenormalsIn = DenormalsIn::FlushAndReport;
}

impl ArmFormat for F64 {
    const FLUSH: u64 = fpcr::FZ;
    const FLUSHED_INPUT: DenormalsIn = DenormalsIn::FlushAndReport;
}

/// The floating-point environment of a helper.
#[derive(Clone, Copy, Debug)]
pub struct FpEnv {
    fpcr: u64,
    env: Env,
}

impl FpEnv {
    /// With the flags raised so far; FPCR as in its register.
    #[must_use]
    pub fn new(fpcr: u64, flags: Flags) -> Self {
        let nan = if fpcr & fpcr::DN == 0 { NanRule::Arm } else { NanRule::Default };
        let round = match fpcr >> fpcr::RMODE_SHIFT & fpcr::RMODE_MASK {
            0 => Round::NearestEven,
            1 => Round::Up,
            2 => Round::Down,
            _ => Round::TowardZero,
        };
        Self { fpcr, env: Env { round, flags, rules: Rules { nan, ..Rules::ARM } } }
    }

    /// All flags raised so far.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.env.flags
    }

    pub(super) fn round(&self) -> Round {
        self.env.round
    }

    pub(super) fn alternative_half(&self) -> bool {
        self.is_set(fpcr::AHP)
    }

    /// Whether a bit of FPCR is.
    pub(super) fn is_set(&self, bit: u64) -> bool {
        self.fpcr & bit != 0
    }

    /// For operations with operands and results of format F.
    pub(super) fn within<F: ArmFormat>(&mut self) -> &mut Env {
        let flush = self.fpcr & F::FLUSH != 0;
        self.env.rules.denormals_in = if flush { F::FLUSHED_INPUT } else { DenormalsIn::Keep };
        self.env.rules.denormals_out = if flush { DenormalsOut::Flush } else { DenormalsOut::Keep };
        &mut self.env
    }

    /// For a conversion from format F to G. FZ16 says nothing of those (Arm ARM, FPUnpackCV and FPRoundCV).
    pub(super) fn converting<F: ArmFormat, G: ArmFormat>(&mut self) -> &mut Env {
        let flushes = |flag| flag == fpcr::FZ && self.fpcr & fpcr::FZ != 0;
        self.env.rules.denormals_in =
            if flushes(F::FLUSH) { F::FLUSHED_INPUT } else { DenormalsIn::Keep };
        self.env.rules.denormals_out =
            if flushes(G::FLUSH) { DenormalsOut::Flush } else { DenormalsOut::Keep };
        &mut self.env
    }

    /// Runs `op` with a rounding mode of its own.
    pub(super) fn rounding<R>(&mut self, round: Round, op: impl FnOnce(&mut Self) -> R) -> R {
        let outer = std::mem::replace(&mut self.env.round, round);
        let result = op(self);
        self.env.round = outer;
        result
    }
}

/// Whether anything has saturated: what becomes FPSR.QC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saturation(pub bool);

impl Saturation {
    /// Takes a result if it was saturated from `exact`, in the lanes of `mask`.
    pub(super) fn take(&mut self, saturated: u128, exact: u128, mask: u128) -> u128 {
        self.0 |= (saturated ^ exact) & mask != 0;
        saturated & mask
    }
}
