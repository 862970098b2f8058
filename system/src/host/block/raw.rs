//! Images that hold a disk as it is, and block devices.
//!
//! A file whose size is no multiple of a sector counts as if it went on with zeros to the end of
//! the last one, and grows when that is written to.

#![expect(unsafe_code, reason = "the host reads and writes guest memory by its own pointers")]

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_memory::bitmap::Bitmap;

use super::image::{Flushes, Image, Slice, slices};
use super::{FormatKnown, ImageAccess, QCOW2_MAGIC};
use crate::devices::virtio::blk::{BlockAccess, BlockInfo, BlockOp, BlockRequest, SECTOR, Unmap};

/// Pieces of memory that the host takes in one call (`IOV_MAX`).
const MAX_PIECES: usize = 1024;

/// Bytes that are copied while a CPU waits, at most.
const MAX_NOW: u64 = 64 << 10;

/// An open image.
pub struct RawImage {
    file: File,
    info: BlockInfo,
    known: FormatKnown,
    /// The host can say whether a read would wait.
    reads_now: AtomicBool,
    flushes: Flushes,
}

impl RawImage {
    /// With a file that is open for what is to be done.
    pub(crate) fn new(mut file: File, access: ImageAccess, known: FormatKnown) -> io::Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        let access = match access {
            ImageAccess::ReadOnly => BlockAccess::ReadOnly,
            ImageAccess::ReadWrite => BlockAccess::ReadWrite,
        };
        let info = BlockInfo { sectors: size.div_ceil(SECTOR), access, physical_block: 4096 };
        let (reads_now, flushes) = (AtomicBool::new(true), Flushes::default());
        Ok(Self { file, info, known, reads_now, flushes })
    }

    /// Reads once, marks what was read, and leaves the rest.
    fn read_some(
        &self,
        pieces: &mut Pieces<'_>,
        offset: u64,
        flags: libc::c_int,
    ) -> io::Result<usize> {
        let vectors = pieces.vectors();
        let (count, offset) = (vectors.len() as libc::c_int, offset as libc::off_t);
        let read = retry(|| {
            // SAFETY: the vectors are pieces of guest memory, which outlives the call as the slices
            // borrow it. Others may access it at the same time, as is its nature; the kernel does not mind.
            unsafe { libc::preadv2(self.file.as_raw_fd(), vectors.as_ptr(), count, offset, flags) }
        })?;
        pieces.advance(read, Mark::Written);
        Ok(read)
    }

    /// An image whose format was seen in it must not come to look like another: the guest could name
    /// any file of the host's in a header of its own, and have it opened the next time.
    fn check_magic(&self, request: &BlockRequest) -> io::Result<()> {
        if self.known == FormatKnown::Seen && request.offset == 0 {
            let mut start = [0; 4];
            let read = request.buffers.read(&request.memory, 0, &mut start);
            if read.map_err(io::Error::other)? == start.len() && start == QCOW2_MAGIC {
                return Err(io::Error::other(
                    "the guest may not write the start of a qcow2 image unless the format is given as raw",
                ));
            }
        }
        Ok(())
    }

    fn fallocate(&self, mode: libc::c_int, offset: u64, len: u64) -> io::Result<()> {
        // Behind the end of the file there is nothing to take away.
        let (offset, len) = (offset as libc::off_t, len as libc::off_t);
        let mode = mode | libc::FALLOC_FL_KEEP_SIZE;
        retry(|| {
            // SAFETY: changes the file only.
            let status = unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset, len) };
            status as libc::ssize_t
        })
        .map(|_| ())
    }

    fn write_real_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let zeros = [0; 64 << 10];
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let part = (end - at).min(zeros.len() as u64);
            std::os::unix::fs::FileExt::write_all_at(&self.file, &zeros[..part as usize], at)?;
            at += part;
        }
        Ok(())
    }
}

impl Image for RawImage {
    fn info(&self) -> BlockInfo {
        self.info
    }

