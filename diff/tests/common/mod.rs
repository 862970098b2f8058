//! What tests of comparisons share: RISC-V's instructions, and what they expect of verdicts.

use ferry_diff::{Counts, Divergence, Verdict};
use trace::Register;

/// add a0, a0, a1
pub(crate) const ADD: u64 = 0x00b5_0533;
/// rdtime a0
pub(crate) const RDTIME: u64 = 0xc010_2573;
pub(crate) const A0: Register = Register::int(10);
pub(crate) const A1: Register = Register::int(11);

pub(crate) fn same(verdict: &Verdict) -> Counts {
    match verdict {
        Verdict::Same(counts) => *counts,
        Verdict::Different(_, divergence) => panic!("{:?}", divergence.differences),
    }
}

pub(crate) fn different(verdict: Verdict) -> Divergence {
    match verdict {
        Verdict::Same(counts) => panic!("{counts:?}"),
        Verdict::Different(_, divergence) => *divergence,
    }
}
