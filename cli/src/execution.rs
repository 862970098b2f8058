//! Options of `ferry run` and `ferry boot` alike: how code is run, and what is said of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The options.
#[derive(Args, Clone)]
pub(crate) struct ExecutionArgs {
    /// Which tiers run: interpret only, compile everything, or what pays
    #[arg(long, value_enum, default_value_t = TierArg::Auto)]
    pub(crate) tier: TierArg,
    /// Print statistics at the end
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text"
    )]
    pub(crate) stats: Option<StatsArg>,
    /// What to log: in_asm, ir, clif, out_asm, exec, cpu; of machines int (traps), mmu (TLBs: walks, faults,
    /// flushes)
    #[arg(short = 'd', value_name = "ITEMS", value_delimiter = ',')]
    pub(crate) log: Vec<String>,
    /// Where to log, instead of standard error
    #[arg(short = 'D', value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// `--tier`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierArg {
    Auto,
    Interp,
    Jit,
}

impl From<TierArg> for runtime::Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::Auto => Self::Auto,
            TierArg::Interp => Self::Interp,
            TierArg::Jit => Self::Jit,
        }
    }
}

/// `--stats`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsArg {
    Text,
    Json,
}
