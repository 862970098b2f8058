//! Guest memory as helpers access it, in single accesses; and whoever observes the instruction that a helper belongs to is
//! told what it accesses.

use std::cell::{Cell, RefCell};

use base::GuestVirt;
use base::sys::access as guest;

pub(crate) use base::sys::access::{Direction, Faulted};

/// An access that a helper has made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// Whether it reads or writes.
    pub kind: Kind,
    /// Where.
    pub addr: GuestVirt,
    /// Bytes: 16 at most.
    pub size: u8,
    /// What was read or written, zero-extended.
    pub value: u128,
}

/// Whether an access reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It reads.
    Load,
    /// It writes.
    Store,
}

thread_local! {
    /// Whether anybody wants to know what helpers on this thread access.
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static TOLD: RefCell<Vec<Told>> = const { RefCell::new(Vec::new()) };
}

/// Has everything noted that helpers on this thread access, until [`told`].
pub fn listen() {
    LISTENS.set(true);
}

/// What was accessed since [`listen`], in order. From now on nothing is noted.
pub fn told() -> Vec<Told> {
    LISTENS.set(false);
    TOLD.take()
}

fn tell(kind: Kind, addr: GuestVirt, size: u8, value: impl Into<u128>) {
    if LISTENS.get() {
        let told = Told { kind, addr, size, value: value.into() };
        TOLD.with_borrow_mut(|all| all.push(told));
    }
}

/// Says that bytes were read from there, or written.
pub(crate) fn tell_bytes(kind: Kind, addr: GuestVirt, bytes: &[u8]) {
    if !LISTENS.get() {
        return;
    }
    for (n, piece) in bytes.chunks(16).enumerate() {
        let mut value = [0; 16];
        value[..piece.len()].copy_from_slice(piece);
        let at = addr.wrapping_add(16 * n as u64);
        tell(kind, at, piece.len() as u8, u128::from_le_bytes(value));
    }
}

/// Says that so many bytes were `old`, and were replaced by `new` if that was as expected.
pub(crate) fn tell_exchange(addr: GuestVirt, size: u8, [old, expected, new]: [u128; 3]) {
    tell(Kind::Load, addr, size, old);
    if old == expected {
        tell(Kind::Store, addr, size, new);
    }
}

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident;)*) => {
        $(
            /// Reads one value.
            pub(crate) fn $load(addr: GuestVirt) -> Result<$type, Faulted> {
                guest::$load(addr).inspect(|&value| tell(Kind::Load, addr, $bytes, value))
            }

            /// Writes one value.
            pub(crate) fn $store(addr: GuestVirt, value: $type) -> Result<(), Faulted> {
                guest::$store(addr, value).inspect(|()| tell(Kind::Store, addr, $bytes, value))
            }
        )*
    };
}

accesses! {
    1 u8, load8, store8;
    2 u16, load16, store16;
    4 u32, load32, store32;
    8 u64, load64, store64;
}

/// Compares and exchanges 16 aligned bytes; what was there.
pub(crate) fn compare_exchange128(
    addr: GuestVirt,
    expected: u128,
    new: u128,
) -> Result<u128, Faulted> {
    let found = guest::compare_exchange128(addr, expected, new);
    found.inspect(|&old| tell_exchange(addr, 16, [old, expected, new]))
}

/// As [`guest::repeat_move`], but none at once for somebody who is to be told of each.
pub(crate) fn repeat_move(
    direction: Direction,
    bytes: u32,
    to: GuestVirt,
    from: GuestVirt,
    count: u64,
) -> Result<(), u64> {
    match LISTENS.get() {
        true => Err(count),
        false => guest::repeat_move(direction, bytes, to, from, count),
    }
}

/// As [`guest::repeat_store`], but none at once for somebody who is to be told of each.
pub(crate) fn repeat_store(
    direction: Direction,
    bytes: u32,
    to: GuestVirt,
    value: u64,
    count: u64,
) -> Result<(), u64> {
    match LISTENS.get() {
        true => Err(count),
        false => guest::repeat_store(direction, bytes, to, value, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_told_while_somebody_listens() {
        let mut word = 0x1234_u64;
        let at = GuestVirt(&raw mut word as u64);
        assert_eq!(load16(at), Ok(0x1234));
        listen();
        assert!(store8(at, 7).is_ok());
        tell_bytes(Kind::Load, at, &[1; 20]);
        tell_exchange(at, 16, [5, 6, 7]);
        let all = told();
        let brief: Vec<_> = all.iter().map(|told| (told.kind, told.size, told.value)).collect();
        let ones = 0x0101_0101_0101_0101_0101_0101_0101_0101;
        assert_eq!(
            brief,
            [
                (Kind::Store, 1, 7),
                (Kind::Load, 16, ones),
                (Kind::Load, 4, 0x0101_0101),
                (Kind::Load, 16, 5)
            ]
        );
        assert_eq!(all[2].addr, at.wrapping_add(16));
        let _ = load8(at);
        assert!(told().is_empty());
    }
}
