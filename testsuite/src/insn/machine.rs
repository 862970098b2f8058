//! The state that a case starts from and ends with, and the memory it runs on.
#![expect(unsafe_code, reason = "maps the guest's data at fixed addresses")]

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};

use arch::riscv64::{fcsr, set_fcsr, slot};
use base::{CpuFrame, GuestVirt, RegSlot};

/// Where a case's code lies. All else on its page is filled with breakpoints.
pub const CODE: GuestVirt = GuestVirt(0x1000_0000);
/// A page of data that may be read and written. The page below may be read only; nothing is mapped
/// above.
pub const DATA: GuestVirt = GuestVirt(0x2000_0000);
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes at the start of the data page, and as many at its end, that cases may use.
pub const EDGE: usize = 256;

/// Slots that a case can name: all but the reservation, which has no register.
pub const SLOTS: u16 = 66;

/// A program's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Register slots below [`SLOTS`]: x1 to x31, f0 to f31, fflags, frm.
    pub slots: [u64; SLOTS as usize],
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
    /// More steps than any case should take.
    Endless,
}

impl Default for State {
    /// Registers that tell each other apart, floating-point ones NaN-boxed; memory of zeros.
    fn default() -> Self {
        let mut slots = [0; SLOTS as usize];
        for n in 1..32_u8 {
            slots[slot::x(n).index()] = 0xfeed_0000_0000_0000 + u64::from(n) * 0x1_0001;
        }
        for n in 0..32_u8 {
            slots[slot::f(n).index()] = 0xffff_ffff_3f80_0000 | u64::from(n);
        }
        Self { slots, memory: [0; 2 * EDGE] }
    }
}

impl State {
    /// The `fcsr` register.
    #[must_use]
    pub fn fcsr(&self) -> u64 {
        self.slots[slot::FRM.index()] << 5 | self.slots[slot::FFLAGS.index()]
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
        for index in 0..SLOTS {
            let (mine, theirs) = (self.slots[usize::from(index)], other.slots[usize::from(index)]);
            if mine != theirs {
                let name = slot::name(RegSlot(index)).unwrap_or("?");
                found.push(format!("{name}: {mine:#x} not {theirs:#x}"));
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

/// This process's pages of data. One user at a time.
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
            map().expect("the data pages of instruction cases");
            Mutex::new(Memory(()))
        });
        memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts a state into the frame and the data page.
    pub fn load(&mut self, state: &State, frame: &mut CpuFrame) {
        for (index, &value) in state.slots.iter().enumerate() {
            frame.slots[index] = value;
        }
        frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
        frame.set(slot::RESERVATION_VALUE, 0);
        let value = fcsr(frame);
        set_fcsr(frame, value);
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
    pub fn save(&mut self, frame: &CpuFrame) -> State {
        let mut state = State::default();
        state.slots.copy_from_slice(&frame.slots[..usize::from(SLOTS)]);
        state.slots[0] = 0;
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
    let start = DATA.0 as usize - PAGE;
    // The page above is reserved too, so that nobody else comes to lie there.
    // SAFETY: a fresh mapping that replaces none.
    let mapped = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let none = libc::PROT_NONE;
        libc::mmap(start as *mut libc::c_void, 3 * PAGE, none, flags, -1, 0)
    };
    if mapped != start as *mut libc::c_void {
        return Err(io::Error::last_os_error());
    }
    let protect = |page: usize, protection| {
        // SAFETY: within the mapping just made.
        match unsafe { libc::mprotect((start + page * PAGE) as *mut _, PAGE, protection) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    protect(0, libc::PROT_READ)?;
    protect(1, libc::PROT_READ | libc::PROT_WRITE)
}
