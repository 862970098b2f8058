//! What a disk image can do, and the backend that does it at once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use softmmu::GuestMemory;
use vm_memory::bitmap::RefSlice;
use vm_memory::{GuestAddress, GuestMemory as _, Permissions, VolatileSlice};

use crate::device::Notifier;
use crate::devices::virtio::Buffers;
use crate::devices::virtio::blk::{
    BlockBackend, BlockCompletion, BlockInfo, BlockOp, BlockRequest, BlockResult, Durability, Unmap,
};

/// How a request goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// It copies bytes to the host's cache, and seldom waits.
    Copies,
    /// It waits for the disk, or may.
    Waits,
}

/// A disk image. Requests come from any number of threads at once.
pub trait Image: Send + Sync {
    /// What it is.
    fn info(&self) -> BlockInfo;

    /// Reads a request's bytes.
    ///
    /// # Errors
    /// The host's.
    fn read(&self, request: &BlockRequest) -> io::Result<()>;

    /// Writes a request's bytes, durably once [`Image::flush`] has succeeded.
    ///
    /// # Errors
    /// The host's.
    fn write(&self, request: &BlockRequest) -> io::Result<()>;

    /// Makes durable what has been written.
    ///
    /// # Errors
    /// The host's: something of it is lost.
    fn flush(&self) -> io::Result<()>;

    /// These bytes are needed no more.
    ///
    /// # Errors
    /// The host's: [`io::ErrorKind::Unsupported`] if the disk cannot do such things.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Writes zeros.
    ///
    /// # Errors
    /// The host's: [`io::ErrorKind::Unsupported`] if the disk cannot do such things.
    fn write_zeroes(&self, offset: u64, len: u64, unmap: Unmap) -> io::Result<()>;

    /// Does what a request asks.
    ///
    /// # Errors
    /// See the methods above.
    fn execute(&self, request: &BlockRequest) -> io::Result<()> {
        let BlockRequest { op, offset, len, .. } = *request;
        match op {
            BlockOp::Read => self.read(request),
            BlockOp::Write(durability) => {
                self.write(request)?;
                make_durable(self, durability)
            }
            BlockOp::Flush => self.flush(),
            BlockOp::Discard | BlockOp::WriteZeroes(..) if len == 0 => Ok(()),
            BlockOp::Discard => self.discard(offset, len),
            BlockOp::WriteZeroes(unmap, durability) => {
                self.write_zeroes(offset, len, unmap)?;
                make_durable(self, durability)
            }
        }
    }

    /// How a request will go.
    fn pace(&self, request: &BlockRequest) -> Pace {
        match request.op {
            BlockOp::Write(Durability::AtFlush) => Pace::Copies,
            _ => Pace::Waits,
        }
    }

    /// Does it, if that can be done without waiting for the disk and soon.
    fn try_now(&self, _request: &BlockRequest) -> bool {
        false
    }
}

fn make_durable<I: Image + ?Sized>(image: &I, durability: Durability) -> io::Result<()> {
    match durability {
        Durability::AtFlush => Ok(()),
        Durability::AtOnce => image.flush(),
    }
}

/// Does a request, and says how it went: to the guest, and to the user if it went wrong.
pub(super) fn execute(image: &dyn Image, request: &BlockRequest) -> BlockCompletion {
    let result = match image.execute(request) {
        Ok(()) => BlockResult::Done,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => BlockResult::Unsupported,
        Err(error) => {
            let BlockRequest { op, offset, len, .. } = request;
            tracing::error!(?op, offset, len, %error, "a request to a disk image failed");
            BlockResult::Failed
        }
    };
    BlockCompletion { tag: request.tag, result }
}

/// Flushes of an image. The host tells of a lost write once, and has dropped it then: it stays lost,
/// so no later flush may say that all is well.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    failed: AtomicBool,
}

impl Flushes {
    /// Flushes, unless that has failed before.
    pub(super) fn run(&self, flush: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier flush failed; what was written then is lost"));
        }
        flush().inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

/// A piece of guest memory.
pub(super) type Slice<'a> = VolatileSlice<'a, RefSlice<'a, softmmu::PageTracker>>;

/// Buffers as pieces of host memory.
pub(super) fn slices<'a>(buffers: &Buffers, memory: &'a GuestMemory) -> io::Result<Vec<Slice<'a>>> {
    let mut all = Vec::with_capacity(buffers.pieces().len());
    for piece in buffers.pieces() {
        let at = GuestAddress(piece.at.0);
        let parts = memory.get_slices(at, piece.len as usize, Permissions::ReadWrite);
        for slice in parts.map_err(io::Error::other)? {
            all.push(slice.map_err(io::Error::other)?);
        }
    }
    Ok(all)
}

/// A disk whose requests are complete when they have been submitted.
pub struct ImmediateBlock {
    image: Arc<dyn Image>,
    done: VecDeque<BlockCompletion>,
}

impl ImmediateBlock {
    /// With an image.
    #[must_use]
    pub fn new(image: Arc<dyn Image>) -> Self {
        Self { image, done: VecDeque::new() }
    }
}

impl BlockBackend for ImmediateBlock {
    fn info(&self) -> BlockInfo {
        self.image.info()
    }

    fn connect(&mut self, _notifier: Notifier) {}

    fn submit(&mut self, request: BlockRequest) {
        self.done.push_back(execute(self.image.as_ref(), &request));
    }

    fn start(&mut self) {}

    fn completed(&mut self) -> Option<BlockCompletion> {
        self.done.pop_front()
    }

    fn cancel(&mut self, _cancelled: &dyn Fn(u32) -> bool) {}
}