    fn read(&self, request: &BlockRequest) -> io::Result<()> {
        let slices = slices(&request.buffers, &request.memory)?;
        let mut pieces = Pieces::new(&slices);
        let mut offset = request.offset;
        while !pieces.is_empty() {
            let read = self.read_some(&mut pieces, offset, 0)?;
            if read == 0 {
                // Behind the end of the file.
                pieces.fill_with_zeros();
                return Ok(());
            }
            offset += read as u64;
        }
        Ok(())
    }

    fn write(&self, request: &BlockRequest) -> io::Result<()> {
        self.check_magic(request)?;
        let slices = slices(&request.buffers, &request.memory)?;
        let mut pieces = Pieces::new(&slices);
        let mut offset = request.offset;
        while !pieces.is_empty() {
            let vectors = pieces.vectors();
            let (count, at) = (vectors.len() as libc::c_int, offset as libc::off_t);
            let written = retry(|| {
                // SAFETY: as for reading; the kernel only reads them.
                unsafe { libc::pwritev(self.file.as_raw_fd(), vectors.as_ptr(), count, at) }
            })?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            pieces.advance(written, Mark::Nothing);
            offset += written as u64;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.flushes.run(|| self.file.sync_data())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.fallocate(libc::FALLOC_FL_PUNCH_HOLE, offset, len) {
            // It is advice.
            Err(error) if is_unsupported(&error) => Ok(()),
            answer => answer,
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: Unmap) -> io::Result<()> {
        let mode = match unmap {
            Unmap::May => libc::FALLOC_FL_PUNCH_HOLE,
            Unmap::No => libc::FALLOC_FL_ZERO_RANGE,
        };
        match self.fallocate(mode, offset, len) {
            Err(error) if is_unsupported(&error) => self.write_real_zeroes(offset, len),
            answer => answer,
        }
    }

    fn try_now(&self, request: &BlockRequest) -> bool {
        let small = request.op == BlockOp::Read && request.len <= MAX_NOW;
        if !small || !self.reads_now.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(slices) = slices(&request.buffers, &request.memory) else { return false };
        let mut pieces = Pieces::new(&slices);
        match self.read_some(&mut pieces, request.offset, libc::RWF_NOWAIT) {
            Ok(_) => pieces.is_empty(),
            Err(error) => {
                if is_unsupported(&error) {
                    self.reads_now.store(false, Ordering::Relaxed);
                }
                false
            }
        }
    }
}

/// What becomes of pieces that are done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// They were written to.
    Written,
    /// They were read.
    Nothing,
}

/// Pieces of memory that a transfer has yet to reach.
struct Pieces<'a> {
    slices: &'a [Slice<'a>],
    /// Of the first.
    done: usize,
}

impl<'a> Pieces<'a> {
    fn new(slices: &'a [Slice<'a>]) -> Self {
        Self { slices, done: 0 }
    }

    fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// As the host takes them: as many as it takes at once.
    fn vectors(&self) -> Vec<libc::iovec> {
        let mut skip = self.done;
        let part = self.slices.iter().take(MAX_PIECES);
        part.map(|slice| {
            let skipped = std::mem::take(&mut skip);
            let start = slice.ptr_guard_mut().as_ptr().wrapping_add(skipped);
            libc::iovec { iov_base: start.cast(), iov_len: slice.len() - skipped }
        })
        .collect()
    }

    fn advance(&mut self, bytes: usize, mark: Mark) {
        let mut left = bytes;
        while let Some(first) = self.slices.first().filter(|_| left != 0) {
            let part = left.min(first.len() - self.done);
            if mark == Mark::Written {
                first.bitmap().mark_dirty(self.done, part);
            }
            left -= part;
            self.done += part;
            if self.done == first.len() {
                self.slices = &self.slices[1..];
                self.done = 0;
            }
        }
    }

    fn fill_with_zeros(&mut self) {
        let zeros = [0_u8; 4096];
        while let Some(first) = self.slices.first() {
            if let Ok(rest) = first.offset(self.done) {
                rest.copy_from(&zeros[..rest.len().min(zeros.len())]);
            }
            let part = zeros.len().min(first.len() - self.done);
            // Copying has marked it.
            self.advance(part, Mark::Nothing);
        }
    }
}

/// Calls the host again if a signal came first.
fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL))
}
