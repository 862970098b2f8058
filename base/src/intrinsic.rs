//! What some hosts have instructions for, and IR has no operation.

/// What a pure helper of vectors computes from its first operands `a`, `b` and `c`, in a form that a back end may know its
/// host's instructions for. The helper's function computes the same on every host; the number that helpers get
/// says nothing here.
///
/// A state of AES has its byte 0 lowest. Words of SHA-1 and SHA-256 are lanes of 32 bits, the first one lowest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Intrinsic {
    /// FIPS 197: ShiftRows and SubBytes of `a ^ b`.
    AesEncryptLast,
    /// FIPS 197: InvShiftRows and InvSubBytes of `a ^ b`.
    AesDecryptLast,
    /// FIPS 197: MixColumns of `a`.
    AesMixColumns,
    /// FIPS 197: InvMixColumns of `a`.
    AesInvMixColumns,
    /// The product of the low doublewords of `a` and `b`, as polynomials over GF(2).
    PolynomialProductLow,
    /// The product of the high doublewords of `a` and `b`, as polynomials over GF(2).
    PolynomialProductHigh,
    /// FIPS 180-4, 6.2.2: after four rounds of SHA-256, the working variables a to d. Before, they are those in `c`, and e to
    /// h those in `a`; `b` has the words of the schedule with the constants added.
    Sha256Hash,
    /// The same for e to h; before, they are those in `c`, and a to d those in `a`.
    Sha256Hash2,
    /// FIPS 180-4, 6.2.2: W(t-16) + σ0(W(t-15)) of four words. `b` has the words from t-16, `a` those from t-12.
    Sha256Schedule0,
    /// FIPS 180-4, 6.2.2: the rest of four words of the schedule. `c` has what [`Self::Sha256Schedule0`] gave, `a` the words from t-8,
    /// `b` those from t-4.
    Sha256Schedule1,
    /// FIPS 180-4, 6.1.2: after four rounds of SHA-1 with the function Ch, the working variables a to d. Before, they are
    /// those in `c`, and e is the lowest word of `a`; `b` has the words of the schedule with the constants
    /// added.
    Sha1Choose,
    /// The same with the function Parity.
    Sha1Parity,
    /// The same with the function Maj.
    Sha1Majority,
    /// SHA256RNDS2 of x86: two rounds of SHA-256. `a` has the variables c, d, g, h, `b` has a, b, e, f, the last one lowest,
    /// `c` two words of the schedule with the constants added.
    Sha256Rounds2,
    /// The signs of bytes, as bits from 0 on.
    ByteSigns,
    /// The signs of words, as bits from 0 on.
    WordSigns,
    /// The signs of doublewords, as bits from 0 on.
    DoublewordSigns,
    /// An operation of two operands that x86 has.
    Packed(Packed),
}

impl Intrinsic {
    /// All of them but [`Intrinsic::Packed`].
    pub const ALL: [Self; 17] = [
        Self::AesEncryptLast,
        Self::AesDecryptLast,
        Self::AesMixColumns,
        Self::AesInvMixColumns,
        Self::PolynomialProductLow,
        Self::PolynomialProductHigh,
        Self::Sha256Hash,
        Self::Sha256Hash2,
        Self::Sha256Schedule0,
        Self::Sha256Schedule1,
        Self::Sha1Choose,
        Self::Sha1Parity,
        Self::Sha1Majority,
        Self::Sha256Rounds2,
        Self::ByteSigns,
        Self::WordSigns,
        Self::DoublewordSigns,
    ];
}

