//! x86-64.
fn main() {}
