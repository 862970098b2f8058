//! What all text formats are read and written with.

mod lines;
mod scan;

pub(super) use lines::{Lines, Peeked, peek};
pub(super) use scan::Scan;
