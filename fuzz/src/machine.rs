//! The state that a case starts from and ends with, and the memory it runs on.
#![expect(unsafe_code, reason = "maps the guest's data at fixed addresses")]

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};

use base::{CpuFrame, GuestVirt};

use crate::guest::{Ferry, Guest};

/// Where a case's code lies, to be read and to be fetched. All else on its page is filled with breakpoints.
pub const CODE: GuestVirt = GuestVirt(0x1000_0000);
/// A page of data that may be read and written. The page below may be read only; nothing is mapped
/// above.
pub const DATA: GuestVirt = GuestVirt(0x2000_0000);
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes at the start of the data page, and as many at its end, that cases may use.
pub const EDGE: usize = 256;

/// The most words of registers that a guest's states have.
pub const WORDS: usize = 106;

/// A program's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Whose.
    pub guest: &'static Guest,
    /// Its registers, as [`Guest::registers`] names them.
    pub words: [u64; WORDS],
    /// The first and the last [`EDGE`] bytes of the data page.
    pub memory: [u8; 2 * EDGE],
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Control reached a pc outside the code.
    Stopped(GuestVirt),
    /// The instruction at this pc is undefined.
    Illegal(GuestVirt),
    /// A breakpoint instruction at this pc.
    Breakpoint(GuestVirt),
    /// A system call; this pc is past it.
    Syscall(GuestVirt),
    /// The instruction at `pc` made a misaligned access.
    Misaligned {
        /// The instruction.
        pc: GuestVirt,
    },
    /// The instruction at `pc` made an access to `addr` that faulted.
    Fault {
        /// The instruction.
        pc: GuestVirt,
        /// The byte.
        addr: GuestVirt,
    },
    /// The instruction at `pc` raised an arithmetic exception (SIGFPE).
    Arithmetic {
        /// The instruction.
        pc: GuestVirt,
        /// Linux's `si_code`.
        code: i32,
    },
    /// More steps than any case should take.
    Endless,
}

impl State {
    /// Registers that tell each other apart; memory of zeros.
    #[must_use]
    pub fn new(guest: &'static Guest) -> Self {
        let mut words = [0; WORDS];
        (guest.initial)(&mut words);
        Self { guest, words, memory: [0; 2 * EDGE] }
    }

    /// Where a data address lies in `memory`, if it does.
    #[must_use]
    pub fn offset(addr: GuestVirt) -> Option<usize> {
        let offset = addr.0.wrapping_sub(DATA.0) as usize;
        match offset {
            _ if offset < EDGE => Some(offset),
            _ if (PAGE - EDGE..PAGE).contains(&offset) => Some(offset + 2 * EDGE - PAGE),
            _ => None,
        }
    }

    /// What differs between two states, by name; `None` if nothing does.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let mut found = Vec::new();
        for register in (self.guest.registers)().iter().filter(|register| register.reported) {
            let [mine, theirs] = [self, other].map(|state| register.get(&state.words));
            if mine != theirs {
                found.push(format!("{}: {mine:#x} not {theirs:#x}", register.name));
            }
        }
        for (index, (mine, theirs)) in self.memory.iter().zip(&other.memory).enumerate() {
            if mine != theirs {
                let offset = if index < EDGE { index } else { index + PAGE - 2 * EDGE };
                found.push(format!("[data+{offset:#x}]: {mine:#x} not {theirs:#x}"));
            }
        }
        (!found.is_empty()).then(|| found.join(", "))
    }
}

/// This process's pages of code and data. One user at a time.
#[derive(Debug)]
pub struct Memory(());

impl Memory {
    /// Takes the pages, mapping them first if need be.
    ///
    /// # Panics
    /// If the addresses are taken.
    pub fn lock() -> MutexGuard<'static, Self> {
        static MEMORY: OnceLock<Mutex<Memory>> = OnceLock::new();
        let memory = MEMORY.get_or_init(|| {
            base::sys::fault::install();
            map().expect("the pages of instruction cases");
            Mutex::new(Memory(()))
        });
        memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts a state into the frame and the data page, and code into its page.
    pub fn load(&mut self, ferry: &Ferry, code: &[u8], state: &State, frame: &mut CpuFrame) {
        (ferry.load)(&state.words, frame);
        let mut page = [0; PAGE];
        let breakpoint = state.guest.breakpoint;
        page.iter_mut().zip(breakpoint.iter().cycle()).for_each(|(to, &from)| *to = from);
        page[..code.len()].copy_from_slice(code);
        // SAFETY: the code page is mapped, holds nothing of Rust's, and `self` is its only user.
        unsafe { std::ptr::copy_nonoverlapping(page.as_ptr(), CODE.0 as *mut u8, PAGE) };
        // SAFETY: the data page is mapped, holds nothing of Rust's, and `self` is its only user.
        unsafe { std::ptr::write_bytes(DATA.0 as *mut u8, 0, PAGE) };
        let (start, end) = state.memory.split_at(EDGE);
        self.edges(|at, half| {
            let source = if half == 0 { start } else { end };
            // SAFETY: as above.
            unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), at, EDGE) }
        });
    }

    /// Reads the state back.
    #[must_use]
    pub fn save(&mut self, ferry: &Ferry, guest: &'static Guest, frame: &CpuFrame) -> State {
        let mut state = State::new(guest);
        (ferry.save)(frame, &mut state.words);
        let memory = state.memory.as_mut_ptr();
        // SAFETY: as in `load`; both halves of `memory` are `EDGE` bytes.
        self.edges(|at, half| unsafe {
            std::ptr::copy_nonoverlapping(at, memory.add(half * EDGE), EDGE);
        });
        state
    }

    fn edges(&mut self, mut each: impl FnMut(*mut u8, usize)) {
        each(DATA.0 as *mut u8, 0);
        each((DATA.0 as usize + PAGE - EDGE) as *mut u8, 1);
    }
}

fn map() -> io::Result<()> {
    reserve(CODE.0 as usize, 1)?;
    protect(CODE.0 as usize, libc::PROT_READ | libc::PROT_WRITE)?;
    // The page above is reserved too, so that nobody else comes to lie there.
    let start = DATA.0 as usize - PAGE;
    reserve(start, 3)?;
    protect(start, libc::PROT_READ)?;
    protect(start + PAGE, libc::PROT_READ | libc::PROT_WRITE)
}

fn reserve(start: usize, pages: usize) -> io::Result<()> {
    // SAFETY: a fresh mapping that replaces none.
    let mapped = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let none = libc::PROT_NONE;
        libc::mmap(start as *mut libc::c_void, pages * PAGE, none, flags, -1, 0)
    };
    if mapped == start as *mut libc::c_void { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Of one of the pages that were reserved.
fn protect(page: usize, protection: libc::c_int) -> io::Result<()> {
    // SAFETY: nothing of Rust's is there.
    match unsafe { libc::mprotect(page as *mut libc::c_void, PAGE, protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
