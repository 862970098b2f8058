//! EFLAGS (SDM vol. 1, §3.4.3), packed and unpacked: what PUSHF stores, a signal frame holds and debuggers show, from the
//! values of which the frame has the flags.

use base::{CpuFrame, RegSlot};

use super::{key, slot};
use crate::frame::Registers;

/// Carry.
pub const CF: u64 = 1 << 0;
/// Bit 1, which is always set.
pub const FIXED: u64 = 1 << 1;
/// Parity.
pub const PF: u64 = 1 << 2;
/// Auxiliary carry.
pub const AF: u64 = 1 << 4;
/// Zero.
pub const ZF: u64 = 1 << 6;
/// Sign.
pub const SF: u64 = 1 << 7;
/// Trap: a debug exception after each instruction.
pub const TF: u64 = 1 << 8;
/// Interrupts are taken.
pub const IF: u64 = 1 << 9;
/// Direction of string instructions.
pub const DF: u64 = 1 << 10;
/// Overflow.
pub const OF: u64 = 1 << 11;
/// The privilege that input and output need.
pub const IOPL: u64 = 3 << 12;
/// Nested task.
pub const NT: u64 = 1 << 14;
/// Resume: no instruction breakpoint for one instruction.
pub const RF: u64 = 1 << 16;
/// Alignment check.
pub const AC: u64 = 1 << 18;
/// A program that can change it has CPUID.
pub const ID: u64 = 1 << 21;

/// The flags that arithmetic gives.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;
/// Those that POPF changes in user mode (SDM vol. 2, POPF: not the interrupt flag, nor the privilege of input).
pub const POPF: u64 = STATUS | TF | DF | NT | AC | ID;
/// Those that Linux takes from a signal frame (`FIX_EFLAGS`).
pub const SIGRETURN: u64 = STATUS | TF | DF | AC | RF;

/// Those in [`slot::OTHER_FLAGS`].
const OTHER: u64 = TF | IF | IOPL | NT | RF | AC | ID;

/// Whether a number of ones in bits 7:0 is even.
fn is_even(value: u64) -> bool {
    (value as u8).count_ones().is_multiple_of(2)
}

/// The values of which the frame has the flags: see [`super::slot`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unpacked {
    zero: u64,
    sign: u64,
    carry: u64,
    less: u64,
    aux: u64,
    df: u64,
    other: u64,
}

impl Unpacked {
    /// By reading slots.
    #[must_use]
    pub fn read(get: impl Fn(RegSlot) -> u64) -> Self {
        Self {
            zero: get(slot::ZERO),
            sign: get(slot::SIGN),
            carry: get(slot::CARRY),
            less: get(slot::LESS),
            aux: get(slot::AUX),
            df: get(slot::DF),
            other: get(slot::OTHER_FLAGS),
        }
    }

    /// Into slots.
    pub fn write(self, mut set: impl FnMut(RegSlot, u64)) {
        set(slot::ZERO, self.zero);
        set(slot::SIGN, self.sign);
        set(slot::CARRY, self.carry);
        set(slot::LESS, self.less);
        set(slot::AUX, self.aux);
        set(slot::DF, self.df);
        set(slot::OTHER_FLAGS, self.other);
    }

    /// Of an EFLAGS, whose bits that do not exist are ignored.
    #[must_use]
    pub fn of(eflags: u64) -> Self {
        let [carry, parity, aux, zero, sign, overflow, df] =
            [CF, PF, AF, ZF, SF, OF, DF].map(|flag| u64::from(eflags & flag != 0));
        let sign_value = sign << 63 | (parity ^ 1);
        Self {
            zero: zero ^ 1,
            sign: sign_value,
            carry,
            less: sign ^ overflow,
            aux: sign_value ^ aux << AF.trailing_zeros(),
            df,
            other: eflags & OTHER | FIXED,
        }
    }

