//! RISC-V: x1 to x31, f0 to f31, fflags and frm (of which fcsr is made up); of a machine's harts all control registers that
//! have a place of their own. Others are views of those (sstatus, sie), or depend on what is around a hart (mip, time, counters).

use arch::riscv64::privileged::csr::{self, Read};
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

pub(super) fn all_places() -> impl Iterator<Item = Place> {
    let own = csr::ALL.iter().filter(|row| row.count() == 1 && *row.numbers.start() >= 0x100);
    let own = own.filter_map(|row| match row.read {
        Read::Slot(slot) => Some((*row.numbers.start(), slot)),
        _ => None,
    });
    let pmpaddr = (0..16).map(|n: u8| (0x3b0 + u16::from(n), slot::pmpaddr(n)));
    let pmp = [(0x3a0, slot::PMPCFG0), (0x3a2, slot::PMPCFG2)].into_iter().chain(pmpaddr);
    let controls = own.chain(pmp).map(|(number, slot)| Place {
        register: Register::control(number),
        held: Held::Slot(slot),
    });
    places().chain(controls)
}
