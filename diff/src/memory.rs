//! Whether two instructions did the same to memory, though one may have split an access.

use std::collections::BTreeMap;

use trace::{Access, AccessKind, Carries};

/// What of accesses both sides tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    loads: bool,
    stores: bool,
    load_values: bool,
    store_values: bool,
}

impl Told {
    pub(crate) fn by_both(a: &Carries, b: &Carries) -> Self {
        Self {
            loads: a.loads && b.loads,
            stores: a.stores && b.stores,
            load_values: a.load_values && b.load_values,
            store_values: a.store_values && b.store_values,
        }
    }

    fn tells(self, kind: AccessKind) -> bool {
        match kind {
            AccessKind::Load => self.loads,
            AccessKind::Store => self.stores,
        }
    }

    fn tells_value(self, kind: AccessKind) -> bool {
        match kind {
            AccessKind::Load => self.load_values,
            AccessKind::Store => self.store_values,
        }
    }
}

/// Whether the accesses agree as far as both sides tell them. Most instructions have none.
#[inline]
pub(crate) fn agree(a: &[Access], b: &[Access], told: Told) -> bool {
    a.is_empty() && b.is_empty() || a == b || agree_as_told(a, b, told)
}

fn agree_as_told(a: &[Access], b: &[Access], told: Told) -> bool {
    [AccessKind::Load, AccessKind::Store].into_iter().filter(|kind| told.tells(*kind)).all(|kind| {
        let (a, b) = (Only { kind, of: a }, Only { kind, of: b });
        same_one_by_one(a, b, told.tells_value(kind)) || same_bytes(a, b, told.tells_value(kind))
    })
}

/// The accesses of one kind.
#[derive(Clone, Copy)]
struct Only<'a> {
    kind: AccessKind,
    of: &'a [Access],
}

impl<'a> Only<'a> {
    fn iter(self) -> impl Iterator<Item = &'a Access> {
        self.of.iter().filter(move |access| access.kind == self.kind)
    }
}

fn same_one_by_one(a: Only<'_>, b: Only<'_>, values: bool) -> bool {
    let same = |a: &Access, b: &Access| {
        a.addr == b.addr
            && unknown_or_equal(a.size, b.size)
            && (!values || unknown_or_equal(a.value, b.value))
    };
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if same(a, b) => {}
            _ => return false,
        }
    }
}

fn unknown_or_equal<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// The bytes that accesses touch, each with its value if that is known; `None` if a size is unknown.
fn bytes_of(accesses: Only<'_>) -> Option<BTreeMap<u64, Option<u8>>> {
    let mut bytes = BTreeMap::new();
    for access in accesses.iter() {
        for n in 0..u64::from(access.size?) {
            let value = access.value.map(|value| (value >> (8 * n.min(15))) as u8);
            bytes.insert(access.addr.wrapping_add(n), value);
        }
    }
    Some(bytes)
}

fn same_bytes(a: Only<'_>, b: Only<'_>, values: bool) -> bool {
    let (Some(a), Some(b)) = (bytes_of(a), bytes_of(b)) else { return false };
    a.keys().eq(b.keys())
        && (!values || a.values().zip(b.values()).all(|(a, b)| unknown_or_equal(*a, *b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(addr: u64, size: u8, value: u128) -> Access {
        let kind = AccessKind::Store;
        Access { kind, addr, phys: None, size: Some(size), value: Some(value) }
    }

    const ALL: Told = Told { loads: true, stores: true, load_values: true, store_values: true };

    #[test]
    fn a_pair_is_the_same_as_one_wide_store() {
        let wide = [store(0x100, 16, 2 << 64 | 1)];
        let pair = [store(0x100, 8, 1), store(0x108, 8, 2)];
        assert!(agree(&wide, &pair, ALL) && agree(&pair, &wide, ALL));
        assert!(!agree(&wide, &pair[..1], ALL));
        assert!(!agree(&wide, &[store(0x100, 8, 1), store(0x108, 8, 3)], ALL));
        assert!(agree(&wide, &[store(0x100, 16, 7)], Told { store_values: false, ..ALL }));
        assert!(agree(&wide, &[], Told { stores: false, ..ALL }));
    }

    #[test]
    fn what_one_side_does_not_tell_is_no_difference() {
        let whole = [store(0x100, 4, 9)];
        let vague = [Access { size: None, value: None, ..whole[0] }];
        assert!(agree(&whole, &vague, ALL));
        assert!(!agree(&whole, &[Access { addr: 0x104, ..vague[0] }], ALL));
        let load = [Access { kind: AccessKind::Load, ..whole[0] }];
        assert!(!agree(&whole, &load, ALL));
    }
}
