//! Faults of the host turned into answers: an exception table for the few instructions of Ferry's
//! own that touch guest memory, and a hook for compiled code.
//!
//! An access that may fault is an `asm!` block that puts a pair (instruction, fixup) into the
//! section `ferry_extable`. The handler of SIGSEGV and SIGBUS looks there first, then asks the
//! runtime's hook whether the pc lies in compiled code, then the owner of ordinary signals. No Rust
//! frame is ever unwound: a handler changes the pc and returns.

#![expect(unsafe_code, reason = "signal handlers and their machine context")]

use std::arch::asm;
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::GuestVirt;

/// A host fault at a guest address, as the kernel reported it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostFault {
    /// The address whose access faulted.
    pub addr: GuestVirt,
    /// SIGSEGV or SIGBUS.
    pub signal: i32,
    /// `si_code` (SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, …).
    pub code: i32,
    /// Whether it was a write.
    pub write: bool,
}

/// Asked for each SIGSEGV and SIGBUS that is not in the exception table. It may change the machine
/// context and returns true if the fault was its own.
pub type FaultHook = fn(&HostFault, &mut libc::ucontext_t) -> bool;

/// Takes a SIGSEGV or SIGBUS that is nobody's fault, such as one that another process sent.
pub type ForeignSignal = fn(i32, &mut libc::siginfo_t, &mut libc::ucontext_t);

thread_local! {
    static LAST: Cell<HostFault> = const {
        Cell::new(HostFault { addr: GuestVirt(0), signal: 0, code: 0, write: false })
    };
}

static HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static FOREIGN: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// The fault that made this thread's last guarded access fail.
#[must_use]
pub fn last_fault() -> HostFault {
    LAST.get()
}

/// Completes the description of a guarded access that faulted: the host does not say where when the
/// address is none that its MMU can translate at all. Nothing is mapped there.
pub(super) fn complete(addr: GuestVirt, write: bool) {
    let fault = LAST.get();
    if fault.code == libc::SI_KERNEL {
        LAST.set(HostFault { addr, code: SEGV_MAPERR, write, ..fault });
    }
}

/// Nothing is mapped at the address (not in the `libc` crate).
const SEGV_MAPERR: i32 = 1;

/// Sets who is asked about faults in compiled code.
pub fn set_hook(hook: FaultHook) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Sets who gets a SIGSEGV or SIGBUS that is no fault of translated code.
pub fn set_foreign(foreign: ForeignSignal) {
    FOREIGN.store(foreign as *mut (), Ordering::Release);
}

/// Installs the handler of SIGSEGV and SIGBUS for this process.
pub fn install() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: `action` is fully initialised and the handler is async-signal-safe: it reads
        // tables that never change and writes thread-local cells without destructors.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigfillset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes valid, exclusive pointers to an SA_SIGINFO handler.
    let (info, context) = unsafe { (&mut *info, &mut *context.cast::<libc::ucontext_t>()) };
    // A positive si_code marks a fault; zero and below, somebody's kill().
    if info.si_code > 0 {
        let fault = describe(signal, info, context);
        let pc = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
        if let Some(fixup) = find_fixup(pc) {
            LAST.set(fault);
            context.uc_mcontext.gregs[libc::REG_RIP as usize] = fixup as i64;
            return;
        }
        let hook = HOOK.load(Ordering::Acquire);
        if !hook.is_null() {
            // SAFETY: only `set_hook` stores here, and it stores a `FaultHook`.
            let hook: FaultHook = unsafe { std::mem::transmute::<*mut (), FaultHook>(hook) };
            LAST.set(fault);
            if hook(&fault, context) {
                return;
            }
        }
    }
    let foreign = FOREIGN.load(Ordering::Acquire);
    if foreign.is_null() || info.si_code > 0 {
        die_of(signal);
    } else {
        // SAFETY: only `set_foreign` stores here, and it stores a `ForeignSignal`.
        let foreign: ForeignSignal = unsafe { std::mem::transmute(foreign) };
        foreign(signal, info, context);
    }
}

fn describe(signal: i32, info: &libc::siginfo_t, context: &libc::ucontext_t) -> HostFault {
    // SAFETY: si_addr is valid for SIGSEGV and SIGBUS.
    let addr = unsafe { info.si_addr() } as u64;
    // Bit 1 of the x86 page-fault error code says write.
    let write = context.uc_mcontext.gregs[libc::REG_ERR as usize] & 2 != 0;
    HostFault { addr: GuestVirt(addr), signal, code: info.si_code, write }
}

/// Restores the default action and returns, so that the fault repeats and ends the process with
/// the right signal and a core dump of the right place.
fn die_of(signal: i32) {
    // SAFETY: SIG_DFL is a valid action.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// An entry of the exception table: both fields are relative to their own address, so that the
/// table needs no relocation.
#[repr(C)]
struct Entry {
    insn: i32,
    fixup: i32,
}

unsafe extern "C" {
    #[link_name = "__start_ferry_extable"]
    static TABLE_START: Entry;
    #[link_name = "__stop_ferry_extable"]
    static TABLE_END: Entry;
}

/// The table is short (one entry for each place into which an access was inlined) and faults are
/// rare, so a linear search serves.
fn find_fixup(pc: usize) -> Option<usize> {
    // SAFETY: emits no instruction, only an entry that matches no pc: a program without guarded
    // accesses has the section, too.
    unsafe {
        asm!(
            ".pushsection ferry_extable,\"aR\",@progbits",
            ".balign 4",
            ".long 0, 0",
            ".popsection",
            options(nomem, nostack, preserves_flags)
        );
    }
    let mut entry = &raw const TABLE_START;
    let end = &raw const TABLE_END;
    while entry < end {
        // SAFETY: `entry` lies between the linker's bounds of the section.
        let (insn, fixup) = unsafe { (&raw const (*entry).insn, &raw const (*entry).fixup) };
        // SAFETY: as above; both fields are initialised by the assembler.
        let (insn_rel, fixup_rel) = unsafe { (insn.read(), fixup.read()) };
        if (insn as usize).wrapping_add_signed(insn_rel as isize) == pc {
            return Some((fixup as usize).wrapping_add_signed(fixup_rel as isize));
        }
        entry = entry.wrapping_add(1);
    }
    None
}
