//! System mode: what of the privileged architecture is translated, and the instructions that are
//! left to the machine ([`ir::Trap::System`]).
//!
//! A block's key says at which level it runs and in which state the floating-point unit is
//! ([`arch::riscv64::privileged::key`]). So the registers that an operating system's entry code
//! uses are plain slots here; every other access is executed by
//! [`arch::riscv64::privileged::execute`].

#[cfg(test)]
mod tests;

use std::cell::Cell;

use arch::riscv64::helpers::{self, system::StatusFunction};
use arch::riscv64::privileged::execute::{CsrFunction, CsrSource};
use arch::riscv64::privileged::{Privilege, SystemInsn, SystemOp, key, status};
use arch::riscv64::{csr, slot};
use base::cpu::PC_DELTA;
use base::{GuestVirt, RegSlot};
use decoders::riscv64::{self as decoder, Extension, Op};
use ir::Val;

use super::rv_zicsr::Write;
use super::{Flow, Frontend, Insn};

/// What an instruction may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// A program's, in user mode.
    Program,
    /// In system mode, what these flags of a key say.
    Key(u64),
}

impl Level {
    pub(super) fn of_key(flags: u64) -> Self {
        Self::Key(flags)
    }

    /// Whether a flag of the key is set; `in_user_mode` where there is no such key.
    pub(super) fn has(self, flag: u64, in_user_mode: bool) -> bool {
        match self {
            Self::Program => in_user_mode,
            Self::Key(flags) => flags & flag != 0,
        }
    }
}

/// What an instruction did with the floating-point unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Use {
    Nothing,
    /// It needs the unit, but leaves its state alone.
    Reads,
    /// It may write a register or raise a flag.
    Writes,
}

/// The floating-point unit in a block: mstatus.FS.
#[derive(Debug)]
pub(super) struct Unit {
    is_off: bool,
    /// What the current instruction has done so far.
    used: Cell<Use>,
    /// Whether FS is dirty for sure by now.
    is_dirty: Cell<bool>,
}

impl Unit {
    pub(super) fn new(level: Level) -> Self {
        Self {
            is_off: level.has(key::FS_OFF, false),
            used: Cell::new(Use::Nothing),
            is_dirty: Cell::new(!level.has(key::FS_NOT_DIRTY, false)),
        }
    }

    /// The current instruction needs the unit.
    #[inline]
    pub(super) fn read(&self) {
        self.used.set(self.used.get().max(Use::Reads));
    }

    /// The current instruction may change the unit's state.
    #[inline]
    pub(super) fn write(&self) {
        self.used.set(Use::Writes);
    }
}

impl<'b> Insn<'b> {
    /// Ends an instruction that may have used the floating-point unit: illegal if it is off; what
    /// changes its state makes it dirty.
    #[inline]
    pub(super) fn settle_unit(&self, flow: Flow) -> Flow {
        match self.unit.used.replace(Use::Nothing) {
            Use::Nothing => flow,
            _ if self.unit.is_off => Flow::Undefined,
            Use::Writes if flow != Flow::Undefined && !self.unit.is_dirty.replace(true) => {
                let dirty = self.konst(status::FS_DIRTY | status::SD);
                self.b.set_slot(slot::MSTATUS, self.b.slot(slot::MSTATUS) | dirty);
                flow
            }
            _ => flow,
        }
    }

