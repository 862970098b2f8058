//! RISC-V 64 Linux, LP64D.

mod cpu;
mod hwprobe;
mod vdso;

use std::sync::{Arc, OnceLock};

use arch::riscv64::slot::{self, x};
use base::{CpuFrame, GuestVirt, RegSlot};
use decoders::riscv64::ExtensionSet;
use syscalls::riscv64::Sysno;
use translator::Frontend;

use super::{Abi, Architecture};
use crate::loader::vdso::VdsoSpec;
use crate::syscalls::{Args, Table};

/// The stack pointer.
pub(crate) const SP: RegSlot = x(2);
/// First argument and result.
pub(crate) const A0: RegSlot = x(10);
/// System-call number.
pub(crate) const A7: RegSlot = x(17);
/// Bytes of the `ecall` instruction.
const ECALL_LEN: u64 = 4;
/// `struct rt_sigframe` without vector state: 128 bytes of siginfo and 960 of ucontext.
const SIGNAL_FRAME: u64 = 1088;

/// RISC-V 64.
pub(crate) const ARCHITECTURE: Architecture = Architecture {
    name: "riscv64",
    elf_machine: goblin::elf::header::EM_RISCV,
    syscalls,
    on_cpu: |model| Ok(Box::new(Riscv64 { extensions: cpu::parse(model)? })),
};

fn syscalls() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        Table::new((0..Sysno::table_size()).map(|n| Sysno::new(n).map(|sysno| sysno.name())))
    })
}

/// The ABI of RISC-V 64.
pub(crate) struct Riscv64 {
    extensions: ExtensionSet,
}

impl Abi for Riscv64 {
    fn architecture(&self) -> &'static Architecture {
        &ARCHITECTURE
    }

    fn frontend(&self) -> Arc<dyn Frontend> {
        Arc::new(translator::riscv64::Frontend::new(self.extensions))
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

    fn start_program(&self, frame: &mut CpuFrame, entry: GuestVirt, sp: GuestVirt) {
        frame.pc = entry.0;
        frame.set(SP, sp.0);
        frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    }

    fn vdso(&self) -> &'static VdsoSpec {
        &vdso::SPEC
    }

    fn hwcap(&self) -> u64 {
        cpu::hwcap(self.extensions)
    }

    fn min_signal_stack(&self) -> u64 {
        SIGNAL_FRAME
    }

    fn cpuinfo(&self, processors: usize) -> String {
        cpu::cpuinfo(self.extensions, processors)
    }

    fn hardware_probe(&self, key: i64) -> Option<u64> {
        hwprobe::value(key, self.extensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_call_has_a_row() {
        let table = syscalls();
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
        let abi = (ARCHITECTURE.on_cpu)("").unwrap();
        let mut frame = CpuFrame::new();
        (0..8).for_each(|n| frame.set(RegSlot(A0.0 + n), 100 + u64::from(n)));
        let (number, args) = abi.syscall_arguments(&frame);
        assert_eq!((number, args.0), (107, [100, 101, 102, 103, 104, 105]));
        abi.set_syscall_result(&mut frame, 7);
        assert_eq!(frame.get(A0), 7);
    }
}
