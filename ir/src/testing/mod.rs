//! For the tests of every layer that runs IR: a guest that is no real one, whose every register
//! and helper is chosen for what it can reveal; memory for it; and blocks out of nothing, of which
//! any two engines must think the same.

mod generate;
mod guest;
mod reference;
mod sandbox;

pub use generate::{Choices, block};
pub use guest::{ARM_GUEST, GUEST, X86_GUEST, helper_id};
pub use reference::{Outcome, outcome, outcome_of_all};
pub use sandbox::Sandbox;
