//! What speaks gdb's remote protocol, as an execution ("Debugging with GDB", appendix "Remote Protocol").

mod connection;
mod description;
mod files;
mod interest;
mod machine;
mod remote;
mod stub;

pub use remote::Remote;
pub use stub::Stub;
