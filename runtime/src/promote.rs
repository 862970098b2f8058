//! The contract between the execution loop and what compiles blocks that run hot.

#![expect(unsafe_code, reason = "declares the way into compiled code")]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use backend::CodeMemoryError;
use base::{CpuFrame, GuestPhys, GuestVirt};
use ir::interp::Code;
use ir::{BlockKey, Trap};

use crate::engine::Engine;

/// Identifies a compiled region to whoever compiled it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegionId(pub u64);

/// Identifies an exit of compiled code to whoever compiled it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitId(pub u64);

/// Identifies the pages that a region spans.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegionSpan(pub u64);

/// A moment: what was fetched after it may be published as long as no page that it came from was
/// invalidated since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp(pub(crate) u64);

/// What a region was compiled from has changed; it must not be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the guest code of the region has changed")]
pub struct Stale;

/// Where code lies around a block, as the CPU that runs it sees it: of use where translations are found
/// by physical address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// [`base::cpu::PC_DELTA`] in the block.
    pub delta: u64,
    /// Pages of the CPU's addresses, and where they lie.
    pub pages: Vec<(GuestVirt, GuestPhys)>,
}

/// Where a region is entered: a block's key, and the address of host code.
pub type Entries<'a> = &'a [(BlockKey, NonNull<u8>)];

/// Why compiled code came back. Registers are exact, except under [`CompiledStop::Replay`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompiledStop {
    /// A direct exit that is not linked.
    Unlinked {
        /// Which.
        exit: ExitId,
        /// Where it goes.
        target: GuestVirt,
    },
    /// An indirect exit whose target is not in the CPU's jump cache.
    Indirect(GuestVirt),
    /// An exit that demands a fresh look-up of the key.
    Lookup(GuestVirt),
    /// The interrupt word was set at a poll before this pc.
    Interrupted(GuestVirt),
    /// The block at this pc is to be interpreted: something rare.
    Interpret(GuestVirt),
    /// The region spans pages that may not lie in this address space as they did where it was made: see
    /// [`Promoter::span`]. It was to be entered at this pc.
    Unchecked(RegionSpan, GuestVirt),
    /// The block at this pc, compiled by the baseline compiler, has run hot.
    Hot(GuestVirt),
    /// A trap; the guest's pc.
    Trap(Trap, GuestVirt),
    /// An access that faulted or was misaligned. The frame is exact as of `sync_pc`; what came
    /// after it, up to the access, is to be done again, as [`crate::Vcpu::replay`] does.
    Replay {
        /// The last sync point.
        sync_pc: GuestVirt,
        /// The instruction that faulted.
        fault_pc: GuestVirt,
        /// The address that it could not access.
        fault_addr: GuestVirt,
    },
}

/// Compiles blocks that run hot. Called without any lock held.
pub trait Promoter: Send + Sync {
    /// The block of this key has run hot. Returns at once; the code is published later
    /// ([`Engine::publish`]). Asked again if the block runs on without.
    fn promote(&self, engine: &Arc<Engine>, key: BlockKey, surroundings: Surroundings);

    /// Compiles a block at once by the baseline compiler, and publishes it. What goes wrong costs speed only.
    fn compile_quickly(&self, engine: &Engine, block: &Code, guest_code: &[Range<GuestVirt>]);

    /// Enters compiled code on this thread.
    ///
    /// # Safety
    /// The frame is valid and the caller's. `code` was published, and the caller entered the
    /// current epoch before it saw it.
    unsafe fn enter(&self, frame: *mut CpuFrame, code: NonNull<u8>) -> CompiledStop;

    /// Links an exit to compiled code. Called by a CPU that is running: both were alive when it
    /// last looked, and what was discarded since must be left alone.
    fn link(&self, exit: ExitId, to: NonNull<u8>);

    /// The pages that a region spans: by the addresses that its code knows, and where they lay when it was
    /// made.
    fn span(&self, span: RegionSpan) -> Vec<(GuestVirt, GuestPhys)>;

    /// The guest code of these regions changed. No CPU will enter them by a look-up again; CPUs
    /// that are inside leave at their next poll. Links to them must be cut now.
    fn unlink(&self, regions: &[RegionId]);

    /// The memory of these regions, to which no link has led since before that epoch, may be reused once
    /// [`Engine::is_forgotten`] says so of it.
    fn discard(&self, regions: &[RegionId], epoch: u64);

    /// A CPU was made: sets what compiled code needs in its frame.
    fn prepare(&self, frame: &mut CpuFrame);

    /// Another process is about to run in this memory. What serves all from the background must be
    /// this process's: it would end with the other one in the middle of anything.
    fn before_sharing(&self, engine: &Arc<Engine>);

    /// Takes all locks, so that no other thread holds one while the process forks, and sets aside
    /// what the child needs.
    ///
    /// # Errors
    /// There is no memory for it.
    fn before_fork(&self) -> Result<Box<dyn Held + '_>, ForkError>;
}

/// Why there can be no child.
#[derive(Debug, thiserror::Error)]
#[error("no memory for the translated code of a child process")]
pub struct ForkError(#[source] pub CodeMemoryError);

/// A promoter's locks, held while its process forks. Dropped in the parent, which goes on as before.
pub trait Held {
    /// In the child, whose only thread calls it.
    fn child(self: Box<Self>);
}
