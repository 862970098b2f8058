//! RVFI-DII ("RVFI-DII Specification" of TestRIG, `RVFI-DII.md`): packets of an instruction to be executed, and of what
//! an instruction did. The second version of the latter is as the Sail model of RISC-V has it (`rvfi_dii.sail`). All
//! numbers are little-endian.

mod packet;
mod source;

pub use packet::{
    Command, ExecutionPacket, InstructionPacket, Malformed, MemoryData, RegisterData,
};
pub(super) use source::{RvfiSource, is_beginning};
