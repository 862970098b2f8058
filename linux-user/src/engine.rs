//! The one place where the runtime's engine is named: everything else in this crate uses these
//! names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base::CpuFrame;
use runtime::{CodePages, Exit};
use translator::Frontend;

use crate::config::Config;

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// This build has none.
    #[error("this build of Ferry has no execution engine yet")]
    Absent,
}

/// What translates and runs guest code.
pub(crate) struct Engine;

impl Engine {
    /// Makes the engine of a process.
    ///
    /// # Errors
    /// This build has none.
    pub(crate) fn new(
        _frontend: Arc<dyn Frontend>,
        _config: &Config,
        _code_pages: Arc<dyn CodePages>,
    ) -> Result<Arc<Self>, EngineError> {
        Err(EngineError::Absent)
    }

    /// Makes a CPU.
    pub(crate) fn new_vcpu(&self) -> Vcpu {
        Vcpu { frame: CpuFrame::new(), interrupt: Arc::default() }
    }

    /// The guest says that it has changed code in this range.
    pub(crate) fn instruction_sync(&self, range: std::ops::Range<base::GuestVirt>) {
        self.mapping_changed(range);
    }

    /// Drops what was translated from this range.
    pub(crate) fn mapping_changed(&self, _range: std::ops::Range<base::GuestVirt>) {}
}

/// One guest CPU.
pub(crate) struct Vcpu {
    frame: Box<CpuFrame>,
    interrupt: Arc<AtomicU32>,
}

impl Vcpu {
    /// Its registers.
    pub(crate) fn frame(&self) -> &CpuFrame {
        &self.frame
    }

    /// Its registers.
    pub(crate) fn frame_mut(&mut self) -> &mut CpuFrame {
        &mut self.frame
    }

    /// Runs guest code. Without an engine nothing can be executed.
    pub(crate) fn run(&mut self) -> Exit {
        if self.interrupt.swap(0, Ordering::AcqRel) != 0 {
            return Exit::Interrupted;
        }
        Exit::IllegalInstruction
    }

    /// What makes [`Vcpu::run`] return.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.interrupt))
    }
}

/// Makes a CPU's [`Vcpu::run`] return soon, from any thread or signal handler.
#[derive(Clone)]
pub(crate) struct Interrupter(Arc<AtomicU32>);

impl Interrupter {
    /// Sticky until a run returns [`Exit::Interrupted`]. Async-signal-safe.
    pub(crate) fn interrupt(&self) {
        self.0.store(1, Ordering::Release);
    }
}
