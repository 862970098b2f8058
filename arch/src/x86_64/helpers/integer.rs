//! Integer instructions: what takes more than 64 bits, or moves single bits.

use base::sys::access as guest;
use base::{GuestVirt, RegSlot};

use super::FrameRef;
use crate::access::{self, Faulted};
use crate::x86_64::slot;

fn join(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// DIV of 128 bits: the quotient's low 64 bits.
pub(super) fn div128(low: u64, high: u64, divisor: u64) -> u64 {
    join(low, high).checked_div(divisor.into()).unwrap_or(0) as u64
}

fn signed_quotient(low: u64, high: u64, divisor: u64) -> Option<i128> {
    (join(low, high) as i128).checked_div(i128::from(divisor as i64))
}

/// IDIV of 128 bits: the quotient's low 64 bits.
pub(super) fn idiv128(low: u64, high: u64, divisor: u64) -> u64 {
    signed_quotient(low, high, divisor).unwrap_or(0) as u64
}

/// Whether IDIV of 128 bits raises #DE.
pub(super) fn idiv128_overflows(low: u64, high: u64, divisor: u64) -> u64 {
    let quotient = signed_quotient(low, high, divisor);
    u64::from(quotient.is_none_or(|quotient| i64::try_from(quotient).is_err()))
}

/// PDEP: the low bits of `value` go to where the mask has ones.
pub(super) fn pdep(value: u64, mut mask: u64) -> u64 {
    let (mut rest, mut result) = (value, 0);
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        result |= lowest & (rest & 1).wrapping_neg();
        (rest, mask) = (rest >> 1, mask & (mask - 1));
    }
    result
}

/// PEXT: the bits of `value` where the mask has ones, together.
pub(super) fn pext(value: u64, mut mask: u64) -> u64 {
    let (mut place, mut result) = (0, 0);
    while mask != 0 {
        let bit = value >> mask.trailing_zeros() & 1;
        result |= bit << place;
        (place, mask) = (place + 1, mask & (mask - 1));
    }
    result
}

/// The remainder of each byte times x^32, by the polynomial 0x1edc6f41, with bits in reverse order.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut crc, mut bit) = (n as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ (crc & 1).wrapping_neg() & 0x82f6_3b78;
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
};

/// CRC32: of so many bytes of `value`.
pub(super) fn crc32(accumulator: u64, value: u64, bytes: u64) -> u64 {
    let bytes = value.to_le_bytes().into_iter().take(bytes as usize);
    let step = |crc: u32, byte: u8| crc >> 8 ^ CRC32C[usize::from(crc as u8 ^ byte)];
    bytes.fold(accumulator as u32, step).into()
}

/// LOCK NEG of 1, 2, 4 or 8 bytes: what was there.
pub(super) fn lock_neg(mut frame: FrameRef, addr: u64, bytes: u64) -> u64 {
    let at = GuestVirt(addr);
    let mut seen = 0;
    loop {
        let negated = u64::wrapping_neg(seen);
        let old = match bytes {
            1 => guest::compare_exchange8(at, seen as u8, negated as u8).map(u64::from),
            2 => guest::compare_exchange16(at, seen as u16, negated as u16).map(u64::from),
            4 => guest::compare_exchange32(at, seen as u32, negated as u32).map(u64::from),
            _ => guest::compare_exchange64(at, seen, negated),
        };
        match old {
            Ok(old) if old == seen => {
                let [old, new] =
                    [old, negated].map(|value| value & u64::MAX >> (64 - 8 * bytes.min(8)));
                access::tell_exchange(at, bytes as u8, [old.into(), old.into(), new.into()]);
                return old;
            }
            Ok(old) => seen = old,
            Err(Faulted) => {
                frame.set_fault(base::sys::fault::last_fault().addr.0);
                return 0;
            }
        }
    }
}

/// CMPXCHG16B: RDX:RAX with RCX:RBX, at an aligned address; also ZF.
pub(super) fn cmpxchg16b(mut frame: FrameRef, addr: u64) -> u64 {
    let [rax, rcx, rdx, rbx] = [0, 1, 2, 3].map(slot::gpr);
    let pair =
        |frame: &FrameRef, low: RegSlot, high: RegSlot| join(frame.get(low), frame.get(high));
    let (expected, new) = (pair(&frame, rax, rdx), pair(&frame, rbx, rcx));
    match access::compare_exchange128(GuestVirt(addr), expected, new) {
        Ok(old) => {
            frame.set(slot::ZERO, u64::from(old != expected));
            if old != expected {
                frame.set(rax, old as u64);
                frame.set(rdx, (old >> 64) as u64);
            }
        }
        Err(Faulted) => frame.set_fault(base::sys::fault::last_fault().addr.0),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_say_when_they_overflow() {
        assert_eq!(div128(5, 1, 2), 1 << 63 | 2);
        let minus_seven = -7_i64 as u64;
        assert_eq!(idiv128(minus_seven, u64::MAX, 2) as i64, -3);
        assert_eq!(idiv128_overflows(minus_seven, u64::MAX, 2), 0);
        assert_eq!(idiv128_overflows(1 << 63, u64::MAX, u64::MAX), 1);
        assert_eq!(idiv128_overflows(0, 1, 0), 1);
        assert_eq!(idiv128_overflows(0, 1 << 63, u64::MAX), 1);
        assert_eq!(idiv128_overflows(0, 1, 1), 1);
    }

    #[test]
    fn bits_are_deposited_and_extracted() {
        assert_eq!(pdep(0b1011, 0b1101_0010), 0b1001_0010 & 0b1101_0010 | 0b1000_0000);
        for (value, mask) in [(0x1234_5678_9abc_def0, 0x0ff0_f00f_3333_8001), (u64::MAX, 1 << 63)] {
            assert_eq!(pdep(pext(value, mask), mask), value & mask);
            assert_eq!(pext(value, u64::MAX), value);
        }
    }

    #[test]
    fn crc32_is_castagnoli_s() {
        let crc = b"123456789".iter().fold(0xffff_ffff, |crc, &byte| crc32(crc, byte.into(), 1));
        assert_eq!(crc ^ 0xffff_ffff, 0xe306_9283);
        let eight = u64::from_le_bytes(*b"12345678");
        assert_eq!(crc32(crc32(0xffff_ffff, eight, 8), b'9'.into(), 1), crc);
    }
}
