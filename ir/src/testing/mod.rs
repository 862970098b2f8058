//! For the tests of every layer that runs IR: a guest that is no real one, whose every register
//! and helper is chosen for what it can reveal.

mod guest;

pub use guest::{GUEST, helper_id};
