//! AES, SHA, GFNI and PCLMULQDQ (SDM vol. 2).

use crate::crypto::{aes, carryless_product, gf_inverse, gf_mul};
use crate::lane::Lane;

/// PCLMULQDQ, imm8 0: the product of the low doublewords.
pub(super) fn pclmullqlqdq(a: u128, b: u128) -> u128 {
    carryless_product(a as u64, b as u64)
}

/// AESENC: a round, and its key added.
pub(super) fn aesenc(a: u128, b: u128) -> u128 {
    aes::encrypt(a) ^ b
}

/// AESENCLAST.
pub(super) fn aesenclast(a: u128, b: u128) -> u128 {
    aes::encrypt_last(a) ^ b
}

/// AESDEC.
pub(super) fn aesdec(a: u128, b: u128) -> u128 {
    aes::decrypt(a) ^ b
}

/// AESDECLAST.
pub(super) fn aesdeclast(a: u128, b: u128) -> u128 {
    aes::decrypt_last(a) ^ b
}

/// AESIMC.
pub(super) fn aesimc(_: u128, b: u128) -> u128 {
    aes::inv_mix_columns(b)
}

/// AESKEYGENASSIST: words 1 and 3, substituted, and rotated with the constant added.
pub(super) fn aeskeygenassist(constant: u64, a: u128) -> u128 {
    let words = u32::split(a);
    let substituted =
        |word: u32| u32::from_le_bytes(word.to_le_bytes().map(|byte| aes::SBOX[usize::from(byte)]));
    u32::join(|n| {
        let word = substituted(words[n | 1]);
        if n & 1 == 0 { word } else { word.rotate_right(8) ^ constant as u32 & 0xff }
    })
}

/// The words of a vector, the highest first, as SHA's instructions number them.
fn highest_first(vector: u128) -> [u32; 4] {
    let [a, b, c, d] = u32::split(vector);
    [d, c, b, a]
}

fn from_highest(words: [u32; 4]) -> u128 {
    u32::join(|n| words[3 - n])
}

/// SHA1NEXTE: the variable e of the rounds that follow, added to the word of `b`.
pub(super) fn sha1nexte(a: u128, b: u128) -> u128 {
    let e = highest_first(a)[0].rotate_left(30);
    let [first, rest @ ..] = highest_first(b);
    let [x, y, z] = rest;
    from_highest([first.wrapping_add(e), x, y, z])
}

/// SHA1MSG1.
pub(super) fn sha1msg1(a: u128, b: u128) -> u128 {
    let [w0, w1, w2, w3] = highest_first(a);
    let [w4, w5, ..] = highest_first(b);
    from_highest([w2 ^ w0, w3 ^ w1, w4 ^ w2, w5 ^ w3])
}

/// SHA1MSG2.
pub(super) fn sha1msg2(a: u128, b: u128) -> u128 {
    let [a0, a1, a2, a3] = highest_first(a);
    let [_, w13, w14, w15] = highest_first(b);
    let w16 = (a0 ^ w13).rotate_left(1);
    let w17 = (a1 ^ w14).rotate_left(1);
    let w18 = (a2 ^ w15).rotate_left(1);
    from_highest([w16, w17, w18, (a3 ^ w16).rotate_left(1)])
}

/// SHA1RNDS4: four rounds with the function that `imm` names.
pub(super) fn sha1rnds4(imm: u64, a: u128, words: u128) -> u128 {
    let constant = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6_u32][imm as usize & 3];
    let mix = |b: u32, c: u32, d: u32| match imm & 3 {
        0 => b & c ^ !b & d,
        2 => b & c ^ b & d ^ c & d,
        _ => b ^ c ^ d,
    };
    let [mut a, mut b, mut c, mut d] = highest_first(a);
    let mut e = 0_u32;
    // The first word has e added already.
    for word in highest_first(words) {
        let sum = mix(b, c, d).wrapping_add(a.rotate_left(5)).wrapping_add(word);
        let next = sum.wrapping_add(e).wrapping_add(constant);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    from_highest([a, b, c, d])
}

/// SHA256RNDS2: two rounds. The variables a, b, e, f are words 3 to 0 of `abef`; words 0 and 1 of `words` have the constants added.
pub(super) fn sha256rnds2(cdgh: u128, abef: u128, words: u128) -> u128 {
    let ([mut a, mut b, mut e, mut f], [mut c, mut d, mut g, mut h]) =
        (highest_first(abef), highest_first(cdgh));
    for word in u32::split(words).into_iter().take(2) {
        let choice = e & f ^ !e & g;
        let sigma1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let majority = a & b ^ a & c ^ b & c;
        let sigma0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t1 = choice.wrapping_add(sigma1).wrapping_add(word).wrapping_add(h);
        let t2 = majority.wrapping_add(sigma0);
        (a, b, c, d, e, f, g, h) = (t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g);
    }
    from_highest([a, b, e, f])
}

/// SHA256MSG1: W(t-16) + σ0(W(t-15)).
pub(super) fn sha256msg1(a: u128, b: u128) -> u128 {
    let ([w0, w1, w2, w3], [w4, ..]) = (u32::split(a), u32::split(b));
    let sigma0 = |w: u32| w.rotate_right(7) ^ w.rotate_right(18) ^ w >> 3;
    let pairs = [(w0, w1), (w1, w2), (w2, w3), (w3, w4)];
    u32::join(|n| pairs[n].0.wrapping_add(sigma0(pairs[n].1)))
}

/// SHA256MSG2: σ1(W(t-2)) added.
pub(super) fn sha256msg2(a: u128, b: u128) -> u128 {
    let ([a0, a1, a2, a3], [_, _, w14, w15]) = (u32::split(a), u32::split(b));
    let sigma1 = |w: u32| w.rotate_right(17) ^ w.rotate_right(19) ^ w >> 10;
    let w16 = a0.wrapping_add(sigma1(w14));
    let w17 = a1.wrapping_add(sigma1(w15));
    let words = [w16, w17, a2.wrapping_add(sigma1(w16)), a3.wrapping_add(sigma1(w17))];
    u32::join(|n| words[n])
}

/// GF2P8MULB: products in AES's field.
pub(super) fn gf2p8mulb(a: u128, b: u128) -> u128 {
    u8::zip(a, b, |x, y| gf_mul(x, y, 0x1b))
}

/// Bytes of `a` multiplied by the matrices of bits in `b`, and `imm` added.
fn affine(imm: u64, a: u128, b: u128, before: impl Fn(u8) -> u8) -> u128 {
    let (bytes, matrices) = (u8::split(a), u8::split(b));
    u8::join(|n| {
        let (x, rows) = (before(bytes[n]), &matrices[n & 8..]);
        let bit = |k: usize| ((rows[7 - k] & x).count_ones() as u8 & 1) << k;
        (0..8).map(bit).sum::<u8>() ^ imm as u8
    })
}

/// GF2P8AFFINEQB.
pub(super) fn gf2p8affineqb(imm: u64, a: u128, b: u128) -> u128 {
    affine(imm, a, b, |x| x)
}

/// GF2P8AFFINEINVQB: of inverses.
pub(super) fn gf2p8affineinvqb(imm: u64, a: u128, b: u128) -> u128 {
    affine(imm, a, b, |x| gf_inverse(x, 0x1b))
}
