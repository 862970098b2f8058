//! x86-64 Linux, LP64.

mod cpuinfo;
mod exception;
mod layout;
mod prctl;
mod signal;
mod vdso;
mod vsyscall;
mod xstate;

use std::sync::{Arc, OnceLock};

use arch::debug::{DebugRegisters, DebugValue};
use arch::x86_64::feature::{Feature, Word};
use arch::x86_64::slot::{self, gpr};
use arch::x86_64::{CpuModel, cpuid, debug};
use base::{CpuFrame, GuestVirt, RegSlot};
use runtime::Exit;
use syscalls::Errno;
use syscalls::x86_64::Sysno;
use translator::Frontend;

use super::{Abi, Architecture, CpuError, cpu_model};
use crate::clone::CloneRequest;
use crate::loader::vdso::VdsoSpec;
use crate::signal::{CpuException, SignalEntry, SignalReturn, Trap};
use crate::syscalls::{Args, Table};

const RAX: RegSlot = gpr(0);
const RCX: RegSlot = gpr(1);
const RDX: RegSlot = gpr(2);
const RBX: RegSlot = gpr(3);
const RSP: RegSlot = gpr(4);
const RBP: RegSlot = gpr(5);
const RSI: RegSlot = gpr(6);
const RDI: RegSlot = gpr(7);
/// The arguments of a system call, in order.
const ARGUMENTS: [RegSlot; 6] = [RDI, RSI, RDX, gpr(10), gpr(8), gpr(9)];
/// Bytes of the `syscall` instruction.
const SYSCALL_LEN: u64 = 2;
/// Bytes below the stack pointer that a function may use (x86-64 psABI, "The Stack Frame").
const RED_ZONE: u64 = 128;

/// x86-64.
pub(crate) const ARCHITECTURE: Architecture =
    Architecture { name: "x86_64", elf_machine: goblin::elf::header::EM_X86_64, syscalls, on_cpu };

fn syscalls() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        Table::new((0..Sysno::table_size()).map(|n| Sysno::new(n).map(|sysno| sysno.name())))
    })
}

fn on_cpu(model: Option<&str>) -> Result<Box<dyn Abi>, CpuError> {
    Ok(Box::new(X86_64 { cpu: cpu_model(model)? }))
}

/// The ABI of x86-64.
pub(crate) struct X86_64 {
    cpu: CpuModel,
}

