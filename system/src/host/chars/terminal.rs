//! The terminal that Ferry was started in: raw while it is a guest's console, and as it was again when
//! Ferry ends, however it ends.

#![expect(unsafe_code, reason = "signal handlers")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::OnceLock;

use rustix::event::{EventfdFlags, eventfd};
use rustix::termios::tcgetwinsize;

use crate::devices::virtio::console::{ConsoleSize, SizeSource};

/// Signals that end Ferry unless somebody else handles them.
const FATAL: [libc::c_int; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGTERM,
];

/// How the terminal was, and who handled the fatal signals.
struct Saved {
    settings: libc::termios,
    handlers: [libc::sigaction; FATAL.len()],
}

static SAVED: OnceLock<Saved> = OnceLock::new();

/// Makes standard input's terminal raw. Its output is processed as before, so that Ferry's own messages
/// stay readable. Gives false if it is no terminal.
///
/// # Errors
/// Its settings cannot be read or set.
pub fn make_raw() -> io::Result<bool> {
    // SAFETY: the call only looks at a descriptor's number.
    if unsafe { libc::isatty(libc::STDIN_FILENO) } == 0 {
        return Ok(false);
    }
    let settings = settings()?;
    let mut raw = SAVED.get_or_init(|| guard(settings)).settings;
    // SAFETY: it is a whole termios.
    unsafe { libc::cfmakeraw(&raw mut raw) };
    raw.c_oflag = settings.c_oflag;
    // SAFETY: it is a whole termios.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &raw const raw) } {
        0 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the terminal as it was before [`make_raw`]; nothing if that was not called. It may be called in
/// signal handlers, and by whoever ends Ferry in a way of its own.
pub fn restore() {
    if let Some(saved) = SAVED.get() {
        // SAFETY: it is a whole termios. tcsetattr is safe in signal handlers (signal-safety(7)).
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const saved.settings) };
    }
}

/// The size of standard input's terminal.
#[derive(Clone, Copy, Debug)]
pub struct TerminalSize;

impl SizeSource for TerminalSize {
    fn size(&mut self) -> ConsoleSize {
        let size = tcgetwinsize(io::stdin()).ok();
        size.map_or_else(ConsoleSize::default, |size| ConsoleSize {
            columns: size.ws_col,
            rows: size.ws_row,
        })
    }
}

/// Counts the signals that tell of a new size.
static RESIZED: OnceLock<OwnedFd> = OnceLock::new();

/// What is readable, as an event counter is, when the terminal has got another size (SIGWINCH).
///
/// # Errors
/// The host has no event counter.
pub(super) fn resized() -> io::Result<BorrowedFd<'static>> {
    if let Some(resized) = RESIZED.get() {
        return Ok(resized.as_fd());
    }
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let resized = RESIZED.get_or_init(|| counter);
    // SAFETY: sigaction is plain data, for which zeros are valid.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = on_resize as *const () as usize;
    // Not on the alternate stack: std::process::exit in another thread than the first unmaps the first one's,
    // which may still be told of a size then.
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: it is whole; `on_resize` does only what a handler may do. Nobody handled the signal before,
    // whose default is to be ignored.
    unsafe { libc::sigaction(libc::SIGWINCH, &raw const new, null_mut()) };
    Ok(resized.as_fd())
}

extern "C" fn on_resize(_: libc::c_int) {
    let Some(resized) = RESIZED.get() else { return };
    let one = 1_u64;
    // SAFETY: write is safe in signal handlers, and the 8 bytes are there; errno is put back. A counter that
    // has no room is readable already.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(resized.as_raw_fd(), (&raw const one).cast(), size_of::<u64>());
        *errno = before;
    }
}

fn settings() -> io::Result<libc::termios> {
    let mut settings = MaybeUninit::uninit();
    // SAFETY: there is room for a termios.
    match unsafe { libc::tcgetattr(libc::STDIN_FILENO, settings.as_mut_ptr()) } {
        // SAFETY: tcgetattr has succeeded, so it has filled it in.
        0 => Ok(unsafe { settings.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Arranges for the terminal to be restored.
fn guard(settings: libc::termios) -> Saved {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        before(info);
    }));
    // SAFETY: `at_exit` has the right signature and does not unwind.
    unsafe { libc::atexit(at_exit) };
    Saved { settings, handlers: FATAL.map(handle) }
}

extern "C" fn at_exit() {
    restore();
}

/// Puts [`on_signal`] before whoever handles a signal, unless it is ignored.
fn handle(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: sigaction is plain data, for which zeros are valid.
    let mut old: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut new = old;
    new.sa_sigaction = on_signal as *const () as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both are whole; `on_signal` has the signature of SA_SIGINFO and does only what a handler
    // may do.
    unsafe {
        libc::sigaction(signal, null_mut(), &raw mut old);
        if old.sa_sigaction != libc::SIG_IGN {
            libc::sigaction(signal, &raw const new, null_mut());
        }
    }
    old
}

/// Lets whoever handled the signal before do so, and restores the terminal if that ends Ferry.
extern "C" fn on_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let index = FATAL.iter().position(|&fatal| fatal == signal);
    let (Some(index), Some(saved)) = (index, SAVED.get()) else { return end(signal) };
    let old = &saved.handlers[index];
    if old.sa_sigaction == libc::SIG_DFL {
        return end(signal);
    }
    call(old, signal, info, context);
    // SAFETY: sigaction is plain data, for which zeros are valid; the call only fills it in.
    let now = unsafe {
        let mut now: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(signal, null_mut(), &raw mut now);
        now
    };
    // The standard library's handler gives up by making the signal fatal and returning.
    if now.sa_sigaction == libc::SIG_DFL {
        end(signal);
    }
}

/// Restores the terminal and dies of the signal, as soon as the handler returns.
fn end(signal: libc::c_int) {
    restore();
    // SAFETY: both calls are safe in signal handlers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

fn call(
    handler: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    type Plain = extern "C" fn(libc::c_int);
    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let address = handler.sa_sigaction as *const ();
    if handler.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the handler was installed with SA_SIGINFO, so it has this signature; it is neither
        // SIG_DFL nor SIG_IGN.
        let handler = unsafe { std::mem::transmute::<*const (), WithInfo>(address) };
        handler(signal, info, context);
    } else {
        // SAFETY: the same without SA_SIGINFO.
        let handler = unsafe { std::mem::transmute::<*const (), Plain>(address) };
        handler(signal);
    }
}
