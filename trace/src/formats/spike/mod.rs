//! Spike, the RISC-V ISA simulator: its commit log (`--log-commits`), its log of instructions (`-l`), and both at once.
//! The lines are documented by what `riscv/execute.cc` and `riscv/processor.cc` of riscv-isa-sim print:
//!
//! * `core   0: 3 0x<pc> (0x<insn>) x5  0x<value> c768_mstatus 0x<value> mem 0x<addr> 0x<stored>` for an instruction that
//!   retired: the level of privilege, what it wrote, its loads without and its stores with a value. Instructions that
//!   trap have no such line. Vector writes follow `e<sew> m<lmul> l<vl>`.
//! * `core   0: 0x<pc> (0x<insn>) <text>` for an instruction that begins, if there is `-l`.
//! * `core   0: exception <name>, epc 0x<pc>` and `core   0:           tval 0x<value>` for a trap, if there is `-l`.
//! * `core   0: >>>>  <symbol>`, which is skipped, as are lines that do not begin with `core`: the program may write
//!   to the same terminal.

mod sink;
mod source;

pub(super) use sink::SpikeSink;
pub(super) use source::SpikeSource;

/// Exceptions as Spike names them, and their causes ("Machine Cause Register").
const EXCEPTIONS: [(&str, u64); 22] = [
    ("trap_instruction_address_misaligned", 0),
    ("trap_instruction_access_fault", 1),
    ("trap_illegal_instruction", 2),
    ("trap_breakpoint", 3),
    ("trap_load_address_misaligned", 4),
    ("trap_load_access_fault", 5),
    ("trap_store_address_misaligned", 6),
    ("trap_store_access_fault", 7),
    ("trap_user_ecall", 8),
    ("trap_supervisor_ecall", 9),
    ("trap_virtual_supervisor_ecall", 10),
    ("trap_machine_ecall", 11),
    ("trap_instruction_page_fault", 12),
    ("trap_load_page_fault", 13),
    ("trap_store_page_fault", 15),
    ("trap_double_trap", 16),
    ("trap_software_check", 18),
    ("trap_hardware_error", 19),
    ("trap_instruction_guest_page_fault", 20),
    ("trap_load_guest_page_fault", 21),
    ("trap_virtual_instruction", 22),
    ("trap_store_guest_page_fault", 23),
];
