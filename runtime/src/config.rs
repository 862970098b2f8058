//! What is chosen when an engine is made.

use std::sync::Arc;

use translator::Limits;

use crate::log::{LogItems, LogSink};

/// Which tiers may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// Interpret first, compile what is hot.
    #[default]
    Auto,
    /// Interpret only.
    Interp,
    /// Compile everything at its first execution.
    Jit,
    /// Compile every block at its first execution, by the baseline compiler, and none otherwise.
    Baseline,
}

/// By which addresses translations are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Addresses {
    /// By the guest's own: a process.
    #[default]
    Virtual,
    /// By physical ones, so that they serve every address space that maps the code: a whole machine.
    Physical,
}

/// Whether a whole machine's CPUs count how often they probe their TLBs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Probes {
    /// They do not, and are faster.
    #[default]
    Uncounted,
    /// They do, in [`base::CpuFrame::tlb_probes`], and time what misses cost.
    Counted,
}

/// Whether a CPU's instructions can be observed one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Observation {
    /// They cannot.
    #[default]
    None,
    /// They can, by an [`crate::Observer`]: each is a block of its own, and interpreted.
    Instructions,
    /// The same, but each block is compiled, to a region of its own or under [`Tier::Baseline`] by the baseline compiler, if
    /// it can be. What compiled code reads and writes in memory, the observer is not told.
    Compiled,
    /// Blocks are what they are when nobody looks, and executed by the tier as it would do it, but one at a time: the observer is
    /// told of each, and how much of it was executed ([`crate::Observer::executed`]).
    Blocks,
}

/// Something that is said of an instruction's bytes.
type OfInsn = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Says of an instruction, by its bytes, whether a block has to end after it.
#[derive(Clone)]
pub struct BlockEnds(Arc<OfInsn>);

impl BlockEnds {
    /// After those of which this is true.
    #[must_use]
    pub fn after(is_last: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_last))
    }

    pub(crate) fn is_after(&self, insn: &[u8]) -> bool {
        (self.0)(insn)
    }
}

impl std::fmt::Debug for BlockEnds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockEnds").finish_non_exhaustive()
    }
}

/// The settings of an engine.
#[derive(Debug)]
pub struct EngineConfig {
    /// Which tiers may run.
    pub tier: Tier,
    /// By which addresses translations are found.
    pub addresses: Addresses,
    /// Whether probes of TLBs are counted.
    pub probes: Probes,
    /// Executions of a block after which the baseline compiler takes it, under [`Tier::Auto`]. That costs as much as
    /// interpreting it some hundred times. `None` is never; there is no such compiler for whole machines.
    pub baseline_threshold: Option<u32>,
    /// Executions of a block after which it is compiled, under [`Tier::Auto`]. Compiling costs as much
    /// as interpreting the same code some ten thousand times; fewer times where tier 0 is slow, so blocks that
    /// work on vectors get a part of this ([`ir::interp::Head::weight`]). What the baseline compiler made is executed twice as
    /// often before that.
    pub hot_threshold: u32,
    /// Whether CPUs can have observers.
    pub observation: Observation,
    /// Where blocks end at the latest.
    pub limits: Limits,
    /// After which instructions they end, too: for whoever observes blocks.
    pub ends: Option<BlockEnds>,
    /// Bytes of tier 0 code after which all of it is dropped.
    pub cache_bytes: usize,
    /// How often a page's translations may be invalidated by writes before the page is no longer
    /// protected, and its blocks are compared with memory at each execution instead.
    pub thrash_limit: u32,
    /// What is logged.
    pub log: LogItems,
    /// Where to.
    pub sink: LogSink,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            tier: Tier::Auto,
            addresses: Addresses::Virtual,
            probes: Probes::Uncounted,
            baseline_threshold: Some(50),
            hot_threshold: 16_000,
            observation: Observation::None,
            limits: Limits::default(),
            ends: None,
            cache_bytes: 256 << 20,
            thrash_limit: 64,
            log: LogItems::NONE,
            sink: LogSink::stderr(),
        }
    }
}

impl EngineConfig {
    /// How many executions of what the baseline compiler makes count as one by tier 0.
    const BASELINE_PART: u32 = 2;

    /// What observation demands of other settings.
    pub(crate) fn settled(mut self) -> Self {
        match self.observation {
            Observation::None => {}
            Observation::Instructions => {
                (self.tier, self.limits) = (Tier::Interp, Limits::STEP);
            }
            Observation::Compiled => {
                let compiler = if self.tier == Tier::Baseline { Tier::Baseline } else { Tier::Jit };
                (self.tier, self.limits) = (compiler, Limits::STEP);
            }
            Observation::Blocks if self.tier == Tier::Auto => self.tier = Tier::Jit,
            Observation::Blocks => {}
        }
        self
    }

    /// The budget that a new block gets.
    pub(crate) fn first_budget(&self) -> i32 {
        let executions = match self.tier {
            Tier::Auto => match self.baseline_threshold.filter(|_| self.has_baseline()) {
                Some(threshold) => threshold,
                None => self.hot_threshold,
            },
            Tier::Interp => return i32::MAX,
            Tier::Jit | Tier::Baseline => 0,
        };
        i32::try_from(executions).unwrap_or(i32::MAX)
    }

    /// Whether hot blocks are compiled by the baseline compiler first.
    pub(crate) fn has_baseline(&self) -> bool {
        let is_wanted = match self.tier {
            Tier::Auto => self.baseline_threshold.is_some(),
            Tier::Baseline => true,
            Tier::Interp | Tier::Jit => false,
        };
        is_wanted && self.addresses == Addresses::Virtual
    }

    /// Executions of a block of the baseline compiler, of weight 1, until it is hot.
    pub(crate) fn baseline_executions(&self) -> u32 {
        match self.tier {
            Tier::Baseline => u32::MAX,
            _ => self.hot_threshold.saturating_mul(Self::BASELINE_PART),
        }
    }
}
