//! The nodes of interrupt controllers.

use base::GuestPhys;
use vm_fdt::FdtWriter;

use super::{FdtError, phandle, strings};
use crate::riscv64::interrupts::Aia;
use crate::riscv64::layout::{self, irq};

/// Interrupts of a hart's own controller.
mod local {
    pub(super) const MACHINE_SOFTWARE: u32 = 3;
    pub(super) const MACHINE_TIMER: u32 = 7;
    pub(super) const SUPERVISOR_EXTERNAL: u32 = 9;
    pub(super) const MACHINE_EXTERNAL: u32 = 11;
}

/// Linux's "active high, level-triggered".
const LEVEL_HIGH: u32 = 4;

/// Whose controllers are described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Levels {
    /// An operating system's only: machine level is taken.
    Supervisor,
    /// Machine level's too, for firmware.
    Both,
}

/// How interrupts are described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupts {
    /// The controllers.
    pub aia: Aia,
    /// Whose.
    pub levels: Levels,
}

impl Interrupts {
    /// A source as its controller's binding has it.
    pub(super) fn cells(self, source: u32) -> Vec<u32> {
        match self.aia {
            Aia::None => vec![source],
            Aia::Aplic | Aia::AplicImsic => vec![source, LEVEL_HIGH],
        }
    }
}

/// A line of each hart's own controller.
fn wires(harts: u32, lines: &[u32]) -> Vec<u32> {
    let of_hart = |hart| lines.iter().map(move |&line| [phandle::CPU_INTC + hart, line]);
    (0..harts).flat_map(of_hart).flatten().collect()
}

pub(super) fn all(fdt: &mut FdtWriter, of: Interrupts, harts: u32) -> Result<(), FdtError> {
    clint(fdt, harts)?;
    match of.aia {
        Aia::None => return plic(fdt, harts),
        Aia::Aplic => {}
        Aia::AplicImsic => {
            if of.levels == Levels::Both {
                imsic(fdt, &MACHINE_FILES, harts)?;
            }
            imsic(fdt, &SUPERVISOR_FILES, harts)?;
        }
    }
    if of.levels == Levels::Both {
        aplic(fdt, of.aia, &MACHINE_DOMAIN, harts)?;
    }
    aplic(fdt, of.aia, &SUPERVISOR_DOMAIN, harts)
}

fn clint(fdt: &mut FdtWriter, harts: u32) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("clint@{:x}", layout::CLINT.0))?;
    fdt.property_string_list("compatible", strings(["sifive,clint0", "riscv,clint0"]))?;
    fdt.property_array_u64("reg", &[layout::CLINT.0, layout::CLINT_SIZE])?;
    let lines = wires(harts, &[local::MACHINE_SOFTWARE, local::MACHINE_TIMER]);
    fdt.property_array_u32("interrupts-extended", &lines)?;
    Ok(fdt.end_node(node)?)
}

fn plic(fdt: &mut FdtWriter, harts: u32) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("plic@{:x}", layout::PLIC.0))?;
    fdt.property_string_list("compatible", strings(["sifive,plic-1.0.0", "riscv,plic0"]))?;
    fdt.property_array_u64("reg", &[layout::PLIC.0, layout::PLIC_SIZE])?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 1)?;
    fdt.property_u32("#address-cells", 0)?;
    fdt.property_u32("riscv,ndev", irq::SOURCES - 1)?;
    let lines = wires(harts, &[local::MACHINE_EXTERNAL, local::SUPERVISOR_EXTERNAL]);
    fdt.property_array_u32("interrupts-extended", &lines)?;
    fdt.property_phandle(phandle::WIRED)?;
    Ok(fdt.end_node(node)?)
}

/// The interrupt files of a level.
struct Files {
    at: GuestPhys,
    line: u32,
    phandle: u32,
}

const MACHINE_FILES: Files =
    Files { at: layout::IMSIC_M, line: local::MACHINE_EXTERNAL, phandle: phandle::IMSIC_M };
const SUPERVISOR_FILES: Files =
    Files { at: layout::IMSIC_S, line: local::SUPERVISOR_EXTERNAL, phandle: phandle::IMSIC_S };

/// Linux's binding "riscv,imsics".
fn imsic(fdt: &mut FdtWriter, files: &Files, harts: u32) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("interrupt-controller@{:x}", files.at.0))?;
    fdt.property_string_list("compatible", strings(["qemu,imsics", "riscv,imsics"]))?;
    fdt.property_array_u64("reg", &[files.at.0, layout::IMSIC_SIZE * u64::from(harts)])?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 0)?;
    fdt.property_null("msi-controller")?;
    fdt.property_u32("#msi-cells", 0)?;
    fdt.property_array_u32("interrupts-extended", &wires(harts, &[files.line]))?;
    fdt.property_u32("riscv,num-ids", layout::IMSIC_IDS)?;
    fdt.property_phandle(files.phandle)?;
    Ok(fdt.end_node(node)?)
}

/// A domain of the APLIC.
struct Domain {
    at: GuestPhys,
    line: u32,
    phandle: u32,
    files: u32,
    /// To whom its sources can be given.
    child: Option<u32>,
}

const MACHINE_DOMAIN: Domain = Domain {
    at: layout::APLIC_M,
    line: local::MACHINE_EXTERNAL,
    phandle: phandle::APLIC_M,
    files: phandle::IMSIC_M,
    child: Some(phandle::WIRED),
};
const SUPERVISOR_DOMAIN: Domain = Domain {
    at: layout::APLIC_S,
    line: local::SUPERVISOR_EXTERNAL,
    phandle: phandle::WIRED,
    files: phandle::IMSIC_S,
    child: None,
};

/// Linux's binding "riscv,aplic".
fn aplic(fdt: &mut FdtWriter, aia: Aia, domain: &Domain, harts: u32) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("interrupt-controller@{:x}", domain.at.0))?;
    fdt.property_string_list("compatible", strings(["qemu,aplic", "riscv,aplic"]))?;
    fdt.property_array_u64("reg", &[domain.at.0, layout::APLIC_SIZE])?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 2)?;
    fdt.property_u32("#address-cells", 0)?;
    fdt.property_u32("riscv,num-sources", irq::SOURCES - 1)?;
    match aia {
        Aia::AplicImsic => fdt.property_u32("msi-parent", domain.files)?,
        Aia::None | Aia::Aplic => {
            fdt.property_array_u32("interrupts-extended", &wires(harts, &[domain.line]))?;
        }
    }
    if let Some(child) = domain.child {
        fdt.property_u32("riscv,children", child)?;
        // The name in the binding, and the one that older firmware knows.
        for name in ["riscv,delegation", "riscv,delegate"] {
            fdt.property_array_u32(name, &[child, 1, irq::SOURCES - 1])?;
        }
    }
    fdt.property_phandle(domain.phandle)?;
    Ok(fdt.end_node(node)?)
}
