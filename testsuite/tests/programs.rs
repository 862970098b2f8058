//! The suite is filled in next.
fn main() {}
