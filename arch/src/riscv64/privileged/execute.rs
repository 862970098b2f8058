//! The instructions that end translated code: those of volume II, and accesses to registers that
//! have no faster way.

use base::{CpuFrame, GuestVirt};

use super::access::{self, Illegal, Modify, WriteEffect};
use super::context::{FenceScope, SystemContext};
use super::trap::{Cause, Exception};
use super::{Privilege, slot, status, trap};

/// What an instruction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemOp {
    /// CSRRW, CSRRS, CSRRC and, with an immediate operand, CSRRWI, CSRRSI, CSRRCI.
    Csr {
        /// The register's number.
        number: u16,
        /// Where the old value goes.
        rd: u8,
        /// Which of them.
        function: CsrFunction,
        /// What is written, or the bits that are set or cleared.
        source: CsrSource,
    },
    /// MRET
    Mret,
    /// SRET
    Sret,
    /// WFI
    Wfi,
    /// SFENCE.VMA
    SfenceVma {
        /// The address; all if x0.
        rs1: u8,
        /// The address space; all if x0.
        rs2: u8,
    },
    /// SINVAL.VMA (Svinval): done at once, as SFENCE.VMA.
    SinvalVma {
        /// The address; all if x0.
        rs1: u8,
        /// The address space; all if x0.
        rs2: u8,
    },
    /// SFENCE.W.INVAL (Svinval)
    SfenceWInval,
    /// SFENCE.INVAL.IR (Svinval)
    SfenceInvalIr,
    /// WRS.NTO (Zawrs)
    WrsNto,
    /// CBO.INVAL, CBO.CLEAN, CBO.FLUSH (Zicbom), where they are allowed.
    ManageBlock {
        /// The address.
        rs1: u8,
    },
}

/// An access to memory that an instruction consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryOp {
    /// Nothing, if the block's address may be loaded from or stored to. Else a fault of a store ("CMO",
    /// "Trapping behavior").
    ManageBlock {
        /// The address.
        addr: GuestVirt,
    },
}

/// What a CSR instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsrFunction {
    /// Writes all.
    Write,
    /// Sets bits.
    Set,
    /// Clears bits.
    Clear,
}

/// A CSR instruction's operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsrSource {
    /// x[n]; x0 sets and clears nothing, and then does not write.
    Register(u8),
    /// A constant of 5 bits; likewise 0.
    Immediate(u8),
}

/// A decoded instruction. All are four bytes long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemInsn {
    /// What it is.
    pub op: SystemOp,
    /// Its bits: the trap value if it is illegal.
    pub word: u32,
}

/// What an instruction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Outcome {
    /// It completed; pc is at the next instruction.
    Next(WriteEffect),
    /// A return from a trap; pc and level are what it returned to. Interrupts may be ready, and
    /// addresses translate by the new level.
    Jump(GuestVirt),
    /// It completed; pc is at the next instruction. The hart may stall until
    /// [`super::interrupt::wakes`].
    Wfi,
    /// It is at the instruction still: the caller makes the access, and then [`complete`]s it or raises
    /// its fault.
    Access(MemoryOp),
    /// It raised an exception and did nothing; pc is at the instruction: for [`trap::enter`].
    Trap {
        /// Why.
        cause: Cause,
        /// The trap value.
        tval: u64,
    },
}

/// Executes the instruction at the frame's pc. Hooks are called, and the frame's translation flags
/// are right afterwards.
pub fn execute(frame: &mut CpuFrame, ctx: &SystemContext, insn: SystemInsn) -> Outcome {
    let outcome = match insn.op {
        SystemOp::Csr { number, rd, function, source } => {
            csr(frame, ctx, number, rd, modify(frame, function, source))
        }
        SystemOp::Mret => trap::mret(frame).map(Outcome::Jump),
        SystemOp::Sret => trap::sret(frame).map(Outcome::Jump),
        SystemOp::Wfi => wfi(frame),
        SystemOp::SfenceVma { rs1, rs2 } | SystemOp::SinvalVma { rs1, rs2 } => {
            fence(frame, ctx, rs1, rs2)
        }
        SystemOp::SfenceWInval | SystemOp::SfenceInvalIr => ordering(frame),
        SystemOp::WrsNto => wrs_nto(frame),
        SystemOp::ManageBlock { rs1 } => {
            Ok(Outcome::Access(MemoryOp::ManageBlock { addr: GuestVirt(x(frame, rs1)) }))
        }
    };
    match outcome {
        Ok(outcome @ (Outcome::Next(_) | Outcome::Wfi)) => {
            complete(frame);
            outcome
        }
        Ok(outcome) => outcome,
        Err(Illegal) => illegal(insn.word),
    }
}

