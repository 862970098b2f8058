//! RVVI-TEXT, version 0.1 (`RVVI-TEXT/README.md` of riscv-verification/RVVI): elements of a key and values, in lines that are
//! the clock's ticks: `HART 0 ORDER 7 RET <pc> <insn> MODE 3 X 4 <value> C 300 <value>`; `TRAP` for what did not retire.
//! `'comments'` stand anywhere, `\` at the end continues a line.
//!
//! * `ORDER` counts up by itself and is there where it does not. `MODE` holds until it changes.
//! * Data belongs to the `RET` or `TRAP` of its line, also if it stands before the line's first one.
//! * The format has no memory accesses. Ours stand in `META` elements, which are the vendor's own:
//!   `META 4 LOAD <addr> <size> <value>`, `META 4 STORE …`, `META 3 TRAP <cause> <value>`, `META 1 UNFETCHED` for a trap
//!   without an instruction. Any of the values can be `unknown`.

mod sink;
mod source;

pub(super) use sink::RvviSink;
pub(super) use source::RvviSource;

/// As which we know our own traces.
const VENDOR: &str = "Ferry";
/// What stands for a value that is not known.
const UNKNOWN: &str = "unknown";

/// `mcause`, `scause`, `vscause`
const CAUSES: [u16; 3] = [0x342, 0x142, 0x242];
/// `mtval`, `stval`, `vstval`
const TRAP_VALUES: [u16; 3] = [0x343, 0x143, 0x243];
