//! Which slots are read after a block before they are written again, when it is known where
//! control goes: for the blocks of a region.
//!
//! An edge that leads to a block of the region brings what that block reads. Every other way out
//! (a computed target, a trap, a pc outside) reads all slots. So does the way into a block at
//! whose start the state must be exact: one that asks for interrupts there, or has a sync point.

use base::GuestVirt;

use super::dead::Live;
use super::exposure::Exposure;
use crate::block::Block;
use crate::guest::Guest;
use crate::{Precision, SlotSet};

/// A region, as its blocks and what connects them.
#[derive(Clone, Copy)]
pub struct Region<'a, Successor, Exact> {
    /// The blocks.
    pub blocks: &'a [&'a Block],
    /// The block in which a jump from block `.0` to a pc stays; `None` where it leaves the region.
    pub successor: Successor,
    /// Whether all slots must be exact at the start of a block.
    pub is_exact: Exact,
}

/// What a block does to what is live: `live-in = reads ∪ (live-out ∩ passes)`.
#[derive(Clone, Copy)]
struct Transfer {
    reads: SlotSet,
    passes: SlotSet,
}

/// The slots that are live at the end of each block of a region.
#[must_use]
pub fn live_out<Successor, Exact>(
    region: &Region<'_, Successor, Exact>,
    guest: &Guest,
    precision: Precision,
) -> Vec<SlotSet>
where
    Successor: Fn(usize, GuestVirt) -> Option<usize>,
    Exact: Fn(usize) -> bool,
{
    let blocks = region.blocks;
    let edges: Vec<_> = (0..blocks.len()).map(|index| edges_of(region, index)).collect();
    let mut exposure = Exposure::default();
    let transfer = |block: &&Block| transfer(block, guest, precision, &mut exposure);
    let transfers: Vec<_> = blocks.iter().map(transfer).collect();
    let mut predecessors = vec![Vec::new(); blocks.len()];
    for (from, edges) in edges.iter().enumerate() {
        edges.inside.iter().for_each(|&to| predecessors[to].push(from));
    }
    let mut live_in = vec![SlotSet::NONE; blocks.len()];
    let mut work: Vec<_> = (0..blocks.len()).collect();
    while let Some(index) = work.pop() {
        let after = edges[index].live_out(&live_in);
        let before = match (region.is_exact)(index) {
            true => SlotSet::ALL,
            false => transfers[index].reads.union(&after.intersection(&transfers[index].passes)),
        };
        if before != live_in[index] {
            live_in[index] = before;
            work.extend_from_slice(&predecessors[index]);
        }
    }
    edges.iter().map(|edges| edges.live_out(&live_in)).collect()
}

struct Edges {
    inside: Vec<usize>,
    leaves: bool,
}

impl Edges {
    fn live_out(&self, live_in: &[SlotSet]) -> SlotSet {
        if self.leaves {
            return SlotSet::ALL;
        }
        self.inside.iter().fold(SlotSet::NONE, |live, &to| live.union(&live_in[to]))
    }
}

fn edges_of<Successor, Exact>(region: &Region<'_, Successor, Exact>, index: usize) -> Edges
where
    Successor: Fn(usize, GuestVirt) -> Option<usize>,
{
    let mut edges = Edges { inside: Vec::new(), leaves: true };
    let mut targets = region.blocks[index].successors().peekable();
    if targets.peek().is_some() {
        edges.leaves = false;
    }
    for target in targets {
        match (region.successor)(index, target) {
            Some(to) if to < region.blocks.len() => edges.inside.push(to),
            _ => edges.leaves = true,
        }
    }
    edges
}

fn transfer(
    block: &Block,
    guest: &Guest,
    precision: Precision,
    exposure: &mut Exposure,
) -> Transfer {
    let mut passes = SlotSet::ALL;
    let mut live = Live::at_end(block, SlotSet::NONE, guest, precision, exposure);
    for (index, inst) in block.insts.iter().enumerate().rev() {
        if let Some(slot) = inst.dst.as_slot() {
            passes.remove(slot);
        }
        live.step(index, inst);
    }
    Transfer { reads: live.slots, passes }
}
