//! Delivery: from a signal in the inbox, or a fault of the CPU, to a handler's frame on the guest's
//! stack.

use base::GuestVirt;
use runtime::debug::gdb::End;
use runtime::{Exit, FetchFaultCause, Signalled};
use syscalls::Errno;

use super::action::{Action, Handler, flags};
use super::fault::{CpuException, MemoryFault};
use super::host::{self, Target};
use super::info::{SI_KERNEL, SigInfo};
use super::set::SigSet;
use super::{SignalEntry, die_of, trace};
use crate::abi::Abi;
use crate::debug;
use crate::syscalls::Restart;
use crate::task::Task;

/// `si_code`: nothing is mapped there.
pub(crate) const SEGV_MAPERR: i32 = 1;
/// `si_code`: what is mapped there may not be used so.
pub(crate) const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;
/// Illegal opcode.
pub(crate) const ILL_ILLOPC: i32 = 1;
/// Illegal operand.
pub(crate) const ILL_ILLOPN: i32 = 2;
/// A breakpoint.
pub(crate) const TRAP_BRKPT: i32 = 1;
/// A single step.
pub(crate) const TRAP_TRACE: i32 = 2;

/// Delivers what has come, if anything, and settles an interrupted system call. Called after every
/// exit of the CPU.
pub(crate) fn deliver(task: &mut Task, restart: Option<Restart>) {
    if restart.is_none() && task.signals.is_quiet() {
        return;
    }
    let mut restart = restart;
    while let Some(info) = task.signals.take() {
        if let Some(info) = debug::filter(task, info) {
            dispose(task, &info, &mut restart);
        }
        // Lets in what the kernel holds back; it may be for the handler that was just entered.
        task.signals.open();
    }
    if restart.is_some() {
        restart_syscall(task);
    }
    task.signals.drop_temporary_mask();
}

/// Does about a signal what the process wants.
fn dispose(task: &mut Task, info: &SigInfo, restart: &mut Option<Restart>) {
    let signal = info.signal();
    let action = task.process.signals.take(signal);
    match action.handler {
        Handler::Function(entry) => {
            trace(task, info);
            settle_syscall(task, restart.take(), &action);
            enter_handler(task, info, &action, entry);
        }
        Handler::Ignore => {}
        Handler::Default if SigSet::IGNORED_BY_DEFAULT.has(signal) => {}
        // The handler was taken back after the host's had run: now the host's default action is
        // the guest's, and the kernel takes it.
        Handler::Default if !task.process.signals.ends_process(signal) => {
            host::send_again(info, Target::Thread);
        }
        Handler::Default => {
            trace(task, info);
            die_in(task, signal)
        }
    }
}

/// What becomes of the system call that a handler interrupts.
fn settle_syscall(task: &mut Task, restart: Option<Restart>, action: &Action) {
    let again = match restart {
        None => return,
        Some(Restart::Always) => true,
        Some(Restart::UnlessHandlerForbids) => action.has(flags::RESTART),
        Some(Restart::UnlessHandled) => false,
    };
    if again {
        restart_syscall(task);
    } else {
        let value = i64::from(Errno::EINTR.into_raw()).wrapping_neg() as u64;
        let abi = task.process.abi;
        abi.set_syscall_result(task.cpu.frame_mut(), value);
    }
}

fn restart_syscall(task: &mut Task) {
    let abi = task.process.abi;
    abi.restart_syscall(task.cpu.frame_mut());
}

