//! AArch64 Linux, LP64.

mod authentication;
mod open;
mod prctl;
mod signal;
mod stack;
mod tags;
mod vdso;

use std::sync::{Arc, OnceLock};

use arch::aarch64::feature::{Feature, HwcapWord};
use arch::aarch64::id::COUNTER_HZ;
use arch::aarch64::slot::{self, x};
use arch::aarch64::{CpuModel, debug, key, pstate};
use arch::debug::{DebugRegisters, DebugValue};
use base::{CpuFrame, GuestVirt, RegSlot};
use runtime::Exit;
use syscalls::Errno;
use syscalls::aarch64::Sysno;
use translator::Frontend;

use super::{Abi, Architecture, CpuError, cpu_model};
use crate::clone::CloneRequest;
use crate::loader::elf::{FEATURE_1_AND, Properties};
use crate::loader::vdso::VdsoSpec;
use crate::memory::vma::Prot;
use crate::signal::{ILL_ILLOPN, SignalEntry, SignalReturn};
use crate::syscalls::{Args, Table};
use crate::window;

/// First argument and result.
const X0: RegSlot = x(0);
/// System-call number.
const X8: RegSlot = x(8);
/// Bytes of the `svc` instruction.
const SVC_LEN: u64 = 4;

/// AArch64.
pub(crate) const ARCHITECTURE: Architecture = Architecture {
    name: "aarch64",
    elf_machine: goblin::elf::header::EM_AARCH64,
    syscalls,
    on_cpu,
};

fn syscalls() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new((0..Sysno::table_size()).map(name)))
}

/// The kernel's name of a system call.
fn name(number: usize) -> Option<&'static str> {
    /// Calls with 64-bit times, which only 32-bit architectures need.
    const TIME64: std::ops::RangeInclusive<usize> = 403..=423;
    if TIME64.contains(&number) {
        return None;
    }
    Sysno::new(number).map(|sysno| match sysno {
        Sysno::fstatat => "newfstatat",
        sysno => sysno.name(),
    })
}

fn on_cpu(model: Option<&str>) -> Result<Box<dyn Abi>, CpuError> {
    Ok(Box::new(Aarch64 { cpu: cpu_model(model)? }))
}

/// The ABI of AArch64.
pub(crate) struct Aarch64 {
    cpu: CpuModel,
}

