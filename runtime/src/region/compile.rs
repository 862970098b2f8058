//! The region compiler: takes blocks that run hot, forms regions around them, compiles them on
//! background threads and publishes them to the engine.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use backend::{CodeMemoryError, CompileError, CompileOptions, CompiledRegion, Compiler, Region};
use base::{GuestPhys, GuestVirt, HostPtr};
use ir::{Block, BlockKey, Builder, opt};

use crate::config::{Addresses, Observation};
use crate::engine::Engine;
use crate::log::LogItem;
use crate::perf_map::PerfMap;
use crate::promote::{RegionSpan, Stale, Surroundings};
use crate::region::cache::{Placed, RegionCache, Span};
use crate::region::form::{self, Layout, Profile};
use crate::region::queue::Queue;

/// Regions that a block may be part of.
const MAX_COPIES: u32 = 4;

/// How hot a target of an indirect jump is, in percent of what makes a block a region's seed, that becomes part of a region.
const LEAST_HEAT: u32 = 2;

/// How long a worker waits for the CPUs to leave a segment of the code memory before it looks again.
const EVICTION_STEP: Duration = Duration::from_micros(200);

/// When and where regions are compiled.
#[derive(Debug)]
pub struct RegionConfig {
    /// Background threads; with none, the thread that runs into a hot block compiles it at once.
    pub workers: usize,
    /// Bytes of compiled code at most.
    pub code_bytes: usize,
    /// How code is generated.
    pub options: CompileOptions,
    /// What the optimiser does to each block.
    pub passes: opt::Passes,
    /// Where to tell `perf` the names of compiled code.
    pub perf_map: Option<PerfMap>,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            code_bytes: 64 << 20,
            options: CompileOptions::for_host(),
            passes: opt::Passes::ALL,
            perf_map: None,
        }
    }
}

/// What the promoter and its workers share.
pub(crate) struct Shared {
    pub(crate) config: RegionConfig,
    pub(crate) code: Range<HostPtr>,
    cache: Mutex<RegionCache>,
    /// Held from before something is placed until it is published: what is evicted meanwhile is what others placed before.
    pub(crate) placing: Mutex<()>,
    pub(crate) queue: Queue,
    workers: AtomicUsize,
    /// The number of the next region's span.
    next_span: AtomicU64,
    /// Set when this process has no code memory to compile to.
    pub(crate) broken: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: RegionConfig) -> Result<Self, CodeMemoryError> {
        let cache = RegionCache::new(config.code_bytes)?;
        Ok(Self {
            config,
            code: cache.code(),
            cache: Mutex::new(cache),
            placing: Mutex::new(()),
            queue: Queue::default(),
            workers: AtomicUsize::new(0),
            next_span: AtomicU64::new(1),
            broken: AtomicBool::new(false),
        })
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, RegionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the workers, unless they run already.
    pub(crate) fn start_workers(self: &Arc<Self>, engine: &Arc<Engine>) {
        let wanted = self.config.workers;
        if self.workers.swap(wanted, Ordering::AcqRel) >= wanted {
            return;
        }
        for number in 0..wanted {
            let (shared, engine) = (Arc::clone(self), Arc::downgrade(engine));
            let name = format!("ferry-compile-{number}");
            let spawned = base::sys::thread::spawn_quiet(&name, move || work(&shared, &engine));
            if let Err(error) = spawned {
                tracing::warn!(%error, "cannot start a compile worker");
            }
        }
    }

    /// Whether something is being placed; not while this is held.
    pub(crate) fn placing(&self) -> MutexGuard<'_, ()> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a forked child, where the workers are gone.
    pub(crate) fn forget_workers(&self) {
        self.workers.store(0, Ordering::Release);
    }
}

/// A worker's life.
fn work(shared: &Shared, engine: &Weak<Engine>) {
    let mut compiler = None;
    while let Some((key, surroundings)) = shared.queue.pop() {
        if let Some(engine) = engine.upgrade() {
            compile_around(shared, &engine, &mut compiler, key, surroundings);
        }
        shared.queue.done(key);
    }
}

