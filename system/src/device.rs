//! The contract of devices: registers in, effects out.
//!
//! A device is a value that answers accesses to its registers. It knows no thread, no machine, no
//! address but its own offsets, and nothing of the host. What it needs comes with each call (the
//! [`World`]: the time, memory for its DMA, a way to post messages); what it wants is read from it
//! (interrupt lines, the time of its next event) or returned ([`Effect`]). Whatever stands behind it
//! (a disk image, a network, a terminal) is a trait of its own kind, which answers at once or later:
//! later is said through a [`Notifier`]. So a device can be tested by itself, runs the same under
//! every accelerator, and repeats exactly when time and inputs are repeated.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::GuestPhys;
use softmmu::GuestMemory;

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

/// An access to a device's registers: all of its bytes lie in one of its windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Which of the device's windows.
    pub window: u32,
    /// Bytes from the start of the window.
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

/// A message-signalled interrupt: a store of 32 bits to an interrupt controller's window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where.
    pub address: GuestPhys,
    /// What.
    pub data: u32,
}

/// What surrounds a device at a moment.
pub struct World<'a> {
    /// Now; never earlier than at the call before.
    pub now: Time,
    /// Nanoseconds of Unix time at [`Time`] 0.
    pub epoch: u64,
    /// The machine's RAM. Devices reach no other device and no ROM by DMA.
    pub memory: &'a GuestMemory,
    /// Messages that were posted.
    messages: RefCell<Vec<Message>>,
}

impl<'a> World<'a> {
    /// A moment.
    #[must_use]
    pub fn new(now: Time, epoch: u64, memory: &'a GuestMemory) -> Self {
        Self { now, epoch, memory, messages: RefCell::default() }
    }

    /// Sends a message-signalled interrupt. It arrives when the device has returned.
    pub fn post(&self, message: Message) {
        self.messages.borrow_mut().push(message);
    }

    /// What was posted, in order.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message> {
        self.messages.into_inner()
    }
}

/// Tells a machine, from any thread, that a device's [`Device::wake`] is wanted: something that it
/// waits for has happened.
#[derive(Clone)]
pub struct Notifier {
    bits: Arc<AtomicU64>,
    mask: u64,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Notifier {
    /// Sets the bits of `mask`, and calls `wake` if they were not set.
    #[must_use]
    pub fn new(bits: Arc<AtomicU64>, mask: u64, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { bits, mask, wake }
    }

    /// Tells nobody: for devices whose backends answer at once.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Arc::default(), 0, Arc::new(|| ()))
    }

    /// Something has happened. Cheap if the machine has been told already.
    pub fn notify(&self) {
        if self.bits.fetch_or(self.mask, Ordering::AcqRel) & self.mask != self.mask {
            (self.wake)();
        }
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("mask", &self.mask).finish_non_exhaustive()
    }
}

/// A device. Machines that know which one it is reach it by `Bus::with`.
pub trait Device: Any + Send {
    /// As its specification calls it.
    fn name(&self) -> &'static str;

    /// Bytes of each of its windows; most have one.
    fn windows(&self) -> Vec<u64>;

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

    /// How whatever stands behind it says that something has happened. Called once, before anything
    /// else.
    fn connect(&mut self, _notifier: Notifier) {}

    /// When it wants [`Device::wake`], if it is waiting for time to pass.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Its time has come or something has happened behind it; or may have: calls may be late or
    /// needless, never missing.
    fn wake(&mut self, _world: &World<'_>) {}

    /// As after power-on.
    fn reset(&mut self);

    /// Itself, if it collects other devices' interrupts for CPUs.
    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        None
    }
}

/// What collects interrupts of devices and passes them on to CPUs, or to another controller.
pub trait InterruptController {
    /// An input's line is asserted now, or no more. Inputs that it has not change nothing.
    fn set_input(&mut self, input: u32, asserted: bool);

    /// Whether an output is asserted. What the numbers mean is the controller's to say.
    fn output(&self, output: u32) -> bool;

    /// How many outputs there are.
    fn outputs(&self) -> u32;

    /// Messages that follow from changes of inputs, for controllers that pass interrupts on in this way.
    fn take_messages(&mut self) -> Vec<Message> {
        Vec::new()
    }
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

    #[test]
    fn the_machine_is_told_once_until_it_looks() {
        let (bits, calls) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&calls);
        let wake = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let notifier = Notifier::new(Arc::clone(&bits), 4, wake);
        notifier.notify();
        notifier.clone().notify();
        assert_eq!((bits.swap(0, Ordering::Relaxed), calls.load(Ordering::Relaxed)), (4, 1));
        notifier.notify();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
