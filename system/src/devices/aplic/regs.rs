//! The control region of an interrupt domain (sections 4.5 and 4.8.1).

use crate::device::{Access, Refusal, Width};

/// Bytes of a domain's window: room for the IDC structures of 512 harts.
pub(super) const WINDOW: u64 = 0x8000;
/// Where the IDC structures begin.
const IDC: u64 = 0x4000;
const IDC_SIZE: u64 = 0x20;

/// `domaincfg`.
pub(super) mod domaincfg {
    pub(in super::super) const FIXED: u32 = 0x8000_0000;
    /// Interrupt enable.
    pub(in super::super) const IE: u32 = 1 << 8;
    /// Delivery mode: MSI.
    pub(in super::super) const DM: u32 = 1 << 2;
}

/// `sourcecfg`.
pub(super) mod sourcecfg {
    /// Delegated to the child domain, of which there is one.
    pub(in super::super) const D: u32 = 1 << 10;
    /// Source mode.
    pub(in super::super) const SM: u32 = 7;
}

/// `target` and `genmsi`.
pub(super) mod target {
    pub(in super::super) const HART_SHIFT: u32 = 18;
    pub(in super::super) const HART: u32 = 0x3fff << HART_SHIFT;
    pub(in super::super) const GUEST_SHIFT: u32 = 12;
    pub(in super::super) const GUEST: u32 = 0x3f << GUEST_SHIFT;
    pub(in super::super) const EIID: u32 = 0x7ff;
    pub(in super::super) const IPRIO: u32 = 0xff;
}

/// Bits that `mmsiaddrcfgh` has.
pub(super) const MMSIADDRCFGH: u32 = 0x9f77_ffff;
/// `mmsiaddrcfgh`: the addresses are locked.
pub(super) const LOCKED: u32 = 1 << 31;
/// Bits that `smsiaddrcfgh` has.
pub(super) const SMSIADDRCFGH: u32 = 0x0070_0fff;

/// A register. Sources and words are as in its name's brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Register {
    Domaincfg,
    Sourcecfg(usize),
    Mmsiaddrcfg,
    Mmsiaddrcfgh,
    Smsiaddrcfg,
    Smsiaddrcfgh,
    Setip(usize),
    /// Also `setipnum_le`.
    Setipnum,
    InClrip(usize),
    Clripnum,
    Setie(usize),
    Setienum,
    Clrie(usize),
    Clrienum,
    Genmsi,
    Target(usize),
    Idc(usize, IdcRegister),
    /// Reads as zero, ignores stores. So is `setipnum_be`: domains are little-endian.
    Reserved,
}

/// A register of an IDC structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IdcRegister {
    Idelivery,
    Iforce,
    Ithreshold,
    Topi,
    Claimi,
}

pub(super) fn decode(access: Access) -> Result<Register, Refusal> {
    let Access { offset, width, .. } = access;
    if width != Width::B4 {
        return Err(Refusal::Width);
    }
    if !offset.is_multiple_of(4) {
        return Err(Refusal::NoRegister);
    }
    let index = |first: u64| ((offset - first) / 4) as usize;
    Ok(match offset {
        0x0000 => Register::Domaincfg,
        0x0004..0x1000 => Register::Sourcecfg(index(0)),
        0x1bc0 => Register::Mmsiaddrcfg,
        0x1bc4 => Register::Mmsiaddrcfgh,
        0x1bc8 => Register::Smsiaddrcfg,
        0x1bcc => Register::Smsiaddrcfgh,
        0x1c00..0x1c80 => Register::Setip(index(0x1c00)),
        0x1cdc | 0x2000 => Register::Setipnum,
        0x1d00..0x1d80 => Register::InClrip(index(0x1d00)),
        0x1ddc => Register::Clripnum,
        0x1e00..0x1e80 => Register::Setie(index(0x1e00)),
        0x1edc => Register::Setienum,
        0x1f00..0x1f80 => Register::Clrie(index(0x1f00)),
        0x1fdc => Register::Clrienum,
        0x3000 => Register::Genmsi,
        0x3004..0x4000 => Register::Target(index(0x3000)),
        IDC.. => decode_idc(offset - IDC),
        _ => Register::Reserved,
    })
}

fn decode_idc(offset: u64) -> Register {
    let register = match offset % IDC_SIZE {
        0x00 => IdcRegister::Idelivery,
        0x04 => IdcRegister::Iforce,
        0x08 => IdcRegister::Ithreshold,
        0x18 => IdcRegister::Topi,
        0x1c => IdcRegister::Claimi,
        _ => return Register::Reserved,
    };
    Register::Idc((offset / IDC_SIZE) as usize, register)
}
