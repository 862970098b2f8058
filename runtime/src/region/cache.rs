//! Regions in code memory: where they lie, how they are linked with each other, and when their
//! memory may be used again. Which region is entered for which block, the engine knows.

use std::collections::{BTreeMap, HashMap};

use backend::baseline::UPGRADE;
use backend::{ChildCode, CodeMemory, CodeMemoryError, CompiledRegion, PcMap, PlacedRegion};
use base::{GuestPhys, GuestVirt, HostPtr};
use ir::BlockKey;

use crate::promote::{ExitId, RegionId, RegionSpan};

/// All regions of an engine. Not synchronised: its owner has a lock around it.
#[derive(Debug)]
pub(crate) struct RegionCache {
    memory: CodeMemory,
    /// By number. Numbers are never given again, since exit thunks of discarded code carry them.
    regions: HashMap<u32, Box<Live>>,
    /// Numbers by start of the extent: discarded regions too, as long as a CPU may be inside.
    by_address: BTreeMap<HostPtr, u32>,
    next_number: u32,
    /// How many regions each block is part of.
    copies: HashMap<BlockKey, u32>,
    /// What the baseline compiler made, by block.
    baseline: HashMap<BlockKey, u32>,
    /// Where the pages of regions lay, of those that span some.
    spans: HashMap<RegionSpan, Pages>,
}

/// A region's span, and the pages of it.
pub(crate) type Span = (RegionSpan, Pages);

/// Pages as a region knows them, and where they lay when it was made.
pub(crate) type Pages = Vec<(GuestVirt, GuestPhys)>;

/// The epoch of what is unlinked, but may still be looked up: no CPU has forgotten it.
const NOT_YET: u64 = u64::MAX;

/// A region, or a block of the baseline compiler: of these there are many, so it is small.
#[derive(Debug)]
struct Live {
    placed: PlacedRegion,
    exits: u32,
    pcs: PcMap,
    origin: Origin,
    /// Exits of other regions that are linked to this one.
    incoming: Vec<Exit>,
    /// Discarded, in this epoch, or [`NOT_YET`].
    discarded: Option<u64>,
}

/// What it was made of.
#[derive(Debug)]
enum Origin {
    /// By the baseline compiler, of a block: the frame is complete at each instruction.
    Baseline(BlockKey),
    Region(Box<Parts>),
}

#[derive(Debug)]
struct Parts {
    blocks: Vec<BlockKey>,
    sync_points: Vec<GuestVirt>,
    span: Option<RegionSpan>,
    guest_insns: u32,
}

