//! The contract of devices: registers in, effects out.
//!
//! A device is a value that answers accesses to its registers. It knows no thread, no machine, no
//! address but its own offsets, and nothing of the host. What it needs comes with each call (the
//! [`World`]: the time, and memory for its DMA); what it wants is read from it (interrupt lines,
//! the time of its next event) or returned ([`Effect`]). So a device can be tested by itself, runs
//! the same under every accelerator, and repeats exactly when time and inputs are repeated.

use crate::dma::DmaMemory;

/// Nanoseconds since the machine started, as its devices see them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub u64);

/// How many bytes an access has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Width {
    /// 1 byte
    B1,
    /// 2 bytes
    B2,
    /// 4 bytes
    B4,
    /// 8 bytes
    B8,
}

impl Width {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        1 << self as u8
    }

    /// The bits of a value that count.
    #[must_use]
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// An access to a device's registers: all of its bytes lie in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Bytes from the start of the device's window.
    pub offset: u64,
    /// How many.
    pub width: Width,
}

/// Why a device does not answer; what the guest then sees is the machine's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It has no register there.
    #[error("no register")]
    NoRegister,
    /// The register is not accessed in this width.
    #[error("not accessed in this width")]
    Width,
}

/// What an access asks of the machine, beyond the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Ferry ends with this status.
    PowerOff(u8),
    /// The machine starts again.
    Reset,
}

/// Interrupt lines, one bit each: set while the device asserts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lines(pub u32);

impl Lines {
    /// None is asserted.
    pub const NONE: Self = Self(0);

    /// Line 0, of a device with one, as it is.
    #[must_use]
    pub fn single(asserted: bool) -> Self {
        Self(u32::from(asserted))
    }
}

/// What surrounds a device at a moment.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Now; never earlier than at the call before.
    pub now: Time,
    /// Nanoseconds of Unix time at [`Time`] 0.
    pub epoch: u64,
    /// The machine's memory, as devices reach it.
    pub memory: &'a dyn DmaMemory,
}

/// A device with one window of registers.
pub trait Device: Send {
    /// As its specification calls it.
    fn name(&self) -> &'static str;

    /// Bytes of its window.
    fn window(&self) -> u64;

    /// Answers a load.
    ///
    /// # Errors
    /// It has no such register; nothing has changed.
    fn read(&mut self, access: Access, world: &World<'_>) -> Result<u64, Refusal>;

    /// Takes a store. The bits of `value` beyond the width are zero.
    ///
    /// # Errors
    /// It has no such register; nothing has changed.
    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal>;

    /// Its interrupt lines, as its registers are now.
    fn lines(&self) -> Lines {
        Lines::NONE
    }

    /// When it wants [`Device::wake`], if it is waiting for time to pass.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Its time has come, or it may have: calls may be late or needless, never missing.
    fn wake(&mut self, _world: &World<'_>) {}

    /// As after power-on.
    fn reset(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_powers_of_two() {
        let all = [Width::B1, Width::B2, Width::B4, Width::B8];
        assert_eq!(all.map(Width::bytes), [1, 2, 4, 8]);
        assert_eq!(all.map(Width::mask), [0xff, 0xffff, 0xffff_ffff, u64::MAX]);
    }
}