/// A packed operation of two operands `a` and `b`, which x86 has in one instruction of this name (Intel SDM, volume 2). `a` is the
/// destination of the form with two operands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Packed {
    /// PADDSB: saturating sums of signed bytes.
    Paddsb,
    /// PADDSW.
    Paddsw,
    /// PADDUSB.
    Paddusb,
    /// PADDUSW.
    Paddusw,
    /// PSUBSB.
    Psubsb,
    /// PSUBSW.
    Psubsw,
    /// PSUBUSB.
    Psubusb,
    /// PSUBUSW.
    Psubusw,
    /// PACKSSWB: `a` narrowed in the lower half, `b` in the upper.
    Packsswb,
    /// PACKSSDW.
    Packssdw,
    /// PACKUSWB.
    Packuswb,
    /// PACKUSDW.
    Packusdw,
    /// PMULHW.
    Pmulhw,
    /// PMULHUW.
    Pmulhuw,
    /// PMULHRSW.
    Pmulhrsw,
    /// PMADDWD.
    Pmaddwd,
    /// PMADDUBSW: `a` unsigned, `b` signed.
    Pmaddubsw,
    /// PMULUDQ.
    Pmuludq,
    /// PMULDQ.
    Pmuldq,
    /// PSADBW.
    Psadbw,
    /// PSLLW by the low doubleword of `b`.
    Psllw,
    /// PSLLD.
    Pslld,
    /// PSLLQ.
    Psllq,
    /// PSRLW.
    Psrlw,
    /// PSRLD.
    Psrld,
    /// PSRLQ.
    Psrlq,
    /// PSRAW.
    Psraw,
    /// PSRAD.
    Psrad,
    /// PSHUFB.
    Pshufb,
    /// PHADDW.
    Phaddw,
    /// PHADDD.
    Phaddd,
    /// PHADDSW.
    Phaddsw,
    /// PHSUBW.
    Phsubw,
    /// PHSUBD.
    Phsubd,
    /// PHSUBSW.
    Phsubsw,
    /// PSIGNB.
    Psignb,
    /// PSIGNW.
    Psignw,
    /// PSIGND.
    Psignd,
    /// PHMINPOSUW of `b`.
    Phminposuw,
    /// AESENC.
    Aesenc,
    /// AESENCLAST.
    Aesenclast,
    /// AESDEC.
    Aesdec,
    /// AESDECLAST.
    Aesdeclast,
    /// AESIMC of `b`.
    Aesimc,
    /// SHA1NEXTE.
    Sha1nexte,
    /// SHA1MSG1.
    Sha1msg1,
    /// SHA1MSG2.
    Sha1msg2,
    /// SHA256MSG1.
    Sha256msg1,
    /// SHA256MSG2.
    Sha256msg2,
    /// GF2P8MULB.
    Gf2p8mulb,
    /// VPSLLVD: `a` by lanes of `b`.
    Vpsllvd,
    /// VPSLLVQ.
    Vpsllvq,
    /// VPSRLVD.
    Vpsrlvd,
    /// VPSRLVQ.
    Vpsrlvq,
    /// VPSRAVD.
    Vpsravd,
    /// VPERMILPS: words of `a` that `b` names.
    Vpermilps,
    /// VPERMILPD: doublewords of `a` that bits 1 of `b` name.
    Vpermilpd,
}

impl Packed {
    /// All of them, by their numbers.
    pub const ALL: [Self; 57] = [
        Self::Paddsb,
        Self::Paddsw,
        Self::Paddusb,
        Self::Paddusw,
        Self::Psubsb,
        Self::Psubsw,
        Self::Psubusb,
        Self::Psubusw,
        Self::Packsswb,
        Self::Packssdw,
        Self::Packuswb,
        Self::Packusdw,
        Self::Pmulhw,
        Self::Pmulhuw,
        Self::Pmulhrsw,
        Self::Pmaddwd,
        Self::Pmaddubsw,
        Self::Pmuludq,
        Self::Pmuldq,
        Self::Psadbw,
        Self::Psllw,
        Self::Pslld,
        Self::Psllq,
        Self::Psrlw,
        Self::Psrld,
        Self::Psrlq,
        Self::Psraw,
        Self::Psrad,
        Self::Pshufb,
        Self::Phaddw,
        Self::Phaddd,
        Self::Phaddsw,
        Self::Phsubw,
        Self::Phsubd,
        Self::Phsubsw,
        Self::Psignb,
        Self::Psignw,
        Self::Psignd,
        Self::Phminposuw,
        Self::Aesenc,
        Self::Aesenclast,
        Self::Aesdec,
        Self::Aesdeclast,
        Self::Aesimc,
        Self::Sha1nexte,
        Self::Sha1msg1,
        Self::Sha1msg2,
        Self::Sha256msg1,
        Self::Sha256msg2,
        Self::Gf2p8mulb,
        Self::Vpsllvd,
        Self::Vpsllvq,
        Self::Vpsrlvd,
        Self::Vpsrlvq,
        Self::Vpsravd,
        Self::Vpermilps,
        Self::Vpermilpd,
    ];
}
