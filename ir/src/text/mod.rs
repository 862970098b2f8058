//! The text form of blocks: complete, so that what is printed parses back to an equal block.
//!
//! ```text
//! block 0x10078/0x2 {
//!   insn 0x0 4
//!   a0 = add.i64 a1, a2
//!   insn 0x4 4
//!   %0 = load_s.i32 [sp + 8]
//!   fa0 = fadd.f64.rtz fa1, fa2
//!   %1 = fto_s.f64.i32.rtz fa0       // from f64 to i32
//!   %2 = call crc32(%1, 0xffff)
//!   branch %0, 0x10100, 0x10080      // taken, not taken
//! }
//! ```
//!
//! * The header has the pc and, if not zero, the key's flags. Where they do not follow from the
//!   operations, `bytes N`, `insns N` and `temps N` stand after it.
//! * `%N` is a temporary, a bare name a register slot, by its guest's name; `$N` is a slot that
//!   the guest has no name for, `#N` such a helper, and `_` an absent operand (neither is valid,
//!   but a broken block must print too).
//! * An operation's suffixes are its type (left out where it has only one), the second type of a
//!   conversion, rounding, and memory ordering unless plain.
//! * Blocks end with `jump PC`, `branch OPERAND, PC, PC`, `indirect OPERAND`, `trap NAME, PC` or
//!   `lookup PC`; jumps and indirect jumps may add `call PC` (to return to) or `return`.
//! * `//` starts a comment. Line breaks mean no more than spaces.

mod lex;
mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use parse::{ParseError, parse_block, parse_blocks};
pub use print::{DisplayBlock, DisplayInst};
