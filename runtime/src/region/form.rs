//! Which blocks make a region.
//!
//! A region knows pcs as the guest sees them, but for a distance that is the same for all of it. Where
//! translations are found by physical address, it spans what lies side by side for the guest though
//! not in memory; [`Layout`] says where each page lies.
//!
//! From a hot block, direct jumps and both sides of branches are followed as far as the guest has
//! been there; calls too, into functions that have no region of their own. The return points of the
//! other calls become entries, so that a function stays in one piece. Blocks may be in several
//! regions, but not in many: without that bound, shared functions are compiled over and over.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use backend::Region;
use base::{GuestPhys, GuestVirt};
use ir::{Block, BlockKey, Builder, Hint, Terminator, Trap};

use crate::pages::bytes_at;
use crate::promote::Surroundings;

/// Guest instructions in a region, about. Anything from 200 to 600 measured the same within noise
/// (`benches/RESULTS.md`, "Compile time"); smaller ones are compiled sooner.
const MAX_INSNS: u32 = 300;
/// Blocks in a region at most.
const MAX_BLOCKS: usize = 96;
/// Entries of a region at most.
const MAX_ENTRIES: usize = 16;
/// How deep calls are followed.
const MAX_CALL_DEPTH: u32 = 2;
/// Instructions in the region of a function, at most, that becomes part of others all the same: a call that leaves
/// costs as much as they.
const MAX_SLIGHT: u32 = 24;
/// Targets of all indirect jumps of a region at most: each is a place in the code to come to.
const MAX_TARGETS: usize = 64;
/// How far a jump goes, in bytes, that stays in its function: a `switch`.
const MAX_FUNCTION: u64 = 1 << 16;

/// What is known about blocks.
pub(crate) trait Profile {
    /// The IR of the block that lies at `from`, under the key that it has in the region; `None` if it cannot
    /// be translated (any more).
    fn translate(&self, builder: &Builder, key: BlockKey, from: BlockKey) -> Option<Block>;
    /// Whether the guest has executed it lately.
    fn is_warm(&self, key: BlockKey) -> bool;
    /// Where its indirect jump often goes, as far as anybody knows.
    fn targets(&self, key: BlockKey) -> Vec<GuestVirt>;
    /// How many instructions the region has that is entered at it, if there is one.
    fn region_insns(&self, key: BlockKey) -> Option<u32>;
    /// Whether it is in so many regions already that another shall leave to one of them.
    fn is_everywhere(&self, key: BlockKey) -> bool;
}

/// Pages of a region at most, where they do not lie side by side.
const MAX_PAGES: usize = 8;
/// How far from the seed a region reaches, in bytes: source locations have 32 bits.
const MAX_REACH: u64 = 1 << 30;

/// Where a region's pages lie.
#[derive(Debug)]
pub(crate) enum Layout {
    /// Where the region knows them.
    AsKnown,
    /// By the seed's page, which lies where the region knows it, and what is around it.
    Around {
        /// The seed's page.
        seed: GuestVirt,
        /// What the CPU sees that asked for the region.
        surroundings: Surroundings,
        /// The pages that are used: as the region knows them, and where they lie.
        pages: Vec<(GuestVirt, GuestPhys)>,
    },
}

impl Layout {
    /// Where the code of a key in the region lies, if it can be part of it.
    fn lies(&mut self, key: BlockKey) -> Option<BlockKey> {
        let Self::Around { seed, surroundings, pages } = self else { return Some(key) };
        let page = key.pc().page();
        let at = |phys: GuestPhys| Some(key.at(GuestVirt(phys.0 + key.pc().page_offset())));
        if let Some(&(_, phys)) = pages.iter().find(|(known, _)| *known == page) {
            return at(phys);
        }
        let far = page.0.abs_diff(seed.0) > MAX_REACH;
        let virt = page.wrapping_add(surroundings.delta);
        let found = surroundings.pages.iter().find(|(known, _)| *known == virt);
        let &(_, phys) = found.filter(|_| !far && pages.len() < MAX_PAGES)?;
        pages.push((page, phys));
        at(phys)
    }

    /// Whether a region may be entered at a key: where a look-up finds the code, too.
    fn may_enter(&self, key: BlockKey) -> bool {
        match self {
            Self::AsKnown => true,
            Self::Around { seed, .. } => key.pc().page() == *seed,
        }
    }
}

/// A region, and where it came from.
pub(crate) struct Formed {
    pub(crate) region: Region,
    /// Where each of its blocks lies.
    pub(crate) lies: Vec<BlockKey>,
    /// The pages that it spans, if that is to be checked.
    pub(crate) span: Vec<(GuestVirt, GuestPhys)>,
}

/// A block that shall belong to the region.
#[derive(Clone, Copy)]
struct Candidate {
    key: BlockKey,
    /// Where it lies.
    from: BlockKey,
    call_depth: u32,
    is_entry: bool,
}

/// A region in the making.
struct Growth<'a> {
    profile: &'a dyn Profile,
    layout: Layout,
    blocks: Vec<Block>,
    lies: Vec<BlockKey>,
    entries: Vec<usize>,
    /// Where indirect jumps go, by block.
    jumps: HashMap<usize, Vec<GuestVirt>>,
    targets: usize,
    insns: u32,
    queue: VecDeque<Candidate>,
    seen: HashSet<BlockKey>,
}

