//! FEAT_CRC32: checksums by the polynomials 0x04C11DB7 (CRC32) and 0x1EDC6F41 (CRC32C), bits reversed.

/// `table[k][b]`: what byte `b` contributes when `k` more bytes follow it in the same step.
type Table = [[u32; 256]; 8];

static IEEE: Table = table(0x04c1_1db7);
static CASTAGNOLI: Table = table(0x1edc_6f41);

const fn table(polynomial: u32) -> Table {
    let (mut table, mut byte) = ([[0; 256]; 8], 0);
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            let carry = (remainder & 1).wrapping_neg();
            remainder = remainder >> 1 ^ polynomial.reverse_bits() & carry;
            bit += 1;
        }
        table[0][byte] = remainder;
        byte += 1;
    }
    let mut at = 256;
    while at < 8 * 256 {
        let (k, byte) = (at / 256, at % 256);
        let before: u32 = table[k - 1][byte];
        table[k][byte] = before >> 8 ^ table[0][(before & 0xff) as usize];
        at += 1;
    }
    table
}

fn step(table: &Table, accumulator: u64, value: u64, size: u64) -> u64 {
    let bytes = 1 << (size & 3);
    let mixed = (u64::from(accumulator as u32) ^ value).to_le_bytes();
    let rest = u64::from(accumulator as u32) >> (8 * bytes).min(63);
    let contribution = |i: usize| table[bytes - 1 - i][usize::from(mixed[i])];
    let sum = (0..bytes).fold(0, |sum, i| sum ^ contribution(i));
    u64::from(sum) ^ if bytes < 4 { rest } else { 0 }
}

/// CRC32B to CRC32X: of `1 << size` bytes of `value`.
pub(super) fn crc32(accumulator: u64, value: u64, size: u64) -> u64 {
    step(&IEEE, accumulator, value, size)
}

/// CRC32CB to CRC32CX: of `1 << size` bytes of `value`.
pub(super) fn crc32c(accumulator: u64, value: u64, size: u64) -> u64 {
    step(&CASTAGNOLI, accumulator, value, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that catalogues of checksums give: of the digits 1 to 9.
    fn check(crc: fn(u64, u64, u64) -> u64) -> u32 {
        let digits = *b"123456789";
        let bytes = digits.into_iter().fold(0xffff_ffff, |sum, byte| crc(sum, byte.into(), 0));
        let double = u64::from_le_bytes(std::array::from_fn(|i| digits[i]));
        assert_eq!(crc(crc(0xffff_ffff, double, 3), u64::from(digits[8]), 0), bytes);
        let words = crc(crc(0xffff_ffff, double & 0xffff_ffff, 2), double >> 32, 2);
        let halves = (0..4).fold(0xffff_ffff, |sum, i| crc(sum, double >> (16 * i) & 0xffff, 1));
        assert_eq!((words, crc(words, u64::from(digits[8]), 0)), (halves, bytes));
        !(bytes as u32)
    }

    #[test]
    fn check_values() {
        assert_eq!(check(crc32), 0xcbf4_3926);
        assert_eq!(check(crc32c), 0xe306_9283);
    }
}
