//! Compares two executions event by event, and says where they part.
//!
//! It knows traces, and what of an instruction's results an architecture leaves open. It must never know how
//! either execution came about.
//!
//! * [`Comparison`] takes a reference and a subject, both an [`Execution`], and finds the first [`Divergence`].
//! * What only one side carries is unknown to the other, and no difference.
//! * [`report`] words a verdict for people (text) and machines (JSON, JUnit).

mod blocks;
mod compare;
mod divergence;
pub mod guest;
mod memory;
pub mod report;
mod side;
mod state;

pub use compare::{Comparison, Counts, Error, Options, Verdict};
pub use divergence::{Difference, Divergence, Guilty, Pair};
pub use side::{Execution, Mapping, Recorded, State};
pub use state::Registers;