/// Builds the handler's frame; if the stack cannot hold it, that is a fault of its own.
fn enter_handler(task: &mut Task, info: &SigInfo, action: &Action, entry: GuestVirt) {
    let signal = info.signal();
    task.observe_signal(Signalled::Delivered(number(signal)));
    let abi = task.process.abi;
    let sp = abi.stack_pointer(task.cpu.frame());
    let alternate = task.signals.altstack.top_for(sp).filter(|_| action.has(flags::ONSTACK));
    let entry = SignalEntry {
        handler: entry,
        info: *info,
        wants_info: action.has(flags::SIGINFO),
        stack: alternate.unwrap_or(GuestVirt(sp.0.wrapping_sub(abi.red_zone()))),
        trampoline: if action.has(flags::RESTORER) {
            Some(action.restorer)
        } else {
            task.process.program.sigreturn
        },
        blocked: task.signals.mask_after_handler(),
        altstack: task.signals.altstack.to_user(sp),
        fault: task.signals.fault,
        trap: task.signals.trap,
    };
    let overflows = |frame| task.signals.altstack.is_on(sp) && !task.signals.altstack.is_on(frame);
    let place = abi.signal_frame_place(entry.stack);
    let built = if alternate.is_none() && overflows(place) {
        Err(Errno::EFAULT)
    } else {
        abi.enter_signal_handler(task.cpu.frame_mut(), place, &entry)
    };
    if built.is_err() {
        tracing::debug!(signal, sp = sp.0, "no room for a signal frame");
        return bad_frame(task, signal);
    }
    task.signals.altstack.disarm();
    let own = if action.has(flags::NODEFER) { SigSet::NONE } else { SigSet::of(&[signal]) };
    task.signals.enter_handler(action.mask.and(own));
    debug::handler_entered(task);
}

/// A signal frame that cannot be written or read. `signal` is the one being delivered, or zero.
pub(crate) fn bad_frame(task: &mut Task, signal: i32) {
    if signal == libc::SIGSEGV {
        die_in(task, signal);
    }
    force(task, &SigInfo::bare(libc::SIGSEGV, SI_KERNEL));
}

/// Delivers a signal that the guest's own execution caused and that cannot wait: where it is
/// blocked, ignored or left to its default, the process dies of it.
fn force(task: &mut Task, info: &SigInfo) {
    let signal = info.signal();
    trace(task, info);
    let action = task.process.signals.take(signal);
    match action.handler {
        Handler::Function(entry) if !task.signals.blocked().has(signal) => {
            enter_handler(task, info, &action, entry);
            task.signals.open();
        }
        _ => die_in(task, signal),
    }
}

/// Of signals, none exceeds 64.
fn number(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or(0)
}

/// Ends the process by a signal, and lets its debugger know.
fn die_in(task: &mut Task, signal: i32) -> ! {
    task.end_observation();
    task.process.end_recording();
    if let Some(debugger) = task.process.debugger.get() {
        debugger.ended(End::Killed(debug::to_gdb(signal)));
    }
    die_of(signal)
}

/// Raises the signal that a fault of the guest's CPU means.
pub(crate) fn raise_fault(task: &mut Task, fault: &Exit) {
    let abi = task.process.abi;
    let fault = &abi.explain(task.cpu.frame(), *fault);
    if abi.retry(task.cpu.frame_mut(), fault) {
        return;
    }
    let pc = GuestVirt(task.cpu.frame().pc);
    let info = match abi.exception(task.cpu.frame_mut(), fault, task.signals.trap) {
        Some(CpuException { info, trap }) => {
            task.signals.trap = trap;
            Some(info)
        }
        None => describe(fault, pc, abi),
    };
    let Some(info) = info else { return };
    task.signals.fault = MemoryFault::after(task.signals.fault, fault, pc);
    tracing::debug!(?fault, pc = pc.0, "guest fault");
    task.observe_signal(Signalled::Raised(number(info.signal())));
    if let Some(info) = debug::filter(task, info) {
        force(task, &info);
    }
}

