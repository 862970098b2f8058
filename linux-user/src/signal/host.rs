//! The host's signals, by its own system calls: the C library keeps two of them for itself and
//! hides them from its callers, but a guest's C library uses them too.

#![expect(unsafe_code, reason = "signal handlers and their machine context")]

use std::arch::global_asm;

use syscalls::{Errno, Sysno};

use super::info::SigInfo;
use super::set::SigSet;
use super::{inbox, set};
use crate::host::{self, Arg, args};
use crate::safe_syscall;

/// What the host does about a signal. The flags are `SA_NOCLDSTOP` and `SA_NOCLDWAIT`, which
/// concern the kernel only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HostAction {
    /// Its default.
    Default(u64),
    /// Nothing.
    Ignore(u64),
    /// Puts it into the inbox of the thread's task.
    Record(u64),
}

/// The kernel's `struct sigaction`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct KernelAction {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

const SA_RESTORER: u64 = 0x0400_0000;
const SIG_IGN: u64 = 1;
const SIGSET_BYTES: u64 = 8;

// Where the kernel returns to from a handler; debuggers know these two instructions.
global_asm!(
    ".pushsection .text.ferry_sigreturn,\"ax\",@progbits",
    ".globl ferry_sigreturn",
    ".hidden ferry_sigreturn",
    ".type ferry_sigreturn,@function",
    "ferry_sigreturn:",
    "mov rax, {number}",
    "syscall",
    ".size ferry_sigreturn, . - ferry_sigreturn",
    ".popsection",
    number = const libc::SYS_rt_sigreturn,
);

unsafe extern "C" {
    fn ferry_sigreturn();
}

/// Sets what the host does about a signal other than SIGSEGV and SIGBUS.
pub(super) fn set_action(signal: i32, action: HostAction) {
    debug_assert!(!SigSet::FAULTS.has(signal), "those are base::sys::fault's");
    let new = match action {
        HostAction::Default(flags) => KernelAction { flags, ..KernelAction::default() },
        HostAction::Ignore(flags) => {
            KernelAction { handler: SIG_IGN, flags, ..KernelAction::default() }
        }
        // SA_RESTART: a call that would be restarted is, which is how `safe_syscall::rewind` learns
        // of it; one that may not be says EINTR.
        HostAction::Record(flags) => KernelAction {
            handler: record as *const () as u64,
            flags: flags | (libc::SA_SIGINFO | libc::SA_RESTART) as u64 | SA_RESTORER,
            restorer: ferry_sigreturn as *const () as u64,
            mask: SigSet::ALL.0,
        },
    };
    force_action(signal, &new);
}

/// Sets the host's default action for any signal.
pub(super) fn set_default(signal: i32) {
    force_action(signal, &KernelAction::default());
}

/// Ignores any signal.
pub(super) fn set_ignored(signal: i32) {
    force_action(signal, &KernelAction { handler: SIG_IGN, ..KernelAction::default() });
}

fn force_action(signal: i32, new: &KernelAction) {
    let set = [Arg::from(signal), Arg::reads(new), Arg::from(0), Arg::from(SIGSET_BYTES)];
    if let Err(error) = host::call(Sysno::rt_sigaction, set) {
        // Only SIGKILL, SIGSTOP and numbers beyond the last are refused, and callers check.
        tracing::error!(signal, %error, "cannot set the host's action");
    }
}

/// Whether the host ignores a signal.
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut old = KernelAction::default();
    let get = [Arg::from(signal), Arg::from(0), Arg::writes(&mut old), Arg::from(SIGSET_BYTES)];
    host::call(Sysno::rt_sigaction, get).is_ok() && old.handler == SIG_IGN
}

/// The host's mask while the guest's is `blocked`: its faults are never blocked.
pub(super) fn mask_for(blocked: SigSet) -> SigSet {
    blocked.without(SigSet::FAULTS)
}

/// Sets this thread's mask, exactly.
pub(super) fn set_mask(mask: SigSet) {
    let set = [Arg::from(libc::SIG_SETMASK), Arg::reads(&mask.0), 0.into(), SIGSET_BYTES.into()];
    let _ = host::call(Sysno::rt_sigprocmask, set);
}

/// This thread's mask.
pub(super) fn mask() -> SigSet {
    let mut mask = 0_u64;
    let get = [Arg::from(0), Arg::from(0), Arg::writes(&mut mask), Arg::from(SIGSET_BYTES)];
    let _ = host::call(Sysno::rt_sigprocmask, get);
    SigSet(mask)
}

/// What waits for this thread in the kernel.
pub(super) fn pending() -> SigSet {
    let mut pending = 0_u64;
    let _ = host::call(Sysno::rt_sigpending, [Arg::writes(&mut pending), SIGSET_BYTES.into()]);
    SigSet(pending)
}

/// Where a signal that a task does not take goes back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// To any thread of the process that has it unblocked.
    Process,
    /// To this thread.
    Thread,
    /// To the process's first thread, which is always a task's.
    Leader,
}