    /// Writes the flags that arithmetic gives.
    pub fn set_status(&mut self, status: u64) {
        let Self { df, other, .. } = *self;
        *self = Self { df, other, ..Self::of(status) };
    }

    /// EFLAGS.
    #[must_use]
    pub fn eflags(self) -> u64 {
        let is_negative = self.sign >> 63 != 0;
        let flags = [
            (CF, self.carry != 0),
            (PF, is_even(self.sign)),
            (AF, (self.aux ^ self.sign) & AF != 0),
            (ZF, self.zero == 0),
            (SF, is_negative),
            (DF, self.df != 0),
            (OF, (self.less != 0) != is_negative),
        ];
        let set = flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag);
        set.sum::<u64>() | self.other & OTHER | FIXED
    }
}

/// EFLAGS.
#[must_use]
pub fn eflags(frame: &CpuFrame) -> u64 {
    Unpacked::read(|slot| frame.get(slot)).eflags()
}

/// Writes EFLAGS, and the translation flags with it; bits that do not exist are ignored.
pub fn set_eflags(frame: &mut CpuFrame, value: u64) {
    write(frame, value);
}

/// [`set_eflags`], also while the CPU runs.
pub(crate) fn write(registers: &mut impl Registers, value: u64) {
    Unpacked::of(value).write(|slot, value| registers.set_slot(slot, value));
    registers.change_key_flags(|old| key::with_trap_flag(old, value));
}

/// Writes those bits of EFLAGS that are in `mask`.
pub fn set_eflags_masked(frame: &mut CpuFrame, value: u64, mask: u64) {
    set_eflags(frame, value & mask | eflags(frame) & !mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_comes_back() {
        let mut frame = CpuFrame::new();
        for bits in 0..1 << 12 {
            let value = bits & (STATUS | DF | IF) | FIXED;
            set_eflags(&mut frame, value);
            assert_eq!(eflags(&frame), value);
        }
        set_eflags(&mut frame, u64::MAX);
        assert_eq!(eflags(&frame), STATUS | DF | OTHER | FIXED);
    }

    #[test]
    fn masked_writes_leave_the_rest() {
        let mut frame = CpuFrame::new();
        set_eflags(&mut frame, IF | CF);
        set_eflags_masked(&mut frame, ZF | IOPL | DF, POPF);
        assert_eq!(eflags(&frame), IF | ZF | DF | FIXED);
    }

    /// What the translation of `cmp a, b` writes, against the host's flags.
    #[test]
    fn comparisons_leave_the_host_s_flags() {
        let mut frame = CpuFrame::new();
        for a in [0u64, 1, 15, 16, 1 << 63, u64::MAX, 0x8000_0000_0000_0010] {
            for b in [0u64, 1, 8, 17, 1 << 63, i64::MAX as u64, u64::MAX] {
                let result = a.wrapping_sub(b);
                frame.set(slot::ZERO, result);
                frame.set(slot::SIGN, result);
                frame.set(slot::CARRY, u64::from(a < b));
                frame.set(slot::LESS, u64::from((a as i64) < b as i64));
                frame.set(slot::AUX, a ^ b);
                assert_eq!(eflags(&frame) & STATUS, host_cmp(a, b), "{a:#x} {b:#x}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the instruction itself")]
    fn host_cmp(a: u64, b: u64) -> u64 {
        let flags: u64;
        // SAFETY: uses the stack as the compiler expects it to.
        unsafe {
            std::arch::asm!("cmp {a}, {b}", "pushfq", "pop {flags}", a = in(reg) a, b = in(reg) b,
                flags = lateout(reg) flags);
        }
        flags & STATUS
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn host_cmp(a: u64, b: u64) -> u64 {
        let result = a.wrapping_sub(b);
        let overflow = (a ^ b) & (a ^ result);
        u64::from(a < b) * CF
            | u64::from(is_even(result)) * PF
            | (a ^ b ^ result) & AF
            | u64::from(result == 0) * ZF
            | (result >> 63) * SF
            | (overflow >> 63) * OF
    }
}
