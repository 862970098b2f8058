//! The engine: all that the CPUs of one guest address space share.

#![expect(unsafe_code, reason = "keeps blocks that point at each other")]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base::{CpuFrame, GuestVirt};
use ir::BlockKey;
use ir::interp::Side;
use softmmu::Softmmu;
use translator::Frontend;

use crate::block::{ExitRef, OutLink, Tb, TbRef};
use crate::code_pages::CodePages;
use crate::config::{Addresses, EngineConfig, Tier};
use crate::cpus::{Cpus, oldest_seen};
use crate::debug::Points;
use crate::epoch::Epoch;
use crate::pages::{Region, Translations};
use crate::promote::{Entries, Promoter, RegionId, Stale, Stamp};
use crate::stats::{Counters, Stats};
use crate::system_cpu::SystemCpu;
use crate::tb_cache::TbCache;
use crate::vcpu::Vcpu;

/// A block is warm after one part in so many of the executions that make it hot.
const WARM_PART: i32 = 32;

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The guest has more helpers than can be named.
    #[error("the guest {0} has too many helpers")]
    TooManyHelpers(&'static str),
}

/// Translates and runs the code of one guest address space. Shared by the threads of its CPUs.
pub struct Engine {
    pub(crate) frontend: Arc<dyn Frontend>,
    pub(crate) config: EngineConfig,
    pub(crate) code_pages: Arc<dyn CodePages>,
    pub(crate) cache: TbCache,
    pub(crate) cpus: Cpus,
    pub(crate) epoch: Epoch,
    /// Pages whose translations must be compared with memory when the guest synchronises its
    /// instruction stream.
    pub(crate) shared_pages: AtomicUsize,
    pub(crate) promoter: OnceLock<Arc<dyn Promoter>>,
    /// In a whole machine, how often a page was protected.
    pub(crate) protections: AtomicU64,
    /// How many pages are settling ([`crate::settle`]).
    pub(crate) settling_pages: AtomicUsize,
    /// What belongs to no CPU, or to one that is gone.
    pub(crate) counters: Counters,
    /// What a debugger has set.
    pub(crate) points: Points,
    helpers: Box<[usize]>,
    translations: Mutex<Translations>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("guest", &self.frontend.guest().name).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine for the guest that `frontend` translates, in the address space of `code_pages`.
    /// Faults of guest accesses must have been installed ([`base::sys::fault::install`]).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(
        frontend: Arc<dyn Frontend>,
        config: EngineConfig,
        code_pages: Arc<dyn CodePages>,
    ) -> Result<Arc<Self>, EngineError> {
        let guest = frontend.guest();
        if guest.helpers.len() > usize::from(u16::MAX) {
            return Err(EngineError::TooManyHelpers(guest.name));
        }
        Ok(Arc::new(Self {
            helpers: guest.helpers.iter().map(|helper| helper.code.address()).collect(),
            frontend,
            config: config.settled(),
            code_pages,
            cache: TbCache::new(),
            cpus: Cpus::default(),
            epoch: Epoch::default(),
            shared_pages: AtomicUsize::new(0),
            promoter: OnceLock::new(),
            protections: AtomicU64::new(0),
            settling_pages: AtomicUsize::new(0),
            counters: Counters::default(),
            points: Points::default(),
            translations: Mutex::default(),
        }))
    }

    /// Sets what compiles blocks that run hot. Once, before the first CPU is made.
    pub fn set_promoter(&self, promoter: Arc<dyn Promoter>) {
        let _ = self.promoter.set(promoter);
    }

    /// A new CPU, all registers zero.
    #[must_use]
    pub fn new_vcpu(self: &Arc<Self>) -> Vcpu {
        let mut frame = CpuFrame::new();
        frame.helpers = self.helpers.as_ptr();
        if let Some(promoter) = self.promoter.get() {
            promoter.prepare(&mut frame);
        }
        Vcpu::new(Arc::clone(self), frame)
    }

    /// A new CPU of a whole machine, all registers zero. Its owner says which address space it uses.
    #[must_use]
    pub fn new_system_vcpu(self: &Arc<Self>, softmmu: Box<Softmmu>) -> Vcpu {
        let mut vcpu = self.new_vcpu();
        vcpu.attach(SystemCpu::new(softmmu));
        vcpu
    }

    /// The guest's translator.
    #[must_use]
    pub fn frontend(&self) -> &Arc<dyn Frontend> {
        &self.frontend
    }

    /// The settings that it was made with.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.counters.add_to(&mut sum);
        for cpu in self.cpus.lock().iter() {
            cpu.counters.add_to(&mut sum);
        }
        sum
    }

    /// Whether the guest has executed the block of this key often enough to be compiled together
    /// with a hot one.
    pub(crate) fn is_warm(&self, key: BlockKey) -> bool {
        let _lock = self.translations();
        // SAFETY: the lock keeps the blocks in the cache.
        let block = unsafe { self.cache.find(key) };
        block.is_some_and(|tb| {
            // SAFETY: as above.
            let block = unsafe { tb.get() };
            if self.config.has_baseline() {
                return block.compiled().is_some();
            }
            let first = self.config.first_budget() / block.code.head().weight();
            block.budget().load(Ordering::Relaxed) <= first - first / WARM_PART
        })
    }

    /// What is entered at this key, if that is compiled.
    pub(crate) fn entry_at(&self, key: BlockKey) -> Option<NonNull<u8>> {
        let _lock = self.translations();
        // SAFETY: the lock keeps the blocks in the cache.
        unsafe { self.cache.find(key).and_then(|tb| tb.get().compiled()) }
    }

    /// How many bytes of guest code the block of this key was made from, if it is in the cache.
    pub(crate) fn guest_bytes_at(&self, key: BlockKey) -> Option<u32> {
        let _lock = self.translations();
        // SAFETY: the lock keeps the blocks in the cache.
        unsafe { self.cache.find(key).map(|tb| tb.get().guest_bytes) }
    }

    /// Has published code be entered at this key again, if nothing is.
    pub(crate) fn enter_again(&self, id: RegionId, key: BlockKey, code: NonNull<u8>) {
        let translations = self.translations();
        if !translations.regions.contains_key(&id) {
            return;
        }
        // SAFETY: the lock keeps the blocks in the cache.
        let block = unsafe { self.cache.find(key).map(|tb| tb.get()) };
        if let Some(block) = block.filter(|block| block.compiled().is_none()) {
            block.set_compiled(code);
        }
    }

    /// Adds to the statistics what emptying a part of the code memory dropped.
    pub(crate) fn count_eviction(&self, regions: usize) {
        self.counters.evicted_regions.add_shared(regions as u64);
    }

    /// Adds to the statistics what compiling a region took.
    pub fn count_region(&self, guest_insns: u32, host_bytes: usize, nanos: u64) {
        self.counters.regions.add_shared(1);
        self.counters.region_insns.add_shared(u64::from(guest_insns));
        self.counters.region_bytes.add_shared(host_bytes as u64);
        self.counters.compile_nanos.add_shared(nanos);
    }

    /// Adds to the statistics what the baseline compiler made of a block.
    pub(crate) fn count_baseline(&self, host_bytes: usize, nanos: u64) {
        self.counters.baseline_blocks.add_shared(1);
        self.counters.baseline_bytes.add_shared(host_bytes as u64);
        self.counters.baseline_nanos.add_shared(nanos);
    }

    /// The moment from which on what is fetched may be published.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp(self.translations().clock)
    }

    /// Makes a region known: from now on its entries are entered instead of tier 0's blocks of the
    /// same keys. `code` are the bytes that it was made from, and `stamp` a moment before they were
    /// fetched.
    ///
    /// # Errors
    /// Some of them have changed since.
    pub fn publish(
        &self,
        id: RegionId,
        code: &[Range<GuestVirt>],
        entries: Entries<'_>,
        stamp: Stamp,
    ) -> Result<(), Stale> {
        let region = Region::new(code, entries);
        let pages = region.pages();
        let mut translations = self.translations();
        let holds = |(page, &grains): (&GuestVirt, &u64)| {
            let page = translations.pages.get(page);
            page.is_some_and(|page| page.holds_since(stamp.0, grains) && !page.validate)
        };
        if !pages.iter().all(holds) {
            return Err(Stale);
        }
        for (page, grains) in pages {
            if let Some(page) = translations.pages.get_mut(&page) {
                page.regions.push(id);
                page.add_code(grains);
            }
        }
        translations.regions.insert(id, region);
        for &(key, code) in entries {
            // SAFETY: the lock keeps the blocks in the cache.
            if let Some(tb) = unsafe { self.cache.find(key) } {
                // SAFETY: as above.
                unsafe { tb.get() }.set_compiled(code);
            }
        }
        Ok(())
    }

    /// Takes regions out of use, though their guest code is unchanged. The epoch from which on no CPU
    /// enters them by a look-up.
    pub fn withdraw(&self, regions: &[RegionId]) -> u64 {
        let epoch = {
            let mut translations = self.translations();
            for &id in regions {
                // Its blocks are hot all the same.
                self.take_region(&mut translations, id, 0);
            }
            let epoch = self.epoch.advance();
            drop(translations);
            epoch
        };
        self.forget_and_free();
        epoch
    }

    /// Whether every CPU has left the code of before an epoch, so that its memory may be reused.
    #[must_use]
    pub fn is_forgotten(&self, epoch: u64) -> bool {
        oldest_seen(&self.cpus.lock()) >= epoch
    }

    /// Whether the guest's fetches see every store at once.
    pub(crate) fn is_coherent(&self) -> bool {
        self.frontend.is_coherent()
    }

    /// Waits until every CPU has left the code of before an epoch, which was told already. Not by a CPU that runs: two
    /// would wait for each other.
    pub(crate) fn wait_until_forgotten(&self, epoch: u64) {
        /// After so many looks, the other CPU's thread is not running.
        const IMPATIENT: u32 = 64;
        let mut looks = 0;
        while !self.is_forgotten(epoch) {
            looks += 1;
            match looks {
                ..IMPATIENT => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    pub(crate) fn translations(&self) -> MutexGuard<'_, Translations> {
        self.translations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all CPUs to forget what was dropped, and frees what none remembers.
    pub(crate) fn forget_and_free(&self) {
        let cpus = self.cpus.lock();
        for cpu in cpus.iter() {
            cpu.interrupt(CpuFrame::INTERRUPT_FORGET);
        }
        let oldest = oldest_seen(&cpus);
        let mut translations = self.translations();
        // SAFETY: CPUs that run were asked just now; one that begins announces its epoch first.
        unsafe { translations.graveyard.free(oldest) };
    }

    /// Frees what no CPU remembers any more.
    pub(crate) fn free_forgotten(&self) {
        let oldest = oldest_seen(&self.cpus.lock());
        let mut translations = self.translations();
        if !translations.graveyard.is_empty() {
            // SAFETY: `oldest` was asked after the drops up to that epoch.
            unsafe { translations.graveyard.free(oldest) };
        }
    }

    /// Links a block's direct exit to the block where it goes, if both are still in the cache.
    ///
    /// # Safety
    /// The caller is in the epoch in which it got the blocks.
    pub(crate) unsafe fn link(&self, from: TbRef, side: Side, to: TbRef) -> bool {
        let _lock = self.translations();
        // SAFETY: the blocks live in this epoch, and the lock is held.
        unsafe {
            let (source, target) = (from.get(), to.get());
            let same_environment = source.key().flags() == target.key().flags();
            let linked = source.links().out[side as usize].to.is_some();
            let linkable = same_environment && self.are_linkable(source, target);
            let linkable = linkable && !self.points.is_cut(target.key().pc());
            if source.is_dead() || target.is_dead() || linked || !linkable {
                return false;
            }
            let next = target.links().incoming.replace(ExitRef::new(from, side));
            source.links().out[side as usize] = OutLink { to: Some(to), next };
            source.code.set_link(side, Some(target.entry()));
        }
        true
    }

    /// Whether one block's code leads to another's whatever the guest maps where. What is found by
    /// physical address stays together within a page only.
    fn are_linkable(&self, source: &Tb, target: &Tb) -> bool {
        let same_page = || source.key().pc().page() == target.key().pc().page();
        match self.config.addresses {
            Addresses::Virtual => true,
            Addresses::Physical => same_page() && target.second_page.is_none(),
        }
    }

    /// Counts that CPU's work with the engine's own from now on.
    pub(crate) fn retire_counters(&self, counters: &Counters) {
        let mut sum = Stats::default();
        counters.add_to(&mut sum);
        self.counters.absorb(&sum);
    }

    /// Whether there are pages to compare when the guest synchronises its instruction stream.
    pub(crate) fn has_shared_pages(&self) -> bool {
        self.shared_pages.load(Ordering::Acquire) != 0
    }

    /// What compiles, if anything may be compiled.
    pub(crate) fn promoter(&self) -> Option<&Arc<dyn Promoter>> {
        self.promoter.get().filter(|_| self.config.tier != Tier::Interp)
    }

    /// The promoter and the code of a block that is compiled.
    pub(crate) fn compiled(
        &self,
        code: Option<NonNull<u8>>,
    ) -> Option<(&dyn Promoter, NonNull<u8>)> {
        Some((&**self.promoter.get()?, code?))
    }
}
