//! FEAT_SHA1, FEAT_SHA256, FEAT_SHA512, FEAT_SM3: steps of hash functions (FIPS 180-4, GB/T 32905-2016).

use super::arg::Arg;
use super::lane::Lane;

fn choose(x: u32, y: u32, z: u32) -> u32 {
    (y ^ z) & x ^ z
}

fn parity(x: u32, y: u32, z: u32) -> u32 {
    x ^ y ^ z
}

fn majority(x: u32, y: u32, z: u32) -> u32 {
    x & y | (x | y) & z
}

fn words(lanes: [u32; 4]) -> u128 {
    u32::join(|i| lanes[i])
}

/// Four steps of SHA-1.
fn sha1(d: u128, n: u128, m: u128, f: fn(u32, u32, u32) -> u32) -> u128 {
    let (mut x, mut y) = (u32::split(d), n as u32);
    for w in u32::split(m) {
        y = y.wrapping_add(x[0].rotate_left(5)).wrapping_add(f(x[1], x[2], x[3])).wrapping_add(w);
        (x, y) = ([y, x[0], x[1].rotate_left(30), x[2]], x[3]);
    }
    words(x)
}

/// SHA1C: choose.
pub(super) fn sha1c(n: u128, m: u128, d: u128) -> u128 {
    sha1(d, n, m, choose)
}

/// SHA1P: parity.
pub(super) fn sha1p(n: u128, m: u128, d: u128) -> u128 {
    sha1(d, n, m, parity)
}

/// SHA1M: majority.
pub(super) fn sha1m(n: u128, m: u128, d: u128) -> u128 {
    sha1(d, n, m, majority)
}

/// SHA1H: fixed rotation of lane 0, the others zero.
pub(super) fn sha1h(n: u128) -> u128 {
    u128::from((n as u32).rotate_left(30))
}

/// SHA1SU0: message schedule, first part.
pub(super) fn sha1su0(n: u128, m: u128, d: u128) -> u128 {
    (n << 64 | d >> 64) ^ d ^ m
}

/// SHA1SU1: message schedule, second part.
pub(super) fn sha1su1(n: u128, d: u128) -> u128 {
    let [a, b, c, e] = u32::split(d ^ n >> 32).map(|word| word.rotate_left(1));
    words([a, b, c, e ^ a.rotate_left(1)])
}

/// Four steps of SHA-256: both halves of the state.
fn sha256(x: u128, y: u128, w: u128) -> (u128, u128) {
    let (mut x, mut y) = (u32::split(x), u32::split(y));
    for w in u32::split(w) {
        let sigma1 = y[0].rotate_right(6) ^ y[0].rotate_right(11) ^ y[0].rotate_right(25);
        let sigma0 = x[0].rotate_right(2) ^ x[0].rotate_right(13) ^ x[0].rotate_right(22);
        let t = y[3].wrapping_add(sigma1).wrapping_add(choose(y[0], y[1], y[2])).wrapping_add(w);
        let high = t.wrapping_add(sigma0).wrapping_add(majority(x[0], x[1], x[2]));
        let low = t.wrapping_add(x[3]);
        (x, y) = ([high, x[0], x[1], x[2]], [low, y[0], y[1], y[2]]);
    }
    (words(x), words(y))
}

/// SHA256H: the first half of the state, in `d`.
pub(super) fn sha256h(n: u128, m: u128, d: u128) -> u128 {
    sha256(d, n, m).0
}

/// SHA256H2: the second half, in `d`.
pub(super) fn sha256h2(n: u128, m: u128, d: u128) -> u128 {
    sha256(n, d, m).1
}

/// SHA256SU0: message schedule, first part.
pub(super) fn sha256su0(n: u128, d: u128) -> u128 {
    u32::zip(n << 96 | d >> 32, d, |x, d| {
        d.wrapping_add(x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3)
    })
}

/// SHA256SU1: message schedule, second part.
pub(super) fn sha256su1(n: u128, m: u128, d: u128) -> u128 {
    let sum = u32::split(u32::zip(d, m << 96 | n >> 32, |d, n| d.wrapping_add(n)));
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let m = u32::split(m);
    let low = [sigma(m[2]).wrapping_add(sum[0]), sigma(m[3]).wrapping_add(sum[1])];
    let high = [sigma(low[0]).wrapping_add(sum[2]), sigma(low[1]).wrapping_add(sum[3])];
    words([low[0], low[1], high[0], high[1]])
}

fn sum_0_512(x: u64) -> u64 {
    x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39)
}

fn sum_1_512(x: u64) -> u64 {
    x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41)
}