/// Sends a signal to this process or thread again, as it came. Async-signal-safe.
pub(super) fn send_again(info: &SigInfo, target: Target) {
    let (pid, own) = (id(Sysno::getpid), id(Sysno::gettid));
    let (signal, info_arg) = (info.signal(), Arg::reads(info));
    let to_thread = |tid: u64| {
        let args = [Arg::from(pid), Arg::from(tid), Arg::from(signal), info_arg];
        host::call(Sysno::rt_tgsigqueueinfo, args)
    };
    let sent = match target {
        Target::Process => {
            host::call(Sysno::rt_sigqueueinfo, [Arg::from(pid), Arg::from(signal), info_arg])
        }
        Target::Thread => to_thread(own),
        Target::Leader => to_thread(pid),
    };
    // A full queue of real-time signals: then at least the signal without its value arrives.
    if sent == Err(Errno::EAGAIN) {
        let _ = host::call(Sysno::tgkill, args![pid, own, signal]);
    }
}

fn id(number: Sysno) -> u64 {
    // These two never fail.
    host::call(number, []).unwrap_or_default()
}

/// Ends this process by a signal, as its default action does.
pub(crate) fn die_of(signal: i32) -> ! {
    set_default(signal);
    set_mask(SigSet::ALL.without(SigSet::of(&[signal])));
    let _ = host::call(Sysno::tgkill, args![id(Sysno::getpid), id(Sysno::gettid), signal]);
    // The first process of a namespace is spared by its own signals.
    exit_process(128 + signal)
}

/// Ends the process at once, without the C library's farewells: threads of it may be anywhere, and
/// a child that shares memory with its parent must leave the parent's state alone.
pub(crate) fn exit_process(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Ends this thread only; its stack stays.
pub(crate) fn exit_thread(status: i32) -> ! {
    let _ = host::call(Sysno::exit, args![status]);
    exit_process(status)
}

/// The handler of every signal that the guest handles.
extern "C" fn record(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes valid, exclusive pointers to an SA_SIGINFO handler, and a siginfo
    // is 128 initialised bytes, aligned to 8.
    let (info, context) =
        unsafe { (&*info.cast::<SigInfo>(), &mut *context.cast::<libc::ucontext_t>()) };
    // One signal at a time: the rest stays with the kernel, which knows their order, until the run
    // loop has delivered this one. It is also what `signalfd` and `sigtimedwait` then see.
    set_context_mask(context, mask_for(SigSet::ALL));
    match inbox::current() {
        Some(inbox) => {
            inbox.post(info);
            rewind(context);
        }
        // A thread of Ferry's own, which from now on takes none.
        None => send_again(info, Target::Process),
    }
}

/// Takes SIGSEGV and SIGBUS that are no faults. They stay unblocked, and so have places of their
/// own in the inbox.
pub(super) fn foreign(_: i32, info: &mut libc::siginfo_t, context: &mut libc::ucontext_t) {
    // SAFETY: a siginfo is 128 initialised bytes, aligned to 8.
    let info = unsafe { &*std::ptr::from_ref(info).cast::<SigInfo>() };
    match inbox::current() {
        Some(inbox) => {
            inbox.post(info);
            rewind(context);
        }
        None => send_again(info, Target::Leader),
    }
}

/// What the interrupted thread's mask will be.
fn set_context_mask(context: &mut libc::ucontext_t, mask: SigSet) {
    // The kernel's set is the first word; the C library's type is longer than what is there.
    let word = (&raw mut context.uc_sigmask).cast::<u64>();
    // SAFETY: within the context that the kernel wrote.
    unsafe { word.write(mask.0) };
}

fn rewind(context: &mut libc::ucontext_t) {
    let registers = &mut context.uc_mcontext.gregs;
    let rcx = registers[libc::REG_RCX as usize] as u64;
    let pc = &mut registers[libc::REG_RIP as usize];
    *pc = safe_syscall::rewind(*pc as u64, rcx) as i64;
}

/// What the process that executed Ferry ignored.
pub(super) fn inherited_ignored() -> SigSet {
    SigSet(startup::IGNORED.load(std::sync::atomic::Ordering::Relaxed))
}

/// Looks at the dispositions before `main`: the Rust runtime ignores SIGPIPE there, and Ferry takes
/// SIGSEGV and SIGBUS soon after.
mod startup {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{SigSet, is_ignored, set};

    pub(super) static IGNORED: AtomicU64 = AtomicU64::new(0);

    extern "C" fn look() {
        let ignored = (1..=set::LAST)
            .filter(|&signal| is_ignored(signal))
            .fold(SigSet::NONE, |all, signal| all.and(SigSet::of(&[signal])));
        IGNORED.store(ignored.0, Ordering::Relaxed);
    }

    /// Run by the C library before `main`.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mask_never_holds_the_faults() {
        let mask = mask_for(SigSet::ALL);
        assert!(!mask.has(libc::SIGSEGV) && !mask.has(libc::SIGBUS) && mask.has(libc::SIGINT));
    }

    #[test]
    fn sigpipe_is_seen_as_it_was_before_main() {
        // Test runners leave SIGPIPE alone, and the Rust runtime ignores it.
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!inherited_ignored().has(libc::SIGPIPE));
    }
}
