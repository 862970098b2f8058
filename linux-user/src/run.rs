//! `ferry run`: from a command line to a running guest.

use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;

use crate::abi;
use crate::config::Config;
use crate::engine::{Engine, EngineError};
use crate::memory::AddressSpace;
use crate::process::{Process, Program};
use crate::task::Task;

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl RunError {
    /// What `ferry` exits with: 125 Ferry's own error, 126 not executable, 127 not found.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Engine(_) => 125,
        }
    }
}

/// Runs a program; the guest's end is Ferry's.
///
/// # Errors
/// The program could not be started.
pub fn run(config: Config, program: &OsString, _args: &[OsString]) -> Result<Infallible, RunError> {
    base::sys::fault::install();
    let memory = Arc::clone(AddressSpace::current());
    let engine = Engine::new()?;
    let cpu = engine.new_vcpu();
    let program = Program { path: program.into(), ..Program::default() };
    let abi: &'static dyn abi::Abi = &abi::riscv64::Riscv64;
    let process = Arc::new(Process::new(abi, Arc::new(config), memory, engine, program));
    Task::new(process, cpu).run()
}
