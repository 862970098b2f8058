//! RISC-V, 64-bit ("The RISC-V Instruction Set Manual", volumes I and II).

pub mod csr;
pub mod helpers;
pub mod slot;

pub use csr::{fcsr, set_fcsr};