impl Live {
    /// The block, if the baseline compiler made it.
    fn baseline(&self) -> Option<BlockKey> {
        match self.origin {
            Origin::Baseline(block) => Some(block),
            Origin::Region(_) => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Exit {
    region: u32,
    number: u32,
}

impl From<ExitId> for Exit {
    fn from(id: ExitId) -> Self {
        Self { region: (id.0 >> 32) as u32, number: id.0 as u32 }
    }
}

/// The exit through which compiled code left, as its thunk noted it in the frame.
pub(crate) fn exit_id(region: u32, number: u32) -> ExitId {
    ExitId(u64::from(region) << 32 | u64::from(number))
}

/// Where in the guest a host pc in compiled code is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location {
    /// The guest instruction.
    pub(crate) pc: GuestVirt,
    /// The sync point from which to replay.
    pub(crate) sync_point: GuestVirt,
}

/// A region that was placed: its number, and where its entries are.
pub(crate) struct Placed {
    pub(crate) id: RegionId,
    pub(crate) entries: Vec<HostPtr>,
    pub(crate) body: std::ops::Range<HostPtr>,
}

impl RegionCache {
    /// An empty cache of about `bytes` of code.
    pub(crate) fn new(bytes: usize) -> Result<Self, CodeMemoryError> {
        Ok(Self {
            memory: CodeMemory::new(bytes)?,
            regions: HashMap::new(),
            by_address: BTreeMap::new(),
            next_number: 0,
            copies: HashMap::new(),
            baseline: HashMap::new(),
            spans: HashMap::new(),
        })
    }

    /// The executable memory: a fault in it is one of compiled code.
    pub(crate) fn code(&self) -> std::ops::Range<HostPtr> {
        self.memory.range()
    }

    /// Bytes of code in use.
    pub(crate) fn code_bytes(&self) -> usize {
        self.memory.used()
    }

    /// Places a region made of these blocks.
    ///
    /// # Errors
    /// [`CodeMemoryError::Full`]: evict that segment and try again.
    pub(crate) fn place(
        &mut self,
        compiled: &CompiledRegion,
        blocks: &[BlockKey],
        span: Option<Span>,
    ) -> Result<Placed, CodeMemoryError> {
        let number = self.next_number;
        let placed = self.memory.place(compiled, number)?;
        self.next_number = number.wrapping_add(1);
        let origin = match (compiled.executions, blocks) {
            (Some(_), &[block]) => {
                self.baseline.insert(block, number);
                Origin::Baseline(block)
            }
            _ => {
                blocks.iter().for_each(|&block| *self.copies.entry(block).or_default() += 1);
                let (blocks, sync_points) = (blocks.to_vec(), compiled.sync_points.clone());
                let number = span.as_ref().map(|(number, _)| *number);
                let guest_insns = compiled.guest_insns;
                Origin::Region(Box::new(Parts { blocks, sync_points, span: number, guest_insns }))
            }
        };
        let (entries, body) = (placed.entries().collect(), placed.body());
        self.by_address.insert(placed.extent().start, number);
        let live = Live {
            placed,
            exits: compiled.exits.len() as u32,
            pcs: compiled.pcs.clone(),
            origin,
            incoming: Vec::new(),
            discarded: None,
        };
        self.spans.extend(span);
        self.regions.insert(number, Box::new(live));
        Ok(Placed { id: RegionId(u64::from(number)), entries, body })
    }

    /// What the baseline compiler made of a block: its number and its entry.
    pub(crate) fn baseline(&self, block: BlockKey) -> Option<(RegionId, HostPtr)> {
        let number = self.baseline.get(&block)?;
        let entry = self.regions.get(number)?.placed.entry(0)?;
        Some((RegionId(u64::from(*number)), entry))
    }

    fn baseline_code(&self, block: BlockKey) -> Option<&PlacedRegion> {
        let number = self.baseline.get(&block)?;
        self.regions.get(number).map(|live| &live.placed)
    }

    /// Where the indirect jump of a block went lately, as far as the baseline compiler's code has seen it.
    pub(crate) fn targets(&self, block: BlockKey) -> Vec<GuestVirt> {
        self.baseline_code(block).map(PlacedRegion::targets).unwrap_or_default()
    }

    /// How hot a block is that the baseline compiler made, in percent.
    pub(crate) fn heat(&self, block: BlockKey) -> u32 {
        self.baseline_code(block).and_then(PlacedRegion::spent).unwrap_or(0)
    }

    /// Guest instructions in the region that lies at an address; `None` if the baseline compiler made what is there.
    pub(crate) fn region_insns(&self, address: HostPtr) -> Option<u32> {
        match &self.regions.get(&self.at(address)?)?.origin {
            Origin::Baseline(_) => None,
            Origin::Region(parts) => Some(parts.guest_insns),
        }
    }

    /// Whether what left by its exit [`UPGRADE`] is a block of the baseline compiler, which is hot then. It is executed so
    /// often before it says so again.
    pub(crate) fn is_hot(&self, number: u32, executions: u32) -> bool {
        let live = self.regions.get(&number).filter(|live| live.baseline().is_some());
        live.inspect(|live| live.placed.set_executions(executions)).is_some()
    }

    /// Has a region be entered where the block of its entry, as the baseline compiler made it, is jumped to.
    pub(crate) fn upgrade(&mut self, block: BlockKey, entry: HostPtr) {
        if let Some(&number) = self.baseline.get(&block) {
            self.link(exit_id(number, UPGRADE), entry);
            if let Some(live) = self.regions.get(&number) {
                live.placed.set_executions(0);
            }
        }
    }

    /// How many regions a block is part of.
    pub(crate) fn copies(&self, block: BlockKey) -> u32 {
        self.copies.get(&block).copied().unwrap_or(0)
    }

    /// The pages of a span; none if its region is gone.
    pub(crate) fn span(&self, span: RegionSpan) -> Pages {
        self.spans.get(&span).cloned().unwrap_or_default()
    }

    fn at(&self, address: HostPtr) -> Option<u32> {
        let (_, &number) = self.by_address.range(..=address).next_back()?;
        self.regions.get(&number)?.placed.extent().contains(&address).then_some(number)
    }

    /// Links an exit to an entry, if both still exist.
    pub(crate) fn link(&mut self, exit: ExitId, entry: HostPtr) {
        let exit = Exit::from(exit);
        let Some(target) = self.at(entry) else { return };
        let is_live = |n: &u32| self.regions.get(n).is_some_and(|live| live.discarded.is_none());
        if !is_live(&exit.region) || !is_live(&target) {
            return;
        }
        if let Some(from) = self.regions.get(&exit.region) {
            from.placed.link(exit.number as usize, entry);
        }
        if let Some(to) = self.regions.get_mut(&target) {
            to.incoming.push(exit);
        }
    }

    /// Says that no CPU that has seen this epoch enters a region any more, by look-ups or by links. Its memory is kept until
    /// [`RegionCache::free_segment`].
    pub(crate) fn discard(&mut self, id: RegionId, epoch: u64) {
        self.unlink(id);
        if let Some(live) = self.regions.get_mut(&(id.0 as u32)) {
            let before = live.discarded.filter(|&before| before != NOT_YET);
            live.discarded = Some(before.map_or(epoch, |before| before.max(epoch)));
        }
    }

    /// Cuts all links to and from a region, for good.
    pub(crate) fn unlink(&mut self, id: RegionId) {
        let number = id.0 as u32;
        let Some(live) = self.regions.get_mut(&number) else { return };
        if live.discarded.is_some() {
            return;
        }
        live.discarded = Some(NOT_YET);
        (0..live.exits).for_each(|exit| live.placed.unlink(exit as usize));
        let incoming = std::mem::take(&mut live.incoming);
        match &mut live.origin {
            Origin::Baseline(block) => {
                if self.baseline.get(block) == Some(&number) {
                    self.baseline.remove(block);
                }
            }
            Origin::Region(parts) => {
                if let Some(span) = parts.span {
                    self.spans.remove(&span);
                }
                for block in std::mem::take(&mut parts.blocks) {
                    if let Some(copies) = self.copies.get_mut(&block) {
                        *copies -= 1;
                        if *copies == 0 {
                            self.copies.remove(&block);
                        }
                    }
                }
            }
        }
        for exit in incoming {
            if let Some(from) = self.regions.get(&exit.region) {
                from.placed.unlink(exit.number as usize);
            }
        }
    }

    /// Unlinks the regions in a segment that are in use, and returns them.
    pub(crate) fn cut_off(&mut self, segment: usize) -> Vec<RegionId> {
        let here = |live: &Live| live.placed.segment() == segment && live.discarded.is_none();
        let live = self.regions.iter().filter(|(_, live)| here(live));
        let live: Vec<_> = live.map(|(&number, _)| RegionId(u64::from(number))).collect();
        live.iter().for_each(|&id| self.unlink(id));
        live
    }

    /// The latest epoch in which a region of the segment was discarded.
    pub(crate) fn discarded_in(&self, segment: usize) -> Option<u64> {
        let here = self.regions.values().filter(|live| live.placed.segment() == segment);
        here.filter_map(|live| live.discarded).max()
    }

    /// Where in the guest compiled code is at a host pc, having passed the sync point of that
    /// number.
    pub(crate) fn locate(&self, host_pc: HostPtr, sync_point: u32) -> Option<Location> {
        let live = self.regions.get(&self.at(host_pc)?)?;
        let offset = host_pc.0.checked_sub(live.placed.body().start.0)?;
        let pc = live.pcs.guest_pc(offset as u32)?;
        let sync_point = match &live.origin {
            Origin::Baseline(_) => pc,
            Origin::Region(parts) => *parts.sync_points.get(sync_point as usize)?,
        };
        Some(Location { pc, sync_point })
    }

    /// Makes a segment's memory usable again.
    ///
    /// # Safety
    /// Its regions have been discarded, and no CPU is in or on its way to one of them.
    #[expect(unsafe_code, reason = "the promise is the caller's")]
    pub(crate) unsafe fn free_segment(&mut self, segment: usize) {
        let regions = &mut self.regions;
        self.by_address.retain(|_, number| {
            let gone = regions.get(number).is_none_or(|live| live.placed.segment() == segment);
            if gone {
                regions.remove(number);
            }
            !gone
        });
        // SAFETY: by the caller's promise.
        unsafe { self.memory.free_segment(segment) };
    }

    /// See [`CodeMemory::copy_for_child`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn copy_for_child(&self) -> Result<ChildCode, CodeMemoryError> {
        self.memory.copy_for_child()
    }

    /// See [`CodeMemory::become_child`].
    ///
    /// # Safety
    /// As there.
    #[expect(unsafe_code, reason = "the promise is the caller's")]
    pub(crate) unsafe fn become_child(&mut self, code: ChildCode) -> Result<(), CodeMemoryError> {
        // SAFETY: by the caller's promise.
        unsafe { self.memory.become_child(code) }
    }
}
