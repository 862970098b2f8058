//! AArch64: x0 to x30, sp, NZCV, v0 to v31, FPCR, FPSR, TPIDR_EL0.

use arch::aarch64::{fpcr, slot};

use super::{Held, Place};
use crate::Register;

/// op0, op1, CRn, CRm, op2 of the system registers.
const FPCR: Register = Register::control(0xda20);
const FPSR: Register = Register::control(0xda21);
const TPIDR_EL0: Register = Register::control(0xde82);

pub(super) fn places() -> impl Iterator<Item = Place> {
    let int = (0..31).map(|n| (Register::int(n.into()), Held::Slot(slot::x(n))));
    let vector = (0..32).map(|n| (Register::vector(n.into()), Held::Wide(slot::v(n))));
    let others = [
        (Register::int(31), Held::Slot(slot::SP)),
        (Register::FLAGS, Held::Slot(slot::NZCV)),
        (FPCR, Held::Slot(slot::FPCR)),
        (FPSR, Held::Encoded(slot::FP_FLAGS, fpcr::fpsr_of)),
        (TPIDR_EL0, Held::Slot(slot::TPIDR_EL0)),
    ];
    let all = int.chain(vector).chain(others);
    all.map(|(register, held)| Place { register, held })
}
