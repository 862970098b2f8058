//! How the guest sees the file system.

use crate::config::Config;

/// A process's view of the file system.
pub(crate) struct FsContext {}

impl FsContext {
    pub(crate) fn new(_config: &Config) -> Self {
        Self {}
    }
}
