//! The decision tree: which bits to look at, in which order.

use std::collections::BTreeSet;

use crate::model::{Pattern, low_bits};

/// A run of bits that one `match` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) position: u8,
    pub(crate) length: u8,
}

impl Run {
    pub(crate) fn mask(self) -> u32 {
        low_bits(self.length) << self.position
    }
}

/// A node of the tree, with the bits that are known on the way to it.
#[derive(Debug)]
pub(crate) enum Node {
    /// Nothing matches.
    Fail,
    /// Try these in order. `tested` are bits that need no further test.
    Leaf { candidates: Vec<usize>, tested: u32 },
    /// All candidates below agree in these bits.
    Guard { mask: u32, value: u32, inside: Box<Node> },
    /// Branch on the bits of `run`.
    Switch { run: Run, arms: Vec<(u32, Node)>, otherwise: Box<Node> },
}

/// Runs longer than this would make sparse jump tables.
const MAX_RUN: u8 = 7;

/// The tree for those patterns that are `width` bits wide.
pub(crate) fn build(patterns: &[Pattern], width: u8) -> Node {
    let candidates = (0..patterns.len()).filter(|&index| patterns[index].width == width).collect();
    Builder { patterns }.node(candidates, 0)
}

struct Builder<'a> {
    patterns: &'a [Pattern],
}

impl Builder<'_> {
    fn node(&self, candidates: Vec<usize>, tested: u32) -> Node {
        if candidates.is_empty() {
            return Node::Fail;
        }
        if candidates.len() == 1 {
            return Node::Leaf { candidates, tested };
        }
        let common = self.masks(&candidates).fold(u32::MAX, |all, mask| all & mask) & !tested;
        let first = self.patterns[candidates[0]].value;
        let varying = candidates.iter().fold(0, |bits, &c| bits | (self.patterns[c].value ^ first));
        let agreed = common & !varying;
        if agreed != 0 {
            let inside = Box::new(self.node(candidates, tested | agreed));
            return Node::Guard { mask: agreed, value: first & agreed, inside };
        }
        match self
            .common_run(&candidates, common)
            .or_else(|| self.frequent_run(&candidates, tested))
        {
            Some(run) => self.switch(candidates, tested, run),
            None => Node::Leaf { candidates, tested },
        }
    }

    fn masks<'s>(&'s self, candidates: &'s [usize]) -> impl Iterator<Item = u32> + 's {
        candidates.iter().map(|&index| self.patterns[index].mask)
    }

    fn distinct_values(&self, candidates: &[usize], run: Run) -> usize {
        let fixed = |&&index: &&usize| self.patterns[index].mask & run.mask() == run.mask();
        let values: BTreeSet<u32> = candidates
            .iter()
            .filter(fixed)
            .map(|&index| self.patterns[index].value & run.mask())
            .collect();
        values.len()
    }

    /// Of the bits that every candidate fixes, the run that tells most of them apart.
    fn common_run(&self, candidates: &[usize], common: u32) -> Option<Run> {
        runs(common).into_iter().max_by_key(|&run| self.distinct_values(candidates, run))
    }

    /// A run that at least half of the candidates fix, if that helps.
    fn frequent_run(&self, candidates: &[usize], tested: u32) -> Option<Run> {
        let possible: BTreeSet<Run> =
            self.masks(candidates).flat_map(|mask| runs(mask & !tested)).collect();
        let fixing =
            |run: Run| self.masks(candidates).filter(move |m| m & run.mask() == run.mask());
        possible
            .into_iter()
            .map(|run| (self.distinct_values(candidates, run), fixing(run).count(), run))
            .filter(|&(values, fixing, _)| values >= 3 && fixing * 2 >= candidates.len())
            .max_by_key(|&(values, fixing, _)| (fixing, values))
            .map(|(_, _, run)| run)
    }

    fn switch(&self, candidates: Vec<usize>, tested: u32, run: Run) -> Node {
        let mask = run.mask();
        let fixes = |index: &usize| self.patterns[*index].mask & mask == mask;
        let values: BTreeSet<u32> = candidates
            .iter()
            .filter(|index| fixes(index))
            .map(|&index| self.patterns[index].value & mask)
            .collect();
        let arm = |&value: &u32| {
            let compatible = |index: &&usize| {
                let pattern = &self.patterns[**index];
                (pattern.value ^ value) & pattern.mask & mask == 0
            };
            let inside = candidates.iter().filter(compatible).copied().collect();
            (value >> run.position, self.node(inside, tested | mask))
        };
        let arms = values.iter().map(arm).collect();
        let rest: Vec<usize> = candidates.iter().filter(|index| !fixes(index)).copied().collect();
        // The run's bits are not known here, so they stay untested; fewer candidates are left.
        let otherwise = Box::new(self.node(rest, tested));
        Node::Switch { run, arms, otherwise }
    }
}

/// The contiguous runs of ones in `mask`, the long ones cut.
fn runs(mask: u32) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut rest = mask;
    while rest != 0 {
        let position = rest.trailing_zeros() as u8;
        let length = (!(rest >> position)).trailing_zeros().min(u32::from(MAX_RUN)) as u8;
        let run = Run { position, length };
        rest &= !run.mask();
        runs.push(run);
    }
    runs
}
