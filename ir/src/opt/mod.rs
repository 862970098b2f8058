//! The optimiser: for blocks that are hot enough to be compiled. Tier 0 never waits for it.
//!
//! One forward walk over the operations carries what is known of every value; the passes that use
//! it, each by its own file and its own bit in [`Passes`], are
//! * [`Passes::FORWARD`] (`forward.rs`): reads name the constant or the first holder of a value;
//! * [`Passes::SIMPLIFY`] (`simplify.rs`, `rules.rs`): constants fold, algebra, redundant extensions;
//! * [`Passes::NUMBER`] (`number.rs`): what was computed before is not computed again;
//! * [`Passes::CHECKS`] (`checks.rs`): alignment that was checked is not checked again.
//!
//! A backward walk then does [`Passes::DEAD`] (`dead.rs`): unused results and dead slot writes go.
//! [`liveness`] extends dead slot writes over the edges of a region.
//!
//! All of it is linear in the operations. Loads and stores stay as they are, in number and order:
//! other threads can tell.

use crate::block::Block;
use crate::guest::Guest;
use crate::{Precision, SlotSet};

mod checks;
mod dead;
mod exposure;
mod facts;
mod forward;
pub mod liveness;
mod number;
mod rules;
mod simplify;
#[cfg(test)]
mod tests;
mod values;
mod walk;

/// A set of passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passes(u8);

impl Passes {
    /// No pass.
    pub const NONE: Self = Self(0);
    /// Copies and constants are read where they come from.
    pub const FORWARD: Self = Self(1);
    /// Constant folding and algebra.
    pub const SIMPLIFY: Self = Self(2);
    /// Common subexpressions.
    pub const NUMBER: Self = Self(4);
    /// Redundant alignment checks.
    pub const CHECKS: Self = Self(8);
    /// Dead operations and slot writes.
    pub const DEAD: Self = Self(16);
    /// Every pass.
    pub const ALL: Self = Self(31);

    /// Every pass with its name, in the order in which they run: for bisecting.
    pub const NAMED: [(Self, &'static str); 5] = [
        (Self::FORWARD, "forward"),
        (Self::SIMPLIFY, "simplify"),
        (Self::NUMBER, "number"),
        (Self::CHECKS, "checks"),
        (Self::DEAD, "dead"),
    ];

    /// Whether all of `passes` are in this set.
    #[inline]
    #[must_use]
    pub const fn has(self, passes: Self) -> bool {
        self.0 & passes.0 == passes.0
    }

    /// This set and those of `passes`.
    #[must_use]
    pub const fn with(self, passes: Self) -> Self {
        Self(self.0 | passes.0)
    }

    /// This set without those of `passes`.
    #[must_use]
    pub const fn without(self, passes: Self) -> Self {
        Self(self.0 & !passes.0)
    }
}

/// What to do to a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which passes run.
    pub passes: Passes,
    /// Where slots must be exact.
    pub precision: Precision,
}

/// What was done to blocks. Numbers of operations unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// Operands that name another holder of their value.
    pub forwarded: u64,
    /// Rewritten by an algebraic rule, or folded to a constant.
    pub simplified: u64,
    /// Replaced by the result of an equal one.
    pub merged: u64,
    /// Alignment checks dropped.
    pub checks: u64,
    /// Slot writes dropped that wrote what the slot held.
    pub same_writes: u64,
    /// Slot writes dropped that nothing could read.
    pub dead_writes: u64,
    /// Dropped for want of a use.
    pub dead: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.before += other.before;
        self.after += other.after;
        self.forwarded += other.forwarded;
        self.simplified += other.simplified;
        self.merged += other.merged;
        self.checks += other.checks;
        self.same_writes += other.same_writes;
        self.dead_writes += other.dead_writes;
        self.dead += other.dead;
    }
}

/// Optimises blocks one after the other; keeps its memory between them.
#[derive(Debug, Default)]
pub struct Optimiser {
    values: values::Values,
    dead: dead::Eliminator,
}

impl Optimiser {
    /// An optimiser that has seen no block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a valid block do the same in fewer operations. The result is valid.
    pub fn optimise(&mut self, block: &mut Block, guest: &Guest, options: Options) -> Stats {
        self.optimise_before(block, guest, options, &SlotSet::ALL)
    }

    /// The same where only the slots of `live_out` are read after the block before they are
    /// written: see [`liveness::live_out`].
    pub fn optimise_before(
        &mut self,
        block: &mut Block,
        guest: &Guest,
        options: Options,
        live_out: &SlotSet,
    ) -> Stats {
        crate::status::expand(block);
        let mut stats = Stats { before: block.insts.len() as u64, ..Stats::default() };
        if options.passes.without(Passes::DEAD) != Passes::NONE {
            walk::run(block, guest, options.passes, &mut self.values, &mut stats);
        }
        if options.passes.has(Passes::DEAD) {
            self.dead.run(block, guest, options.precision, live_out, &mut stats);
        }
        stats.after = block.insts.len() as u64;
        crate::verify_debug(block, guest);
        stats
    }
}

/// Optimises one block: [`Optimiser::optimise`] without memory to keep.
pub fn optimise(block: &mut Block, guest: &Guest, options: Options) -> Stats {
    Optimiser::new().optimise(block, guest, options)
}
