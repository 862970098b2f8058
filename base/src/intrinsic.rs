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
}

impl Intrinsic {
    /// All of them.
    pub const ALL: [Self; 13] = [
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
    ];
}