fn majority_512(x: u64, y: u64, z: u64) -> u64 {
    x & y | (x | y) & z
}

/// SHA512H: two steps, the half with Σ1.
pub(super) fn sha512h(n: u128, m: u128, d: u128) -> u128 {
    let ([x0, x1], [y0, y1], [w0, w1]) = (u64::split(n), u64::split(m), u64::split(d));
    let high = ((x0 ^ x1) & y1 ^ x1).wrapping_add(sum_1_512(y1)).wrapping_add(w1);
    let e = high.wrapping_add(y0);
    let low = ((y1 ^ x0) & e ^ x0).wrapping_add(sum_1_512(e)).wrapping_add(w0);
    u64::join(|i| [low, high][i])
}

/// SHA512H2: two steps, the half with Σ0.
pub(super) fn sha512h2(n: u128, m: u128, d: u128) -> u128 {
    let ([x0, _], [y0, y1], [w0, w1]) = (u64::split(n), u64::split(m), u64::split(d));
    let high = majority_512(x0, y1, y0).wrapping_add(sum_0_512(y0)).wrapping_add(w1);
    let low = majority_512(high, y0, y1).wrapping_add(sum_0_512(high)).wrapping_add(w0);
    u64::join(|i| [low, high][i])
}

/// SHA512SU0: message schedule, first part.
pub(super) fn sha512su0(n: u128, d: u128) -> u128 {
    u64::zip(n << 64 | d >> 64, d, |x, d| {
        d.wrapping_add(x.rotate_right(1) ^ x.rotate_right(8) ^ x >> 7)
    })
}

/// SHA512SU1: message schedule, second part.
pub(super) fn sha512su1(n: u128, m: u128, d: u128) -> u128 {
    let sigma = |x: u64| x.rotate_right(19) ^ x.rotate_right(61) ^ x >> 6;
    u64::zip(u64::zip(n, m, |n, m| sigma(n).wrapping_add(m)), d, u64::wrapping_add)
}

/// SM3SS1.
pub(super) fn sm3ss1(n: u128, m: u128, a: u128) -> u128 {
    let top = |x: u128| (x >> 96) as u32;
    let sum = top(n).rotate_left(12).wrapping_add(top(m)).wrapping_add(top(a));
    u128::from(sum.rotate_left(7)) << 96
}

/// The word of `m` that the first number selects.
fn selected(arg: Arg, m: u128) -> u32 {
    u32::split(m)[arg.first() as usize & 3]
}

fn sm3tt1(arg: Arg, [n, m, d]: [u128; 3], f: fn(u32, u32, u32) -> u32) -> u128 {
    let (n, d) = (u32::split(n)[3], u32::split(d));
    let ss2 = n ^ d[3].rotate_left(12);
    let tt1 =
        f(d[1], d[3], d[2]).wrapping_add(d[0]).wrapping_add(ss2).wrapping_add(selected(arg, m));
    words([d[1], d[2].rotate_left(9), d[3], tt1])
}

/// SM3TT1A: parity. The first number selects a word of `m`, here and below.
pub(super) fn sm3tt1a(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    sm3tt1(arg, [n, m, d], parity)
}

/// SM3TT1B: majority.
pub(super) fn sm3tt1b(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    sm3tt1(arg, [n, m, d], majority)
}

fn sm3tt2(arg: Arg, [n, m, d]: [u128; 3], f: fn(u32, u32, u32) -> u32) -> u128 {
    let (n, d) = (u32::split(n)[3], u32::split(d));
    let tt2 = f(d[3], d[2], d[1]).wrapping_add(d[0]).wrapping_add(n).wrapping_add(selected(arg, m));
    let mixed = tt2 ^ tt2.rotate_left(9) ^ tt2.rotate_left(17);
    words([d[1], d[2].rotate_left(19), d[3], mixed])
}

/// SM3TT2A: parity.
pub(super) fn sm3tt2a(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    sm3tt2(arg, [n, m, d], parity)
}

/// SM3TT2B: choose.
pub(super) fn sm3tt2b(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    sm3tt2(arg, [n, m, d], choose)
}

/// The permutation P1 of SM3.
fn p1(x: u32) -> u32 {
    x ^ x.rotate_left(15) ^ x.rotate_left(23)
}

/// SM3PARTW1.
pub(super) fn sm3partw1(n: u128, m: u128, d: u128) -> u128 {
    let x = u32::split(u32::zip(d ^ n, m >> 32, |x, m| x ^ m.rotate_left(15)));
    let low = [p1(x[0]), p1(x[1]), p1(x[2])];
    words([low[0], low[1], low[2], p1(x[3] ^ low[0].rotate_left(15))])
}

