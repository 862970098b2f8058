//! The device tree that describes the machine (Devicetree Specification 0.4; Linux's bindings).

mod controllers;

use arch::riscv64::CpuModel;
use arch::riscv64::csr::TIMEBASE_HZ;
use arch::riscv64::feature::Feature;
use base::GuestPhys;
use vm_fdt::{FdtReserveEntry, FdtWriter};

pub use self::controllers::{Interrupts, Levels};
use crate::riscv64::interrupts::Aia;
use crate::riscv64::layout::{self, irq};

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the device tree: {0}")]
pub struct FdtError(#[from] vm_fdt::Error);

/// What is in the first bank of flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstBank {
    /// Flash.
    Flash,
    /// Code, in ROM.
    Code,
}

/// What the tree depends on.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// Every hart's model.
    pub cpu: CpuModel,
    /// How many.
    pub harts: u32,
    /// How interrupts reach the harts.
    pub interrupts: Interrupts,
    /// Bytes of RAM.
    pub memory: u64,
    /// The kernel's command line.
    pub command_line: &'a str,
    /// First byte of the initial RAM disk, and the one after the last.
    pub initrd: Option<(GuestPhys, GuestPhys)>,
    /// For `/chosen/rng-seed`.
    pub seed: [u8; 32],
    /// Whether the first bank of flash is ROM, of which a driver could make nothing.
    pub first_bank: FirstBank,
}

/// Handles of nodes that others point at.
mod phandle {
    /// The controller to which devices' lines lead: PLIC, or APLIC of supervisor level.
    pub(super) const WIRED: u32 = 1;
    pub(super) const FINISHER: u32 = 2;
    pub(super) const APLIC_M: u32 = 3;
    pub(super) const IMSIC_M: u32 = 4;
    pub(super) const IMSIC_S: u32 = 5;
    /// The first hart's interrupt controller.
    pub(super) const CPU_INTC: u32 = 0x100;
}

/// Writes the tree.
///
/// # Errors
/// See [`FdtError`].
pub fn tree(of: &Description<'_>) -> Result<Vec<u8>, FdtError> {
    let mut fdt = FdtWriter::new_with_mem_reserv(&[] as &[FdtReserveEntry])?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "riscv-virtio")?;
    fdt.property_string("model", "riscv-virtio,ferry")?;
    chosen(&mut fdt, of)?;
    memory(&mut fdt, of.memory)?;
    cpus(&mut fdt, of)?;
    power(&mut fdt)?;
    let soc = fdt.begin_node("soc")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "simple-bus")?;
    fdt.property_null("ranges")?;
    controllers::all(&mut fdt, of.interrupts, of.harts)?;
    simple_devices(&mut fdt, of.interrupts)?;
    firmware_devices(&mut fdt, of.first_bank)?;
    virtio_mmio(&mut fdt, of.interrupts)?;
    pci(&mut fdt, of.interrupts)?;
    fdt.end_node(soc)?;
    fdt.end_node(root)?;
    Ok(fdt.finish()?)
}

fn chosen(fdt: &mut FdtWriter, of: &Description<'_>) -> Result<(), FdtError> {
    let node = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", of.command_line)?;
    fdt.property_string("stdout-path", &format!("/soc/serial@{:x}", layout::UART.0))?;
    fdt.property("rng-seed", &of.seed)?;
    if let Some((start, end)) = of.initrd {
        fdt.property_u64("linux,initrd-start", start.0)?;
        fdt.property_u64("linux,initrd-end", end.0)?;
    }
    Ok(fdt.end_node(node)?)
}

fn memory(fdt: &mut FdtWriter, bytes: u64) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("memory@{:x}", layout::DRAM.0))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[layout::DRAM.0, bytes])?;
    Ok(fdt.end_node(node)?)
}

fn cpus(fdt: &mut FdtWriter, of: &Description<'_>) -> Result<(), FdtError> {
    let node = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    fdt.property_u32("timebase-frequency", TIMEBASE_HZ as u32)?;
    for hart in 0..of.harts {
        cpu(fdt, of.cpu, hart)?;
    }
    Ok(fdt.end_node(node)?)
}

