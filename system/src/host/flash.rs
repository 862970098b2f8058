//! Files that keep what is in a flash.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::devices::pflash::FlashBackend;

/// Why a file cannot be a flash.
#[derive(Debug, thiserror::Error)]
pub enum FlashFileError {
    /// It cannot be opened, read or made as large as the flash.
    #[error("cannot use {path} as flash")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than the flash.
    #[error("{path} has {len} bytes, more than the {size} of the flash")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its bytes.
        len: u64,
        /// The flash's bytes.
        size: u64,
    },
}

/// A file with a flash's contents. What is written goes to it at once.
#[derive(Debug)]
pub struct FlashFile {
    file: File,
    path: PathBuf,
}

impl FlashFile {
    /// Opens a file, or creates it, and gives the contents of a flash of this size: what is missing in the
    /// file is erased flash, with which it is filled up.
    ///
    /// # Errors
    /// It cannot be used, or is too large.
    pub fn open(path: &Path, size: u64) -> Result<(Vec<u8>, Self), FlashFileError> {
        let io = |source| FlashFileError::Io { path: path.to_owned(), source };
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len > size {
            return Err(FlashFileError::TooLarge { path: path.to_owned(), len, size });
        }
        let mut contents = vec![0xff; size as usize];
        file.read_exact_at(&mut contents[..len as usize], 0).map_err(io)?;
        file.write_all_at(&contents[len as usize..], len).map_err(io)?;
        Ok((contents, Self { file, path: path.to_owned() }))
    }
}

impl FlashBackend for FlashFile {
    fn store(&mut self, offset: u64, bytes: &[u8]) {
        if let Err(error) = self.file.write_all_at(bytes, offset) {
            // The guest has no way to learn of it: programming has succeeded in the chip.
            tracing::error!(path = %self.path.display(), %error, "cannot keep what is in the flash");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_kept() {
        let path = std::env::temp_dir().join(format!("ferry-flash-{}", std::process::id()));
        std::fs::write(&path, b"abc").unwrap();
        let (contents, mut file) = FlashFile::open(&path, 8).unwrap();
        assert_eq!(contents, b"abc\xff\xff\xff\xff\xff");
        file.store(2, b"xyz");
        let (contents, _) = FlashFile::open(&path, 8).unwrap();
        let small = FlashFile::open(&path, 7);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(contents, b"abxyz\xff\xff\xff");
        assert!(matches!(small, Err(FlashFileError::TooLarge { len: 8, size: 7, .. })));
    }
}
