//! XXH64, as in the xxHash specification 0.1.1, with seed 0.

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// The hash of all these bytes.
pub(crate) fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, tail) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() { PRIMES[4] } else { converged(stripes) };
    hash = hash.wrapping_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    avalanche(with_tail(hash, tail))
}

fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

fn round(lane: u64, input: u64) -> u64 {
    let lane = lane.wrapping_add(input.wrapping_mul(PRIMES[1]));
    lane.rotate_left(31).wrapping_mul(PRIMES[0])
}

fn converged(stripes: &[[u8; 32]]) -> u64 {
    let [first, second, ..] = PRIMES;
    let mut lanes = [first.wrapping_add(second), second, 0, 0_u64.wrapping_sub(first)];
    for stripe in stripes {
        for (lane, input) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, word(input));
        }
    }
    let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
    let start = rotated.fold(0, u64::wrapping_add);
    lanes.iter().fold(start, |hash, &lane| {
        (hash ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3])
    })
}

fn with_tail(mut hash: u64, tail: &[u8]) -> u64 {
    let (words, rest) = tail.as_chunks::<8>();
    for input in words {
        hash = with_word(hash, word(input));
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for input in halves {
        hash ^= u64::from(u32::from_le_bytes(*input)).wrapping_mul(PRIMES[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(PRIMES[4]);
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash
}

#[inline]
const fn with_word(hash: u64, input: u64) -> u64 {
    let hash = hash ^ input.wrapping_mul(PRIMES[1]).rotate_left(31).wrapping_mul(PRIMES[0]);
    hash.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3])
}

/// A hash of words, of which each is added as XXH64 adds those that no stripe has: two sequences in which one word
/// differs never have the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(u64);

impl Words {
    pub(crate) const NONE: Self = Self(PRIMES[4]);

    #[inline]
    pub(crate) const fn add(&mut self, word: u64) {
        self.0 = with_word(self.0, word);
    }

    #[inline]
    pub(crate) const fn hash(self) -> u64 {
        avalanche(self.0)
    }
}

#[inline]
const fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::xxh64;

    /// As `xxh64sum` prints them.
    #[test]
    fn hashes_are_those_of_the_reference() {
        let long: Vec<u8> = (0..=100).collect();
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(&long), 0xe990_3849_5f85_381e);
    }
}
