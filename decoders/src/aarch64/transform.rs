//! What the tables' fields are passed through.

mod simd;

pub(super) use self::simd::*;

/// One bit, the other way round.
pub(super) fn inverted(bit: i64) -> i64 {
    bit ^ 1
}

/// The offset of LDR and STR, from size<0>:imm12: a multiple of the 4 or 8 bytes.
pub(super) fn offset_x(bits: i64) -> i64 {
    (bits & 0xfff) << (2 + (bits >> 12))
}

/// The same for a SIMD&FP register, from opc<1>:size:imm12: a multiple of the 1 to 16 bytes.
pub(super) fn offset_fp(bits: i64) -> i64 {
    (bits & 0xfff) << (bits >> 12)
}

/// The offset of a pair, from imm7:sf: a multiple of the 4 or 8 bytes of one register.
pub(super) fn pair_offset_x(bits: i64) -> i64 {
    (bits >> 1) << (2 + (bits & 1))
}

/// The same for SIMD&FP registers, from imm7:opc: a multiple of the 4 to 16 bytes of one.
pub(super) fn pair_offset_fp(bits: i64) -> i64 {
    (bits >> 2) << (2 + (bits & 3))
}

/// DecodeBitMasks (Arm ARM, J1.3): the immediate of a logical instruction, from sf:N:immr:imms. 0
/// if it is reserved, which is none of its values.
pub(super) fn bit_mask(bits: i64) -> i64 {
    let [sf, n, immr, imms] = [bits >> 13 & 1, bits >> 12 & 1, bits >> 6 & 63, bits & 63];
    let length = 63 - i64::from(((n << 6) | (!imms & 63)).leading_zeros());
    if length < 1 || (sf == 0 && n == 1) {
        return 0;
    }
    let size = 1 << length;
    let (ones, rotation) = (imms & (size - 1), immr & (size - 1));
    if ones == size - 1 {
        return 0;
    }
    let element = (1u64 << (ones + 1)) - 1;
    let rotated = match rotation {
        0 => element,
        r => element >> r | element << (size - r) & u64::MAX >> (64 - size),
    };
    let mask = (0..64).step_by(size as usize).fold(0, |mask, at| mask | rotated << at);
    if sf == 0 { i64::from(mask as u32) } else { mask as i64 }
}
