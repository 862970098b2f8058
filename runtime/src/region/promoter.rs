//! The region compiler as the engine sees it.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend::baseline::UPGRADE;
use backend::{ChildCode, CodeMemoryError, ExitCode, fp_slow, memory_slow};
use base::{CpuFrame, GuestPhys, GuestVirt, HostPtr};
use ir::interp::Code;
use ir::{BlockKey, Trap};

use crate::engine::Engine;
use crate::promote::{
    CompiledStop, ExitId, ForkError, Held, Promoter, RegionId, RegionSpan, Surroundings,
};
use crate::region::cache::{RegionCache, exit_id};
use crate::region::compile::{RegionConfig, Shared, compile_around};
use crate::region::enter;
use crate::region::{queue, quick};

/// Executions of a hot block of the baseline compiler before it says so again.
const RECHECK: u32 = 4096;

/// Compiles hot regions of one engine.
pub struct RegionCompiler {
    shared: Arc<Shared>,
}

impl RegionCompiler {
    /// A compiler, to be given to [`Engine::set_promoter`].
    ///
    /// # Errors
    /// The host refuses memory for code.
    pub fn new(config: RegionConfig) -> Result<Arc<Self>, CodeMemoryError> {
        enter::install_fault_hook();
        Ok(Arc::new(Self { shared: Arc::new(Shared::new(config)?) }))
    }

    /// Bytes of compiled code in use.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.shared.cache().code_bytes()
    }

    /// Compiled code left by an exit that leads nowhere yet.
    fn unlinked(&self, region: u32, exit: u32, target: GuestVirt) -> CompiledStop {
        if exit == UPGRADE && self.shared.cache().is_hot(region, RECHECK) {
            return CompiledStop::Hot(target);
        }
        CompiledStop::Unlinked { exit: exit_id(region, exit), target }
    }

    /// What compiled code reported as a fault: it is to be replayed.
    fn replay(&self, frame: &mut CpuFrame) -> CompiledStop {
        let host_pc = HostPtr(std::mem::take(&mut frame.fault) as usize);
        let location = self.shared.cache().locate(host_pc, frame.sync_point);
        let location = location.expect("an access in compiled code belongs to a guest instruction");
        CompiledStop::Replay {
            sync_pc: location.sync_point,
            fault_pc: location.pc,
            fault_addr: GuestVirt(frame.fault_addr),
        }
    }
}

impl Drop for RegionCompiler {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl std::fmt::Debug for RegionCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionCompiler").finish_non_exhaustive()
    }
}

impl Promoter for RegionCompiler {
    fn promote(&self, engine: &Arc<Engine>, key: BlockKey, surroundings: Surroundings) {
        if self.shared.broken.load(Ordering::Acquire) {
            return;
        }
        if self.shared.config.workers == 0 {
            compile_around(&self.shared, engine, &mut None, key, surroundings);
        } else {
            self.shared.queue.push(key, surroundings);
            self.shared.start_workers(engine);
        }
    }

    fn compile_quickly(&self, engine: &Engine, block: &Code, guest_code: &[Range<GuestVirt>]) {
        quick::compile(&self.shared, engine, block, guest_code);
    }

    #[expect(unsafe_code, reason = "the promise is the caller's")]
    unsafe fn enter(&self, frame: *mut CpuFrame, code: NonNull<u8>) -> CompiledStop {
        // SAFETY: by the caller's promise.
        let exit = unsafe { enter::enter(frame, code, &self.shared.code) };
        // SAFETY: as above; compiled code has returned.
        let frame = unsafe { &mut *frame };
        let pc = GuestVirt(frame.pc);
        match exit {
            ExitCode::Unlinked => self.unlinked(frame.region, frame.exit, pc),
            ExitCode::Indirect => CompiledStop::Indirect(pc),
            ExitCode::Lookup => CompiledStop::Lookup(pc),
            ExitCode::Interrupted => CompiledStop::Interrupted(pc),
            ExitCode::Interpret => {
                (frame.fault, frame.left_to_machine) = (0, 0);
                CompiledStop::Interpret(pc)
            }
            ExitCode::Syscall => CompiledStop::Trap(Trap::Syscall, pc),
            ExitCode::Illegal => CompiledStop::Trap(Trap::Illegal, pc),
            ExitCode::Breakpoint => CompiledStop::Trap(Trap::Breakpoint, pc),
            ExitCode::Misaligned => CompiledStop::Trap(Trap::Misaligned, pc),
            ExitCode::System => CompiledStop::Trap(Trap::System, pc),
            ExitCode::Unchecked => CompiledStop::Unchecked(RegionSpan(frame.unchecked_span), pc),
            ExitCode::Fault => self.replay(frame),
        }
    }

    fn link(&self, exit: ExitId, to: NonNull<u8>) {
        self.shared.cache().link(exit, HostPtr(to.as_ptr() as usize));
    }

    fn span(&self, span: RegionSpan) -> Vec<(GuestVirt, GuestPhys)> {
        self.shared.cache().span(span)
    }

    fn unlink(&self, regions: &[RegionId]) {
        let mut cache = self.shared.cache();
        regions.iter().for_each(|&id| cache.unlink(id));
    }

    fn discard(&self, regions: &[RegionId], epoch: u64) {
        let mut cache = self.shared.cache();
        regions.iter().for_each(|&id| cache.discard(id, epoch));
    }

    fn prepare(&self, frame: &mut CpuFrame) {
        frame.fp_slow = Some(fp_slow::call);
        frame.memory_slow_call = Some(memory_slow::call);
    }

    fn before_sharing(&self, engine: &Arc<Engine>) {
        self.shared.start_workers(engine);
    }

    fn before_fork(&self) -> Result<Box<dyn Held + '_>, ForkError> {
        let (placing, queue) = (self.shared.placing(), self.shared.queue.hold());
        let cache = self.shared.cache();
        let code = cache.copy_for_child().map_err(ForkError)?;
        Ok(Box::new(HeldCompiler { shared: &self.shared, _placing: placing, queue, cache, code }))
    }
}

/// The locks of a compiler, held while its process forks.
struct HeldCompiler<'a> {
    shared: &'a Shared,
    _placing: std::sync::MutexGuard<'a, ()>,
    queue: queue::Held<'a>,
    cache: std::sync::MutexGuard<'a, RegionCache>,
    code: ChildCode,
}

impl Held for HeldCompiler<'_> {
    fn child(self: Box<Self>) {
        let Self { shared, mut queue, mut cache, code, .. } = *self;
        queue.forget_running();
        shared.forget_workers();
        // SAFETY: the engine forks outside translated code, and the child has one thread.
        #[expect(unsafe_code, reason = "the promise is the engine's")]
        let became = unsafe { cache.become_child(code) };
        if let Err(error) = became {
            // Going on would share the parent's code memory, which the parent writes to.
            tracing::error!(%error, "cannot keep translated code");
            std::process::abort();
        }
    }
}
