//! Disk images: files that hold a disk as it is (raw), and qcow2. An image is opened with a lock, so that
//! no two machines write to it, and works on its own threads or, for runs that repeat, at once.

mod image;
mod qcow2;
mod raw;
mod threads;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::devices::virtio::blk::BlockBackend;

pub use self::image::{Image, ImmediateBlock, Pace};
pub use self::qcow2::Qcow2Image;
pub use self::raw::RawImage;
pub use self::threads::ThreadedBlock;

/// How a disk is stored in its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
}

/// How the format is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormatKnown {
    /// It was said.
    Said,
    /// It was seen in the file. A guest must not be able to make the file look otherwise.
    Seen,
}

/// What may be done with an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageAccess {
    /// Others may read it too.
    ReadOnly,
    /// Nobody else has it.
    ReadWrite,
}

/// What becomes of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Execution {
    /// They are done on threads.
    Threads,
    /// They are done before the device goes on: runs repeat.
    Immediate,
}

/// Which image, and how to use it.
#[derive(Clone, Debug)]
pub struct BlockOptions {
    /// Where it is: a file or a block device.
    pub path: PathBuf,
    /// Its format; seen in the file if not said.
    pub format: Option<ImageFormat>,
    /// What may be done with it.
    pub access: ImageAccess,
    /// What becomes of requests.
    pub execution: Execution,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened.
    #[error("cannot open the disk image {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// What the host says.
        #[source]
        source: io::Error,
    },
    /// Somebody else has it.
    #[error(
        "the disk image {path} is in use: another process writes to it, or reads it while this one wants to write"
    )]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It is neither a file nor a block device.
    #[error("{path} is neither a file nor a block device")]
    Kind {
        /// Which.
        path: PathBuf,
    },
    /// It is not what its format says it must be, or uses what is not supported.
    #[error("cannot use {path} as a qcow2 image")]
    Qcow2 {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

/// Opens an image as the disk of a device.
///
/// # Errors
/// It cannot be used so.
pub fn open(options: &BlockOptions) -> Result<Box<dyn BlockBackend>, ImageError> {
    let BlockOptions { ref path, format, access, execution } = *options;
    let file = open_locked(path, access)?;
    let opened = |source| ImageError::Open { path: path.clone(), source };
    let (format, known) = match format {
        Some(format) => (format, FormatKnown::Said),
        None => (probe(&file).map_err(opened)?, FormatKnown::Seen),
    };
    let image: Arc<dyn Image> = match format {
        ImageFormat::Raw => Arc::new(RawImage::new(file, access, known).map_err(opened)?),
        ImageFormat::Qcow2 => Arc::new(Qcow2Image::new(file, path, access)?),
    };
    Ok(match execution {
        Execution::Threads => Box::new(ThreadedBlock::new(image)),
        Execution::Immediate => Box::new(ImmediateBlock::new(image)),
    })
}

/// The first bytes of a qcow2 file.
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

/// The format that a file's first bytes show.
fn probe(file: &File) -> io::Result<ImageFormat> {
    let mut bytes = [0; 4];
    let seen = file.read_at(&mut bytes, 0)? == bytes.len() && bytes == QCOW2_MAGIC;
    Ok(if seen { ImageFormat::Qcow2 } else { ImageFormat::Raw })
}

/// Opens a file and locks it (`flock`) for as long as it is open: shared for reading, else alone.
fn open_locked(path: &Path, access: ImageAccess) -> Result<File, ImageError> {
    let opened = |source| ImageError::Open { path: path.to_path_buf(), source };
    let write = access == ImageAccess::ReadWrite;
    // A pipe would wait for its other end if it were opened.
    let kind = std::fs::metadata(path).map_err(opened)?.file_type();
    if !kind.is_file() && !std::os::unix::fs::FileTypeExt::is_block_device(&kind) {
        return Err(ImageError::Kind { path: path.to_path_buf() });
    }
    let file = OpenOptions::new().read(true).write(write).open(path).map_err(opened)?;
    match if write { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ImageError::Locked { path: path.to_path_buf() }),
        // Some file systems have no locks: the image is used without.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error, "the disk image cannot be locked");
            Ok(file)
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
