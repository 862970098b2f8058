//! Arm's Tarmac, of AArch64, in both of its flavours: what Fast Models write ("Fast Models Reference Guide", TarmacTrace
//! plug-in), and what simulations of processors do ("Tarmac Trace Utilities" read both). A line is an optional time
//! (`17 clk`, `17000 ps`), an optional CPU, a kind, and what the kind says; it belongs to the last instruction before it.
//!
//! * `IT (<count>) <pc>[:<physical>] <insn> O EL1h_n : <text>`; `IS` for one whose condition failed.
//! * `ES (<pc>:<insn>) O el1h_ns: <text>`
//! * `R X0 <value>`, `R cpsr <value>`, `R SP_EL1 <value>`, `R V0<127:64> <value>`
//! * `MR4 <addr>[:<physical>] <value>`, `MW8 …`, and in other flavours `R04 …`, `W08 …`
//! * `LD <addr> <16 bytes, the last one first>`, `ST …`, with `..` for bytes that were not accessed and `##` for unknown
//!   ones. A second line may lack the kind.
//! * `E <handler> <number> CoreEvent_<name>` and `EXC …` for exceptions.
//!
//! Other kinds (signals, caches, table walks, branches) are skipped. Instructions of A32 and T32 (`A`, `T` instead of
//! `O`) are refused.

mod line;
mod sink;
mod source;
mod value;

pub(super) use line::is_first_line;
pub(super) use sink::TarmacSink;
pub(super) use source::TarmacSource;
