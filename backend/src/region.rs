//! Regions: the unit of compilation.

use std::collections::{HashMap, HashSet};

use base::GuestVirt;
use ir::opt::liveness;
use ir::opt::{Optimiser, Options, Passes};
use ir::{Block, BlockKey, Guest, Hint, Precision, Terminator, status};

/// Blocks that are compiled as one function: the hot part of a loop, a function, or several.
///
/// A jump between two of its blocks stays inside; any other leaves. It may be entered at any of its
/// entries.
#[derive(Debug)]
pub struct Region {
    /// The blocks, expanded ([`status::expand`]); all of one translation environment (key flags).
    pub blocks: Vec<Block>,
    /// Indices of the blocks at which it may be entered. The first is the reason it exists.
    pub entries: Vec<usize>,
    /// Set if its pages lie side by side only where somebody has checked that: a number that names
    /// them. Never 0.
    pub span: Option<u64>,
    /// Where the indirect jumps of blocks went before, by block: a jump of the region's may go on there without leaving it.
    jumps: HashMap<usize, Vec<GuestVirt>>,
    /// Where the returns of blocks go on in the region, by block.
    returns: HashMap<usize, Vec<usize>>,
    by_pc: HashMap<GuestVirt, usize>,
}

/// Where control goes from a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// To another block of the region.
    Inside(usize),
    /// Out of it, to a known pc.
    Out(GuestVirt),
}

/// Return points of the region that a return may go on at without leaving it.
const MAX_RETURN_POINTS: usize = 16;

impl Region {
    /// A region of these blocks. Entries out of range are dropped.
    ///
    /// Blocks of one pc must not repeat; if they do, the first counts.
    #[must_use]
    pub fn new(blocks: Vec<Block>, entries: Vec<usize>) -> Self {
        Self::with_jumps(blocks, entries, HashMap::new())
    }

