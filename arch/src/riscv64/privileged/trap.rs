//! Traps: what they do to a hart, and the way back ("Machine Trap Delegation Registers", xtvec,
//! xepc, xcause, xtval, "Trap-Return Instructions").

use base::{CpuFrame, GuestVirt, RegSlot};

use super::access::Illegal;
use super::interrupt::Interrupt;
use super::{Privilege, slot, status};

/// The synchronous exceptions, numbered as in mcause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Exception {
    /// Instruction address misaligned.
    FetchMisaligned = 0,
    /// Instruction access fault.
    FetchAccess = 1,
    /// Illegal instruction.
    IllegalInstruction = 2,
    /// Breakpoint.
    Breakpoint = 3,
    /// Load address misaligned.
    LoadMisaligned = 4,
    /// Load access fault.
    LoadAccess = 5,
    /// Store/AMO address misaligned.
    StoreMisaligned = 6,
    /// Store/AMO access fault.
    StoreAccess = 7,
    /// Environment call from U-mode.
    UserCall = 8,
    /// Environment call from S-mode.
    SupervisorCall = 9,
    /// Environment call from M-mode.
    MachineCall = 11,
    /// Instruction page fault.
    FetchPage = 12,
    /// Load page fault.
    LoadPage = 13,
    /// Store/AMO page fault.
    StorePage = 15,
}

/// medeleg: what can be delegated. All but calls from machine level; software checks and hardware
/// errors never occur.
pub const DELEGABLE: u64 = 0xb3ff;

impl Exception {
    const ALL: [Self; 14] = [
        Self::FetchMisaligned,
        Self::FetchAccess,
        Self::IllegalInstruction,
        Self::Breakpoint,
        Self::LoadMisaligned,
        Self::LoadAccess,
        Self::StoreMisaligned,
        Self::StoreAccess,
        Self::UserCall,
        Self::SupervisorCall,
        Self::MachineCall,
        Self::FetchPage,
        Self::LoadPage,
        Self::StorePage,
    ];

    /// The exception of this number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|&exception| exception as u64 == number)
    }

    /// The exception of an ECALL at this level.
    #[must_use]
    pub const fn call_from(level: Privilege) -> Self {
        match level {
            Privilege::User => Self::UserCall,
            Privilege::Supervisor => Self::SupervisorCall,
            Privilege::Machine => Self::MachineCall,
        }
    }
}

/// Why a trap is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// By the instruction at pc.
    Exception(Exception),
    /// Before the instruction at pc.
    Interrupt(Interrupt),
}

/// In mcause and scause: it is an interrupt.
pub const INTERRUPT: u64 = 1 << 63;

impl Cause {
    /// As it stands in mcause and scause.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Exception(exception) => exception as u64,
            Self::Interrupt(interrupt) => INTERRUPT | interrupt as u64,
        }
    }

    /// Whether it goes to supervisor level if it occurs below machine level.
    fn is_delegated(self, frame: &CpuFrame) -> bool {
        let (slot, bit) = match self {
            Self::Exception(exception) => (slot::MEDELEG, exception as u8),
            Self::Interrupt(interrupt) => (slot::MIDELEG, interrupt as u8),
        };
        frame.get(slot) >> bit & 1 != 0
    }
}

/// Takes a trap. The frame's pc is that of the instruction that did not complete; afterwards it is
/// that of the handler. `tval` is what the manual demands for the cause: the address of a fault or
/// of EBREAK, the bits of an illegal instruction, 0 for calls and interrupts. Returns the level
/// that handles it.
pub fn enter(frame: &mut CpuFrame, cause: Cause, tval: u64) -> Privilege {
    let from = Privilege::of(frame);
    let to = if from <= Privilege::Supervisor && cause.is_delegated(frame) {
        Privilege::Supervisor
    } else {
        Privilege::Machine
    };
    let registers = match to {
        Privilege::Machine => [slot::MEPC, slot::MCAUSE, slot::MTVAL, slot::MTVEC],
        _ => [slot::SEPC, slot::SCAUSE, slot::STVAL, slot::STVEC],
    };
    let [epc, xcause, xtval, xtvec] = registers;
    frame.set(epc, frame.pc);
    frame.set(xcause, cause.code());
    frame.set(xtval, tval);
    frame.set(slot::MSTATUS, stacked(frame.get(slot::MSTATUS), from, to));
    // An SC of the handler, or of another program after it, must not pair with this LR.
    frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    frame.pc = vector(frame.get(xtvec), cause);
    to.enter(frame);
    to
}

/// mstatus after a trap: xPIE and xPP hold what was before, xIE is clear.
fn stacked(mstatus: u64, from: Privilege, to: Privilege) -> u64 {
    let (enable, before, level, shift) = match to {
        Privilege::Machine => (status::MIE, status::MPIE, status::MPP, status::MPP_SHIFT),
        _ => (status::SIE, status::SPIE, status::SPP, 8),
    };
    let was_enabled = if mstatus & enable != 0 { before } else { 0 };
    mstatus & !(enable | before | level) | was_enabled | (from as u64) << shift
}

/// Where a trap goes: vectored mode spreads interrupts over a table.
fn vector(xtvec: u64, cause: Cause) -> u64 {
    let base = xtvec & !3;
    match cause {
        Cause::Interrupt(interrupt) if xtvec & 3 == 1 => base.wrapping_add(4 * interrupt as u64),
        _ => base,
    }
}

/// MRET. Returns where it went.
///
/// # Errors
/// [`Illegal`] below machine level.
pub fn mret(frame: &mut CpuFrame) -> Result<GuestVirt, Illegal> {
    if Privilege::of(frame) != Privilege::Machine {
        return Err(Illegal);
    }
    let mstatus = frame.get(slot::MSTATUS);
    let to = status::mpp(mstatus);
    let enabled = if mstatus & status::MPIE != 0 { status::MIE } else { 0 };
    let unstacked = mstatus & !(status::MIE | status::MPP) | enabled | status::MPIE;
    Ok(give_back(frame, unstacked, to, slot::MEPC))
}

/// SRET. Returns where it went.
///
/// # Errors
/// [`Illegal`] at user level, and at supervisor level under mstatus.TSR.
pub fn sret(frame: &mut CpuFrame) -> Result<GuestVirt, Illegal> {
    let mstatus = frame.get(slot::MSTATUS);
    match Privilege::of(frame) {
        Privilege::User => return Err(Illegal),
        Privilege::Supervisor if mstatus & status::TSR != 0 => return Err(Illegal),
        _ => {}
    }
    let to = if mstatus & status::SPP != 0 { Privilege::Supervisor } else { Privilege::User };
    let enabled = if mstatus & status::SPIE != 0 { status::SIE } else { 0 };
    let unstacked = mstatus & !(status::SIE | status::SPP) | enabled | status::SPIE;
    Ok(give_back(frame, unstacked, to, slot::SEPC))
}

/// What both returns do: below machine level there is no MPRV, and whoever comes next holds no
/// reservation that this one made.
fn give_back(frame: &mut CpuFrame, mstatus: u64, to: Privilege, epc: RegSlot) -> GuestVirt {
    let mprv = if to < Privilege::Machine { status::MPRV } else { 0 };
    frame.set(slot::MSTATUS, mstatus & !mprv);
    frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    frame.pc = frame.get(epc);
    to.enter(frame);
    GuestVirt(frame.pc)
}
