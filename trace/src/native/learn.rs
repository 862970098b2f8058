//! From what the writer lets the reader predict a value. The format does not prescribe it: what is chosen here is written down.

use super::bytes::{high, low, sub, zigzag};
use super::slot::{Around, Base, Role, Slot};
use crate::AccessKind;

/// How far a value may be from a register to be taken for an offset to it, zigzag.
const NEAR: u64 = 1 << 13;
/// How many registers are looked at.
const CANDIDATES: usize = 64;
/// How often it is tried at once to find a better base, and later again.
const TRIES: u32 = 4;
const RETRY: u32 = 64;

/// What the writer knows of the misses of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learner {
    misses: u32,
    /// How far the value of the last miss was from the one before.
    seen: u128,
}

impl Learner {
    /// Another base, if it promises to be better for a slot that did not expect `value`.
    pub(super) fn missed(
        &mut self,
        slot: &Slot,
        role: Role<'_>,
        value: u128,
        around: &Around<'_>,
    ) -> Option<Base> {
        let step = sub(value, slot.last());
        let repeats = step == 0 || step == self.seen;
        self.seen = step;
        self.misses = self.misses.saturating_add(1);
        let base = match slot.base {
            Base::Itself if repeats => return None,
            _ if repeats => Base::Itself,
            _ if self.misses <= TRIES || self.misses.is_multiple_of(RETRY) => {
                chosen(role, value, around)
            }
            _ if self.misses == TRIES + 1 => Base::Itself,
            _ => return None,
        };
        (base != slot.base).then_some(base)
    }
}

/// The base that a value most probably comes from, when nothing else is known.
pub(super) fn chosen(role: Role<'_>, value: u128, around: &Around<'_>) -> Base {
    let found = match role {
        Role::Physical(index) => Some(Base::Address(index)),
        Role::Address(index) => near_register(value, around, NEAR, None)
            .or_else(|| index.checked_sub(1).map(Base::Address)),
        Role::Accessed(access) if access.kind == AccessKind::Store => {
            near_register(value, around, 1, None)
        }
        Role::Written(index) => {
            loaded(value, around).or_else(|| near_register(value, around, NEAR, Some(index)))
        }
        Role::Accessed(..) | Role::Trap => None,
    };
    found.unwrap_or(Base::Itself)
}

/// An access of exactly that value.
fn loaded(value: u128, around: &Around<'_>) -> Option<Base> {
    let with_values = (0..).zip(around.accesses).take(CANDIDATES);
    let mut known = with_values.filter(|(_, access)| access.value.is_some());
    known.find_map(|(index, _)| {
        let bases = [Base::Loaded(index), Base::LoadedSigned(index)];
        bases.into_iter().find(|&base| around.base(base, 0) == value)
    })
}

/// The register that is least far away, but rather `own`, if it is near, too.
fn near_register(value: u128, around: &Around<'_>, near: u64, own: Option<u32>) -> Option<Base> {
    let distance = |base: u128| {
        let difference = sub(value, base & around.mask);
        if high(difference) == 0 { zigzag(low(difference)) } else { u64::MAX }
    };
    let own = own.filter(|&own| distance(around.base(Base::Register(own), 0)) < near);
    let all = (0..).zip(around.registers).take(CANDIDATES);
    let nearest = || {
        let distances = all.map(|(index, &base)| (distance(base), index));
        distances.min().filter(|&(distance, _)| distance < near).map(|(_, index)| index)
    };
    own.or_else(nearest).map(Base::Register)
}
