//! Arm's A64, the application level ("Arm Architecture Reference Manual for A-profile architecture",
//! DDI 0487).

pub mod fpcr;
pub mod helpers;
pub mod slot;