impl Abi for Aarch64 {
    fn architecture(&self) -> &'static Architecture {
        &ARCHITECTURE
    }

    fn frontend(&self) -> Arc<dyn Frontend> {
        Arc::new(translator::aarch64::Frontend::new(self.cpu))
    }

    fn syscall_arguments(&self, frame: &CpuFrame) -> (u64, Args) {
        // The number is an int.
        let number = u64::from(frame.get(X8) as u32);
        (number, Args(std::array::from_fn(|n| frame.get(x(n as u8)))))
    }

    fn set_syscall_result(&self, frame: &mut CpuFrame, value: u64) {
        frame.set(X0, value);
    }

    fn restart_syscall(&self, frame: &mut CpuFrame) {
        frame.pc = frame.pc.wrapping_sub(SVC_LEN);
    }

    fn start_program(&self, frame: &mut CpuFrame, entry: GuestVirt, sp: GuestVirt) {
        frame.pc = entry.0;
        key::set_sp(frame, sp.0);
        frame.set(slot::SSBS, u64::from(self.cpu.has(Feature::SSBS)));
        frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
        prctl::reset_keys(frame, prctl::ALL_KEYS);
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
        GuestVirt(frame.get(slot::SP))
    }

    fn start_clone(&self, frame: &mut CpuFrame, request: &CloneRequest) {
        frame.set(X0, 0);
        frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
        if let Some(sp) = request.stack {
            key::set_sp(frame, sp.0);
        }
        if let Some(tls) = request.tls {
            frame.set(slot::TPIDR_EL0, tls);
            frame.set(slot::TPIDR2_EL0, 0);
        }
    }

    /// `CLONE_BACKWARDS`: flags, stack, parent_tid, tls, child_tid.
    fn clone_request(&self, args: &Args) -> CloneRequest {
        CloneRequest::legacy(args.long(0), args.addr(1), args.addr(2), args.long(3), args.addr(4))
    }

    /// Above 2^46, so that AddressSanitizer takes addresses to have 47 bits and finds its own allocator among them.
    fn stack_top(&self) -> GuestVirt {
        window::END
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
        signal::enter(frame, place, entry)?;
        if self.cpu.has(Feature::BTI) {
            pstate::called_indirectly(frame);
        }
        Ok(())
    }

    fn leave_signal_handler(&self, frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
        signal::leave(frame)
    }

    fn retry(&self, frame: &mut CpuFrame, fault: &Exit) -> bool {
        tags::retry(frame, fault) || stack::retry(frame, fault)
    }

    fn explain(&self, frame: &CpuFrame, exit: Exit) -> Exit {
        if authentication::has_failed(frame, &exit) {
            return Exit::System;
        }
        tags::untold(frame, exit)
    }

    /// `do_el0_fpac` in `arch/arm64/kernel/traps.c`.
    fn left_code(&self) -> i32 {
        ILL_ILLOPN
    }

    fn more_protections(&self) -> u32 {
        if self.cpu.has(Feature::BTI) { Prot::GUARDED } else { 0 }
    }

    /// `arch_elf_adjust_prot` in `arch/arm64/kernel/process.c`.
    fn code_protections(&self, properties: &Properties) -> Prot {
        const GNU_PROPERTY_AARCH64_FEATURE_1_BTI: u32 = 1;
        let features = properties.word(FEATURE_1_AND).unwrap_or(0);
        let is_marked = features & GNU_PROPERTY_AARCH64_FEATURE_1_BTI != 0;
        Prot(if is_marked { self.more_protections() } else { 0 })
    }

    /// The kernel reports the address of the access.
    fn misaligned_address(&self, _pc: GuestVirt, addr: GuestVirt) -> GuestVirt {
        addr
    }

    fn ignored_address_bits(&self) -> u32 {
        tags::BITS
    }

    fn prctl(&self, frame: &mut CpuFrame, args: &Args) -> Option<Result<u64, Errno>> {
        prctl::prctl(&self.cpu, frame, args)
    }

    fn vdso(&self) -> &'static VdsoSpec {
        &vdso::SPEC
    }

    /// Every function that is called indirectly begins with a landing pad; to the one that returns from signal handlers
    /// they come by RET.
    fn vdso_protections(&self) -> u32 {
        self.more_protections()
    }

    fn sigreturn_symbol(&self) -> Option<&'static str> {
        Some("__kernel_rt_sigreturn")
    }

    fn hwcap(&self) -> u64 {
        self.cpu.hwcap(HwcapWord::Hwcap)
    }

    fn hwcap2(&self) -> u64 {
        self.cpu.hwcap(HwcapWord::Hwcap2)
    }

    fn hwcap3(&self) -> Option<u64> {
        Some(self.cpu.hwcap(HwcapWord::Hwcap3))
    }

    fn platform(&self) -> Option<&'static str> {
        Some("aarch64")
    }

    fn min_signal_stack(&self) -> u64 {
        signal::STACK_BYTES
    }

    fn min_altstack(&self) -> u64 {
        5120
    }

    /// As `arch/arm64/kernel/cpuinfo.c` prints it.
    fn cpuinfo(&self, processors: usize) -> String {
        /// The kernel's measure of speed, which on this architecture is the counter's.
        const BOGOMIPS: u64 = COUNTER_HZ / 500_000;
        let features: String =
            self.cpu.hwcaps().iter().map(|hwcap| format!(" {}", hwcap.name)).collect();
        let midr = self.cpu.midr();
        let identity = format!(
            "CPU implementer\t: {:#04x}\nCPU architecture: 8\nCPU variant\t: {:#x}\n\
             CPU part\t: {:#05x}\nCPU revision\t: {}",
            midr >> 24,
            midr >> 20 & 0xf,
            midr >> 4 & 0xfff,
            midr & 0xf
        );
        let processor = |n| {
            format!(
                "processor\t: {n}\nBogoMIPS\t: {BOGOMIPS}.00\nFeatures\t:{features}\n{identity}\n\n"
            )
        };
        (0..processors).map(processor).collect()
    }

    fn open_flags_to_host(&self, flags: i32) -> i32 {
        open::to_host(flags)
    }

    fn open_flags_from_host(&self, flags: i32) -> i32 {
        open::from_host(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_call_has_a_row() {
        let table = syscalls();
        let missing: Vec<_> = (0..Sysno::table_size())
            .filter_map(|number| Some((number, name(number)?)))
            .filter(|(number, _)| table.entry(*number as u64).is_none())
            .collect();
        assert!(missing.is_empty(), "no row for {missing:?}");
    }

    #[test]
    fn numbers_are_the_kernels() {
        let name = |n| syscalls().entry(n).map(|entry| entry.row.name);
        assert_eq!(name(56), Some("openat"));
        assert_eq!(name(139), Some("rt_sigreturn"));
        assert_eq!(name(220), Some("clone"));
        assert_eq!(name(79), Some("newfstatat"));
        assert_eq!(name(244), None, "where other architectures have their own calls");
        assert_eq!((name(403), name(424)), (None, Some("pidfd_send_signal")));
    }

    #[test]
    fn programs_are_told_of_the_cpu() {
        let abi = on_cpu(Some("cortex-a53")).unwrap();
        assert_eq!((abi.hwcap(), abi.hwcap2(), abi.hwcap3()), (0x8ff, 0, Some(0)));
        let text = abi.cpuinfo(2);
        let expected = "processor\t: 1\nBogoMIPS\t: 2000.00\n\
                        Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n\
                        CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n\
                        CPU part\t: 0xd03\nCPU revision\t: 4\n\n";
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(text.matches("processor").count(), 2);
        assert!(on_cpu(Some("rv64gc")).is_err());
    }

    #[test]
    fn a_clone_returns_zero_with_its_own_stack_and_thread_pointer() {
        let abi = on_cpu(None).unwrap();
        let mut frame = CpuFrame::new();
        abi.start_program(&mut frame, GuestVirt(0x40_0000), GuestVirt(0x7000));
        assert_ne!(frame.get(slot::APIAKEY_LO), frame.get(slot::APIBKEY_LO), "keys are random");
        let (key, settls) = (frame.get(slot::APDAKEY_HI), 0x8_0000);
        let args = Args([settls, 0x9000, 0, 0x1234, 0, 0]);
        frame.set(X0, 7);
        abi.start_clone(&mut frame, &abi.clone_request(&args));
        assert_eq!((frame.get(X0), frame.get(slot::SP)), (0, 0x9000));
        assert_eq!((frame.get(slot::TPIDR_EL0), frame.get(slot::APDAKEY_HI)), (0x1234, key));
    }
}
