//! QEMU's plugin `execlog` ("QEMU TCG Plugins", Execution Log): for each instruction a line
//! `<cpu>, 0x<pc>, 0x<opcode>, "<text>"[, load|store, 0x<addr>[, <device>]]*[, <register> -> 0x<value>]*`.
//!
//! * Lines of several CPUs interleave. The plugin prints a line when the CPU's next instruction begins, so that the
//!   changes of registers on it are those of its own instruction.
//! * Which registers are shown, if any, was chosen by the plugin's `reg=`, and the line does not say so: that a register is
//!   absent means nothing. The first instruction of a CPU seems to change what its reset changed, too; flags and
//!   control registers are left out there.
//! * The opcode is a number of the first 4 bytes, without leading zeros. Versions before 9.1 show unrelated bytes after the
//!   end of a shorter one; of x86 instructions then only the first byte is certain. Version 9.0 also shows one
//!   byte too many before values of registers.
//! * With a whole machine, addresses are physical and a device follows; of programs they are virtual.
//! * An instruction that traps has a line, too, which does not say that it does.
//! * On x86, `eflags` lacks the condition flags, which QEMU computes only when it needs them: it is left out.

mod sink;
mod source;

pub(super) use sink::ExeclogSink;
pub(super) use source::ExeclogSource;
