//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, 4.1). What they are told is imm8 in bits 7:0, and for explicit lengths bit 8
//! with those of the operands (0 to 16, in elements) in bits 20:16 and 28:24.

use crate::lane::Lane;

/// In the number: lengths are explicit.
pub const EXPLICIT: u64 = 1 << 8;

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
    /// How many of them are valid.
    valid: [usize; 2],
    count: usize,
}

type Vec16 = [i32; 16];

impl Compared {
    fn new(arg: u64, a: u128, b: u128) -> Self {
        let count = if arg & 1 == 0 { 16 } else { 8 };
        let elements = |vector: u128| -> Vec16 {
            std::array::from_fn(|n| match arg & 3 {
                0 => i32::from(u8::split(vector)[n]),
                2 => i32::from(i8::split(vector)[n]),
                1 => i32::from(u16::split(vector)[n & 7]),
                _ => i32::from(i16::split(vector)[n & 7]),
            })
        };
        let (a, b) = (elements(a), elements(b));
        let implicit = |elements: &Vec16| {
            elements[..count].iter().position(|&element| element == 0).unwrap_or(count)
        };
        let explicit = |shift: u32| ((arg >> shift & 0x1f) as usize).min(count);
        let valid = match arg & EXPLICIT {
            0 => [implicit(&a), implicit(&b)],
            _ => [explicit(16), explicit(24)],
        };
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

/// What ECX gets.
pub(super) fn index(arg: u64, a: u128, b: u128) -> u128 {
    let compared = Compared::new(arg, a, b);
    let result = compared.result();
    let index = match (result, compared.imm >> 6 & 1) {
        (0, _) => compared.count as u32,
        (_, 0) => result.trailing_zeros(),
        _ => 31 - result.leading_zeros(),
    };
    index.into()
}

/// What XMM0 gets.
pub(super) fn mask(arg: u64, a: u128, b: u128) -> u128 {
    let compared = Compared::new(arg, a, b);
    let result = compared.result();
    match (compared.imm >> 6 & 1, compared.count) {
        (0, _) => result.into(),
        (_, 16) => u8::join(|n| (result >> n & 1) as u8 * 0xff),
        _ => u16::join(|n| (result >> n & 1) as u16 * 0xffff),
    }
}

/// Flags: CF in bit 0, ZF in bit 1, SF in bit 2, OF in bit 3.
pub(super) fn flags(arg: u64, a: u128, b: u128) -> u128 {
    let compared = Compared::new(arg, a, b);
    let (result, [valid_a, valid_b]) = (compared.result(), compared.valid);
    let bits = [result != 0, valid_b < compared.count, valid_a < compared.count, result & 1 != 0];
    bits.into_iter().enumerate().map(|(n, bit)| u128::from(bit) << n).sum()
}
