//! The map that tells `perf` which guest code a piece of compiled code is: lines of start, size and
//! name in `/tmp/perf-PID.map` (Linux, tools/perf/Documentation/jit-interface.txt).

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base::HostPtr;
use ir::BlockKey;

/// The map of one process; a forked child continues in its own file.
#[derive(Debug)]
pub struct PerfMap {
    file: Mutex<(u32, File)>,
}

impl PerfMap {
    /// Creates the map of this process.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: Mutex::new((std::process::id(), File::create(Self::path())?)) })
    }

    fn path() -> PathBuf {
        format!("/tmp/perf-{}.map", std::process::id()).into()
    }

    /// Names the code of the region around a block. What cannot be written is left out.
    pub(crate) fn add(&self, code: Range<HostPtr>, key: BlockKey) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.0 != std::process::id() {
            let Ok(own) = File::create(Self::path()) else { return };
            *file = (std::process::id(), own);
        }
        let size = code.end.0 - code.start.0;
        let line = format!("{:x} {size:x} guest {key:?}\n", code.start.0);
        if let Err(error) = file.1.write_all(line.as_bytes()) {
            tracing::debug!(%error, "cannot write the perf map");
        }
    }
}
