//! Random instructions of x86-64.
