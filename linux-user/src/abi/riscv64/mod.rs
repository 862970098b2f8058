//! RISC-V 64 Linux, LP64D.

mod signal;
mod vdso;

use std::sync::{Arc, OnceLock};

use arch::debug::{DebugRegisters, DebugValue};
use arch::riscv64::slot::{self, x};
use arch::riscv64::{CpuModel, debug};
use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;
use syscalls::riscv64::Sysno;
use translator::Frontend;

use super::{Abi, Architecture, CpuError, cpu_model};
use crate::clone::CloneRequest;
use crate::loader::vdso::VdsoSpec;
use crate::signal::{SignalEntry, SignalReturn};
use crate::syscalls::{Args, Table};
use crate::window;

/// The stack pointer.
pub(crate) const SP: RegSlot = x(2);
/// The thread pointer.
const TP: RegSlot = x(4);
/// First argument and result.
pub(crate) const A0: RegSlot = x(10);
/// System-call number.
pub(crate) const A7: RegSlot = x(17);
/// Bytes of the `ecall` instruction.
const ECALL_LEN: u64 = 4;

/// RISC-V 64.
pub(crate) const ARCHITECTURE: Architecture =
    Architecture { name: "riscv64", elf_machine: goblin::elf::header::EM_RISCV, syscalls, on_cpu };

fn syscalls() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        Table::new((0..Sysno::table_size()).map(|n| Sysno::new(n).map(|sysno| sysno.name())))
    })
}

fn on_cpu(model: Option<&str>) -> Result<Box<dyn Abi>, CpuError> {
    Ok(Box::new(Riscv64 { cpu: cpu_model(model)? }))
}

/// The ABI of RISC-V 64.
pub(crate) struct Riscv64 {
    cpu: CpuModel,
}

impl Abi for Riscv64 {
    fn architecture(&self) -> &'static Architecture {
        &ARCHITECTURE
    }

    fn frontend(&self) -> Arc<dyn Frontend> {
        Arc::new(translator::riscv64::Frontend::new(self.cpu))
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

    fn debug_registers(&self) -> DebugRegisters {
        debug::user_registers()
    }

    fn read_debug_register(&self, frame: &CpuFrame, number: u32) -> Option<DebugValue> {
        debug::read_user(frame, number).map(DebugValue::from)
    }

    fn write_debug_register(&self, frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool {
        debug::write_user(frame, number, value.low())
    }

    fn stack_pointer(&self, frame: &CpuFrame) -> GuestVirt {
        GuestVirt(frame.get(SP))
    }

    fn start_clone(&self, frame: &mut CpuFrame, request: &CloneRequest) {
        frame.set(A0, 0);
        frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
        if let Some(sp) = request.stack {
            frame.set(SP, sp.0);
        }
        if let Some(tls) = request.tls {
            frame.set(TP, tls);
        }
    }

    /// `CLONE_BACKWARDS`: flags, stack, parent_tid, tls, child_tid.
    fn clone_request(&self, args: &Args) -> CloneRequest {
        CloneRequest::legacy(args.long(0), args.addr(1), args.addr(2), args.long(3), args.addr(4))
    }

    fn has_sa_restorer(&self) -> bool {
        false
    }

    fn prctl(&self, _: &mut CpuFrame, args: &Args) -> Option<Result<u64, Errno>> {
        const PR_RISCV_SET_ICACHE_FLUSH_CTX: i32 = 71;
        // Translations follow `fence.i` on whatever thread it runs.
        let is_known = args.long(1) <= 1 && args.long(2) <= 1;
        (args.int(0) == PR_RISCV_SET_ICACHE_FLUSH_CTX).then_some(if is_known {
            Ok(0)
        } else {
            Err(Errno::EINVAL)
        })
    }

    /// As on most machines, which have Sv39 only: AddressSanitizer and ThreadSanitizer know where
    /// things are there. Higher addresses are for those who ask for them.
    fn stack_top(&self) -> GuestVirt {
        GuestVirt(1 << 38)
    }

    fn signal_frame_place(&self, stack: GuestVirt) -> GuestVirt {
        signal::frame_place(stack)
    }

    fn enter_signal_handler(
        &self,
        frame: &mut CpuFrame,
        place: GuestVirt,
        entry: &SignalEntry,
    ) -> Result<(), Errno> {
        signal::enter(frame, place, entry)
    }

    fn leave_signal_handler(&self, frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
        signal::leave(frame)
    }

    fn vdso(&self) -> &'static VdsoSpec {
        &vdso::SPEC
    }

    fn hwcap(&self) -> u64 {
        self.cpu.hwcap()
    }

    fn min_signal_stack(&self) -> u64 {
        signal::FRAME_BYTES
    }

    fn cpuinfo(&self, processors: usize) -> String {
        let isa = self.cpu.isa_string();
        let identity = "mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0";
        let processor = |n| {
            format!(
                "processor\t: {n}\nhart\t\t: {n}\nisa\t\t: {isa}\nmmu\t\t: sv48\n\
                 {identity}\nhart isa\t: {isa}\n\n"
            )
        };
        (0..processors).map(processor).collect()
    }

    fn hardware_probe(&self, key: i64) -> Option<u64> {
        self.cpu.hwprobe(key, GuestVirt(window::END.0 - 1))
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
        let abi = (ARCHITECTURE.on_cpu)(None).unwrap();
        let mut frame = CpuFrame::new();
        (0..8).for_each(|n| frame.set(RegSlot(A0.0 + n), 100 + u64::from(n)));
        let (number, args) = abi.syscall_arguments(&frame);
        assert_eq!((number, args.0), (107, [100, 101, 102, 103, 104, 105]));
        abi.set_syscall_result(&mut frame, 7);
        assert_eq!(frame.get(A0), 7);
    }
}
