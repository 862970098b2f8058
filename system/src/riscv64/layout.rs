//! Where things lie in the `virt` machine, as QEMU's board of that name has them, for which
//! firmware and kernels are built.

use base::GuestPhys;

/// Boot code and what it points at.
pub const MROM: GuestPhys = GuestPhys(0x1000);
/// Bytes of [`MROM`].
pub const MROM_SIZE: u64 = 0xf000;
/// SiFive's test finisher: power-off and reboot.
pub const FINISHER: GuestPhys = GuestPhys(0x10_0000);
/// Goldfish real-time clock.
pub const RTC: GuestPhys = GuestPhys(0x10_1000);
/// SiFive's CLINT.
pub const CLINT: GuestPhys = GuestPhys(0x200_0000);
/// Bytes of [`CLINT`].
pub const CLINT_SIZE: u64 = 0x1_0000;
/// PCI port I/O.
pub const PCI_PIO: GuestPhys = GuestPhys(0x300_0000);
/// Bytes of [`PCI_PIO`].
pub const PCI_PIO_SIZE: u64 = 0x1_0000;
/// The platform-level interrupt controller.
pub const PLIC: GuestPhys = GuestPhys(0xc00_0000);
/// Bytes of [`PLIC`].
pub const PLIC_SIZE: u64 = 0x400_0000;
/// The machine-level domain of the APLIC, if there is one instead of the PLIC.
pub const APLIC_M: GuestPhys = PLIC;
/// Its supervisor-level domain.
pub const APLIC_S: GuestPhys = GuestPhys(0xd00_0000);
/// Bytes of a domain of the APLIC.
pub const APLIC_SIZE: u64 = 0x8000;
/// The harts' machine-level interrupt files, a page each.
pub const IMSIC_M: GuestPhys = GuestPhys(0x2400_0000);
/// The harts' supervisor-level interrupt files, a page each.
pub const IMSIC_S: GuestPhys = GuestPhys(0x2800_0000);
/// Bytes of an interrupt file.
pub const IMSIC_SIZE: u64 = 0x1000;
/// Interrupt identities of a file.
pub const IMSIC_IDS: u32 = 255;
/// 16550 UART.
pub const UART: GuestPhys = GuestPhys(0x1000_0000);
/// Bytes of [`UART`].
pub const UART_SIZE: u64 = 0x100;
/// The UART's clock, in hertz.
pub const UART_CLOCK: u32 = 3_686_400;
/// The firmware configuration device.
pub const FW_CFG: GuestPhys = GuestPhys(0x1010_0000);
/// Bytes of [`FW_CFG`].
pub const FW_CFG_SIZE: u64 = 0x18;
/// Parallel flash: two banks, one after the other.
pub const FLASH: GuestPhys = GuestPhys(0x2000_0000);
/// Bytes of a bank of [`FLASH`].
pub const FLASH_BANK: u64 = 0x200_0000;
/// Banks of [`FLASH`].
pub const FLASH_BANKS: u64 = 2;
/// PCI configuration space.
pub const PCI_ECAM: GuestPhys = GuestPhys(0x3000_0000);
/// Bytes of [`PCI_ECAM`]: a MiB a bus.
pub const PCI_ECAM_SIZE: u64 = 0x1000_0000;
/// PCI memory that 32-bit BARs reach.
pub const PCI_MMIO: GuestPhys = GuestPhys(0x4000_0000);
/// Bytes of [`PCI_MMIO`].
pub const PCI_MMIO_SIZE: u64 = 0x4000_0000;
/// RAM.
pub const DRAM: GuestPhys = GuestPhys(0x8000_0000);
/// PCI memory for 64-bit BARs: above all RAM that there can be.
pub const PCI_HIGH_MMIO: GuestPhys = GuestPhys(0x80_0000_0000);
/// Bytes of [`PCI_HIGH_MMIO`].
pub const PCI_HIGH_MMIO_SIZE: u64 = 0x4_0000_0000;
/// Bytes of RAM at most.
pub const MAX_MEMORY: u64 = PCI_HIGH_MMIO.0 - DRAM.0;

/// virtio-mmio transports.
pub const VIRTIO_SLOTS: u32 = 8;
/// Bytes of one.
pub const VIRTIO_SIZE: u64 = 0x1000;

/// A virtio-mmio transport's window.
#[must_use]
pub const fn virtio(slot: u32) -> GuestPhys {
    GuestPhys(0x1000_1000 + slot as u64 * VIRTIO_SIZE)
}

/// Sources of the PLIC.
pub mod irq {
    /// How many there are, with source 0, which does not exist.
    pub const SOURCES: u32 = 96;
    /// The first virtio-mmio transport.
    pub const VIRTIO: u32 = 1;
    /// The UART.
    pub const UART: u32 = 10;
    /// The real-time clock.
    pub const RTC: u32 = 11;
    /// The first of four lines of PCI.
    pub const PCI: u32 = 32;
}