/// The region around a hot block; `None` if that cannot be translated (any more).
pub(crate) fn form(profile: &dyn Profile, seed: BlockKey, layout: Layout) -> Option<Formed> {
    let builder = Builder::new();
    let mut growth = Growth {
        profile,
        layout,
        blocks: Vec::new(),
        lies: Vec::new(),
        entries: Vec::new(),
        jumps: HashMap::new(),
        targets: 0,
        insns: 0,
        queue: VecDeque::from([Candidate { key: seed, from: seed, call_depth: 0, is_entry: true }]),
        seen: HashSet::from([seed]),
    };
    while let Some(candidate) = growth.queue.pop_front() {
        if growth.is_full() {
            break;
        }
        match profile.translate(&builder, candidate.key, candidate.from) {
            Some(block) => growth.add(block, candidate),
            None if growth.blocks.is_empty() => return None,
            None => {}
        }
    }
    let Growth { blocks, entries, lies, layout, jumps, .. } = growth;
    let used = |page: GuestVirt| blocks.iter().any(|block| block.key.pc().page() == page);
    let span = match layout {
        Layout::Around { pages, .. }
            if pages.iter().filter(|(page, _)| used(*page)).count() > 1 =>
        {
            pages.into_iter().filter(|(page, _)| used(*page)).collect()
        }
        _ => Vec::new(),
    };
    let region = Region::with_jumps(blocks, entries, jumps);
    Some(Formed { region, lies, span })
}

impl Growth<'_> {
    fn is_full(&self) -> bool {
        self.insns >= MAX_INSNS || self.blocks.len() >= MAX_BLOCKS
    }

    fn add(&mut self, block: Block, candidate: Candidate) {
        let is_entry = candidate.is_entry && self.layout.may_enter(candidate.key);
        if is_entry && self.entries.len() < MAX_ENTRIES {
            self.entries.push(self.blocks.len());
        }
        self.insns += block.guest_insns;
        self.follow(&block, candidate.call_depth);
        self.lies.push(candidate.from);
        self.blocks.push(block);
    }

    fn follow(&mut self, block: &Block, call_depth: u32) {
        let at = |pc: GuestVirt| block.key.at(pc);
        match block.terminator {
            Terminator::Jump { target, hint: Hint::Call(back) } => {
                let callee = at(target);
                let inlined = self.may_inline(callee, call_depth);
                if inlined {
                    self.want(callee, call_depth + 1, false);
                }
                self.want(at(back), call_depth, !inlined);
            }
            Terminator::Indirect { hint, .. } if !matches!(hint, Hint::Return | Hint::Far) => {
                self.follow_jump(block, hint, call_depth);
                if let Hint::Call(back) = hint {
                    self.want(at(back), call_depth, true);
                }
            }
            Terminator::Trap { trap: Trap::Syscall, pc: back } => {
                self.want(at(back), call_depth, true);
            }
            _ => block.successors().for_each(|pc| self.want(at(pc), call_depth, false)),
        }
    }

    /// Indirect jumps are followed to where they went before; out of the function, as calls are.
    fn follow_jump(&mut self, block: &Block, hint: Hint, call_depth: u32) {
        let mut targets = self.profile.targets(block.key);
        targets.truncate(MAX_TARGETS - self.targets);
        for &target in &targets {
            let key = block.key.at(target);
            let is_near = target.0.abs_diff(block.key.pc().0) < MAX_FUNCTION;
            if hint == Hint::Plain && is_near {
                self.want(key, call_depth, false);
            } else if self.may_inline(key, call_depth) {
                self.want(key, call_depth + 1, false);
            }
        }
        self.targets += targets.len();
        self.jumps.insert(self.blocks.len(), targets);
    }

    /// Calls are followed into functions that are part of the region already (recursion), or are
    /// warm and have no region of their own, or but a small one.
    fn may_inline(&mut self, callee: BlockKey, call_depth: u32) -> bool {
        let Some(lies) = self.layout.lies(callee) else { return false };
        let slight = |insns| insns <= MAX_SLIGHT;
        let wanted =
            self.profile.is_warm(lies) && self.profile.region_insns(lies).is_none_or(slight);
        self.seen.contains(&callee) || (call_depth < MAX_CALL_DEPTH && wanted)
    }

    fn want(&mut self, key: BlockKey, call_depth: u32, is_entry: bool) {
        let Some(from) = self.layout.lies(key) else { return };
        let wanted = self.profile.is_warm(from) && !self.profile.is_everywhere(from);
        if wanted && self.seen.insert(key) {
            self.queue.push_back(Candidate { key, from, call_depth, is_entry });
        }
    }
}

/// The guest code that a region was made from, block by block, where it lies.
pub(crate) fn code(formed: &Formed) -> Vec<Range<GuestVirt>> {
    let blocks = formed.region.blocks.iter().zip(&formed.lies);
    blocks.map(|(block, lies)| bytes_at(lies.pc(), block.guest_bytes.into())).collect()
}
