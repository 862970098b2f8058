//! RISC-V 64 Linux, LP64D.

use std::sync::OnceLock;

use arch::riscv64::slot::x;
use base::{CpuFrame, RegSlot};
use syscalls::riscv64::Sysno;

use super::Abi;
use crate::syscalls::{Args, Table};

/// The stack pointer.
pub(crate) const SP: RegSlot = x(2);
/// First argument and result.
pub(crate) const A0: RegSlot = x(10);
/// System-call number.
pub(crate) const A7: RegSlot = x(17);
/// Bytes of the `ecall` instruction.
const ECALL_LEN: u64 = 4;

/// The ABI of RISC-V 64.
pub(crate) struct Riscv64;

impl Abi for Riscv64 {
    fn name(&self) -> &'static str {
        "riscv64"
    }

    fn elf_machine(&self) -> u16 {
        goblin::elf::header::EM_RISCV
    }

    fn syscalls(&self) -> &'static Table {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            let names = (0..Sysno::table_size()).map(|n| Sysno::new(n).map(|sysno| sysno.name()));
            Table::new(names)
        })
    }

    fn syscall_arguments(&self, frame: &CpuFrame) -> (u64, Args) {
        let arg = |n: u16| frame.get(RegSlot(A0.0 + n));
        (frame.get(A7), Args([arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)]))
    }

    fn set_syscall_result(&self, frame: &mut CpuFrame, value: u64) {
        frame.set(A0, value);
    }

    fn restart_syscall(&self, frame: &mut CpuFrame) {
        frame.pc = frame.pc.wrapping_sub(ECALL_LEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_call_has_a_row() {
        let table = Riscv64.syscalls();
        let missing: Vec<_> = (0..Sysno::table_size())
            .filter_map(Sysno::new)
            .filter(|sysno| table.entry(sysno.id() as u64).is_none())
            .map(|sysno| sysno.name())
            .collect();
        assert!(missing.is_empty(), "no row for {missing:?}");
        assert!(table.entry(u64::MAX).is_none());
        assert_eq!(table.entry(64).map(|entry| entry.row.name), Some("write"));
    }

    #[test]
    fn arguments_come_from_a0_to_a5_and_the_number_from_a7() {
        let mut frame = CpuFrame::new();
        (0..8).for_each(|n| frame.set(RegSlot(A0.0 + n), 100 + u64::from(n)));
        let (number, args) = Riscv64.syscall_arguments(&frame);
        assert_eq!((number, args.0), (107, [100, 101, 102, 103, 104, 105]));
        Riscv64.set_syscall_result(&mut frame, 7);
        assert_eq!(frame.get(A0), 7);
    }
}
