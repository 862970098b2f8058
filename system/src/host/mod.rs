//! What stands behind devices on the host. Only here are threads, files and terminals known.

pub mod block;
pub mod chars;
pub mod entropy;
pub mod flash;
pub mod net;
