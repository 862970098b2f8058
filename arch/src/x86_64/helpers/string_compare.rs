//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, 4.1). What they are told is imm8 in bits 7:0, and for explicit lengths bit 8
//! with those of the operands (0 to 16, in elements) in bits 20:16 and 28:24.

mod host;

use crate::lane::Lane;

/// In the number: lengths are explicit.
pub const EXPLICIT: u64 = 1 << 8;

/// In what [`result`] gives: the second operand is not all valid.
pub const ENDS_SECOND: u32 = 16;
/// The first operand is not all valid.
pub const ENDS_FIRST: u32 = 17;

/// The number's part for the lengths of registers eax and edx (or rax and rdx), which are given as signed numbers.
pub(super) fn lengths(a: u64, b: u64) -> u64 {
    let clamp = |length: u64| (length as i64).unsigned_abs().min(16);
    EXPLICIT | clamp(a) << 16 | clamp(b) << 24
}

/// What is compared.
struct Compared {
    imm: u64,
    /// Elements of the operands, with their signs if they are signed.
    a: Vec16,
    b: Vec16,
    valid: [usize; 2],
    count: usize,
}

type Vec16 = [i32; 16];

impl Compared {
    fn new(arg: u64, valid: [usize; 2], a: u128, b: u128) -> Self {
        let count = count(arg);
        let elements = |vector: u128| -> Vec16 {
            std::array::from_fn(|n| match arg & 3 {
                0 => i32::from(u8::split(vector)[n]),
                2 => i32::from(i8::split(vector)[n]),
                1 => i32::from(u16::split(vector)[n & 7]),
                _ => i32::from(i16::split(vector)[n & 7]),
            })
        };
        let (a, b) = (elements(a), elements(b));
        Self { imm: arg & 0xff, a, b, valid, count }
    }

    /// IntRes1: bit `j` says what element `j` of the second operand has to do with the first.
    fn aggregate(&self) -> u32 {
        let [valid_a, valid_b] = self.valid;
        let bit = |j: usize| match self.imm >> 2 & 3 {
            // Equal any.
            0 => j < valid_b && self.a[..valid_a].contains(&self.b[j]),
            // Ranges.
            1 => {
                let ranges = self.a[..valid_a].chunks_exact(2);
                j < valid_b && ranges.clone().any(|r| (r[0]..=r[1]).contains(&self.b[j]))
            }
            // Equal each: what is invalid in both is equal.
            2 => match (j < valid_a, j < valid_b) {
                (true, true) => self.a[j] == self.b[j],
                (false, false) => true,
                _ => false,
            },
            // Equal ordered: what is invalid in the first is equal.
            _ => (0..self.count - j)
                .all(|i| i >= valid_a || i + j < valid_b && self.a[i] == self.b[i + j]),
        };
        (0..self.count).map(|j| u32::from(bit(j)) << j).sum()
    }

    /// IntRes2: with the polarity.
    fn result(&self) -> u32 {
        let all = (1_u32 << self.count) - 1;
        match self.imm >> 4 & 3 {
            1 => self.aggregate() ^ all,
            3 => self.aggregate() ^ ((1 << self.valid[1]) - 1),
            _ => self.aggregate(),
        }
    }
}

/// How many elements an operand has.
fn count(arg: u64) -> usize {
    if arg & 1 == 0 { 16 } else { 8 }
}

/// How many of the elements of both operands are valid.
fn valid(arg: u64, a: u128, b: u128) -> [usize; 2] {
    let count = count(arg);
    if arg & EXPLICIT != 0 {
        return [16, 24].map(|shift| ((arg >> shift & 0x1f) as usize).min(count));
    }
    let (bits, ones) = match count {
        16 => (8, u128::MAX / 0xff),
        _ => (16, u128::MAX / 0xffff),
    };
    // Of the elements whose top bit is left here, the lowest is the first that is zero.
    let zeros = |x: u128| x.wrapping_sub(ones) & !x & (ones << (bits - 1));
    [a, b].map(|vector| ((zeros(vector).trailing_zeros() / bits) as usize).min(count))
}

/// IntRes2 in the low bits, and which operands end before their last element.
pub(super) fn result(arg: u64, a: u128, b: u128) -> u128 {
    let valid = valid(arg, a, b);
    let result =
        host::result(arg, valid, a, b).unwrap_or_else(|| Compared::new(arg, valid, a, b).result());
    let ends = valid.map(|valid| u32::from(valid < count(arg)));
    (result | ends[1] << ENDS_SECOND | ends[0] << ENDS_FIRST).into()
}

/// What XMM0 gets.
pub(super) fn mask(arg: u64, a: u128, b: u128) -> u128 {
    let result = result(arg, a, b) as u32 & 0xffff;
    match (arg >> 6 & 1, count(arg)) {
        (0, _) => result.into(),
        (_, 16) => u8::join(|n| (result >> n & 1) as u8 * 0xff),
        _ => u16::join(|n| (result >> n & 1) as u16 * 0xffff),
    }
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;

    use super::*;

    #[test]
    fn the_host_finds_the_same() {
        let mut random = Rng::new(1);
        for n in 0..200_000_u64 {
            // Few different bytes, so that there is something to find.
            let spread = [0x0303_0303_0303_0303, 0x8101_8101_8101_8101, u64::MAX][n as usize % 3];
            let mut vector =
                || u128::from(random.bits() & spread) << 64 | u128::from(random.bits() & spread);
            let (a, b) = (vector(), vector());
            let lengths =
                if n & 64 == 0 { 0 } else { lengths(random.bits() % 20, random.bits() % 20) };
            let arg = n & 0x3f | lengths;
            let valid = valid(arg, a, b);
            let expected = Compared::new(arg, valid, a, b).result();
            if let Some(found) = host::result(arg, valid, a, b) {
                assert_eq!(found, expected, "{arg:#x} {a:#x} {b:#x}");
            }
        }
    }

    #[test]
    fn zeros_end_operands() {
        let text = u128::from_le_bytes(*b"four\0and\0more...");
        assert_eq!(valid(0, text, u128::MAX), [4, 16]);
        assert_eq!(valid(1, text, 0), [8, 0]);
        assert_eq!(valid(1, u128::MAX >> 64 | 1 << 100, 1 << 16), [4, 0]);
        assert_eq!(valid(EXPLICIT | 3 << 16 | 20 << 24, 0, 0), [3, 16]);
    }
}
