//! What differs between guest architectures in Linux user mode: one folder each.

pub(crate) mod riscv64;

use base::CpuFrame;

use crate::syscalls::{Args, Table};

/// A guest architecture's side of the Linux ABI.
pub(crate) trait Abi: Sync {
    /// As Ferry names it, and `uname -m`.
    fn name(&self) -> &'static str;

    /// `e_machine` of its ELF files.
    fn elf_machine(&self) -> u16;

    /// Its system calls by number.
    fn syscalls(&self) -> &'static Table;

    /// The number and arguments of the system call that the CPU has just executed.
    fn syscall_arguments(&self, frame: &CpuFrame) -> (u64, Args);

    /// Writes a system call's result (a negated error number in case of failure).
    fn set_syscall_result(&self, frame: &mut CpuFrame, value: u64);

    /// Prepares the registers and pc so that the CPU executes the same system call again. The
    /// argument registers must not have been changed since [`Abi::syscall_arguments`].
    fn restart_syscall(&self, frame: &mut CpuFrame);
}

/// Every guest architecture.
pub(crate) const ALL: &[&dyn Abi] = &[&riscv64::Riscv64];

/// The architecture of that name.
pub(crate) fn by_name(name: &str) -> Option<&'static dyn Abi> {
    ALL.iter().copied().find(|abi| abi.name() == name)
}
