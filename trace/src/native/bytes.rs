//! Numbers as bytes.
//!
//! A *number* below 239 is one byte. Otherwise its first byte is 238 + n, and n bytes follow (1 to 8), least significant
//! first. A *difference* of 128-bit values is that of their two lanes of 64 bits, each *zigzag*: 0, -1, 1, -2, … become
//! 0, 1, 2, 3, … If the upper lane is 0, it is the lower one as a number; else 246 + n, the n bytes of the upper lane, and the
//! lower lane as a number. So neither begins with 255.

/// What is wrong with the bytes of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed(pub(super) &'static str);

/// The first byte of a number of one byte more than this says.
const LONGER: u8 = 238;
/// The same for the upper lane of a value.
const WIDE: u8 = 246;

pub(super) const fn low(value: u128) -> u64 {
    (value & u64::MAX as u128) as u64
}

pub(super) const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

pub(super) const fn lanes(low: u64, high: u64) -> u128 {
    low as u128 | (high as u128) << 64
}

/// The sums of both lanes.
pub(super) const fn add(a: u128, b: u128) -> u128 {
    lanes(low(a).wrapping_add(low(b)), high(a).wrapping_add(high(b)))
}

/// The differences of both lanes.
pub(super) const fn sub(a: u128, b: u128) -> u128 {
    lanes(low(a).wrapping_sub(low(b)), high(a).wrapping_sub(high(b)))
}

pub(super) const fn zigzag(difference: u64) -> u64 {
    difference << 1 ^ 0_u64.wrapping_sub(difference >> 63)
}

const fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ 0_u64.wrapping_sub(number & 1)
}

fn put_bytes(out: &mut Vec<u8>, base: u8, number: u64) {
    let bits = 64 - number.leading_zeros();
    let len = bits.div_ceil(8).max(1).to_le_bytes()[0];
    out.push(base + len);
    out.extend_from_slice(&number.to_le_bytes()[..usize::from(len)]);
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte) if byte <= LONGER => out.push(byte),
        _ => put_bytes(out, LONGER, number),
    }
}

/// A difference of both lanes.
pub(super) fn put_difference(out: &mut Vec<u8>, difference: u128) {
    let upper = zigzag(high(difference));
    if upper != 0 {
        put_bytes(out, WIDE, upper);
    }
    put_number(out, zigzag(low(difference)));
}

/// A section of a chunk, as far as it has not been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    at: usize,
    end: usize,
}

impl Section {
    pub(super) const fn new(at: usize, end: usize) -> Self {
        Self { at, end }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.at >= self.end
    }

    #[inline]
    pub(super) fn byte(&mut self, raw: &[u8]) -> Result<u8, Malformed> {
        if self.is_empty() {
            return Err(Malformed("a section of the chunk ends too early"));
        }
        let byte = raw.get(self.at).copied();
        self.at += 1;
        byte.ok_or(Malformed("a section of the chunk ends too early"))
    }

    #[inline]
    pub(super) fn bytes<'a>(&mut self, raw: &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.saturating_add(len);
        let found = if end <= self.end { raw.get(self.at..end) } else { None };
        self.at = end;
        found.ok_or(Malformed("a section of the chunk ends too early"))
    }

    /// A number of so many bytes: 1 to 8.
    #[inline]
    fn up_to_8(&mut self, raw: &[u8], len: u8) -> Result<u64, Malformed> {
        let start = self.at;
        let bytes = self.bytes(raw, usize::from(len))?;
        // Eight bytes are read at once, wherever the chunk has so many.
        Ok(match raw.get(start..).and_then(|rest| rest.first_chunk()) {
            Some(eight) => u64::from_le_bytes(*eight) & u64::MAX >> (64 - 8 * u32::from(len)),
            None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        })
    }

    #[inline]
    pub(super) fn number(&mut self, raw: &[u8]) -> Result<u64, Malformed> {
        let first = self.byte(raw)?;
        self.number_after(raw, first)
    }

    #[inline]
    fn number_after(&mut self, raw: &[u8], first: u8) -> Result<u64, Malformed> {
        match first {
            0..=LONGER => Ok(u64::from(first)),
            239..=WIDE => self.up_to_8(raw, first - LONGER),
            247.. => Err(Malformed("a value where a number was expected")),
        }
    }

    /// A number that counts or names something.
    pub(super) fn index(&mut self, raw: &[u8]) -> Result<u32, Malformed> {
        let number = self.number(raw)?;
        u32::try_from(number).map_err(|_| Malformed("a number is too large"))
    }

    /// A difference of both lanes.
    #[inline]
    pub(super) fn difference(&mut self, raw: &[u8]) -> Result<u128, Malformed> {
        let first = self.byte(raw)?;
        self.difference_after(raw, first)
    }

    /// A difference of both lanes whose first byte is known.
    #[inline]
    pub(super) fn difference_after(&mut self, raw: &[u8], first: u8) -> Result<u128, Malformed> {
        if first <= WIDE {
            return Ok(lanes(unzigzag(self.number_after(raw, first)?), 0));
        }
        if first == u8::MAX {
            return Err(Malformed("no number begins with 255"));
        }
        let upper = self.up_to_8(raw, first - WIDE)?;
        let lower = self.number(raw)?;
        Ok(lanes(unzigzag(lower), unzigzag(upper)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_numbers_are_one_byte() {
        for (number, len) in [(0, 1), (238, 1), (239, 2), (256, 3), (u64::MAX, 9)] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out.len(), len, "{number}");
            assert_eq!(Section::new(0, len).number(&out), Ok(number));
            assert!(Section::new(0, len - 1).number(&out).is_err());
        }
    }

    proptest! {
        #[test]
        fn differences_come_back(a: u128, b: u128, shift in 0_u32..128) {
            let mut out = Vec::new();
            let difference = sub(a >> shift, b >> shift);
            put_difference(&mut out, difference);
            let mut section = Section::new(0, out.len());
            prop_assert_eq!(section.difference(&out), Ok(difference));
            prop_assert!(section.is_empty());
            prop_assert_eq!(add(b >> shift, difference), a >> shift);
        }
    }
}
