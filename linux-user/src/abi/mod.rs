//! What differs between guest architectures in Linux user mode: one folder each.

pub(crate) mod aarch64;
mod generic;
pub(crate) mod riscv64;
pub(crate) mod x86_64;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use arch::debug::{DebugRegisters, DebugValue};
use base::{CpuFrame, GuestVirt};
use runtime::Exit;
use syscalls::Errno;
use translator::Frontend;

use crate::clone::CloneRequest;
use crate::loader::elf::Properties;
use crate::loader::vdso::VdsoSpec;
use crate::memory::vma::Prot;
use crate::signal::{CpuException, ILL_ILLOPC, SignalEntry, SignalReturn, Trap};
use crate::syscalls::{Args, Table};
use crate::window;

/// A guest architecture that Ferry runs.
pub(crate) struct Architecture {
    /// As Ferry names it, and `uname -m`.
    pub(crate) name: &'static str,
    /// `e_machine` of its ELF files.
    pub(crate) elf_machine: u16,
    /// Its system calls by number.
    pub(crate) syscalls: fn() -> &'static Table,
    /// Its ABI on a CPU model, or on the default one.
    pub(crate) on_cpu: OnCpu,
}

/// Makes an [`Abi`] for a CPU model's text.
pub(crate) type OnCpu = fn(Option<&str>) -> Result<Box<dyn Abi>, CpuError>;

/// Every guest architecture.
pub(crate) const ALL: &[Architecture] =
    &[riscv64::ARCHITECTURE, aarch64::ARCHITECTURE, x86_64::ARCHITECTURE];

/// The architecture of that name.
pub(crate) fn by_name(name: &str) -> Option<&'static Architecture> {
    ALL.iter().find(|architecture| architecture.name == name)
}

/// What is wrong with `--cpu`, in the architecture's own words.
#[derive(Debug, thiserror::Error)]
#[error("--cpu: {0}")]
pub struct CpuError(pub(crate) String);

/// The CPU model of a text, or the default one.
fn cpu_model<M>(text: Option<&str>) -> Result<M, CpuError>
where
    M: Default + FromStr<Err: Display>,
{
    text.map_or(Ok(M::default()), |text| {
        text.parse().map_err(|error: M::Err| CpuError(error.to_string()))
    })
}

/// A guest architecture's side of the Linux ABI, with the CPU model that was chosen.
pub(crate) trait Abi: Send + Sync {
    /// Which it is.
    fn architecture(&self) -> &'static Architecture;

    /// Translates its code.
    fn frontend(&self) -> Arc<dyn Frontend>;

