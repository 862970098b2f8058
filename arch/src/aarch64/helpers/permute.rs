//! Advanced SIMD: tables, and permutations of two vectors.

use super::arg::Arg;
use super::lane::{Lane, lanes};

/// TBL of one register: bytes of `table` by the indices in `m`, 0 where there is none.
pub(super) fn tbl(_: Arg, table: u128, m: u128) -> u128 {
    look_up(&[table], m, 0, 0)
}

/// TBL of two registers.
pub(super) fn tbl2(_: Arg, first: u128, second: u128, m: u128) -> u128 {
    look_up(&[first, second], m, 0, 0)
}

/// TBX of one register, the one whose number in the table is the first number: bytes of `d` where there is none. TBL
/// and TBX of more registers are chains of it.
pub(super) fn tbx(arg: Arg, table: u128, m: u128, d: u128) -> u128 {
    look_up(&[table], m, d, arg.first())
}

fn look_up(table: &[u128], m: u128, d: u128, first: u32) -> u128 {
    let bytes: [[u8; 16]; 2] = std::array::from_fn(|i| match table.get(i) {
        Some(register) => register.to_le_bytes(),
        None => [0; 16],
    });
    let bytes = &bytes.as_flattened()[..16 * table.len()];
    let start = (16 * first) as usize;
    u8::zip(m, d, |index, other| {
        let index = usize::from(index).wrapping_sub(start);
        bytes.get(index).copied().unwrap_or(other)
    })
}

macro_rules! permutations {
    ($($(#[$doc:meta])* $name:ident |$i:ident, $half:ident| ($from_m:expr, $lane:expr);)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128, m: u128) -> u128 {
            lanes!(unsigned arg.size(), T => {
                let (n, m) = (T::split(n), T::split(m));
                let $half = arg.count(<T as Lane>::SIZE) / 2;
                let part = arg.first() as usize & 1;
                T::join(|$i| {
                    let (from_m, lane): (bool, fn(usize, usize, usize) -> usize) = ($from_m, $lane);
                    if $i >= 2 * $half {
                        return 0;
                    }
                    let lane = lane($i, $half, part);
                    if from_m { m[lane] } else { n[lane] }
                })
            })
        }
    )*};
}

permutations! {
    /// ZIP1, and ZIP2 if the first number is 1; of the lanes that count, here and below.
    zip |i, half| (i % 2 != 0, |i, half, part| part * half + i / 2);
    /// UZP1, UZP2.
    uzp |i, half| (i >= half, |i, half, part| 2 * (i % half) + part);
    /// TRN1, TRN2.
    trn |i, half| (i % 2 != 0, |i, _, part| i / 2 * 2 + part);
}

/// EXT: from byte number one of `n`, followed by `m`, of vectors of as many bytes as lanes count.
pub(super) fn ext(arg: Arg, n: u128, m: u128) -> u128 {
    let (n, m) = (n.to_le_bytes(), m.to_le_bytes());
    let count = arg.count(0);
    let byte = |i: usize| match i + arg.first() as usize {
        _ if i >= count => 0,
        at if at < count => n[at],
        at => m.get(at - count).copied().unwrap_or(0),
    };
    u128::from_le_bytes(std::array::from_fn(byte))
}

/// REV16, REV32, REV64: lanes in reverse order within groups; the first number is the binary logarithm of a
/// group's bytes.
pub(super) fn rev(arg: Arg, n: u128) -> u128 {
    let group = (1_usize << (arg.first() & 3)) >> arg.size();
    lanes!(unsigned arg.size(), T => {
        let n = T::split(n);
        T::join(|i| n[i ^ group.saturating_sub(1)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_four_registers_are_chains() {
        let register = |k: u8| u128::from_le_bytes(std::array::from_fn(|i| 16 * k + i as u8));
        let m = u128::from_le_bytes([0, 15, 16, 31, 32, 47, 48, 63, 64, 255, 1, 17, 33, 49, 80, 5]);
        let arg = Arg::lanes(0, 16);
        let two = tbl2(arg, register(0), register(1), m);
        let three = tbx(arg.with(2), register(2), m, two);
        let four = tbx(arg.with(3), register(3), m, three);
        let expected = [0, 15, 16, 31, 32, 47, 48, 63, 0, 0, 1, 17, 33, 49, 0, 5];
        assert_eq!(four.to_le_bytes(), expected);
    }
}