impl Abi for X86_64 {
    fn architecture(&self) -> &'static Architecture {
        &ARCHITECTURE
    }

    fn frontend(&self) -> Arc<dyn Frontend> {
        Arc::new(translator::x86_64::Frontend::new(self.cpu))
    }

    fn syscall_arguments(&self, frame: &CpuFrame) -> (u64, Args) {
        // The number is an int, and none is negative.
        let number = u64::from(frame.get(RAX) as u32);
        (number, Args(ARGUMENTS.map(|slot| frame.get(slot))))
    }

    fn set_syscall_result(&self, frame: &mut CpuFrame, value: u64) {
        frame.set(RAX, value);
    }

    fn restart_syscall(&self, frame: &mut CpuFrame) {
        frame.pc = frame.pc.wrapping_sub(SYSCALL_LEN);
    }

    fn start_program(&self, frame: &mut CpuFrame, entry: GuestVirt, sp: GuestVirt) {
        arch::x86_64::reset(frame);
        frame.pc = entry.0;
        frame.set(RSP, sp.0);
    }

    fn debug_registers(&self) -> DebugRegisters {
        debug::user_registers()
    }

    fn read_debug_register(&self, frame: &CpuFrame, number: u32) -> Option<DebugValue> {
        debug::read_user(frame, number)
    }

    fn write_debug_register(&self, frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool {
        debug::write_user(frame, number, value)
    }

    fn stack_pointer(&self, frame: &CpuFrame) -> GuestVirt {
        GuestVirt(frame.get(RSP))
    }

    fn start_clone(&self, frame: &mut CpuFrame, request: &CloneRequest) {
        frame.set(RAX, 0);
        if let Some(sp) = request.stack {
            frame.set(RSP, sp.0);
        }
        if let Some(tls) = request.tls {
            frame.set(slot::FS_BASE, tls);
        }
    }

    /// Flags, stack, parent_tid, child_tid, tls.
    fn clone_request(&self, args: &Args) -> CloneRequest {
        CloneRequest::legacy(args.long(0), args.addr(1), args.addr(2), args.long(4), args.addr(3))
    }

    fn red_zone(&self) -> u64 {
        RED_ZONE
    }

    fn signal_frame_place(&self, stack: GuestVirt) -> GuestVirt {
        signal::frame_place(&self.cpu, stack)
    }

    fn enter_signal_handler(
        &self,
        frame: &mut CpuFrame,
        place: GuestVirt,
        entry: &SignalEntry,
    ) -> Result<(), Errno> {
        signal::enter(&self.cpu, frame, place, entry)
    }

    fn leave_signal_handler(&self, frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
        signal::leave(&self.cpu, frame)
    }

    fn retry(&self, frame: &mut CpuFrame, fault: &Exit) -> bool {
        vsyscall::retry(frame, fault)
    }

    fn exception(&self, frame: &mut CpuFrame, exit: &Exit, last: Trap) -> Option<CpuException> {
        exception::of(frame, exit, last)
    }

    fn arch_prctl(&self, frame: &mut CpuFrame, args: &Args) -> Result<u64, Errno> {
        prctl::arch_prctl(&self.cpu, frame, args)
    }

    fn has_low_mappings(&self) -> bool {
        true
    }

    fn vdso(&self) -> &'static VdsoSpec {
        &vdso::SPEC
    }

    fn sigreturn_symbol(&self) -> Option<&'static str> {
        None
    }

    /// EDX of CPUID's leaf 1.
    fn hwcap(&self) -> u64 {
        u64::from(cpuid::word(&self.cpu, Word::L1Edx))
    }

    fn hwcap2(&self) -> u64 {
        const HWCAP2_FSGSBASE: u64 = 1 << 1;
        if self.cpu.has(Feature::FSGSBASE) { HWCAP2_FSGSBASE } else { 0 }
    }

    fn platform(&self) -> Option<&'static str> {
        Some("x86_64")
    }

    fn min_signal_stack(&self) -> u64 {
        signal::stack_bytes(&self.cpu)
    }

    fn cpuinfo(&self, processors: usize) -> String {
        cpuinfo::text(&self.cpu, processors)
    }

    fn special_mappings(&self) -> &'static str {
        vsyscall::MAPPING
    }

    fn stat(&self, stat: &libc::stat) -> Vec<u8> {
        layout::stat(stat)
    }

    fn epoll_event_size(&self) -> u64 {
        layout::EPOLL_EVENT_SIZE
    }

    fn semid_ds(&self, status: &libc::semid_ds) -> Vec<u8> {
        layout::semid_ds(status)
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
        let name = |n| table.entry(n).map(|entry| entry.row.name);
        assert_eq!((name(0), name(231)), (Some("read"), Some("exit_group")));
        assert_eq!(name(0x4000_0000), None, "x32");
    }

    #[test]
    fn arguments_come_in_their_order() {
        let abi = on_cpu(None).unwrap();
        let mut frame = CpuFrame::new();
        for (n, slot) in [7_u8, 6, 2, 10, 8, 9].into_iter().enumerate() {
            frame.set(gpr(slot), 100 + n as u64);
        }
        frame.set(RAX, 0xffff_ffff_0000_0001);
        frame.pc = 0x40_1002;
        let (number, args) = abi.syscall_arguments(&frame);
        assert_eq!((number, args.0), (1, [100, 101, 102, 103, 104, 105]));
        abi.restart_syscall(&mut frame);
        assert_eq!((frame.pc, frame.get(RAX)), (0x40_1000, 0xffff_ffff_0000_0001));
    }

    #[test]
    fn a_clone_returns_zero_with_its_own_stack_and_thread_pointer() {
        let abi = on_cpu(None).unwrap();
        let mut frame = CpuFrame::new();
        abi.start_program(&mut frame, GuestVirt(0x40_0000), GuestVirt(0x7000));
        let args = Args([0x8_0000, 0x9000, 0, 0, 0x1234, 0]);
        frame.set(RAX, 56);
        abi.start_clone(&mut frame, &abi.clone_request(&args));
        assert_eq!((frame.get(RAX), frame.get(RSP)), (0, 0x9000));
        assert_eq!(frame.get(slot::FS_BASE), 0x1234);
    }

    #[test]
    fn programs_are_told_of_the_cpu() {
        let abi = on_cpu(Some("x86-64-v1")).unwrap();
        assert_eq!((abi.hwcap2(), abi.platform()), (0, Some("x86_64")));
        assert_eq!(abi.hwcap() & (1 << 26 | 1 << 25 | 1), 1 << 26 | 1 << 25 | 1);
        assert!(on_cpu(Some("cortex-a53")).is_err());
    }
}