fn cpu(fdt: &mut FdtWriter, model: CpuModel, hart: u32) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("cpu@{hart:x}"))?;
    fdt.property_string("device_type", "cpu")?;
    fdt.property_u32("reg", hart)?;
    fdt.property_string("status", "okay")?;
    fdt.property_string("compatible", "riscv")?;
    let (letters, names): (Vec<_>, Vec<_>) = extensions(model).partition(|name| name.len() == 1);
    fdt.property_string("riscv,isa", &format!("rv64{}_{}", letters.concat(), names.join("_")))?;
    fdt.property_string("riscv,isa-base", "rv64i")?;
    fdt.property_string_list("riscv,isa-extensions", extensions(model).collect())?;
    if let Some(mmu) = mmu_type(model) {
        fdt.property_string("mmu-type", mmu)?;
    }
    for block in ["riscv,cbom-block-size", "riscv,cboz-block-size", "riscv,cbop-block-size"] {
        fdt.property_u32(block, arch::riscv64::cpu::CACHE_BLOCK as u32)?;
    }
    let controller = fdt.begin_node("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 1)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_string("compatible", "riscv,cpu-intc")?;
    fdt.property_phandle(phandle::CPU_INTC + hart)?;
    fdt.end_node(controller)?;
    Ok(fdt.end_node(node)?)
}

/// What an operating system is told of. Where page tables are updated by hardware, it need not know that
/// they could be left to itself.
fn extensions(model: CpuModel) -> impl Iterator<Item = String> {
    let hidden = if model.has(Feature::Svadu) { "svade" } else { "" };
    let all: Vec<String> = model.isa_extensions().collect();
    all.into_iter().filter(move |name| name != hidden)
}

fn mmu_type(model: CpuModel) -> Option<&'static str> {
    let modes = [
        (Feature::Sv57, "riscv,sv57"),
        (Feature::Sv48, "riscv,sv48"),
        (Feature::Sv39, "riscv,sv39"),
    ];
    modes.into_iter().find(|&(feature, _)| model.has(feature)).map(|(_, name)| name)
}

/// Power-off and reboot through the finisher.
fn power(fdt: &mut FdtWriter) -> Result<(), FdtError> {
    for (name, value) in [("poweroff", 0x5555), ("reboot", 0x7777)] {
        let node = fdt.begin_node(name)?;
        fdt.property_string("compatible", &format!("syscon-{name}"))?;
        fdt.property_u32("regmap", phandle::FINISHER)?;
        fdt.property_u32("offset", 0)?;
        fdt.property_u32("value", value)?;
        fdt.end_node(node)?;
    }
    Ok(())
}

fn strings<const N: usize>(of: [&str; N]) -> Vec<String> {
    of.map(str::to_owned).into()
}

fn interrupt(fdt: &mut FdtWriter, of: Interrupts, source: u32) -> Result<(), FdtError> {
    fdt.property_array_u32("interrupts", &of.cells(source))?;
    Ok(fdt.property_u32("interrupt-parent", phandle::WIRED)?)
}

fn simple_devices(fdt: &mut FdtWriter, interrupts: Interrupts) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("test@{:x}", layout::FINISHER.0))?;
    let compatible = ["sifive,test1", "sifive,test0", "syscon"];
    fdt.property_string_list("compatible", strings(compatible))?;
    fdt.property_array_u64("reg", &[layout::FINISHER.0, 0x1000])?;
    fdt.property_phandle(phandle::FINISHER)?;
    fdt.end_node(node)?;

    let node = fdt.begin_node(&format!("rtc@{:x}", layout::RTC.0))?;
    fdt.property_string("compatible", "google,goldfish-rtc")?;
    fdt.property_array_u64("reg", &[layout::RTC.0, 0x1000])?;
    interrupt(fdt, interrupts, irq::RTC)?;
    fdt.end_node(node)?;

    let node = fdt.begin_node(&format!("serial@{:x}", layout::UART.0))?;
    fdt.property_string("compatible", "ns16550a")?;
    fdt.property_array_u64("reg", &[layout::UART.0, layout::UART_SIZE])?;
    fdt.property_u32("clock-frequency", layout::UART_CLOCK)?;
    interrupt(fdt, interrupts, irq::UART)?;
    Ok(fdt.end_node(node)?)
}