    /// What the guest sees of an address that translations know: in system mode they do not know where
    /// the code is mapped.
    pub(super) fn address(&self, pc: GuestVirt) -> Val<'b> {
        let address = self.konst(pc.0);
        match self.level {
            Level::Program => address,
            Level::Key(_) => self.b.slot(PC_DELTA) + address,
        }
    }

    /// An instruction of a privileged level: illegal in user mode, the machine's in system mode.
    pub(super) fn privileged(&self) -> Flow {
        match self.level {
            Level::Program => Flow::Undefined,
            Level::Key(_) => Flow::System,
        }
    }

    /// A register that is no floating-point one, in system mode: as slots if it can be.
    pub(super) fn system_csr(&self, rd: u8, number: u16, write: Write<'b>) -> Flow {
        let Level::Key(flags) = self.level else { return Flow::Undefined };
        let level = key::privilege(flags);
        if number == csr::TIME && write.is_none() && self.extensions.contains(Extension::Zicntr) {
            return self.set_x(rd, self.call(helpers::MACHINE_TIME, &[]));
        }
        if level == Privilege::User || number >> 8 & 3 > level as u16 {
            return Flow::System;
        }
        match (plain(number), number) {
            (Some(register), _) => self.plain_csr(rd, register, write),
            (None, SSTATUS) => self.sstatus(rd, write),
            _ => Flow::System,
        }
    }

    fn plain_csr(&self, rd: u8, register: Plain, write: Write<'b>) -> Flow {
        let old = self.b.slot(register.slot);
        let mask = match (register.writable, write.is_none()) {
            (_, true) => return self.set_x(rd, old),
            (Writable::No, _) => return Flow::System,
            (Writable::All, _) => u64::MAX,
            (Writable::Pc, _) if self.extensions.contains(Extension::Zca) => !1,
            (Writable::Pc, _) => !3,
        };
        let new = write.of(old);
        self.b.set_slot(register.slot, if mask == u64::MAX { new } else { new & self.konst(mask) });
        self.set_x(rd, old)
    }

    /// sstatus: reads, and CSRRCI of SIE alone, are plain. What enters and leaves trap handlers, which switch
    /// the floating-point unit off and on, is the machine's; the rest sets and clears bits, and what of that
    /// the helper cannot do it leaves to the machine.
    fn sstatus(&self, rd: u8, write: Write<'b>) -> Flow {
        let mstatus = self.b.slot(slot::MSTATUS);
        let sie = self.konst(status::SIE);
        let read = || self.set_x(rd, mstatus & self.konst(status::SSTATUS));
        let (function, operand) = match write {
            Write::None => return read(),
            Write::Clear(bits) if bits.operand() == sie.operand() => {
                let _ = read();
                self.b.set_slot(slot::MSTATUS, mstatus.and_not(sie));
                return Flow::Next;
            }
            Write::Set(bits) => (StatusFunction::Set, bits),
            Write::Clear(bits) if rd == 0 => (StatusFunction::Clear, bits),
            Write::Clear(_) | Write::All(_) => return Flow::System,
        };
        let function = self.konst(function as u64);
        self.set_x(rd, self.call(helpers::SSTATUS, &[function, operand]))
    }
}

const SSTATUS: u16 = 0x100;

/// A register that is no more than its slot.
struct Plain {
    slot: RegSlot,
    writable: Writable,
}

/// How a slot may be written.
enum Writable {
    /// Not here.
    No,
    /// All its bits.
    All,
    /// As an address at which an instruction can begin.
    Pc,
}

/// The registers that trap handlers use all the time.
fn plain(number: u16) -> Option<Plain> {
    use Writable::{All, No, Pc};
    let (slot, writable) = match number {
        0x105 => (slot::STVEC, No),
        0x140 => (slot::SSCRATCH, All),
        0x141 => (slot::SEPC, Pc),
        0x142 => (slot::SCAUSE, All),
        0x143 => (slot::STVAL, All),
        0x300 => (slot::MSTATUS, No),
        0x305 => (slot::MTVEC, No),
        0x340 => (slot::MSCRATCH, All),
        0x341 => (slot::MEPC, Pc),
        0x342 => (slot::MCAUSE, All),
        0x343 => (slot::MTVAL, All),
        0xf14 => (slot::MHARTID, No),
        _ => return None,
    };
    Some(Plain { slot, writable })
}

impl Frontend {
    /// The instruction at which a block ended with [`ir::Trap::System`]; `None` if this CPU has
    /// none such.
    #[must_use]
    pub fn system_insn(&self, word: u32) -> Option<SystemInsn> {
        let field = |low: u32| (word >> low & 31) as u8;
        let (rd, rs1, rs2) = (field(7), field(15), field(20));
        let csr =
            |function, source| SystemOp::Csr { number: (word >> 20) as u16, rd, function, source };
        let (register, immediate) = (CsrSource::Register(rs1), CsrSource::Immediate(rs1));
        let op = match decoder::identify(word, self.extensions)? {
            Op::Csrrw => csr(CsrFunction::Write, register),
            Op::Csrrs => csr(CsrFunction::Set, register),
            Op::Csrrc => csr(CsrFunction::Clear, register),
            Op::Csrrwi => csr(CsrFunction::Write, immediate),
            Op::Csrrsi => csr(CsrFunction::Set, immediate),
            Op::Csrrci => csr(CsrFunction::Clear, immediate),
            Op::Mret => SystemOp::Mret,
            Op::Wfi => SystemOp::Wfi,
            Op::Sret => SystemOp::Sret,
            Op::SfenceVma => SystemOp::SfenceVma { rs1, rs2 },
            Op::SinvalVma => SystemOp::SinvalVma { rs1, rs2 },
            Op::SfenceWInval => SystemOp::SfenceWInval,
            Op::SfenceInvalIr => SystemOp::SfenceInvalIr,
            Op::WrsNto => SystemOp::WrsNto,
            Op::CboInval | Op::CboClean | Op::CboFlush => SystemOp::ManageBlock { rs1 },
            _ => return None,
        };
        Some(SystemInsn { op, word })
    }
}
