//! Arm's A64, the application level ("Arm Architecture Reference Manual for A-profile architecture",
//! DDI 0487).

pub mod cpu;
pub mod debug;
pub mod feature;
pub mod fpcr;
pub mod helpers;
pub mod id;
pub mod key;
pub mod pstate;
pub mod slot;

pub use cpu::{CpuModel, CpuModelError};
