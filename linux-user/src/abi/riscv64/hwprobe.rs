//! riscv_hwprobe(2): keys and values (Linux `Documentation/arch/riscv/hwprobe.rst`).

use decoders::riscv64::{Extension as E, ExtensionSet};

use crate::window;

const KEY_MVENDORID: i64 = 0;
const KEY_MARCHID: i64 = 1;
const KEY_MIMPID: i64 = 2;
const KEY_BASE_BEHAVIOR: i64 = 3;
const KEY_IMA_EXT_0: i64 = 4;
const KEY_CPUPERF_0: i64 = 5;
const KEY_ZICBOZ_BLOCK_SIZE: i64 = 6;
const KEY_HIGHEST_VIRT_ADDRESS: i64 = 7;
const KEY_TIME_CSR_FREQ: i64 = 8;
const KEY_MISALIGNED_SCALAR_PERF: i64 = 9;
const KEY_MISALIGNED_VECTOR_PERF: i64 = 10;
const KEY_VENDOR_EXT_THEAD_0: i64 = 11;
const KEY_ZICBOM_BLOCK_SIZE: i64 = 12;
const KEY_VENDOR_EXT_SIFIVE_0: i64 = 13;
const KEY_VENDOR_EXT_MIPS_0: i64 = 14;
const KEY_ZICBOP_BLOCK_SIZE: i64 = 15;

const BASE_BEHAVIOR_IMA: u64 = 1;
const MISALIGNED_FAST: u64 = 3;
const MISALIGNED_UNSUPPORTED: u64 = 4;
/// Bytes of a cache block (Zic64b).
const CACHE_BLOCK: u64 = 64;
/// The `time` CSR counts nanoseconds.
const TIME_FREQUENCY: u64 = 1_000_000_000;

/// Bits of `KEY_IMA_EXT_0`.
const IMA_EXT_0: &[(u32, E)] = &[
    (1, E::C),
    (2, E::V),
    (3, E::Zba),
    (4, E::Zbb),
    (5, E::Zbs),
    (6, E::Zicboz),
    (7, E::Zbc),
    (8, E::Zbkb),
    (9, E::Zbkc),
    (10, E::Zbkx),
    (11, E::Zknd),
    (12, E::Zkne),
    (13, E::Zknh),
    (14, E::Zksed),
    (15, E::Zksh),
    (16, E::Zkt),
    (27, E::Zfh),
    (28, E::Zfhmin),
    (29, E::Zihintntl),
    (32, E::Zfa),
    (33, E::Ztso),
    (34, E::Zacas),
    (35, E::Zicond),
    (36, E::Zihintpause),
    (42, E::Zimop),
    (43, E::Zca),
    (44, E::Zcb),
    (45, E::Zcd),
    (47, E::Zcmop),
    (48, E::Zawrs),
    (49, E::Supm),
    (50, E::Zicntr),
    (51, E::Zihpm),
    (52, E::Zfbfmin),
    (55, E::Zicbom),
    (56, E::Zaamo),
    (57, E::Zalrsc),
    (58, E::Zabha),
    (59, E::Zalasr),
    (60, E::Zicbop),
];

/// The value of a key for a CPU with these extensions; `None` if the key is unknown.
pub(super) fn value(key: i64, set: ExtensionSet) -> Option<u64> {
    let block = |extension| if set.contains(extension) { CACHE_BLOCK } else { 0 };
    Some(match key {
        KEY_MVENDORID | KEY_MARCHID | KEY_MIMPID => 0,
        KEY_BASE_BEHAVIOR => BASE_BEHAVIOR_IMA,
        KEY_IMA_EXT_0 => {
            let named = IMA_EXT_0.iter().filter(|(_, extension)| set.contains(*extension));
            let fd = u64::from(set.contains(E::F) && set.contains(E::D));
            named.fold(fd, |bits, (bit, _)| bits | 1 << bit)
        }
        KEY_CPUPERF_0 | KEY_MISALIGNED_SCALAR_PERF => MISALIGNED_FAST,
        KEY_MISALIGNED_VECTOR_PERF => MISALIGNED_UNSUPPORTED,
        KEY_ZICBOZ_BLOCK_SIZE => block(E::Zicboz),
        KEY_ZICBOM_BLOCK_SIZE => block(E::Zicbom),
        KEY_ZICBOP_BLOCK_SIZE => block(E::Zicbop),
        KEY_HIGHEST_VIRT_ADDRESS => window::END.0 - 1,
        KEY_TIME_CSR_FREQ => TIME_FREQUENCY,
        KEY_VENDOR_EXT_THEAD_0 | KEY_VENDOR_EXT_SIFIVE_0 | KEY_VENDOR_EXT_MIPS_0 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::riscv64::cpu;

    #[test]
    fn extensions_have_their_bits() {
        let base = value(KEY_IMA_EXT_0, cpu::parse("rv64gc").unwrap()).unwrap();
        assert_eq!(base & 0b11_1111, 0b11, "FD and C, and no bit manipulation");
        let max = value(KEY_IMA_EXT_0, cpu::parse("max").unwrap()).unwrap();
        assert_eq!(max & 0b11_1111, 0b11_1011);
        assert_eq!(value(KEY_ZICBOZ_BLOCK_SIZE, cpu::parse("max,-zicboz").unwrap()), Some(0));
        assert_eq!(value(1000, ExtensionSet::EMPTY), None);
    }
}
