//! Which controllers collect the machine's interrupts: a PLIC, an APLIC that drives harts' lines, or an
//! APLIC that sends messages to the harts' IMSICs, as PCI devices then do too.

use arch::riscv64::privileged::access::Modify;
use arch::riscv64::privileged::aia::{self, FileOp};

use crate::bus::{AttachError, Bus, DeviceId};
use crate::device::{Time, Width};
use crate::devices::aplic::Delivery;
use crate::devices::imsic::{InterruptFile, Level};
use crate::devices::{Aplic, Imsic, Plic};
use crate::riscv64::layout::{self, irq};

/// The advanced interrupt architecture, as far as a machine has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Aia {
    /// Not at all: a PLIC.
    #[default]
    None,
    /// An APLIC.
    Aplic,
    /// An APLIC and IMSICs.
    AplicImsic,
}

/// The controllers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Controllers {
    /// To what devices' lines lead.
    pub(super) wired: DeviceId,
    /// Whose outputs are the harts' external interrupts: of each hart machine level, then supervisor
    /// level.
    pub(super) external: DeviceId,
    /// Where the harts' interrupt files are.
    pub(super) imsic: Option<DeviceId>,
}

pub(super) fn attach(bus: &mut Bus, aia: Aia, harts: u32) -> Result<Controllers, AttachError> {
    if aia == Aia::None {
        let plic = bus.attach(&[layout::PLIC], Box::new(Plic::new(harts, irq::SOURCES)))?;
        return Ok(Controllers { wired: plic, external: plic, imsic: None });
    }
    let delivery = match aia {
        Aia::AplicImsic => Delivery::DirectOrMessages { guests: false },
        Aia::None | Aia::Aplic => Delivery::Direct,
    };
    let aplic = Box::new(Aplic::new(harts, irq::SOURCES - 1, delivery));
    let aplic = bus.attach(&[layout::APLIC_M, layout::APLIC_S], aplic)?;
    if aia == Aia::Aplic {
        return Ok(Controllers { wired: aplic, external: aplic, imsic: None });
    }
    let imsic = Box::new(Imsic::new(harts, 0, layout::IMSIC_IDS));
    let imsic = bus.attach(&[layout::IMSIC_M, layout::IMSIC_S], imsic)?;
    Ok(Controllers { wired: aplic, external: imsic, imsic: Some(imsic) })
}

/// Registers of the APLIC's machine-level domain ("Advanced Interrupt Architecture", section 4.5).
mod reg {
    pub(super) const SOURCECFG: u64 = 0;
    pub(super) const MMSIADDRCFG: u64 = 0x1bc0;
    pub(super) const MMSIADDRCFGH: u64 = 0x1bc4;
    pub(super) const SMSIADDRCFG: u64 = 0x1bc8;
    pub(super) const SMSIADDRCFGH: u64 = 0x1bcc;
}

/// sourcecfg: delegated, to the first child.
const DELEGATED: u64 = 1 << 10;
/// mmsiaddrcfgh: where the width of hart indices stands.
const LHXW_SHIFT: u32 = 12;

/// What firmware would do before it starts an operating system: all sources are supervisor level's, and
/// the addresses of the interrupt files are known.
pub(super) fn delegate(bus: &mut Bus, aia: Aia, harts: u32) {
    if aia == Aia::None {
        return;
    }
    let mut set = |offset, value| {
        // The registers are there, as attached.
        let _ = bus.write(layout::APLIC_M.wrapping_add(offset), Width::B4, value, Time(0));
    };
    for source in 1..u64::from(irq::SOURCES) {
        set(reg::SOURCECFG + 4 * source, DELEGATED);
    }
    if aia == Aia::AplicImsic {
        let width = u64::from(harts.next_power_of_two().trailing_zeros());
        set(reg::MMSIADDRCFG, layout::IMSIC_M.0 >> 12);
        set(reg::SMSIADDRCFG, layout::IMSIC_S.0 >> 12);
        set(reg::SMSIADDRCFGH, 0);
        set(reg::MMSIADDRCFGH, width << LHXW_SHIFT);
    }
}

pub(super) fn level(file: aia::InterruptFile) -> Level {
    match file {
        aia::InterruptFile::Machine => Level::Machine,
        aia::InterruptFile::Supervisor => Level::Supervisor,
    }
}

/// What a CSR instruction does with an interrupt file, and reads.
pub(super) fn file_op(file: &mut InterruptFile, op: FileOp) -> Option<u64> {
    match op {
        FileOp::Top => Some(file.topei()),
        FileOp::Claim => Some(file.claim()),
        FileOp::Register { select, how } => {
            let old = file.read(select).ok()?;
            let new = match how {
                Modify::Nothing => return Some(old),
                Modify::Write(value) => value,
                Modify::Set(bits) => old | bits,
                Modify::Clear(bits) => old & !bits,
            };
            file.write(select, new).ok()?;
            Some(old)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn lines_become_messages_to_the_harts_files() {
        let mut bus = Bus::new(0, Arc::new(|| ()));
        let controllers = attach(&mut bus, Aia::AplicImsic, 2).unwrap();
        delegate(&mut bus, Aia::AplicImsic, 2);
        let mut set = |offset: u64, value: u64| {
            bus.write(layout::APLIC_S.wrapping_add(offset), Width::B4, value, Time(0)).unwrap();
        };
        // The UART's source rises with its line, and is identity 7 of hart 1.
        set(4 * u64::from(irq::UART), 4);
        set(0x3000 + 4 * u64::from(irq::UART), 1 << 18 | 7);
        set(0x1edc, irq::UART.into());
        set(0, 1 << 8 | 1 << 2);
        let imsic = controllers.imsic.unwrap();
        let mut file = |op| {
            let found = bus.with(imsic, |imsic: &mut Imsic| {
                file_op(imsic.file(1, Level::Supervisor).unwrap(), op)
            });
            found.flatten()
        };
        let set = |select, bits| FileOp::Register { select, how: Modify::Set(bits) };
        assert_eq!(file(set(0x70, 1)), Some(0));
        assert_eq!(file(set(0xc0, 1 << 7)), Some(0));
        assert_eq!(file(set(0xc1, 1)), None);
        bus.set_input(controllers.wired, irq::UART, true);
        let changes = bus.take_output_changes();
        assert_eq!(changes.len(), 1);
        assert_eq!(
            (changes[0].controller, changes[0].output, changes[0].asserted),
            (imsic, 3, true)
        );
        let mut file = |op| {
            let found = bus.with(imsic, |imsic: &mut Imsic| {
                file_op(imsic.file(1, Level::Supervisor).unwrap(), op)
            });
            found.flatten()
        };
        assert_eq!(file(FileOp::Top), Some(0x7_0007));
        assert_eq!(file(FileOp::Claim), Some(0x7_0007));
        assert_eq!(file(FileOp::Claim), Some(0));
        assert!(!bus.take_output_changes()[0].asserted);
    }
}
