//! QEMU's log (`-D <file>`, "Invocation", `-d`) of `-one-insn-per-tb -d exec,cpu,nochain,in_asm`, with `fpu` for the
//! floating-point and vector registers and `int` for exceptions; with a whole machine `-accel tcg,one-insn-per-tb=on`, and
//! `-singlestep` before version 8.1. Where several CPUs run in threads of their own, their lines can be mixed beyond
//! repair: `-accel tcg,thread=single` keeps them apart.
//!
//! * `Trace <cpu>: <block> [<cs_base>/<pc>/<flags>/<cflags>] <symbol>` before each block, one field less in older
//!   versions. A dump of the registers as they are *before* the block follows: what an instruction wrote are the
//!   differences that the next dump of its CPU shows. The last instruction of each CPU, after which there is no dump, is
//!   left out.
//! * `IN:` and the text of a block's instructions, once, when the block is made. With more than one instruction in a
//!   block, the trace is refused.
//! * Of exceptions, with `int`: `riscv_cpu_do_interrupt: …`, `Taking exception …`, and on x86 a line with `v=`. Without
//!   `int`, instructions that trap cannot be told from others.
//! * `Stopped execution of TB chain before …`: the block did not run after all.
//!
//! Other lines, of which there are many kinds, are skipped. The pending bits of `mip` come from devices rather than from
//! instructions: they are left out.

mod blocks;
mod dump;
mod exception;
mod source;

pub(super) use source::QemuSource;
