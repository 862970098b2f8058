//! What stands behind a network device: frames in and out.

use crate::device::Notifier;

/// Ethernet header, an IP packet of at most 65535 bytes.
pub const MAX_FRAME: usize = ETHERNET_HEADER + 0xffff;

/// Bytes of an Ethernet header: two addresses and a type.
pub const ETHERNET_HEADER: usize = 14;

/// A checksum that is not complete: its field holds the sum of the pseudo-header, and who receives
/// the frame may add the rest, or know that the link loses nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartialChecksum {
    /// Where the bytes that are summed up start, from the frame's start.
    pub start: u16,
    /// Where the field is, from `start`.
    pub offset: u16,
}

/// A TCP segment over IPv4 that is longer than the maximum and stands for several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segmentation {
    /// Bytes of payload in each of them, but the last.
    pub size: u16,
    /// Bytes of all headers before the payload.
    pub headers: u16,
}

/// What is left to do for a frame by the one that receives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// To complete this checksum.
    pub checksum: Option<PartialChecksum>,
    /// To cut it in pieces.
    pub segmentation: Option<Segmentation>,
}

/// What the guest lets be left to it in the frames that it receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GuestOffloads {
    /// Nothing.
    #[default]
    None,
    /// [`Offload::checksum`].
    Checksum,
    /// [`Offload::checksum`] and [`Offload::segmentation`].
    Segmentation,
}

/// A frame, and what is left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// From the Ethernet header on, without frame check sequence.
    pub bytes: &'a [u8],
    /// What is left to do.
    pub offload: Offload,
}

/// There is no room for a frame now. The notifier says when there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no room for a frame")]
pub struct Full;

/// Whether a frame was filled in, or is to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filled {
    /// It is sent.
    Complete,
    /// It is dropped.
    Abandoned,
}

/// A network, as a device sees it. Both directions are bounded queues that lose nothing: what does
/// not fit waits at its sender.
pub trait NetBackend: Send {
    /// How it says that frames have arrived or that there is room again.
    fn connect(&mut self, notifier: Notifier);

    /// What the guest has agreed to. The device asks again after a reset, and drops what was queued
    /// under other terms.
    fn negotiate(&mut self, offloads: GuestOffloads);

    /// Takes a frame of `len` bytes from the guest, which `fill` writes in place. It may be kept back
    /// until [`NetBackend::flush`].
    ///
    /// # Errors
    /// There is no room, and `fill` was not called. Frames beyond [`MAX_FRAME`] are dropped without an
    /// error.
    fn transmit(
        &mut self,
        len: usize,
        offload: Offload,
        fill: &mut dyn FnMut(&mut [u8]) -> Filled,
    ) -> Result<(), Full>;

    /// Sends what [`NetBackend::transmit`] has kept back.
    fn flush(&mut self);

    /// The next frame for the guest. It stays the next one until [`NetBackend::consume`].
    fn receive(&mut self) -> Option<Frame<'_>>;

    /// Drops the frame that [`NetBackend::receive`] shows.
    fn consume(&mut self);
}
