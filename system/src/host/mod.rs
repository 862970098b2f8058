//! What stands behind devices on the host. Here are the threads and the system calls; devices see
//! traits of their own.

pub mod block;
