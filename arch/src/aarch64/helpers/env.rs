//! FPCR as the operations of `base::float` need it, and the flags that they raise.

use base::float::{Env, F16, F32, F64, Flags, Format, Round, Rules};

use crate::aarch64::fpcr;

/// A format of A64's arithmetic.
pub(super) trait ArmFormat: Format {
    /// What an FPCR means for arithmetic in it.
    fn rules(fpcr: u64) -> Rules;

    /// What an FPCR means for conversions from or to it. FZ16 says nothing of those (Arm ARM, FPUnpackCV and
    /// FPRoundCV).
    fn conversion_rules(fpcr: u64) -> Rules {
        Self::rules(fpcr & !fpcr::FZ16)
    }
}

impl ArmFormat for F16 {
    fn rules(fpcr: u64) -> Rules {
        fpcr::env_half(fpcr).rules
    }
}

impl ArmFormat for F32 {
    fn rules(fpcr: u64) -> Rules {
        fpcr::env(fpcr).rules
    }
}

impl ArmFormat for F64 {
    fn rules(fpcr: u64) -> Rules {
        fpcr::env(fpcr).rules
    }
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
        Self { fpcr, env: Env { flags, ..fpcr::env(fpcr) } }
    }

    /// All flags raised so far.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.env.flags
    }

    pub(super) fn round(&self) -> Round {
        self.env.round
    }

    /// Whether a bit of FPCR is.
    pub(super) fn is_set(&self, bit: u64) -> bool {
        self.fpcr & bit != 0
    }

    /// For operations with operands and results of format F.
    pub(super) fn within<F: ArmFormat>(&mut self) -> &mut Env {
        self.env.rules = F::rules(self.fpcr);
        &mut self.env
    }

    /// For a conversion from format F to G.
    pub(super) fn converting<F: ArmFormat, G: ArmFormat>(&mut self) -> &mut Env {
        let from = F::conversion_rules(self.fpcr);
        let to = G::conversion_rules(self.fpcr);
        self.env.rules = Rules { denormals_in: from.denormals_in, ..to };
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