/// Goes on after an instruction of four bytes.
pub fn complete(frame: &mut CpuFrame) {
    frame.pc = frame.pc.wrapping_add(4);
}

/// An illegal instruction: its bits are the trap value.
pub fn illegal(word: u32) -> Outcome {
    let cause = Cause::Exception(Exception::IllegalInstruction);
    Outcome::Trap { cause, tval: word.into() }
}

fn x(frame: &CpuFrame, n: u8) -> u64 {
    match n & 31 {
        0 => 0,
        n => frame.get(slot::x(n)),
    }
}

fn modify(frame: &CpuFrame, function: CsrFunction, source: CsrSource) -> Modify {
    let (operand, is_zero) = match source {
        CsrSource::Register(n) => (x(frame, n), n == 0),
        CsrSource::Immediate(value) => (value.into(), value == 0),
    };
    match function {
        CsrFunction::Write => Modify::Write(operand),
        _ if is_zero => Modify::Nothing,
        CsrFunction::Set => Modify::Set(operand),
        CsrFunction::Clear => Modify::Clear(operand),
    }
}

fn csr(
    frame: &mut CpuFrame,
    ctx: &SystemContext,
    number: u16,
    rd: u8,
    how: Modify,
) -> Result<Outcome, Illegal> {
    let (old, effect) = access::modify(frame, ctx, number, how)?;
    if rd & 31 != 0 {
        frame.set(slot::x(rd & 31), old);
    }
    Ok(Outcome::Next(effect))
}

/// WFI at user level never completes "within a bounded time" of its own accord; under mstatus.TW
/// that time is 0 at supervisor level too.
fn wfi(frame: &CpuFrame) -> Result<Outcome, Illegal> {
    let is_timed = frame.get(slot::MSTATUS) & status::TW != 0;
    match Privilege::of(frame) {
        Privilege::Machine => Ok(Outcome::Wfi),
        Privilege::Supervisor if !is_timed => Ok(Outcome::Wfi),
        _ => Err(Illegal),
    }
}

/// WRS.NTO stalls for no time of its own accord; but mstatus.TW says, as for WFI, that the time in which
/// it may complete below machine level is 0.
fn wrs_nto(frame: &CpuFrame) -> Result<Outcome, Illegal> {
    let is_timed = frame.get(slot::MSTATUS) & status::TW != 0;
    if is_timed && Privilege::of(frame) != Privilege::Machine {
        return Err(Illegal);
    }
    // Whoever holds the lock may need this CPU.
    std::thread::yield_now();
    Ok(Outcome::Next(WriteEffect::NONE))
}

fn fence(frame: &mut CpuFrame, ctx: &SystemContext, rs1: u8, rs2: u8) -> Result<Outcome, Illegal> {
    let is_trapped = frame.get(slot::MSTATUS) & status::TVM != 0;
    match Privilege::of(frame) {
        Privilege::Machine => {}
        Privilege::Supervisor if !is_trapped => {}
        _ => return Err(Illegal),
    }
    let scope = FenceScope {
        address: (rs1 != 0).then(|| GuestVirt(x(frame, rs1))),
        asid: (rs2 != 0).then(|| x(frame, rs2) as u16),
    };
    ctx.hooks.fence(frame, scope);
    Ok(Outcome::Next(WriteEffect::TRANSLATION))
}

/// SFENCE.W.INVAL and SFENCE.INVAL.IR order invalidations, which are done at once.
fn ordering(frame: &CpuFrame) -> Result<Outcome, Illegal> {
    match Privilege::of(frame) {
        Privilege::User => Err(Illegal),
        _ => Ok(Outcome::Next(WriteEffect::NONE)),
    }
}
