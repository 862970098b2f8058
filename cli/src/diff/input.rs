//! Standard input of a program that is run several times.

use std::fs::File;
use std::io::Seek as _;
use std::process::Stdio;

/// What the program reads, from its beginning each time.
pub(super) struct Input(File);

impl Input {
    /// Standard input, which must have a beginning to go back to if it has one.
    pub(super) fn new() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("standard input: {error}");
        let input = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
        let mut input = File::from(input.map_err(failed)?);
        let kind = input.metadata().map_err(failed)?.file_type();
        if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
            return Err(
                "the program is run several times: standard input must be a file, not a pipe"
                    .to_owned(),
            );
        }
        // Terminals and the null device have no beginning, and need none.
        let _ = input.rewind();
        Ok(Self(input))
    }

    /// For one more run.
    pub(super) fn again(&mut self) -> Result<Stdio, String> {
        let _ = self.0.rewind();
        let input = self.0.try_clone().map_err(|error| format!("standard input: {error}"))?;
        Ok(input.into())
    }
}
