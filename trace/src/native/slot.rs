//! Slots: how one value of a site is predicted.

use super::bytes::{Malformed, Section, add, lanes, low, put_number, sub};
use crate::Access;

/// What a value is predicted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// What it was when the site was executed last.
    Itself,
    /// A register of the hart before the instruction, by its index.
    Register(u32),
    /// The address of an access of the same instruction, by its index.
    Address(u32),
    /// What an access of the same instruction read or wrote.
    Loaded(u32),
    /// The same, sign-extended to 64 bits.
    LoadedSigned(u32),
}

impl Base {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        let (kind, index) = match self {
            Self::Itself => return out.push(0),
            Self::Register(index) => (0, index),
            Self::Address(index) => (1, index),
            Self::Loaded(index) => (2, index),
            Self::LoadedSigned(index) => (3, index),
        };
        put_number(out, 1 + kind + 4 * u64::from(index));
    }

    pub(super) fn take(section: &mut Section, raw: &[u8]) -> Result<Self, Malformed> {
        let Some(number) = section.index(raw)?.checked_sub(1) else { return Ok(Self::Itself) };
        let index = number / 4;
        Ok(match number % 4 {
            0 => Self::Register(index),
            1 => Self::Address(index),
            2 => Self::Loaded(index),
            _ => Self::LoadedSigned(index),
        })
    }
}

/// What a value is.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// The address of an access, by its index.
    Address(u32),
    /// Its physical address.
    Physical(u32),
    /// What it read or wrote.
    Accessed(&'a Access),
    /// The new value of a register of the hart, by its index.
    Written(u32),
    /// Of a trap.
    Trap,
}

impl Role<'_> {
    /// The bits that the value has.
    #[inline]
    pub(super) fn mask(self) -> u128 {
        match self {
            Self::Accessed(access) => mask(access.size),
            _ => u128::MAX,
        }
    }

    /// What stands for the value of last time the first time.
    pub(super) fn initial(self, around: &Around<'_>) -> u128 {
        match self {
            Self::Address(_) => around.addr.into(),
            Self::Written(index) => around.base(Base::Register(index), 0),
            Self::Physical(_) | Self::Accessed(..) | Self::Trap => 0,
        }
    }
}

/// What a base can be looked up in.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// The registers before the instruction.
    pub(super) registers: &'a [u128],
    /// The accesses of the instruction, as far as they are known.
    pub(super) accesses: &'a [Access],
    /// The bits of the value, which are all that counts of the base.
    pub(super) mask: u128,
    /// The address of the hart's last access.
    pub(super) addr: u64,
}

/// The bits of so many bytes.
#[inline]
pub(super) fn mask(size: Option<u8>) -> u128 {
    match size {
        Some(size @ 0..16) => (1 << (8 * u32::from(size))) - 1,
        _ => u128::MAX,
    }
}

fn sign_extended(access: &Access) -> u128 {
    let value = low(access.value.unwrap_or(0));
    let unused = 64 - 8 * u32::from(access.size.unwrap_or(8).clamp(1, 8));
    lanes(((value << unused).cast_signed() >> unused).cast_unsigned(), 0)
}

impl Around<'_> {
    /// What `base` is here; nothing is 0.
    #[inline]
    pub(super) fn base(&self, base: Base, itself: u128) -> u128 {
        let access = |index: u32| usize::try_from(index).ok().and_then(|i| self.accesses.get(i));
        let found = match base {
            Base::Itself => return itself,
            Base::Register(index) => {
                usize::try_from(index).ok().and_then(|index| self.registers.get(index)).copied()
            }
            Base::Address(index) => access(index).map(|access| u128::from(access.addr)),
            Base::Loaded(index) => access(index).and_then(|access| access.value),
            Base::LoadedSigned(index) => access(index).map(sign_extended),
        };
        found.unwrap_or(0) & self.mask
    }
}

/// How one value of a site is predicted: `base` plus `step`. The step changes if the same other one is seen twice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// From what.
    pub(super) base: Base,
    last: u128,
    step: u128,
    seen: u128,
}

impl Slot {
    /// For the first value. That it is `step` from what stands for the one before says nothing.
    pub(super) fn first(base: Base, step: u128, value: u128) -> Self {
        Self::rebased(base, if base == Base::Itself { 0 } else { step }, value)
    }

    /// For a value that is `step` from another base than before.
    pub(super) fn rebased(base: Base, step: u128, value: u128) -> Self {
        Self { base, last: value, step, seen: step }
    }

    /// The value of last time.
    pub(super) const fn last(&self) -> u128 {
        self.last
    }

    /// The base now, and what is expected.
    #[inline]
    pub(super) fn predicted(&self, around: &Around<'_>) -> (u128, u128) {
        let base = around.base(self.base, self.last);
        (base, add(base, self.step))
    }

    /// It was what was expected.
    #[inline]
    pub(super) fn hit(&mut self, value: u128) {
        (self.last, self.seen) = (value, self.step);
    }

    /// It was something else.
    #[inline]
    pub(super) fn missed(&mut self, base: u128, value: u128) {
        let step = sub(value, base);
        if step == self.seen {
            self.step = step;
        }
        (self.last, self.seen) = (value, step);
    }
}
