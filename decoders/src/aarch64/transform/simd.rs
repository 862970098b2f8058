//! Fields of floating point and Advanced SIMD. What a condition excludes has a value, too, but one
//! that means nothing.

/// The size of an element from imm5: the place of its lowest one; 5 if there is none.
pub(in crate::aarch64) fn imm5_size(imm5: i64) -> i64 {
    i64::from((imm5 | 1 << 5).trailing_zeros())
}

/// The index of an element from imm5: what is above its lowest one.
pub(in crate::aarch64) fn imm5_index(imm5: i64) -> i64 {
    imm5 >> (imm5_size(imm5) + 1)
}

/// The arrangement from imm5:Q.
pub(in crate::aarch64) fn imm5_t(imm5_q: i64) -> i64 {
    imm5_size(imm5_q >> 1) << 1 | imm5_q & 1
}

/// The index of the source of INS (element), from imm5:imm4: what is above the size.
pub(in crate::aarch64) fn ins_from(imm5_imm4: i64) -> i64 {
    (imm5_imm4 & 15) >> imm5_size(imm5_imm4 >> 4)
}

/// The size of an element from immh: the place of its highest one.
pub(in crate::aarch64) fn immh_size(immh: i64) -> i64 {
    i64::from((immh | 1).ilog2())
}

/// The arrangement from immh:Q.
pub(in crate::aarch64) fn immh_t(immh_q: i64) -> i64 {
    immh_size(immh_q >> 1) << 1 | immh_q & 1
}

/// A left shift from immh:immb.
pub(in crate::aarch64) fn shift_left(immh_immb: i64) -> i64 {
    (immh_immb - (8 << immh_size(immh_immb >> 3))) & 0xff
}

/// A right shift from immh:immb, which counts down from twice the width.
pub(in crate::aarch64) fn shift_right(immh_immb: i64) -> i64 {
    (16 << immh_size(immh_immb >> 3)) - immh_immb
}

/// A right shift or a number of fraction bits that is encoded as what it lacks of 64.
pub(in crate::aarch64) fn from_64(bits: i64) -> i64 {
    64 - bits
}

/// The same for halfwords.
pub(in crate::aarch64) fn from_16(bits: i64) -> i64 {
    16 - bits
}

/// The index of an element from size:H:L:M.
pub(in crate::aarch64) fn elem_index(bits: i64) -> i64 {
    match bits >> 3 {
        0 | 1 => bits & 7,
        2 => bits >> 1 & 3,
        _ => bits >> 2 & 1,
    }
}

/// The register of an element from size:M:Rm: M belongs to it unless the index needs it.
pub(in crate::aarch64) fn elem_rm(bits: i64) -> i64 {
    if bits >> 5 <= 1 { bits & 15 } else { bits & 31 }
}

/// The index of a single- or double-precision element from sz:H:L.
pub(in crate::aarch64) fn index_sd(bits: i64) -> i64 {
    if bits >> 2 == 0 { bits & 3 } else { bits >> 1 & 1 }
}