fn firmware_devices(fdt: &mut FdtWriter, first_bank: FirstBank) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("fw-cfg@{:x}", layout::FW_CFG.0))?;
    fdt.property_string("compatible", "qemu,fw-cfg-mmio")?;
    fdt.property_array_u64("reg", &[layout::FW_CFG.0, layout::FW_CFG_SIZE])?;
    fdt.property_null("dma-coherent")?;
    fdt.end_node(node)?;
    let bank = |bank| [layout::FLASH.0 + bank * layout::FLASH_BANK, layout::FLASH_BANK];
    let first = u64::from(first_bank == FirstBank::Code);
    let cells: Vec<u64> = (first..layout::FLASH_BANKS).flat_map(bank).collect();
    let node =
        fdt.begin_node(&format!("flash@{:x}", layout::FLASH.0 + first * layout::FLASH_BANK))?;
    fdt.property_string("compatible", "cfi-flash")?;
    fdt.property_array_u64("reg", &cells)?;
    fdt.property_u32("bank-width", 4)?;
    Ok(fdt.end_node(node)?)
}

fn virtio_mmio(fdt: &mut FdtWriter, interrupts: Interrupts) -> Result<(), FdtError> {
    for slot in 0..layout::VIRTIO_SLOTS {
        let at = layout::virtio(slot);
        let node = fdt.begin_node(&format!("virtio_mmio@{:x}", at.0))?;
        fdt.property_string("compatible", "virtio,mmio")?;
        fdt.property_array_u64("reg", &[at.0, layout::VIRTIO_SIZE])?;
        interrupt(fdt, interrupts, irq::VIRTIO + slot)?;
        fdt.end_node(node)?;
    }
    Ok(())
}

/// Kinds of PCI addresses, in the first cell ("PCI Bus Binding").
mod pci_space {
    pub(super) const IO: u32 = 0x0100_0000;
    pub(super) const MEMORY_32: u32 = 0x0200_0000;
    pub(super) const MEMORY_64: u32 = 0x0300_0000;
}

fn pci(fdt: &mut FdtWriter, interrupts: Interrupts) -> Result<(), FdtError> {
    let node = fdt.begin_node(&format!("pci@{:x}", layout::PCI_ECAM.0))?;
    fdt.property_string("compatible", "pci-host-ecam-generic")?;
    fdt.property_string("device_type", "pci")?;
    fdt.property_u32("#address-cells", 3)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_u32("#interrupt-cells", 1)?;
    fdt.property_u32("linux,pci-domain", 0)?;
    let buses = (layout::PCI_ECAM_SIZE >> 20) as u32;
    fdt.property_array_u32("bus-range", &[0, buses - 1])?;
    fdt.property_null("dma-coherent")?;
    fdt.property_array_u64("reg", &[layout::PCI_ECAM.0, layout::PCI_ECAM_SIZE])?;
    fdt.property_array_u32("ranges", &pci_ranges())?;
    // Bits of the device number, and the pin.
    fdt.property_array_u32("interrupt-map-mask", &[0x1800, 0, 0, 7])?;
    fdt.property_array_u32("interrupt-map", &pci_interrupts(interrupts))?;
    if interrupts.aia == Aia::AplicImsic {
        fdt.property_u32("msi-parent", phandle::IMSIC_S)?;
    }
    Ok(fdt.end_node(node)?)
}

fn pci_ranges() -> Vec<u32> {
    let range = |space: u32, bus: u64, cpu: GuestPhys, size: u64| {
        let cells = [bus, cpu.0, size].map(|value| [(value >> 32) as u32, value as u32]);
        std::iter::once(space).chain(cells.into_iter().flatten())
    };
    let low = layout::PCI_MMIO;
    let high = layout::PCI_HIGH_MMIO;
    range(pci_space::IO, 0, layout::PCI_PIO, layout::PCI_PIO_SIZE)
        .chain(range(pci_space::MEMORY_32, low.0, low, layout::PCI_MMIO_SIZE))
        .chain(range(pci_space::MEMORY_64, high.0, high, layout::PCI_HIGH_MMIO_SIZE))
        .collect()
}

/// Device number and pin to line: the usual swizzle over four lines.
fn pci_interrupts(interrupts: Interrupts) -> Vec<u32> {
    let mut map = Vec::new();
    for device in 0..4 {
        for pin in 0..4 {
            let line = irq::PCI + (device + pin) % 4;
            map.extend([device << 11, 0, 0, pin + 1, phandle::WIRED]);
            map.extend(interrupts.cells(line));
        }
    }
    map
}

#[cfg(test)]
#[path = "fdt_tests.rs"]
mod tests;
