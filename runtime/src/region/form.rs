//! Which blocks make a region.
//!
//! From a hot block, direct jumps and both sides of branches are followed as far as the guest has
//! been there; calls too, into functions that have no region of their own. The return points of the
//! other calls become entries, so that a function stays in one piece. Blocks may be in several
//! regions, but not in many: without that bound, shared functions are compiled over and over.

use std::collections::{HashSet, VecDeque};

use backend::Region;
use base::GuestVirt;
use ir::{Block, BlockKey, Builder, Hint, Terminator, Trap};

/// Guest instructions in a region, about. Anything from 200 to 600 measured the same within noise
/// (`benches/RESULTS.md`, "Compile time"); smaller ones are compiled sooner.
const MAX_INSNS: u32 = 300;
/// Blocks in a region at most.
const MAX_BLOCKS: usize = 96;
/// Entries of a region at most.
const MAX_ENTRIES: usize = 16;
/// How deep calls are followed.
const MAX_CALL_DEPTH: u32 = 2;

/// What is known about blocks.
pub(crate) trait Profile {
    /// The block's IR; `None` if it cannot be translated (any more).
    fn translate(&self, builder: &Builder, key: BlockKey) -> Option<Block>;
    /// Whether the guest has executed it lately.
    fn is_warm(&self, key: BlockKey) -> bool;
    /// Whether a region is entered at it.
    fn is_compiled(&self, key: BlockKey) -> bool;
    /// Whether it is in so many regions already that another shall leave to one of them.
    fn is_everywhere(&self, key: BlockKey) -> bool;
    /// Whether blocks on these two pages may be in one region.
    fn may_share(&self, page: GuestVirt, other: GuestVirt) -> bool;
}

/// A block that shall belong to the region.
#[derive(Clone, Copy)]
struct Candidate {
    key: BlockKey,
    call_depth: u32,
    is_entry: bool,
}

/// A region in the making.
struct Growth<'a> {
    profile: &'a dyn Profile,
    /// The seed's.
    page: GuestVirt,
    blocks: Vec<Block>,
    entries: Vec<usize>,
    insns: u32,
    queue: VecDeque<Candidate>,
    seen: HashSet<BlockKey>,
}

/// The region around a hot block; `None` if that cannot be translated (any more).
pub(crate) fn form(profile: &dyn Profile, seed: BlockKey) -> Option<Region> {
    let builder = Builder::new();
    let mut growth = Growth {
        profile,
        page: seed.pc().page(),
        blocks: Vec::new(),
        entries: Vec::new(),
        insns: 0,
        queue: VecDeque::from([Candidate { key: seed, call_depth: 0, is_entry: true }]),
        seen: HashSet::from([seed]),
    };
    while let Some(candidate) = growth.queue.pop_front() {
        if growth.is_full() {
            break;
        }
        match profile.translate(&builder, candidate.key) {
            Some(block) => growth.add(block, candidate),
            None if growth.blocks.is_empty() => return None,
            None => {}
        }
    }
    Some(Region::new(growth.blocks, growth.entries))
}

impl Growth<'_> {
    fn is_full(&self) -> bool {
        self.insns >= MAX_INSNS || self.blocks.len() >= MAX_BLOCKS
    }

    fn add(&mut self, block: Block, candidate: Candidate) {
        if candidate.is_entry && self.entries.len() < MAX_ENTRIES {
            self.entries.push(self.blocks.len());
        }
        self.insns += block.guest_insns;
        self.follow(&block, candidate.call_depth);
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
            Terminator::Indirect { hint: Hint::Call(back), .. }
            | Terminator::Trap { trap: Trap::Syscall, pc: back } => {
                self.want(at(back), call_depth, true);
            }
            _ => block.successors().for_each(|pc| self.want(at(pc), call_depth, false)),
        }
    }

    /// Calls are followed into functions that are part of the region already (recursion), or are
    /// warm and have no region of their own.
    fn may_inline(&self, callee: BlockKey, call_depth: u32) -> bool {
        let fresh = self.profile.is_warm(callee) && !self.profile.is_compiled(callee);
        self.seen.contains(&callee) || (call_depth < MAX_CALL_DEPTH && fresh)
    }

    fn want(&mut self, key: BlockKey, call_depth: u32, is_entry: bool) {
        let wanted = self.profile.may_share(self.page, key.pc().page())
            && self.profile.is_warm(key)
            && !self.profile.is_everywhere(key);
        if wanted && self.seen.insert(key) {
            self.queue.push_back(Candidate { key, call_depth, is_entry });
        }
    }
}

/// The pages that a region's blocks were made from, without repetition.
pub(crate) fn pages(region: &Region) -> Vec<GuestVirt> {
    let mut pages = Vec::new();
    for block in &region.blocks {
        for page in crate::block::pages_of(block.key.pc(), block.guest_bytes) {
            if !pages.contains(&page) {
                pages.push(page);
            }
        }
    }
    pages
}