/// SM3PARTW2.
pub(super) fn sm3partw2(n: u128, m: u128, d: u128) -> u128 {
    let x = u32::zip(n, m, |n, m| n ^ m.rotate_left(7));
    d ^ x ^ u128::from(p1((x as u32).rotate_left(15))) << 96
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first block of a message of three letters: its bit length is 24.
    fn abc() -> [u32; 16] {
        let mut block = [0; 16];
        (block[0], block[15]) = (0x6162_6380, 24);
        block
    }

    fn quads(block: [u32; 16]) -> [u128; 4] {
        std::array::from_fn(|i| u32::join(|k| block[4 * i + k]))
    }

    #[test]
    fn sha_1_of_abc_is_as_in_fips_180() {
        let start = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        let (mut state, mut e) = (words(start), 0xc3d2_e1f0_u32);
        let mut w = quads(abc());
        for group in 0..20_usize {
            let constant = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6_u32][group / 5];
            let input = u32::map(w[0], |w| w.wrapping_add(constant));
            let next = sha1h(state & 0xffff_ffff) as u32;
            let step = [sha1c, sha1p, sha1m, sha1p][group / 5];
            state = step(u128::from(e), input, state);
            e = next;
            let scheduled = sha1su1(w[3], sha1su0(w[1], w[2], w[0]));
            w = [w[1], w[2], w[3], scheduled];
        }
        let state = u32::split(state);
        let result: [u32; 4] = std::array::from_fn(|i| state[i].wrapping_add(start[i]));
        assert_eq!(result, [0xa999_3e36, 0x4706_816a, 0xba3e_2571, 0x7850_c26c]);
        assert_eq!(e.wrapping_add(0xc3d2_e1f0), 0x9cd0_d89d);
    }

    /// The first 32 bits of the fractions of the roots of primes, of which FIPS 180-4 makes its constants.
    fn fractions(count: usize, root: fn(u128) -> u128) -> Vec<u32> {
        let prime = |n: &u128| (2..*n).all(|d| !n.is_multiple_of(d));
        (2..).filter(prime).take(count).map(|prime| root(prime) as u32).collect()
    }

    /// The cube root of `n` in steps of 2^-32.
    fn cube_root(n: u128) -> u128 {
        let wanted = n << 96;
        (0..36).rev().fold(0, |root, bit| {
            let next: u128 = root | 1 << bit;
            if next * next * next <= wanted { next } else { root }
        })
    }

    #[test]
    fn sha_256_of_abc_is_as_in_fips_180() {
        let start = fractions(8, |prime| (prime << 64).isqrt());
        let constants = fractions(64, cube_root);
        let start: [u128; 2] = std::array::from_fn(|half| u32::join(|i| start[4 * half + i]));
        let ([mut x, mut y], mut w) = (start, quads(abc()));
        for group in 0..16 {
            let input = u32::join(|i| u32::split(w[0])[i].wrapping_add(constants[4 * group + i]));
            (x, y) = (sha256h(y, input, x), sha256h2(x, input, y));
            let scheduled = sha256su1(w[2], w[3], sha256su0(w[1], w[0]));
            w = [w[1], w[2], w[3], scheduled];
        }
        let high = u32::split(u32::zip(x, start[0], u32::wrapping_add));
        let low = u32::split(u32::zip(y, start[1], u32::wrapping_add));
        assert_eq!(high, [0xba78_16bf, 0x8f01_cfea, 0x4141_40de, 0x5dae_2223]);
        assert_eq!(low, [0xb003_61a3, 0x9617_7a9c, 0xb410_ff61, 0xf200_15ad]);
    }

    /// The product of numbers of 32-bit digits, lowest first.
    fn product(a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut digits = vec![0; a.len() + b.len()];
        for (i, &a) in a.iter().enumerate() {
            let mut carry = 0;
            for (k, &b) in b.iter().enumerate() {
                let sum = u64::from(a) * u64::from(b) + u64::from(digits[i + k]) + carry;
                (digits[i + k], carry) = (sum as u32, sum >> 32);
            }
            digits[i + b.len()] = carry as u32;
        }
        digits
    }

    /// The first 64 bits of the fraction of the root of this degree of `n`.
    fn fraction(n: u32, degree: u32) -> u64 {
        let digits = |x: u128| [x as u32, (x >> 32) as u32, (x >> 64) as u32];
        let fits = |root: u128| {
            let root = digits(root);
            let power = (1..degree).fold(root.to_vec(), |power, _| product(&power, &root));
            // 64 bits a degree lie behind the point.
            let (fraction, whole) = power.split_at(2 * degree as usize);
            let is_whole = fraction.iter().all(|&digit| digit == 0);
            whole[1..].iter().all(|&digit| digit == 0)
                && (whole[0] < n || whole[0] == n && is_whole)
        };
        let root = (0..70)
            .rev()
            .fold(0, |root, bit| if fits(root | 1 << bit) { root | 1 << bit } else { root });
        root as u64
    }

    #[test]
    fn sha_512_of_abc_is_as_in_fips_180() {
        let primes: Vec<u32> = (2..).filter(|n| (2..*n).all(|d| n % d != 0)).take(80).collect();
        let start: [u128; 4] =
            std::array::from_fn(|pair| u64::join(|i| fraction(primes[2 * pair + i], 2)));
        let mut w: [u128; 8] = std::array::from_fn(|pair| match pair {
            0 => 0x6162_6380_0000_0000,
            7 => 24 << 64,
            _ => 0,
        });
        let [mut ab, mut cd, mut ef, mut gh] = start;
        // Σ1's half wants h and g with the inputs added; the other follows from it (Arm ARM, SHA512H and SHA512H2).
        for step in 0..40 {
            let constants = u64::join(|i| fraction(primes[2 * step + i], 3));
            let input = u64::zip(w[0], constants, u64::wrapping_add);
            let sum = u64::zip(input.rotate_left(64), gh, u64::wrapping_add);
            let [fg, de] = [ef >> 64 | gh << 64, cd >> 64 | ef << 64];
            let half = sha512h(fg, de, sum);
            let next = sha512h2(cd, ab, half);
            (gh, ef, cd, ab) = (ef, u64::zip(cd, half, u64::wrapping_add), ab, next);
            let scheduled = sha512su1(w[7], w[4] >> 64 | w[5] << 64, sha512su0(w[1], w[0]));
            w.rotate_left(1);
            w[7] = scheduled;
        }
        let result = [ab, cd, ef, gh];
        let sum = |i: usize| u64::split(u64::zip(result[i], start[i], u64::wrapping_add));
        assert_eq!(sum(0), [0xddaf_35a1_9361_7aba, 0xcc41_7349_ae20_4131]);
        assert_eq!(sum(1), [0x12e6_fa4e_89a9_7ea2, 0x0a9e_eee6_4b55_d39a]);
        assert_eq!(sum(2), [0x2192_992a_274f_c1a8, 0x36ba_3c23_a3fe_ebbd]);
        assert_eq!(sum(3), [0x454d_4423_643c_e80e, 0x2a9a_c94f_a54c_a49f]);
    }

    #[test]
    fn sm3_of_abc_is_as_in_its_standard() {
        const START: [u32; 8] = [
            0x7380_166f,
            0x4914_b2b9,
            0x1724_42d7,
            0xda8a_0600,
            0xa96f_30bc,
            0x1631_38aa,
            0xe38d_ee4d,
            0xb0fb_0e4e,
        ];
        // The first word of the state is in the highest lane.
        let state = |words: &[u32]| u32::join(|i| words[3 - i]);
        let (mut x, mut y) = (state(&START[..4]), state(&START[4..]));
        let mut w = quads(abc());
        let shifted = |low: u128, high: u128, by: u32| low >> (32 * by) | high << (128 - 32 * by);
        for step in 0..64_u32 {
            let arg = Arg::lanes(2, 4).with(step as u8 % 4);
            let constant = if step < 16 { 0x79cc_4519_u32 } else { 0x7a87_9d8a }.rotate_left(step);
            let ss1 = sm3ss1(x, u128::from(constant) << 96, y);
            let [tt1, tt2] = if step < 16 { [sm3tt1a, sm3tt2a] } else { [sm3tt1b, sm3tt2b] };
            (x, y) = (tt1(arg, ss1, w[0] ^ w[1], x), tt2(arg, ss1, w[0], y));
            if step % 4 == 3 {
                let first = sm3partw1(shifted(w[1], w[2], 3), w[3], w[0]);
                let next = sm3partw2(shifted(w[2], w[3], 2), shifted(w[0], w[1], 3), first);
                w = [w[1], w[2], w[3], next];
            }
        }
        let expected = [
            0x66c7_f0f4,
            0x62ee_edd9,
            0xd1f2_d46b,
            0xdc10_e4e2,
            0x4167_c487,
            0x5cf2_f7a2,
            0x297d_a02b,
            0x8f4b_a8e0_u32,
        ];
        assert_eq!(x ^ state(&START[..4]), state(&expected[..4]));
        assert_eq!(y ^ state(&START[4..]), state(&expected[4..]));
    }
}
