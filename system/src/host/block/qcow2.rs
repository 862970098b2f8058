//! Images in QEMU's copy-on-write format, by the `imago` crate: with backing files, compressed
//! clusters, and external data files.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use imago::format::Format;
use imago::format::gate::ImplicitOpenGate;
use imago::io_buffers::{IoVector, IoVectorMut};
use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder, Storage, StorageOpenOptions};

use super::image::{Flushes, Image, slices};
use super::{ImageAccess, ImageError, open_locked};
use crate::devices::virtio::blk::{BlockAccess, BlockInfo, BlockRequest, SECTOR, Unmap};

type Disk = FormatAccess<imago::file::File>;

/// Images behind each other, at most.
const MAX_DEPTH: u32 = 64;

/// An open image.
pub struct Qcow2Image {
    /// Discarding needs it alone.
    disk: RwLock<Disk>,
    info: BlockInfo,
    flushes: Flushes,
    /// What holds the locks: of the image, and of what stands behind it.
    _locks: Vec<File>,
}

impl Qcow2Image {
    /// With the file that holds the lock, of the image at `path`.
    pub(crate) fn new(lock: File, path: &Path, access: ImageAccess) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Qcow2 { path: path.to_path_buf(), source };
        if access == ImageAccess::ReadWrite {
            check_header_is_counted(&lock).map_err(failed)?;
        }
        let opened = RefCell::new(Opened { locks: vec![lock], main: path.to_path_buf() });
        let gate = Gate { opened: &opened, depth: 0 };
        let builder = Qcow2::builder_path(path).write(access == ImageAccess::ReadWrite);
        let image: Qcow2<imago::file::File> = builder.open(gate).map_err(failed)?;
        let disk = FormatAccess::new(image);
        let size = disk.size();
        if !size.is_multiple_of(SECTOR) {
            tracing::warn!(path = %path.display(), size, "bytes beyond the last whole sector are left out");
        }
        let access = match access {
            ImageAccess::ReadOnly => BlockAccess::ReadOnly,
            ImageAccess::ReadWrite => BlockAccess::ReadWrite,
        };
        let info = BlockInfo { sectors: size / SECTOR, access, physical_block: 4096 };
        let locks = opened.into_inner().locks;
        Ok(Self { disk: RwLock::new(disk), info, flushes: Flushes::default(), _locks: locks })
    }

    fn shared(&self) -> RwLockReadGuard<'_, Disk> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone(&self) -> RwLockWriteGuard<'_, Disk> {
        self.disk.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_real_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let zeros = [0; 64 << 10];
        for at in (offset..offset + len).step_by(zeros.len()) {
            let part = (offset + len - at).min(zeros.len() as u64);
            self.shared().write(&zeros[..part as usize], at)?;
        }
        Ok(())
    }
}

impl Image for Qcow2Image {
    fn info(&self) -> BlockInfo {
        self.info
    }

    fn read(&self, request: &BlockRequest) -> io::Result<()> {
        let slices = slices(&request.buffers, &request.memory)?;
        let (vector, _marks) = IoVectorMut::from_volatile_slice(&slices);
        self.shared().readv(vector, request.offset)
    }

    fn write(&self, request: &BlockRequest) -> io::Result<()> {
        let slices = slices(&request.buffers, &request.memory)?;
        let (vector, _guard) = IoVector::from_volatile_slice(&slices);
        self.shared().writev(vector, request.offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.flushes.run(|| {
            let disk = self.shared();
            disk.flush()?;
            disk.sync()
        })
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.alone().discard_to_zero(offset, len) {
            // It is advice.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            answer => answer,
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: Unmap) -> io::Result<()> {
        let answer = match unmap {
            Unmap::May => self.alone().discard_to_zero(offset, len),
            Unmap::No => self.shared().write_zeroes(offset, len),
        };
        match answer {
            // Version 2 has no clusters of zeros.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.write_real_zeroes(offset, len)
            }
            answer => answer,
        }
    }
}

/// Checks that the image counts the cluster of its header as used. One that does not is damaged, and
/// the first cluster that is allocated in it would take the header's place.
fn check_header_is_counted(file: &File) -> io::Result<()> {
    // `cluster_bits`, `refcount_table_offset`, `refcount_table_clusters`, and `refcount_order`, which version 2
    // has not.
    let [version, bits, clusters] = [4, 20, 56].map(|at| word(file, at));
    let (table, order) = (double(file, 48)?, if version? >= 3 { word(file, 96)? } else { 4 });
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    if !(9..=21).contains(&bits?) || order > 6 {
        return Err(damaged("cluster size or reference counts are not of a size that there is"));
    }
    if clusters? == 0 {
        return Err(damaged("there are no reference counts"));
    }
    let block = double(file, table)? & !0x1ff;
    let mut first = [0; 8];
    file.read_exact_at(&mut first, block)?;
    let width = 1_u32 << order;
    let count = match width {
        0..8 => u64::from(first[0]) & ((1 << width) - 1),
        _ => u64::from_be_bytes(first) >> (64 - width),
    };
    if block == 0 || count == 0 {
        return Err(damaged(
            "the image does not count its own header as used: repair it with qemu-img check -r all, or open it for reading",
        ));
    }
    Ok(())
}

fn word(file: &File, at: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_be_bytes(bytes))
}

fn double(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_be_bytes(bytes))
}

/// What has been opened on behalf of an image.
struct Opened {
    locks: Vec<File>,
    /// The file of which a lock is held already.
    main: PathBuf,
}

/// Lets an image open what it names: files that are locked as images are, raw or qcow2, and not endlessly
/// many.
struct Gate<'a> {
    opened: &'a RefCell<Opened>,
    depth: u32,
}

impl ImplicitOpenGate<imago::file::File> for Gate<'_> {
    fn open_format<F: FormatDriverBuilder<imago::file::File>>(
        &mut self,
        builder: F,
    ) -> io::Result<Disk> {
        if !matches!(F::FORMAT, Format::Raw | Format::Qcow2) {
            return Err(io::Error::other("only raw and qcow2 images can stand behind another"));
        }
        if self.depth >= MAX_DEPTH {
            return Err(io::Error::other("too many images stand behind each other"));
        }
        let next = Gate { opened: self.opened, depth: self.depth + 1 };
        Ok(FormatAccess::new(builder.open(next)?))
    }

    fn open_storage(&mut self, options: StorageOpenOptions) -> io::Result<imago::file::File> {
        let mut opened = self.opened.borrow_mut();
        if let Some(path) = options.get_filename()
            && (self.depth > 0 || path != opened.main)
        {
            let write = options.get_writable();
            let access = if write { ImageAccess::ReadWrite } else { ImageAccess::ReadOnly };
            let lock = open_locked(path, access).map_err(io::Error::other)?;
            opened.locks.push(lock);
        }
        drop(opened);
        imago::file::File::open(options)
    }
}
