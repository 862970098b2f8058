//! What the tables' fields are passed through.

/// DecodeBitMasks (Arm ARM, J1.1): the immediate of a logical instruction, from sf:N:immr:imms. 0
/// if it is reserved, which is none of its values.
pub(super) fn bit_mask(bits: i64) -> i64 {
    let [sf, n, immr, imms] = [bits >> 13 & 1, bits >> 12 & 1, bits >> 6 & 63, bits & 63];
    let length = 63 - ((n << 6) | (!imms & 63)).leading_zeros() as i64;
    if length < 1 || (sf == 0 && n == 1) {
        return 0;
    }
    let size = 1 << length;
    let (ones, rotation) = (imms & (size - 1), immr & (size - 1));
    if ones == size - 1 {
        return 0;
    }
    let element = (1u64 << (ones + 1)) - 1;
    let within = u64::MAX >> (64 - size);
    let rotated = match rotation {
        0 => element,
        r => (element >> r | element << (size - r)) & within,
    };
    let mut mask = rotated;
    let mut filled = size;
    while filled < 64 {
        mask |= mask << filled;
        filled *= 2;
    }
    if sf == 0 { i64::from(mask as u32) } else { mask as i64 }
}
