//! Fragments of IP packets (RFC 791, 3.2), put together again: few at a time, and none for long.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::packet::{Fragment, Ip};

/// Packets that are put together at a time; the oldest makes room.
const PACKETS: usize = 16;
/// How long the parts of one may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of a packet with its header.
const LONGEST: usize = 0xffff;
const HEADER: usize = 20;
/// Fragments lie at multiples of so many bytes.
const UNIT: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    source: Ipv4Addr,
    target: Ipv4Addr,
    ident: u16,
    protocol: u8,
}

struct Partial {
    key: Key,
    begun: Instant,
    /// A header, and what has arrived of the payload, in place.
    bytes: Vec<u8>,
    /// Which units have arrived.
    present: Vec<bool>,
    /// Bytes of the payload, once the last part has arrived.
    len: Option<usize>,
}

/// Packets that are put together.
#[derive(Default)]
pub(super) struct Fragments {
    partial: Vec<Partial>,
}

impl Fragments {
    /// Takes a part; returns the packet, with a header of 20 bytes, if it was the last that was missing.
    pub(super) fn add(&mut self, ip: &Ip<'_>, part: Fragment, now: Instant) -> Option<Vec<u8>> {
        self.partial.retain(|partial| partial.begun + PATIENCE > now);
        let payload = ip.payload();
        let end = part.offset + payload.len();
        let ragged = !part.last && !payload.len().is_multiple_of(UNIT);
        if payload.is_empty() || ragged || HEADER + end > LONGEST {
            return None;
        }
        let (source, target) = (ip.source, ip.target);
        let key = Key { source, target, ident: part.ident, protocol: part.protocol };
        let index = self.find(key, ip, now);
        let partial = &mut self.partial[index];
        if !partial.place(part, payload) {
            self.partial.swap_remove(index);
            return None;
        }
        partial.is_complete().then(|| self.partial.swap_remove(index).bytes)
    }

    fn find(&mut self, key: Key, ip: &Ip<'_>, now: Instant) -> usize {
        if let Some(index) = self.partial.iter().position(|partial| partial.key == key) {
            return index;
        }
        if self.partial.len() >= PACKETS {
            self.partial.remove(0);
        }
        let bytes = ip.bytes[..HEADER].to_vec();
        let present = Vec::new();
        self.partial.push(Partial { key, begun: now, bytes, present, len: None });
        self.partial.len() - 1
    }
}

impl Partial {
    /// Puts a part in its place. Says whether it agrees with the others: they must not overlap.
    fn place(&mut self, part: Fragment, payload: &[u8]) -> bool {
        let end = part.offset + payload.len();
        let units = part.offset / UNIT..end.div_ceil(UNIT);
        let longer = self.len.is_some_and(|len| end > len || (part.last && end != len));
        let cut_off = part.last && self.bytes.len() > HEADER + end;
        if longer || cut_off {
            return false;
        }
        self.present.resize(self.present.len().max(units.end), false);
        let present = &mut self.present[units];
        if present.contains(&true) {
            return false;
        }
        present.fill(true);
        self.bytes.resize(self.bytes.len().max(HEADER + end), 0);
        self.bytes[HEADER + part.offset..HEADER + end].copy_from_slice(payload);
        if part.last {
            self.len = Some(end);
        }
        true
    }

    fn is_complete(&self) -> bool {
        self.len.is_some() && self.present.iter().all(|&present| present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(fragments: &mut Fragments, at: usize, last: bool, data: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = vec![0x45; HEADER];
        bytes.extend_from_slice(data);
        let source = Ipv4Addr::new(10, 0, 2, 15);
        let ip = Ip { source, target: source, bytes: &bytes, header: HEADER };
        let part = Fragment { ident: 1, protocol: 17, offset: at, last };
        fragments.add(&ip, part, Instant::now())
    }

    #[test]
    fn parts_come_in_any_order() {
        let mut fragments = Fragments::default();
        assert_eq!(add(&mut fragments, 16, true, b"end"), None);
        assert_eq!(add(&mut fragments, 0, false, b"12345678"), None);
        let whole = add(&mut fragments, 8, false, b"abcdefgh").unwrap();
        assert_eq!(&whole[HEADER..], b"12345678abcdefghend");
    }

    #[test]
    fn parts_that_overlap_are_dropped_with_the_others() {
        let mut fragments = Fragments::default();
        assert_eq!(add(&mut fragments, 0, false, &[1; 16]), None);
        assert_eq!(add(&mut fragments, 8, true, b"x"), None);
        assert!(fragments.partial.is_empty());
        assert_eq!(add(&mut fragments, 0, false, &[1; 16]), None);
        assert_eq!(add(&mut fragments, 16, true, b"x").unwrap().len(), HEADER + 17);
    }

    proptest! {
        #[test]
        fn any_parts_can_come(
            parts in proptest::collection::vec((0usize..8192, any::<bool>(), 0usize..3000), 1..60),
        ) {
            let mut fragments = Fragments::default();
            for (unit, last, len) in parts {
                if let Some(whole) = add(&mut fragments, unit * UNIT, last, &vec![0; len]) {
                    prop_assert!(whole.len() <= LONGEST);
                }
                prop_assert!(fragments.partial.len() <= PACKETS);
            }
        }
    }
}
