//! Reading a line from left to right.

/// What is left of a line.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Scan<'a> {
    pub(in crate::formats) rest: &'a [u8],
}

/// Values of hexadecimal digits; 255 for other bytes.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The digit that is first.
fn digit(text: &[u8]) -> Option<u8> {
    text.first().map(|byte| DIGITS[usize::from(*byte)]).filter(|digit| *digit != 255)
}

/// The first eight digits, if there are so many: most numbers have 8 or 16, and one test for eight is faster.
fn eight_digits(text: &[u8]) -> Option<u32> {
    let digits = text.first_chunk::<8>()?.map(|byte| DIGITS[usize::from(byte)]);
    let all = digits.iter().fold(0, |all, digit| all | digit);
    (all < 16).then(|| digits.iter().fold(0, |value, digit| value << 4 | u32::from(*digit)))
}

/// A hexadecimal number, and of how many digits it is.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Hex<T> {
    pub(in crate::formats) value: T,
    pub(in crate::formats) digits: usize,
}

impl<'a> Scan<'a> {
    pub(in crate::formats) const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    pub(in crate::formats) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Skips blanks.
    pub(in crate::formats) fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Skips these bytes, if they are next.
    pub(in crate::formats) fn eat(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    /// The bytes before this one, or all.
    pub(in crate::formats) fn before(&mut self, end: u8) -> &'a [u8] {
        let len = self.rest.iter().position(|byte| *byte == end);
        let (before, after) = self.rest.split_at(len.unwrap_or(self.rest.len()));
        self.rest = after;
        before
    }

    /// The next bytes that are not blanks, after skipping blanks. Empty at the end.
    pub(in crate::formats) fn word(&mut self) -> &'a [u8] {
        self.blanks();
        let len = self.rest.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (word, rest) = self.rest.split_at(len.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// A decimal number.
    pub(in crate::formats) fn decimal(&mut self) -> Option<u64> {
        let len =
            self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(len);
        if digits.is_empty() || len > 20 {
            return None;
        }
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })?;
        self.rest = rest;
        Some(value)
    }

    /// A hexadecimal number of at most 16 digits, apart from leading zeros.
    pub(in crate::formats) fn hex(&mut self) -> Option<Hex<u64>> {
        let mut value = 0_u64;
        let mut digits = 0;
        while let Some(eight) = eight_digits(&self.rest[digits..]).filter(|_| value >> 32 == 0) {
            value = value << 32 | u64::from(eight);
            digits += 8;
        }
        while let Some(digit) = digit(&self.rest[digits..]) {
            if value >> 60 != 0 {
                return None;
            }
            value = value << 4 | u64::from(digit);
            digits += 1;
        }
        self.rest = &self.rest[digits..];
        (digits != 0).then_some(Hex { value, digits })
    }

    /// A hexadecimal number of at most 32 digits, apart from leading zeros.
    pub(in crate::formats) fn wide_hex(&mut self) -> Option<Hex<u128>> {
        let mut value = 0_u128;
        let mut digits = 0;
        while let Some(eight) = eight_digits(&self.rest[digits..]).filter(|_| value >> 96 == 0) {
            value = value << 32 | u128::from(eight);
            digits += 8;
        }
        while let Some(digit) = digit(&self.rest[digits..]) {
            if value >> 124 != 0 {
                return None;
            }
            value = value << 4 | u128::from(digit);
            digits += 1;
        }
        self.rest = &self.rest[digits..];
        (digits != 0).then_some(Hex { value, digits })
    }

    /// `0x` and a hexadecimal number of at most 16 digits.
    pub(in crate::formats) fn prefixed_hex(&mut self) -> Option<Hex<u64>> {
        self.eat(b"0x")?;
        self.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_up_to_their_sizes() {
        let hex = |text: &'static str| {
            let mut scan = Scan::new(text.as_bytes());
            scan.hex().map(|hex| (hex.value, hex.digits, scan.rest.len()))
        };
        assert_eq!(hex("1fG"), Some((0x1f, 2, 1)));
        assert_eq!(hex("00ffffffffffffffff"), Some((u64::MAX, 18, 0)));
        assert_eq!(hex("10000000000000000"), None);
        assert_eq!(hex(""), None);
        let mut wide = Scan::new(b"ffffffffffffffffffffffffffffffff ");
        assert_eq!(wide.wide_hex().map(|hex| hex.value), Some(u128::MAX));
        assert_eq!(Scan::new(b"18446744073709551615").decimal(), Some(u64::MAX));
        assert_eq!(Scan::new(b"18446744073709551616").decimal(), None);
    }
}
