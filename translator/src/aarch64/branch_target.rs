//! FEAT_BTI: how indirect branches set PSTATE.BTYPE, and which instructions of guarded pages are compatible with it
//! (Arm ARM, D8.4.5, "Branch target identification"; shared/functions/system, BranchTargetCheck).
//!
//! PSTATE.BTYPE is an [`Approach`], of the same number: it is not zero between a branch and the instruction that it
//! goes to only, which clears it. So it need not be kept by translations. Linux sets SCTLR_EL1.BT0.

use base::cpu::{Admission, Approach};
use decoders::aarch64::Extension;

use super::{Frontend, Insn, Page};

/// BTYPE after BR from a page that is not guarded, or by X16 or X17: to BTI c, BTI j and BTI jc.
const JUMP_OR_CALL: Approach = Approach::new(0b01);
/// After BLR: to BTI c and BTI jc.
const CALL: Approach = Approach::new(0b10);
/// After any other BR: to BTI j and BTI jc.
const JUMP: Approach = Approach::new(0b11);

const CALLS: Admission = Admission::PLAIN.with(JUMP_OR_CALL).with(CALL);
const JUMPS: Admission = Admission::PLAIN.with(JUMP_OR_CALL).with(JUMP);

const BTI_C: u32 = 0xd503_245f;
const BTI_J: u32 = 0xd503_249f;
const BTI_JC: u32 = 0xd503_24df;
const PACIASP: u32 = 0xd503_233f;
const PACIBSP: u32 = 0xd503_237f;
/// BRK and HLT, but for their numbers.
const BRK: u32 = 0xd420_0000;
const HLT: u32 = 0xd440_0000;
const NUMBER: u32 = 0xffff << 5;

impl Frontend {
    /// What an instruction is compatible with. The exception of a breakpoint reports BTYPE (shared/exceptions,
    /// AArch64.TakeException); those of HLT and undefined instructions need not.
    pub(super) fn admission(&self, page: Page, word: u32) -> Admission {
        match page {
            _ if word & !NUMBER == BRK => Admission::REPORTED,
            Page::Plain => Admission::ALL,
            Page::Guarded => self.guarded_admission(word),
        }
    }

    fn guarded_admission(&self, word: u32) -> Admission {
        let signs = self.extensions.contains(Extension::PAuth);
        match word {
            BTI_C => CALLS,
            BTI_J => JUMPS,
            BTI_JC => Admission::ALL,
            PACIASP | PACIBSP if signs => CALLS,
            _ if word & !NUMBER == HLT => Admission::ALL,
            _ => Admission::PLAIN,
        }
    }
}

impl Insn<'_> {
    /// BTYPE after BR and its like, by a register.
    pub(super) fn jump_approach(&self, rn: u8) -> Approach {
        match self.page {
            _ if !self.frontend.extensions.contains(Extension::BTI) => Approach::PLAIN,
            Page::Guarded if !matches!(rn, 16 | 17) => JUMP,
            _ => JUMP_OR_CALL,
        }
    }

    /// BTYPE after BLR and its like.
    pub(super) fn call_approach(&self) -> Approach {
        if self.frontend.extensions.contains(Extension::BTI) { CALL } else { Approach::PLAIN }
    }
}
