//! Ferry's intermediate representation: what decoded guest instructions mean, in a form that the
//! interpreter runs at once and the back end lowers to host code.
//!
//! * [`ops`] is the one table of operations, from which names, documentation, printer, parser and
//!   verifier come.
//! * [`Block`] is a translation block: straight-line operations with side exits, in SSA for
//!   temporaries, over the guest's register slots.
//! * [`Builder`] makes blocks; translators use it through [`Val`], a `Copy` handle with operators.
//! * [`text`] is their written form, [`mod@verify`] says which of them are valid, and [`eval`] what
//!   they do, with [`fold`], [`fp`] and [`status`] for what single operations compute.
//! * [`opt`] is the optimiser, for blocks that get compiled, to a [`Precision`].
//! * [`testing`] serves the tests of every layer that runs IR.
//!
//! It knows no guest and no host: a guest describes itself by a [`Guest`] value.

pub mod block;
pub mod builder;
pub mod eval;
pub mod fold;
pub mod fp;
pub mod guest;
pub mod interp;
pub mod lanes;
pub mod ops;
pub mod opt;
pub mod precision;
pub mod slot_set;
pub mod status;
pub mod testing;
pub mod text;
pub mod types;
pub mod verify;

pub use block::{Block, BlockKey, Hint, Inst, Operand, OperandKind, Terminator, Trap};
pub use builder::{Builder, Val};
pub use fp::FpOp;
pub use guest::{BadJumps, FpRules, Guest, SlotClass};
pub use ops::Opcode;
pub use precision::Precision;
pub use slot_set::SlotSet;
pub use types::{Condition, FpMode, FpRound, MemOrder, Type};
pub use verify::{VerifyError, verify, verify_debug};
