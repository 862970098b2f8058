//! RISC-V, 64-bit ("The RISC-V Instruction Set Manual", volumes I and II).

pub mod slot;
