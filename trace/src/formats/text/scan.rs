//! Reading a line from left to right.

/// What is left of a line.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Scan<'a> {
    pub(in crate::formats) rest: &'a [u8],
}

/// Eight bytes of the same value.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The first eight bytes, the first one lowest; those that are not there are 0.
#[inline]
fn eight_bytes(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte)),
    }
}

/// The highest bits of those of eight bytes that are no hexadecimal digits, up to the first one; bits behind it say nothing.
#[inline]
const fn no_digits(bytes: u64) -> u64 {
    // In each byte, a sum has the highest bit if the byte is large enough: a digit is as large as the first one and not larger than
    // the last one. From a byte of 0x80 or more, which is no digit, it carries into the next one, which does not count any more.
    let lower_case = bytes | each(0x20);
    let decimal = bytes.wrapping_add(each(0x80 - b'0')) ^ bytes.wrapping_add(each(0x7f - b'9'));
    let letter =
        lower_case.wrapping_add(each(0x80 - b'a')) ^ lower_case.wrapping_add(each(0x7f - b'f'));
    (!(decimal | letter) | bytes) & each(0x80)
}

/// The number that the first of eight bytes are, which are so many hexadecimal digits: at least one.
#[inline]
const fn number_of(bytes: u64, digits: u32) -> u64 {
    // The bit of letters that decimal digits have not is worth 9.
    let nibbles = (bytes & each(0x0f)) + 9 * (bytes >> 6 & each(0x01));
    // The first digit is the highest one. Neighbours are joined, then pairs, then fours.
    let nibbles = (nibbles << (64 - 8 * digits)).swap_bytes();
    let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) & 0xffff_ffff
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
    #[inline]
    pub(in crate::formats) fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Skips these bytes, if they are next.
    #[inline]
    pub(in crate::formats) fn eat(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    /// The bytes before this one, or all.
    #[inline]
    pub(in crate::formats) fn before(&mut self, end: u8) -> &'a [u8] {
        let len = self.rest.iter().position(|byte| *byte == end);
        let (before, after) = self.rest.split_at(len.unwrap_or(self.rest.len()));
        self.rest = after;
        before
    }

    /// The next bytes that are not blanks, after skipping blanks. Empty at the end.
    #[inline]
    pub(in crate::formats) fn word(&mut self) -> &'a [u8] {
        self.blanks();
        let len = self.rest.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (word, rest) = self.rest.split_at(len.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// A decimal number.
    #[inline]
    pub(in crate::formats) fn decimal(&mut self) -> Option<u64> {
        let (mut value, mut len) = (0_u64, 0);
        while let Some(digit @ b'0'..=b'9') = self.rest.get(len) {
            let digit = u64::from(digit - b'0');
            // Only the twentieth digit can be too much.
            value = match len {
                0..19 => 10 * value + digit,
                19 => value.checked_mul(10)?.checked_add(digit)?,
                _ => return None,
            };
            len += 1;
        }
        self.rest = self.rest.get(len..)?;
        (len != 0).then_some(value)
    }

    /// A hexadecimal number of at most 16 digits, apart from leading zeros.
    #[inline]
    pub(in crate::formats) fn hex(&mut self) -> Option<Hex<u64>> {
        match self.sixteen_digits() {
            Some(value) => Some(Hex { value, digits: 16 }),
            None => self.short_hex(),
        }
    }

    /// The same, where it is rarely of 16 digits.
    pub(in crate::formats) fn short_hex(&mut self) -> Option<Hex<u64>> {
        self.digits(0_u64, |value, digits, number| {
            let is_full = value >> (64 - 4 * digits) != 0;
            (!is_full).then(|| value << (4 * digits) | number)
        })
    }

    /// A hexadecimal number of at most 32 digits, apart from leading zeros.
    #[inline]
    pub(in crate::formats) fn wide_hex(&mut self) -> Option<Hex<u128>> {
        if let Some(value) = self.sixteen_digits() {
            return Some(Hex { value: value.into(), digits: 16 });
        }
        self.digits(0_u128, |value, digits, number| {
            let is_full = value >> (128 - 4 * digits) != 0;
            (!is_full).then(|| value << (4 * digits) | u128::from(number))
        })
    }

    /// A number of exactly 16 hexadecimal digits, as most addresses and values of registers are.
    #[inline(always)]
    fn sixteen_digits(&mut self) -> Option<u64> {
        let (digits, rest) = self.rest.split_first_chunk::<16>()?;
        let (high, low) = (eight_bytes(&digits[..8]), eight_bytes(&digits[8..]));
        let are_all = no_digits(high) | no_digits(low) == 0;
        if !are_all || rest.first().is_some_and(u8::is_ascii_hexdigit) {
            return None;
        }
        self.rest = rest;
        Some(number_of(high, 8) << 32 | number_of(low, 8))
    }

    /// Hexadecimal digits, up to eight of which at once are appended to a value, if it has room for them.
    #[inline]
    fn digits<T>(
        &mut self,
        mut value: T,
        append: impl Fn(T, u32, u64) -> Option<T>,
    ) -> Option<Hex<T>> {
        let mut rest = self.rest;
        while rest.first().is_some_and(u8::is_ascii_hexdigit) {
            let bytes = eight_bytes(rest);
            let digits = no_digits(bytes).trailing_zeros() / 8;
            value = append(value, digits, number_of(bytes, digits))?;
            rest = &rest[digits as usize..];
        }
        let digits = self.rest.len() - rest.len();
        self.rest = rest;
        (digits != 0).then_some(Hex { value, digits })
    }

    /// `0x` and a hexadecimal number of at most 16 digits.
    #[inline]
    pub(in crate::formats) fn prefixed_hex(&mut self) -> Option<Hex<u64>> {
        self.eat(b"0x")?;
        self.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a text, its digits, and how much is left.
    fn hex(text: &[u8]) -> Option<(u64, usize, usize)> {
        let mut scan = Scan::new(text);
        scan.hex().map(|hex| (hex.value, hex.digits, scan.rest.len()))
    }

    fn wide_hex(text: &[u8]) -> Option<(u128, usize, usize)> {
        let mut scan = Scan::new(text);
        scan.wide_hex().map(|hex| (hex.value, hex.digits, scan.rest.len()))
    }

    #[test]
    fn numbers_are_read_up_to_their_sizes() {
        assert_eq!(hex(b"1fG"), Some((0x1f, 2, 1)));
        assert_eq!(hex(b"00ffffffffffffffff"), Some((u64::MAX, 18, 0)));
        assert_eq!(hex(b"10000000000000000"), None);
        assert_eq!(hex(b""), None);
        assert_eq!(wide_hex(b"ffffffffffffffffffffffffffffffff "), Some((u128::MAX, 32, 1)));
        assert_eq!(wide_hex(b"0ffffffffffffffffffffffffffffffff"), Some((u128::MAX, 33, 0)));
        assert_eq!(wide_hex(b"100000000000000000000000000000000"), None);
        assert_eq!(Scan::new(b"18446744073709551615").decimal(), Some(u64::MAX));
        assert_eq!(Scan::new(b"18446744073709551616").decimal(), None);
        assert_eq!(Scan::new(b"00000000000000000007").decimal(), Some(7));
        assert_eq!(Scan::new(b"000000000000000000007").decimal(), None);
        assert_eq!(Scan::new(b"x1").decimal(), None);
    }

    #[test]
    fn numbers_may_have_any_count_of_digits() {
        let digits = b"123456789abcdefFEDCBA98765432100";
        for count in 1..=digits.len() {
            let text = std::str::from_utf8(&digits[..count]).unwrap();
            let value = u128::from_str_radix(text, 16).unwrap();
            let narrow = u64::try_from(value).ok();
            for behind in ["", " ", "g", ") x1  0x", "\0\0\0\0\0\0\0\0"] {
                let whole = format!("{text}{behind}");
                let whole = whole.as_bytes();
                assert_eq!(wide_hex(whole), Some((value, count, behind.len())), "{text}");
                assert_eq!(hex(whole), narrow.map(|value| (value, count, behind.len())), "{text}");
            }
        }
    }

    #[test]
    fn each_byte_is_a_digit_or_ends_a_number_at_each_place() {
        for byte in 0..=u8::MAX {
            let digit = char::from(byte).to_digit(16).filter(|_| byte.is_ascii());
            for at in 0..16 {
                let mut text = *b"1111111111111111";
                text[at] = byte;
                let kept = 0x1111_1111_1111_1111 & !(0xf << (60 - 4 * at));
                let expected = match digit {
                    Some(digit) => Some((kept | u64::from(digit) << (60 - 4 * at), 16, 0)),
                    None if at == 0 => None,
                    None => Some((0x1111_1111_1111_1111 >> (64 - 4 * at), at, 16 - at)),
                };
                assert_eq!(hex(&text), expected, "{byte:#x} at {at}");
                let wide = expected.map(|(value, digits, left)| (value.into(), digits, left));
                assert_eq!(wide_hex(&text), wide, "{byte:#x} at {at}");
            }
        }
    }
}
