//! RISC-V, 64-bit ("The RISC-V Instruction Set Manual", volumes I and II).

pub mod cpu;
pub mod csr;
pub mod debug;
pub mod feature;
pub mod helpers;
pub mod privileged;
pub mod slot;

pub use cpu::{CpuModel, CpuModelError};
pub use csr::{fcsr, set_fcsr};