/// What the kernel says of a fault at `pc`; nothing of what is no fault.
pub(crate) fn describe(fault: &Exit, pc: GuestVirt, abi: &dyn Abi) -> Option<SigInfo> {
    Some(match fault {
        // The last is a whole machine's; debug stops are the task's business.
        Exit::Syscall | Exit::Interrupted | Exit::Debug(_) | Exit::GuestFault(_) => return None,
        Exit::DataFault(fault) => {
            // A non-canonical address is a general protection fault to an x86 host, which does not
            // say where; to the guest nothing is mapped there.
            let is_paging = fault.code == SEGV_MAPERR || fault.code == SEGV_ACCERR;
            let is_told = is_paging || fault.signal != libc::SIGSEGV;
            let code = if is_told { fault.code } else { SEGV_MAPERR };
            SigInfo::fault(fault.signal, code, fault.addr)
        }
        Exit::FetchFault(fault) => match fault.cause {
            FetchFaultCause::Unmapped | FetchFaultCause::OtherPage => {
                SigInfo::fault(libc::SIGSEGV, SEGV_MAPERR, fault.addr)
            }
            FetchFaultCause::NotExecutable => {
                SigInfo::fault(libc::SIGSEGV, SEGV_ACCERR, fault.addr)
            }
            FetchFaultCause::BeyondFile => SigInfo::fault(libc::SIGBUS, BUS_ADRERR, fault.addr),
        },
        Exit::Misaligned(addr) => {
            SigInfo::fault(libc::SIGBUS, BUS_ADRALN, abi.misaligned_address(pc, *addr))
        }
        Exit::IllegalInstruction | Exit::Refused => SigInfo::fault(libc::SIGILL, ILL_ILLOPC, pc),
        Exit::System => SigInfo::fault(libc::SIGILL, abi.left_code(), pc),
        Exit::Breakpoint => SigInfo::fault(libc::SIGTRAP, TRAP_BRKPT, pc),
        Exit::Traced => SigInfo::fault(libc::SIGTRAP, TRAP_TRACE, pc),
    })
}

#[cfg(test)]
mod tests {
    use base::sys::fault::HostFault;
    use runtime::FetchFault;

    use super::*;

    const PC: GuestVirt = GuestVirt(0x4000);
    const ADDR: GuestVirt = GuestVirt(0x1238);

    fn abi(name: &str) -> Box<dyn Abi> {
        (crate::abi::by_name(name).unwrap().on_cpu)(None).unwrap()
    }

    fn check(fault: Exit, signal: i32, code: i32, addr: GuestVirt) {
        let info = describe(&fault, PC, &*abi("riscv64")).unwrap();
        assert_eq!((info.signal(), info.code(), info.addr()), (signal, code, addr), "{fault:?}");
    }

    #[test]
    fn faults_are_described_as_the_kernel_does() {
        let data =
            |signal, code| Exit::DataFault(HostFault { addr: ADDR, signal, code, write: false });
        let fetch = |cause| Exit::FetchFault(FetchFault { addr: ADDR, cause });
        check(data(libc::SIGSEGV, SEGV_ACCERR), libc::SIGSEGV, SEGV_ACCERR, ADDR);
        check(data(libc::SIGSEGV, SI_KERNEL), libc::SIGSEGV, SEGV_MAPERR, ADDR);
        check(data(libc::SIGBUS, BUS_ADRERR), libc::SIGBUS, BUS_ADRERR, ADDR);
        check(fetch(FetchFaultCause::Unmapped), libc::SIGSEGV, SEGV_MAPERR, ADDR);
        check(fetch(FetchFaultCause::NotExecutable), libc::SIGSEGV, SEGV_ACCERR, ADDR);
        check(fetch(FetchFaultCause::BeyondFile), libc::SIGBUS, BUS_ADRERR, ADDR);
        check(Exit::Misaligned(ADDR), libc::SIGBUS, BUS_ADRALN, PC);
        check(Exit::IllegalInstruction, libc::SIGILL, ILL_ILLOPC, PC);
        check(Exit::Refused, libc::SIGILL, ILL_ILLOPC, PC);
        check(Exit::System, libc::SIGILL, ILL_ILLOPC, PC);
        check(Exit::Breakpoint, libc::SIGTRAP, TRAP_BRKPT, PC);
        check(Exit::Traced, libc::SIGTRAP, TRAP_TRACE, PC);
        let arm = describe(&Exit::Misaligned(ADDR), PC, &*abi("aarch64")).unwrap();
        assert_eq!((arm.code(), arm.addr()), (BUS_ADRALN, ADDR));
        assert_eq!(describe(&Exit::Syscall, PC, &*abi("riscv64")), None);
    }
}
