//! The A64 decoder against itself, against GNU objdump, and against an independent decoder.

mod objdump;
mod properties;
mod recorder;
mod yaxpeax;

use base::rng::Rng;

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u32 {
        self.0.bits() as u32
    }
}
