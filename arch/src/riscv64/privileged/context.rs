//! What a hart has beside its registers: the interrupt lines that other threads raise, the clock,
//! and the machine's answers to what changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{CpuFrame, GuestVirt};

use super::super::feature::{Feature, FeatureSet};
use super::aia::{FileOp, InterruptFile};

/// The machine's clock, the same for all harts.
pub trait TimeSource: Send + Sync {
    /// mtime: ticks of the machine's time base.
    fn ticks(&self) -> u64;

    /// What mcycle and minstret advance by: monotonic.
    fn cycles(&self) -> u64;

    /// Whether it is right at any moment. If not, only between translations: it passes by what they say they
    /// have executed.
    fn passes_by_itself(&self) -> bool {
        true
    }
}

/// What SFENCE.VMA and SINVAL.VMA order, by their operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FenceScope {
    /// Only translations of this address, whatever the size of their page; all if `None`.
    pub address: Option<GuestVirt>,
    /// Only translations of this address space, global ones excepted; all if `None`.
    pub asid: Option<u16>,
}

impl FenceScope {
    /// All translations of all address spaces.
    pub const ALL: Self = Self { address: None, asid: None };
}

/// What a machine does when a hart's registers change. Called on the hart's own thread.
pub trait SystemHooks: Send + Sync {
    /// satp, SUM, MXR, MPRV, MPP, menvcfg or a PMP register changed: addresses may translate
    /// otherwise than before. Changes of the privilege mode are not told.
    fn address_translation_changed(&self, frame: &mut CpuFrame);

    /// SFENCE.VMA or SINVAL.VMA: page tables were changed.
    fn fence(&self, frame: &mut CpuFrame, scope: FenceScope);

    /// stimecmp was written, or menvcfg.STCE: from now on [`super::interrupt::STIP`] among the lines
    /// is to follow `time >= stimecmp`. The line is right when this is called; a timer that was
    /// set for an earlier value must not raise it any more when this has returned. `None` while STCE is clear: no timer is wanted.
    fn timer_changed(&self, hart: u64, stimecmp: Option<u64>);

    /// An instruction reaches an interrupt file of the hart's IMSIC (Smaia); what it reads. `None` if there
    /// is no such register, or no IMSIC.
    fn interrupt_file(&self, _hart: u64, _file: InterruptFile, _op: FileOp) -> Option<u64> {
        None
    }
}

/// What the registers of a CPU model depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CsrFeatures {
    /// Its extensions.
    pub extensions: FeatureSet,
    /// mvendorid.
    pub vendor: u64,
    /// marchid.
    pub architecture: u64,
    /// mimpid.
    pub implementation: u64,
}

impl CsrFeatures {
    /// Of a CPU with these extensions, whose maker does not say who it is.
    #[must_use]
    pub const fn new(extensions: FeatureSet) -> Self {
        Self { extensions, vendor: 0, architecture: 0, implementation: 0 }
    }

    /// Whether the CPU has this extension.
    #[inline]
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.extensions.contains(feature)
    }
}

/// A hart's connection to its machine. Owned by the machine; the frame's `context` points to it.
#[repr(C)]
pub struct SystemContext {
    /// Bits of mip that are driven from outside: MSIP, MTIP, MEIP, SEIP, and STIP by stimecmp.
    pub lines: AtomicU64,
    /// mhartid.
    pub hart: u64,
    /// What the CPU has.
    pub features: CsrFeatures,
    /// The clock.
    pub time: Arc<dyn TimeSource>,
    /// The machine's answers.
    pub hooks: Arc<dyn SystemHooks>,
}

impl SystemContext {
    /// Raises these lines (bits of mip). The caller then wakes the hart.
    pub fn raise(&self, lines: u64) {
        self.lines.fetch_or(lines, Ordering::Release);
    }

    /// Lowers these lines.
    pub fn lower(&self, lines: u64) {
        self.lines.fetch_and(!lines, Ordering::Release);
    }
}

impl std::fmt::Debug for SystemContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemContext")
            .field("hart", &self.hart)
            .field("lines", &self.lines)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}
