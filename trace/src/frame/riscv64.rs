//! RISC-V: x1 to x31, f0 to f31, fflags and frm (of which fcsr is made up).

use arch::riscv64::slot;

use super::{Held, Place};
use crate::Register;

pub(super) fn places() -> impl Iterator<Item = Place> {
    let int = (1..32).map(|n| (Register::int(n.into()), slot::x(n)));
    let float = (0..32).map(|n| (Register::float(n.into()), slot::f(n)));
    let status =
        [(Register::control(1), slot::FFLAGS), (Register::control(2), slot::FRM)].into_iter();
    let all = int.chain(float).chain(status);
    all.map(|(register, slot)| Place { register, held: Held::Slot(slot) })
}