    /// Its system calls by number.
    fn syscalls(&self) -> &'static Table {
        (self.architecture().syscalls)()
    }

    /// The number and arguments of the system call that the CPU has just executed.
    fn syscall_arguments(&self, frame: &CpuFrame) -> (u64, Args);

    /// Writes a system call's result (a negated error number in case of failure).
    fn set_syscall_result(&self, frame: &mut CpuFrame, value: u64);

    /// Prepares the registers and pc so that the CPU executes the same system call again. The
    /// argument registers must not have been changed since [`Abi::syscall_arguments`].
    fn restart_syscall(&self, frame: &mut CpuFrame);

    /// Prepares a CPU of zeros to start a program.
    fn start_program(&self, frame: &mut CpuFrame, entry: GuestVirt, sp: GuestVirt);

    /// Its registers as debuggers see them.
    fn debug_registers(&self) -> DebugRegisters;

    /// A register, by a debugger's number; `None` if there is none.
    fn read_debug_register(&self, frame: &CpuFrame, number: u32) -> Option<DebugValue>;

    /// Writes a register. Whether there is one of that number.
    fn write_debug_register(&self, frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool;

    /// The stack pointer.
    fn stack_pointer(&self, frame: &CpuFrame) -> GuestVirt;

    /// Prepares a copy of a CPU that has just executed `clone` to return from it in the child.
    fn start_clone(&self, frame: &mut CpuFrame, request: &CloneRequest);

    /// What the arguments of clone(2) mean; their order differs between architectures.
    fn clone_request(&self, args: &Args) -> CloneRequest;

    /// Whether the guest kernel's `struct sigaction` has the field `sa_restorer`.
    fn has_sa_restorer(&self) -> bool {
        true
    }

    /// One past the stack. Mappings without an address of their own are made below it, too, as long
    /// as there is room.
    fn stack_top(&self) -> GuestVirt {
        window::END
    }

    /// Bytes below the stack pointer that are in use, too.
    fn red_zone(&self) -> u64 {
        0
    }

    /// Where a signal frame lies below the free end of a stack.
    fn signal_frame_place(&self, stack: GuestVirt) -> GuestVirt;

    /// Writes a signal frame and sets the registers up for the handler.
    ///
    /// # Errors
    /// `EFAULT`: the frame cannot be written; the registers are unchanged.
    fn enter_signal_handler(
        &self,
        frame: &mut CpuFrame,
        place: GuestVirt,
        entry: &SignalEntry,
    ) -> Result<(), Errno>;

    /// Restores the registers from the frame of a handler that returns (`rt_sigreturn`).
    ///
    /// # Errors
    /// There is no valid frame.
    fn leave_signal_handler(&self, frame: &mut CpuFrame) -> Result<SignalReturn, Errno>;

    /// Prepares a CPU that has stopped at a fault to execute the instruction again, in another way. Whether there is
    /// one.
    fn retry(&self, _frame: &mut CpuFrame, _fault: &Exit) -> bool {
        false
    }

    /// What an exit really is, where the CPU left an instruction for a reason of the architecture's own.
    fn explain(&self, _frame: &CpuFrame, exit: Exit) -> Exit {
        exit
    }

    /// What an exit is as an exception, where the architecture has its own way to tell of it; the pc is where the
    /// kernel says that it was. The last exception's trap is what this one leaves unchanged.
    fn exception(&self, _frame: &mut CpuFrame, _exit: &Exit, _last: Trap) -> Option<CpuException> {
        None
    }

    /// The `si_code` of the SIGILL for an instruction that was left to whoever runs the CPU ([`Exit::System`]).
    fn left_code(&self) -> i32 {
        ILL_ILLOPC
    }

    /// `PROT_…` bits that a mapping can have beside those of every architecture.
    fn more_protections(&self) -> u32 {
        0
    }

    /// Those of them that the code of an ELF file has, by its properties.
    fn code_protections(&self, _properties: &Properties) -> Prot {
        Prot::default()
    }

    /// What `si_addr` is when an access to `addr` by the instruction at `pc` is not aligned.
    fn misaligned_address(&self, pc: GuestVirt, _addr: GuestVirt) -> GuestVirt {
        pc
    }

    /// How many of an address's top bits the CPU ignores when a program accesses memory. By prctl(2) with
    /// `PR_SET_TAGGED_ADDR_CTRL` it can ask that system calls do so, too.
    fn ignored_address_bits(&self) -> u32 {
        0
    }

    /// prctl(2) with an option of the architecture's own; `None` if this is none.
    fn prctl(&self, _frame: &mut CpuFrame, _args: &Args) -> Option<Result<u64, Errno>> {
        None
    }

    /// arch_prctl(2)
    ///
    /// # Errors
    /// As the manual says; `ENOSYS` where there is no such call.
    fn arch_prctl(&self, _frame: &mut CpuFrame, _args: &Args) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Whether mmap(2) knows `MAP_32BIT`.
    fn has_low_mappings(&self) -> bool {
        false
    }

    /// Lines of /proc/self/maps for what every program has beyond its own addresses.
    fn special_mappings(&self) -> &'static str {
        ""
    }

    /// The functions of its vdso.
    fn vdso(&self) -> &'static VdsoSpec;

    /// `PROT_…` bits that the vdso has beside those of every architecture.
    fn vdso_protections(&self) -> u32 {
        0
    }

    /// The vdso's function that returns from a signal handler; none if programs must bring their own.
    fn sigreturn_symbol(&self) -> Option<&'static str> {
        Some("__vdso_rt_sigreturn")
    }

    /// `AT_HWCAP`
    fn hwcap(&self) -> u64;

    /// `AT_HWCAP2`
    fn hwcap2(&self) -> u64 {
        0
    }

    /// `AT_HWCAP3`, if its kernel has it.
    fn hwcap3(&self) -> Option<u64> {
        None
    }

    /// `AT_PLATFORM`
    fn platform(&self) -> Option<&'static str> {
        None
    }

    /// `AT_MINSIGSTKSZ`: bytes that a signal frame needs.
    fn min_signal_stack(&self) -> u64;

    /// `MINSIGSTKSZ` in the kernel's headers: the smallest alternate stack that it accepts.
    fn min_altstack(&self) -> u64 {
        2048
    }

    /// /proc/cpuinfo, for this many processors.
    fn cpuinfo(&self, processors: usize) -> String;

    /// A `struct stat`.
    fn stat(&self, stat: &libc::stat) -> Vec<u8> {
        generic::stat(stat)
    }

    /// The host's values of this guest's `O_…` flags.
    fn open_flags_to_host(&self, flags: i32) -> i32 {
        flags
    }

    /// This guest's values of the host's `O_…` flags.
    fn open_flags_from_host(&self, flags: i32) -> i32 {
        flags
    }

    /// Bytes of a `struct epoll_event`.
    fn epoll_event_size(&self) -> u64 {
        generic::EPOLL_EVENT_SIZE
    }

    /// A `struct epoll_event`.
    fn epoll_event(&self, events: u32, data: u64) -> Vec<u8> {
        generic::epoll_event(self.epoll_event_size(), events, data)
    }

    /// Events and data of a `struct epoll_event` of [`Abi::epoll_event_size`] bytes.
    fn parse_epoll_event(&self, bytes: &[u8]) -> (u32, u64) {
        generic::parse_epoll_event(bytes)
    }

    /// A `struct semid64_ds`.
    fn semid_ds(&self, status: &libc::semid_ds) -> Vec<u8> {
        generic::semid_ds(status)
    }

    /// `riscv_hwprobe`: the value of a key, if it is known.
    fn hardware_probe(&self, _key: i64) -> Option<u64> {
        None
    }
}
