//! A file that takes the output; nothing comes in.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Pump;

/// Writes to a new or emptied file.
///
/// # Errors
/// It cannot be created.
pub fn file(path: &Path) -> io::Result<Pump> {
    let file = File::create(path)?;
    let pump = Pump::new(true)?;
    pump.spawn_writer("chars-file", file)?;
    Ok(pump)
}
