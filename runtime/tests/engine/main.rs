//! The engine as its users see it, on RISC-V code in real memory.

mod basics;
mod code_changes;
mod eviction;
mod fork;
mod guest;
mod machine;
mod machine_code;
mod observation;
mod promotion;
mod threads;
