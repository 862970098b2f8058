//! The RISC-V decoder against itself, against the specification's own opcode tables, and against
//! GNU objdump.

mod hints_and_reserved;
mod objdump;
mod opcodes;
mod properties;
mod recorder;

use base::rng::Rng;

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u32 {
        self.0.bits() as u32
    }
}
