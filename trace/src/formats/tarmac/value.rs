//! Values, of which bits may be unknown.

use crate::formats::text::Scan;

/// Some bits of a register: `<127:64>`; without it, all of them.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) low: u32,
    /// From 1 to 128.
    pub(super) len: u32,
}

impl Range {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { low: 0, len: 128 });
        }
        let mut scan = Scan::new(text);
        scan.eat(b"<")?;
        let high = scan.decimal().and_then(|high| u32::try_from(high).ok())?;
        scan.eat(b":")?;
        let low = scan.decimal().and_then(|low| u32::try_from(low).ok())?;
        scan.eat(b">")?;
        (low <= high && high < 128).then(|| Self { low, len: high - low + 1 })
    }
}

/// A value in groups of digits, some of them `-` for what is not known.
pub(super) struct Value {
    pub(super) bits: u128,
    /// Ones where bits are known; all ones beyond the digits.
    pub(super) known: u128,
    pub(super) digits: usize,
}

impl Value {
    /// Groups up to this many digits, but at least one group.
    pub(super) fn parse(scan: &mut Scan<'_>, most: usize) -> Option<Self> {
        let mut value = Self { bits: 0, known: u128::MAX, digits: 0 };
        while value.digits == 0 || value.digits < most {
            scan.blanks();
            let before = *scan;
            let group = scan.word();
            let is_group =
                |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_' | b':');
            let digits = group.iter().filter(|byte| !matches!(byte, b'_' | b':')).count();
            // What follows the value is a comment, such as flags in words.
            if digits == 0 || digits > 32 || !group.iter().all(is_group) {
                *scan = before;
                break;
            }
            group.iter().for_each(|byte| value.digit(*byte));
        }
        (value.digits != 0).then_some(value)
    }

    fn digit(&mut self, byte: u8) {
        let known = match byte {
            b'_' | b':' => return,
            b'-' => 0,
            _ => 0xf,
        };
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        self.bits = self.bits << 4 | u128::from(digit);
        self.known = self.known << 4 | known;
        self.digits += 1;
    }
}
