//! What an engine has done.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident, $label:literal;)*) => {
        /// Counters of an engine, added up over its CPUs.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        /// One CPU's counters, or those that belong to none. Written by one thread, or rarely.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            /// Adds them to a sum.
            pub(crate) fn add_to(&self, sum: &mut Stats) {
                $(sum.$name += self.$name.get();)*
            }

            /// Adds a sum to them.
            pub(crate) fn absorb(&self, sum: &Stats) {
                $(self.$name.add_shared(sum.$name);)*
            }
        }

        impl fmt::Display for Stats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>16}  {}", self.$name, $label)?;)*
                Ok(())
            }
        }
    };
}

counters! {
    /// Guest instructions that tier 0 completed.
    interpreted_insns, "guest instructions interpreted";
    /// Guest instructions that compiled code completed, if they are counted.
    compiled_insns, "guest instructions run compiled";
    /// Blocks translated for tier 0.
    translated_blocks, "blocks translated";
    /// Guest instructions in these.
    translated_insns, "guest instructions translated";
    /// Bytes of tier 0 code.
    translated_bytes, "bytes of tier 0 code";
    /// Blocks of a whole machine that its jump cache knew when the execution loop asked.
    jumps_known, "blocks known to the jump cache";
    /// Look-ups in the block cache that found a block.
    cache_hits, "block cache hits";
    /// Look-ups that found none.
    cache_misses, "block cache misses";
    /// Exits linked to the next block.
    links, "block exits linked";
    /// Blocks compiled by the baseline compiler.
    baseline_blocks, "blocks of baseline code";
    /// Bytes of host code in these.
    baseline_bytes, "bytes of baseline code";
    /// Nanoseconds spent on these.
    baseline_nanos, "nanoseconds compiling baseline code";
    /// Blocks reported as hot.
    promotions, "blocks promoted";
    /// Regions compiled.
    regions, "regions compiled";
    /// Guest instructions in these.
    region_insns, "guest instructions in regions";
    /// Bytes of host code in these.
    region_bytes, "bytes of host code";
    /// Nanoseconds spent compiling, on all threads together.
    compile_nanos, "nanoseconds compiling";
    /// Regions given up to make room for others.
    evicted_regions, "regions evicted";
    /// Times that compiled code was entered.
    compiled_entries, "entries to compiled code";
    /// Faults in compiled code that were replayed.
    replays, "replays after a fault";
    /// Writes to pages with translations.
    code_writes, "writes to translated pages";
    /// Blocks dropped because their code changed, or its mapping did.
    invalidated_blocks, "blocks invalidated";
    /// Compiled regions dropped for the same reasons.
    invalidated_regions, "regions invalidated";
    /// Blocks compared with memory before they ran.
    validations, "blocks compared with memory";
    /// Times that all of tier 0's code was dropped because there was too much of it.
    flushes, "block cache flushes";
}

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, as the only thread that does.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.get().wrapping_add(count), Ordering::Relaxed);
    }

    /// Adds, as one of several threads.
    pub(crate) fn add_shared(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_print_one_a_line() {
        let (one, two) = (Counters::default(), Counters::default());
        one.links.add(3);
        two.links.add_shared(4);
        let mut sum = Stats::default();
        one.add_to(&mut sum);
        two.add_to(&mut sum);
        assert_eq!(sum, Stats { links: 7, ..Stats::default() });
        two.absorb(&sum);
        assert_eq!(two.links.get(), 11);
        assert!(sum.to_string().contains("               7  block exits linked\n"), "{sum}");
    }
}
