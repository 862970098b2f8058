//! Options of `ferry run` and `ferry boot` alike: how code is run, and what is said of it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// The options.
#[derive(Args, Clone)]
pub(crate) struct ExecutionArgs {
    /// Which tiers run: interpret only, compile each block quickly, compile everything well, or what pays
    #[arg(long, value_enum, default_value_t = TierArg::Auto)]
    pub(crate) tier: TierArg,
    /// Print statistics at the end: text or json, for machines with `,tlb` to count TLB hits and time misses, which is slower
    #[arg(
        long,
        value_name = "FORMAT[,tlb]",
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
    Baseline,
    Jit,
}

impl From<TierArg> for runtime::Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::Auto => Self::Auto,
            TierArg::Interp => Self::Interp,
            TierArg::Baseline => Self::Baseline,
            TierArg::Jit => Self::Jit,
        }
    }
}

/// `--stats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StatsArg {
    pub(crate) format: StatsFormat,
    pub(crate) probes: Probes,
}

/// How statistics are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StatsFormat {
    Text,
    Json,
}

/// Whether probes of TLBs are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Probes {
    Counted,
    Uncounted,
}

impl FromStr for StatsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut stats = Self { format: StatsFormat::Text, probes: Probes::Uncounted };
        for word in text.split(',') {
            match word {
                "text" => stats.format = StatsFormat::Text,
                "json" => stats.format = StatsFormat::Json,
                "tlb" => stats.probes = Probes::Counted,
                _ => return Err(format!("'{word}': there are text, json and tlb")),
            }
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_have_a_format_and_may_count() {
        let stats = |text: &str| text.parse::<StatsArg>();
        let (format, probes) = (StatsFormat::Json, Probes::Counted);
        assert_eq!(stats("json,tlb"), Ok(StatsArg { format, probes }));
        let (format, probes) = (StatsFormat::Text, Probes::Counted);
        assert_eq!(stats("tlb"), Ok(StatsArg { format, probes }));
        assert!(stats("").is_err() && stats("text,tlbs").is_err());
    }
}
