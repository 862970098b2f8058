//! Instruction cases: a few guest instructions, the state before and the state after, run by every
//! tier and by an independent oracle.
//!
//! * [`case`] is the text form (`testsuite/insn/<guest>/*.ins`).
//! * [`machine`] is where cases run: a page of data at a fixed address between pages that fault.
//! * [`tier`] are Ferry's ways to run one.
//! * [`oracle`] runs a batch of them under qemu-user.
//! * [`fuzz`] makes programs at random.
//! * [`generate`] makes cases from assembly text and what the oracle says.
//! * [`guest`] is what all of them know of a guest.

pub mod case;
pub mod fuzz;
pub mod generate;
pub mod guest;
pub mod machine;
pub mod oracle;
pub mod rng;
pub mod tier;
mod value;