/// Compiles and publishes a region around a hot block. What goes wrong costs speed only.
pub(crate) fn compile_around(
    shared: &Shared,
    engine: &Arc<Engine>,
    compiler: &mut Option<Compiler>,
    key: BlockKey,
    surroundings: Surroundings,
) {
    match try_compile(shared, engine, compiler, key, surroundings) {
        Ok(()) => {}
        Err(error @ Failure::Memory(CodeMemoryError::Host { .. })) => {
            shared.broken.store(true, Ordering::Release);
            tracing::warn!(%error, "no more regions are compiled");
        }
        Err(error) => tracing::debug!(?key, %error, "a region was not compiled"),
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its code cannot be fetched")]
    Fetch,
    #[error("the block is another one than tier 0's")]
    Other,
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Memory(#[from] CodeMemoryError),
    #[error(transparent)]
    Stale(#[from] Stale),
}

fn try_compile(
    shared: &Shared,
    engine: &Arc<Engine>,
    compiler: &mut Option<Compiler>,
    key: BlockKey,
    surroundings: Surroundings,
) -> Result<(), Failure> {
    let (stamp, start) = (engine.stamp(), Instant::now());
    let layout = layout(engine, key, surroundings);
    let formed = form::form(&EngineProfile { engine, shared }, key, layout);
    let mut formed = formed.ok_or(Failure::Fetch)?;
    if engine.config().observation != Observation::None {
        let block = formed.region.blocks.pop().ok_or(Failure::Fetch)?;
        if engine.guest_bytes_at(key) != Some(block.guest_bytes) {
            return Err(Failure::Other);
        }
        formed.region = Region::alone(block);
    }
    let region = &mut formed.region;
    if !formed.span.is_empty() {
        region.span = Some(shared.next_span.fetch_add(1, Ordering::Relaxed));
    }
    region.drop_dead_writes(engine.frontend().guest(), shared.config.options.precision);
    let compiler = match compiler {
        Some(compiler) => compiler,
        None => {
            let options = shared.config.options.clone();
            compiler.insert(Compiler::new(engine.frontend().guest(), options)?)
        }
    };
    let region = &formed.region;
    let compiled = compiler.compile(region)?;
    let nanos = start.elapsed().as_nanos() as u64;
    log(engine, region, &compiled);
    let (insns, bytes) = (compiled.guest_insns, compiled.code.len());
    let keys: Vec<BlockKey> = region.entries.iter().map(|&e| region.blocks[e].key).collect();
    let span = formed.region.span.map(|number| (RegionSpan(number), formed.span.clone()));
    let placing = shared.placing();
    // A CPU that compiles for itself is inside as long as it waits.
    let patience = if shared.config.workers == 0 { Patience::Later } else { Patience::Waits };
    let placed = place(shared, engine, (&compiled, &formed.lies, span), patience)?;
    if let Some(map) = &shared.config.perf_map {
        map.add(placed.body.clone(), key);
    }
    let entries: Vec<_> = keys
        .into_iter()
        .zip(&placed.entries)
        .filter_map(|(key, at)| Some((key, std::ptr::NonNull::new(at.0 as *mut u8)?)))
        .collect();
    if let Err(stale) = engine.publish(placed.id, &form::code(&formed), &entries, stamp) {
        let epoch = engine.withdraw(&[]);
        shared.cache().discard(placed.id, epoch);
        return Err(stale.into());
    }
    drop(placing);
    let mut cache = shared.cache();
    entries.iter().for_each(|(key, at)| cache.upgrade(*key, HostPtr(at.as_ptr() as usize)));
    drop(cache);
    engine.count_region(insns, bytes, nanos);
    Ok(())
}

/// How the pages of a region around this block lie.
fn layout(engine: &Engine, key: BlockKey, surroundings: Surroundings) -> Layout {
    match engine.config().addresses {
        Addresses::Virtual => Layout::AsKnown,
        Addresses::Physical => {
            let seed = key.pc().page();
            Layout::Around { seed, surroundings, pages: vec![(seed, GuestPhys(seed.0))] }
        }
    }
}

/// What to do while CPUs are in the code that is to make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// Wait until they leave it.
    Waits,
    /// Give up: there may be room another time.
    Later,
}

/// Places a region, evicting the oldest ones where there is no room.
pub(crate) fn place(
    shared: &Shared,
    engine: &Engine,
    (compiled, blocks, span): (&CompiledRegion, &[BlockKey], Option<Span>),
    patience: Patience,
) -> Result<Placed, CodeMemoryError> {
    loop {
        let attempt = shared.cache().place(compiled, blocks, span.clone());
        match attempt {
            Err(CodeMemoryError::Full(segment)) => {
                let last = retire(shared, engine, segment);
                while !engine.is_forgotten(last) {
                    if patience == Patience::Later {
                        return Err(CodeMemoryError::Full(segment));
                    }
                    std::thread::sleep(EVICTION_STEP);
                }
                // SAFETY: its regions are discarded, and every CPU has been outside since.
                #[expect(unsafe_code, reason = "the promise is kept by the lines above")]
                unsafe {
                    shared.cache().free_segment(segment);
                }
            }
            other => return other,
        }
    }
}

/// Takes the regions of a segment of the code memory out of use. The guest runs on: once every CPU has
/// seen the epoch that this returns, the segment is free.
fn retire(shared: &Shared, engine: &Engine, segment: usize) -> u64 {
    // Cut off first, or a CPU that has seen the epoch comes there by a link.
    let regions = shared.cache().cut_off(segment);
    if !regions.is_empty() {
        let epoch = engine.withdraw(&regions);
        let mut cache = shared.cache();
        regions.iter().for_each(|&id| cache.discard(id, epoch));
        engine.count_eviction(regions.len());
    }
    shared.cache().discarded_in(segment).unwrap_or(0)
}

fn log(engine: &Engine, region: &Region, compiled: &CompiledRegion) {
    let Some(listing) = &compiled.listing else { return };
    let (items, sink) = (engine.config().log, &engine.config().sink);
    if items.has(LogItem::Clif) {
        sink.write(format_args!("CLIF: {:?}\n{}\n", region.key(), listing.clif));
    }
    if items.has(LogItem::OutAsm) {
        sink.write(format_args!("OUT: {:?}\n{}\n", region.key(), listing.assembly));
    }
}

/// The engine's blocks and the regions there are.
struct EngineProfile<'a> {
    engine: &'a Engine,
    shared: &'a Shared,
}

impl Profile for EngineProfile<'_> {
    fn translate(&self, builder: &Builder, key: BlockKey, from: BlockKey) -> Option<Block> {
        let mut block = self.engine.translate_ir(builder, key, from.pc()).ok()?;
        let precision = self.shared.config.options.precision;
        let options = opt::Options { passes: self.shared.config.passes, precision };
        opt::optimise(&mut block, self.engine.frontend().guest(), options);
        Some(block)
    }

    fn is_warm(&self, key: BlockKey) -> bool {
        // Where blocks are observed, a region is one.
        self.engine.config().observation == Observation::None && self.engine.is_warm(key)
    }

    fn region_insns(&self, key: BlockKey) -> Option<u32> {
        let entry = self.engine.entry_at(key)?;
        self.shared.cache().region_insns(HostPtr(entry.as_ptr() as usize))
    }

    fn targets(&self, key: BlockKey) -> Vec<GuestVirt> {
        let cache = self.shared.cache();
        let mut targets = cache.targets(key);
        targets.retain(|&target| {
            BlockKey::can_name(target) && cache.heat(key.at(target)) >= LEAST_HEAT
        });
        targets
    }

    fn is_everywhere(&self, key: BlockKey) -> bool {
        self.shared.cache().copies(key) >= MAX_COPIES
    }
}
