//! Physical memory protection ("Physical Memory Protection"): 16 entries, with a granularity of 4
//! bytes.

use base::{CpuFrame, GuestPhys, RegSlot};

use super::access::WriteEffect;
use super::{Privilege, slot};

/// Entries that are implemented; the registers of the others are read-only zero.
pub const ENTRIES: u8 = 16;

/// Configuration: reads are allowed.
pub const R: u8 = 1 << 0;
/// Configuration: writes are allowed.
pub const W: u8 = 1 << 1;
/// Configuration: execution is allowed.
pub const X: u8 = 1 << 2;
/// Configuration: address matching.
pub const A: u8 = 3 << 3;
/// A: top of range.
pub const TOR: u8 = 1 << 3;
/// A: naturally aligned four-byte region.
pub const NA4: u8 = 2 << 3;
/// A: naturally aligned power-of-two region.
pub const NAPOT: u8 = 3 << 3;
/// Configuration: locked until reset, and in force at machine level.
pub const L: u8 = 1 << 7;

/// Bits of pmpaddr: bits 55:2 of an address.
const ADDRESS: u64 = (1 << 54) - 1;

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Instruction fetch.
    Fetch,
    /// Load.
    Load,
    /// Store or AMO.
    Store,
}

/// What may be done with memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Permissions {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, execute: true };
    /// Nothing.
    pub const NONE: Self = Self { read: false, write: false, execute: false };

    const fn of(config: u8) -> Self {
        Self { read: config & R != 0, write: config & W != 0, execute: config & X != 0 }
    }

    /// Whether this access may be done.
    #[must_use]
    pub const fn allow(self, access: Access) -> bool {
        match access {
            Access::Fetch => self.execute,
            Access::Load => self.read,
            Access::Store => self.write,
        }
    }
}

/// What holds for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// This, for all its bytes.
    Whole(Permissions),
    /// Not the same for all its bytes: each access must be checked.
    Mixed,
}

/// The configuration register of an index counted by numbers: 0 for pmpcfg0, 2 for pmpcfg2.
fn config_slot(index: u16) -> Option<RegSlot> {
    match index {
        0 => Some(slot::PMPCFG0),
        2 => Some(slot::PMPCFG2),
        _ => None,
    }
}

/// The configuration of an entry.
fn entry(frame: &CpuFrame, n: u8) -> u8 {
    let slot = if n < 8 { slot::PMPCFG0 } else { slot::PMPCFG2 };
    frame.get(slot).to_le_bytes()[usize::from(n % 8)]
}

/// Reads pmpcfg.
#[must_use]
pub fn config(frame: &CpuFrame, index: u16) -> u64 {
    config_slot(index).map_or(0, |slot| frame.get(slot))
}

/// Writes pmpcfg: each entry for itself, unless it is locked.
pub fn set_config(frame: &mut CpuFrame, index: u16, value: u64) -> WriteEffect {
    let Some(slot) = config_slot(index) else { return WriteEffect::NONE };
    let mut entries = frame.get(slot).to_le_bytes();
    for (entry, new) in entries.iter_mut().zip(value.to_le_bytes()) {
        if *entry & L == 0 {
            *entry = legal(new);
        }
    }
    frame.set(slot, u64::from_le_bytes(entries));
    WriteEffect::TRANSLATION
}

/// W without R is reserved: neither then.
const fn legal(config: u8) -> u8 {
    let known = config & (L | A | X | W | R);
    if known & (W | R) == W { known & !W } else { known }
}

/// Reads pmpaddr.
#[must_use]
pub fn address(frame: &CpuFrame, index: u16) -> u64 {
    match index {
        0..16 => frame.get(slot::pmpaddr(index as u8)),
        _ => 0,
    }
}

/// Writes pmpaddr, unless its entry is locked, or the next one is and begins here.
pub fn set_address(frame: &mut CpuFrame, index: u16, value: u64) -> WriteEffect {
    if index >= u16::from(ENTRIES) {
        return WriteEffect::NONE;
    }
    let n = index as u8;
    let next = if n + 1 < ENTRIES { entry(frame, n + 1) } else { 0 };
    if entry(frame, n) & L == 0 && (next & L == 0 || next & A != TOR) {
        frame.set(slot::pmpaddr(n), value & ADDRESS);
    }
    WriteEffect::TRANSLATION
}

/// The bytes that an entry covers, first and last; `None` if it is off or empty.
fn range(frame: &CpuFrame, n: u8, config: u8) -> Option<(u64, u64)> {
    let addr = frame.get(slot::pmpaddr(n));
    match config & A {
        TOR => {
            let low = if n == 0 { 0 } else { frame.get(slot::pmpaddr(n - 1)) };
            (low < addr).then(|| (low << 2, (addr << 2) - 1))
        }
        NA4 => Some((addr << 2, addr << 2 | 3)),
        NAPOT => {
            let low = addr & addr.wrapping_add(1);
            // The ones at the end, and the zero before them, are the size.
            let within = addr ^ addr.wrapping_add(1);
            Some(((low & !within) << 2, (addr | within) << 2 | 3))
        }
        _ => None,
    }
}

/// What the first entry that covers any of these bytes says of them: `None` if none does, `Mixed`
/// if it covers only some.
fn first_match(frame: &CpuFrame, first: u64, last: u64, level: Privilege) -> Option<Page> {
    (0..ENTRIES).find_map(|n| {
        let config = entry(frame, n);
        let (low, high) = range(frame, n, config).filter(|r| r.0 <= last && first <= r.1)?;
        let is_whole = low <= first && last <= high;
        Some(match (is_whole, level) {
            (false, _) => Page::Mixed,
            (true, Privilege::Machine) if config & L == 0 => Page::Whole(Permissions::ALL),
            (true, _) => Page::Whole(Permissions::of(config)),
        })
    })
}

/// Where no entry matches: machine level may do everything, the others nothing.
const fn unmatched(level: Privilege) -> Permissions {
    match level {
        Privilege::Machine => Permissions::ALL,
        _ => Permissions::NONE,
    }
}

/// Whether an access of `size` bytes is allowed. One that the first matching entry covers only in
/// part is not, whatever the level.
#[must_use]
pub fn check(
    frame: &CpuFrame,
    phys: GuestPhys,
    size: u64,
    level: Privilege,
    access: Access,
) -> bool {
    let last = phys.0.saturating_add(size.saturating_sub(1));
    match first_match(frame, phys.0, last, level) {
        Some(Page::Whole(permissions)) => permissions.allow(access),
        Some(Page::Mixed) => false,
        None => unmatched(level).allow(access),
    }
}

/// What holds for all of a page of `size` bytes, so that it can be remembered.
#[must_use]
pub fn check_page(frame: &CpuFrame, phys: GuestPhys, size: u64, level: Privilege) -> Page {
    let last = phys.0.saturating_add(size.saturating_sub(1));
    first_match(frame, phys.0, last, level).unwrap_or(Page::Whole(unmatched(level)))
}