    /// [`Region::new`], where the indirect jumps of some blocks, by index, are known to have gone somewhere.
    #[must_use]
    pub fn with_jumps(
        mut blocks: Vec<Block>,
        mut entries: Vec<usize>,
        jumps: HashMap<usize, Vec<GuestVirt>>,
    ) -> Self {
        blocks.iter_mut().for_each(status::expand);
        let mut by_pc = HashMap::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            by_pc.entry(block.key.pc()).or_insert(index);
        }
        entries.retain(|&e| e < blocks.len());
        let mut region =
            Self { blocks, entries, span: None, jumps, returns: HashMap::new(), by_pc };
        region.returns = region.find_returns();
        region
    }

    /// A region of a block that leaves it at its end, though that be for its own beginning.
    #[must_use]
    pub fn alone(mut block: Block) -> Self {
        status::expand(&mut block);
        let (jumps, returns, by_pc) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { blocks: vec![block], entries: vec![0], span: None, jumps, returns, by_pc }
    }

    /// The key of the region's first entry.
    #[must_use]
    pub fn key(&self) -> BlockKey {
        self.entries.first().map_or(BlockKey(0), |&e| self.blocks[e].key)
    }

    /// Guest instructions in it.
    #[must_use]
    pub fn guest_insns(&self) -> u32 {
        self.blocks.iter().map(|b| b.guest_insns).sum()
    }

    /// Where a jump to `pc` goes.
    #[must_use]
    pub fn edge(&self, pc: GuestVirt) -> Edge {
        self.by_pc.get(&pc).map_or(Edge::Out(pc), |&index| Edge::Inside(index))
    }

    /// Blocks inside the region at which the indirect jump of a block may well go on: where it went before, and, if it is
    /// a return, the return points of the region's own calls of its function.
    #[must_use]
    pub fn predicted(&self, index: usize) -> Vec<usize> {
        match self.blocks[index].terminator {
            Terminator::Indirect { hint: Hint::Return, .. } => {
                self.returns.get(&index).cloned().unwrap_or_default()
            }
            Terminator::Indirect { hint: Hint::Plain | Hint::Call(_), .. } => {
                self.known_targets(index).collect()
            }
            _ => Vec::new(),
        }
    }

    fn inside(&self, pc: GuestVirt) -> Option<usize> {
        match self.edge(pc) {
            Edge::Inside(index) => Some(index),
            Edge::Out(_) => None,
        }
    }

    /// Where the indirect jump of a block went before, inside the region.
    fn known_targets(&self, index: usize) -> impl Iterator<Item = usize> {
        self.jumps.get(&index).into_iter().flatten().filter_map(|&pc| self.inside(pc))
    }

    /// A block's call: the functions that are in the region, and the return point if that is, too.
    fn call(&self, index: usize) -> Option<(Vec<usize>, Option<usize>)> {
        let terminator = self.blocks[index].terminator;
        let back = terminator.return_point()?;
        let callees = match terminator {
            Terminator::Jump { target, .. } => self.inside(target).into_iter().collect(),
            _ => self.known_targets(index).collect(),
        };
        Some((callees, self.inside(back)))
    }

    /// The return points of the region's calls, by the returns that end the functions which are called.
    fn find_returns(&self) -> HashMap<usize, Vec<usize>> {
        let mut by_function: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut found: HashMap<usize, Vec<usize>> = HashMap::new();
        for index in 0..self.blocks.len() {
            let Some((callees, Some(back))) = self.call(index) else { continue };
            for callee in callees {
                let ends = by_function.entry(callee).or_insert_with(|| self.ends(callee));
                for &end in ends.iter() {
                    let points = found.entry(end).or_default();
                    if points.len() < MAX_RETURN_POINTS && !points.contains(&back) {
                        points.push(back);
                    }
                }
            }
        }
        found
    }

    /// The blocks in which a function returns.
    fn ends(&self, function: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let (mut seen, mut ahead) = (HashSet::from([function]), vec![function]);
        while let Some(index) = ahead.pop() {
            let block = &self.blocks[index];
            let next: Vec<usize> = match (block.terminator, block.terminator.return_point()) {
                (Terminator::Indirect { hint: Hint::Return, .. }, _) => {
                    ends.push(index);
                    Vec::new()
                }
                (_, Some(back)) => self.inside(back).into_iter().collect(),
                _ => self.successors(index),
            };
            ahead.extend(next.into_iter().filter(|&next| seen.insert(next)));
        }
        ends
    }

    /// Blocks of the region to which block `index` may go.
    #[must_use]
    pub fn successors(&self, index: usize) -> Vec<usize> {
        let block = &self.blocks[index];
        match block.terminator {
            Terminator::Indirect { .. } => self.predicted(index),
            _ => block.successors().filter_map(|pc| self.inside(pc)).collect(),
        }
    }

    /// Drops slot writes whose value no path through the region reads or shows before the slot is
    /// written again. The blocks are optimised already, each by itself.
    pub fn drop_dead_writes(&mut self, guest: &Guest, precision: Precision) {
        let polled = self.polled();
        let blocks: Vec<&Block> = self.blocks.iter().collect();
        let connected = liveness::Region {
            blocks: &blocks,
            successor: |_, pc| match self.edge(pc) {
                Edge::Inside(index) => Some(index),
                Edge::Out(_) => None,
            },
            is_exact: |index: usize| polled[index],
        };
        let live = liveness::live_out(&connected, guest, precision);
        let mut optimiser = Optimiser::new();
        let options = Options { passes: Passes::DEAD, precision };
        for (block, live) in self.blocks.iter_mut().zip(&live) {
            optimiser.optimise_before(block, guest, options, live);
        }
    }

    /// Which blocks are entered in more than one way, from blocks of the region or from outside.
    pub(crate) fn joins(&self) -> Vec<bool> {
        let mut ways = vec![0_u32; self.blocks.len()];
        self.entries.iter().for_each(|&entry| ways[entry] += 1);
        for from in 0..self.blocks.len() {
            self.successors(from).into_iter().for_each(|to| ways[to] += 1);
        }
        ways.into_iter().map(|count| count > 1).collect()
    }

    /// Which blocks are jumped to backwards: such jumps are polls, where the region may leave.
    pub(crate) fn polled(&self) -> Vec<bool> {
        let rank = self.rank();
        let mut polled = vec![false; self.blocks.len()];
        for from in 0..self.blocks.len() {
            for to in self.successors(from) {
                polled[to] |= rank[from] >= rank[to];
            }
        }
        polled
    }

    /// The position of each block in [`Region::order`]; `usize::MAX` for those that are left out.
    #[must_use]
    pub fn rank(&self) -> Vec<usize> {
        let mut rank = vec![usize::MAX; self.blocks.len()];
        for (position, index) in self.order().into_iter().enumerate() {
            rank[index] = position;
        }
        rank
    }

    /// The blocks in reverse post-order from the entries; blocks that no entry reaches are left
    /// out.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        let mut seen = vec![false; self.blocks.len()];
        let mut order = Vec::with_capacity(self.blocks.len());
        // (block, its successors, how many of them are done)
        let mut stack: Vec<(usize, Vec<usize>, usize)> = Vec::new();
        for &entry in self.entries.iter().rev() {
            if std::mem::replace(&mut seen[entry], true) {
                continue;
            }
            stack.push((entry, self.successors(entry), 0));
            while let Some((block, successors, done)) = stack.last_mut() {
                if let Some(&next) = successors.get(*done) {
                    *done += 1;
                    if !std::mem::replace(&mut seen[next], true) {
                        stack.push((next, self.successors(next), 0));
                    }
                } else {
                    order.push(*block);
                    stack.pop();
                }
            }
        }
        order.reverse();
        order
    }
}
