//! Who may read and write which register ("CSR Address Mapping Conventions"), and the accesses.

use base::CpuFrame;
use thiserror::Error;

use super::context::SystemContext;
use super::csr::{self, Guard, Read, Row, Write};
use super::{Privilege, aia, counter, envcfg, interrupt, key_flags, slot, status};

/// The access, or the instruction, raises an illegal-instruction exception.
#[derive(Clone, Copy, PartialEq, Eq, Error, Debug)]
#[error("illegal instruction")]
pub struct Illegal;

/// What must be done again after a write, as a sum.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[must_use]
pub struct WriteEffect(u8);

impl WriteEffect {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Addresses may translate otherwise: see
    /// [`super::SystemHooks::address_translation_changed`], which was called.
    pub const TRANSLATION: Self = Self(1);
    /// An interrupt may have become ready: ask [`interrupt::pending`].
    pub const INTERRUPTS: Self = Self(2);
    /// The translation flags may have changed: the frame holds the new ones, and what comes next is
    /// another translation.
    pub const KEY: Self = Self(4);

    /// Whether it includes all of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for WriteEffect {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for WriteEffect {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// How an instruction changes a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modify {
    /// CSRRW, CSRRWI.
    Write(u64),
    /// CSRRS, CSRRSI.
    Set(u64),
    /// CSRRC, CSRRCI.
    Clear(u64),
    /// CSRRS and its like with x0 or 0: no write takes place.
    Nothing,
}

/// Reads a register as an instruction at the hart's level would.
///
/// # Errors
/// [`Illegal`] if there is no such register for the CPU or for this level.
pub fn read(frame: &CpuFrame, ctx: &SystemContext, number: u16) -> Result<u64, Illegal> {
    let row = open(frame, ctx, number)?;
    match row.read {
        Read::InterruptFile(register) => {
            aia::modify(frame, ctx, register, Modify::Nothing).map(|(value, _)| value)
        }
        _ => Ok(value(frame, ctx, row, number)),
    }
}

/// Writes a register as CSRRW at the hart's level would.
///
/// # Errors
/// [`Illegal`] as for [`read`], and if the register is read-only.
pub fn write(
    frame: &mut CpuFrame,
    ctx: &SystemContext,
    number: u16,
    value: u64,
) -> Result<WriteEffect, Illegal> {
    modify(frame, ctx, number, Modify::Write(value)).map(|(_, effect)| effect)
}

/// Reads a register and changes it, as the CSR instructions do. Returns what rd gets.
///
/// # Errors
/// [`Illegal`] as for [`read`]; for a read-only register unless nothing is written.
pub fn modify(
    frame: &mut CpuFrame,
    ctx: &SystemContext,
    number: u16,
    how: Modify,
) -> Result<(u64, WriteEffect), Illegal> {
    let row = open(frame, ctx, number)?;
    if how != Modify::Nothing && is_read_only(number) {
        return Err(Illegal);
    }
    if let Read::InterruptFile(register) = row.read {
        return aia::modify(frame, ctx, register, how);
    }
    let old = value(frame, ctx, row, number);
    let base = if number == csr::MIP { interrupt::mip_software(frame) } else { old };
    let new = match how {
        Modify::Nothing => return Ok((old, WriteEffect::NONE)),
        Modify::Write(value) => value,
        Modify::Set(bits) => base | bits,
        Modify::Clear(bits) => base & !bits,
    };
    let effect = store(frame, ctx, row, number, new);
    if effect.contains(WriteEffect::KEY) {
        frame.key_flags = key_flags(frame);
    }
    if effect.contains(WriteEffect::TRANSLATION) {
        ctx.hooks.address_translation_changed(frame);
    }
    Ok((old, effect))
}

/// A register's value whatever the hart's level: for debuggers and traces. `None` if the CPU has
/// no such register.
#[must_use]
pub fn inspect(frame: &CpuFrame, ctx: &SystemContext, number: u16) -> Option<u64> {
    let row = csr::row(number).filter(|row| row.is_present(ctx))?;
    Some(value(frame, ctx, row, number))
}

/// Bits 11:10 of the number: 3 is read-only.
#[must_use]
pub const fn is_read_only(number: u16) -> bool {
    number >> 10 & 3 == 3
}

fn value(frame: &CpuFrame, ctx: &SystemContext, row: &Row, number: u16) -> u64 {
    match row.read {
        Read::Zero => 0,
        Read::Slot(slot) => frame.get(slot),
        Read::Frame(read) => read(frame),
        Read::Hart(read) => read(frame, ctx),
        Read::Indexed(read) => read(frame, row.index(number)),
        Read::InterruptFile(register) => {
            aia::modify(frame, ctx, register, Modify::Nothing).map_or(0, |(value, _)| value)
        }
    }
}

fn store(
    frame: &mut CpuFrame,
    ctx: &SystemContext,
    row: &Row,
    number: u16,
    value: u64,
) -> WriteEffect {
    match row.write {
        Write::Ignored => WriteEffect::NONE,
        Write::Masked(slot, mask) => {
            frame.set(slot, value & mask);
            WriteEffect::NONE
        }
        Write::Interrupts(slot, mask) => {
            frame.set(slot, value & mask);
            WriteEffect::INTERRUPTS
        }
        Write::Frame(write) => write(frame, value),
        Write::Hart(write) => write(frame, ctx, value),
        Write::Indexed(write) => write(frame, row.index(number), value),
    }
}

/// The register's row if the CPU has it and the hart's level may access it.
fn open(frame: &CpuFrame, ctx: &SystemContext, number: u16) -> Result<&'static Row, Illegal> {
    let row = csr::row(number).filter(|row| row.is_present(ctx)).ok_or(Illegal)?;
    let level = Privilege::of(frame);
    let lowest = u64::from(number) >> 8 & 3;
    if (level as u64) < lowest || !passes(frame, ctx, row, number, level) {
        return Err(Illegal);
    }
    Ok(row)
}

/// What else must hold for an access, besides the level that the number names.
fn passes(frame: &CpuFrame, ctx: &SystemContext, row: &Row, number: u16, level: Privilege) -> bool {
    let machine = level == Privilege::Machine;
    match row.guard {
        Guard::None => true,
        Guard::Float => !status::is_fp_off(frame),
        Guard::Counter => counter::is_open(frame, number & 31),
        Guard::Translation => machine || frame.get(slot::MSTATUS) & status::TVM == 0,
        Guard::Timer => {
            let timer = frame.get(slot::MENVCFG) & envcfg::STCE != 0;
            machine || timer && frame.get(slot::MCOUNTEREN) & counter::TM != 0
        }
        Guard::Senvcfg => machine || envcfg::is_senvcfg_open(frame, ctx),
        Guard::Indirect => machine || envcfg::is_open(frame, ctx, envcfg::STATEEN_CSRIND),
        Guard::Aia => machine || envcfg::is_open(frame, ctx, envcfg::STATEEN_AIA),
        Guard::Imsic => machine || envcfg::is_open(frame, ctx, envcfg::STATEEN_IMSIC),
        Guard::Sstateen => machine || envcfg::is_sstateen_open(frame, ctx, row.index(number)),
    }
}
