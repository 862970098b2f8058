//! Operations with status flags ([`crate::status`]) in one micro-operation.

use base::RegSlot;

use super::micro::Reg;
use crate::types::Type;

/// What stands beside the registers of such a micro-operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusOp {
    /// The second operand where it is a constant, to be sign-extended.
    pub constant: i32,
    /// The first of the slots that are written.
    pub first: RegSlot,
    /// The type.
    pub ty: Type,
    /// Whether CF stays as it is.
    pub keeps_carry: bool,
}

/// The bit of a packed operation that says that CF stays.
const KEEPS_CARRY: u64 = 1 << 56;
const FIRST_SHIFT: u32 = 32;
/// How many bits of a register are above the type's.
const UNREAD_SHIFT: u32 = 48;

impl StatusOp {
    /// As a micro-operation has it.
    #[must_use]
    pub const fn pack(self) -> u64 {
        let unread = (64 - self.ty.bits() as u64) << UNREAD_SHIFT;
        let carry = if self.keeps_carry { KEEPS_CARRY } else { 0 };
        self.constant as u32 as u64 | (self.first.0 as u64) << FIRST_SHIFT | unread | carry
    }

    /// The inverse of [`StatusOp::pack`].
    #[must_use]
    pub const fn unpack(packed: u64) -> Self {
        let ty = match packed >> UNREAD_SHIFT & 63 {
            56 => Type::I8,
            48 => Type::I16,
            32 => Type::I32,
            _ => Type::I64,
        };
        Self {
            constant: packed as i32,
            first: RegSlot((packed >> FIRST_SHIFT) as u16),
            ty,
            keeps_carry: packed & KEEPS_CARRY != 0,
        }
    }
}

/// The constant operand.
#[inline(always)]
pub(super) const fn constant(packed: u64) -> u64 {
    packed as i32 as i64 as u64
}

/// What an operation computes of operands in a register's upper bits, where carries and overflows show.
pub(super) struct Outcome {
    result: u64,
    carry: bool,
    less: bool,
    /// What AF follows from; that of a logical operation is the result.
    aux: Option<u64>,
}

#[inline(always)]
pub(super) const fn add(a: u64, b: u64) -> Outcome {
    let (result, carry) = a.overflowing_add(b);
    let (sum, overflows) = (a as i64).overflowing_add(b as i64);
    Outcome { result, carry, less: (sum < 0) ^ overflows, aux: Some(a ^ b) }
}

#[inline(always)]
pub(super) const fn sub(a: u64, b: u64) -> Outcome {
    let less = (a as i64) < b as i64;
    Outcome { result: a.wrapping_sub(b), carry: a < b, less, aux: Some(a ^ b) }
}

#[inline(always)]
pub(super) const fn logical(result: u64) -> Outcome {
    Outcome { result, carry: false, less: (result as i64) < 0, aux: None }
}

/// Executes a packed operation on two operands.
///
/// # Safety
/// `regs` are a frame's registers, to which nobody else has access, and `packed` names slots of it.
#[expect(unsafe_code, reason = "registers are reached by unchecked pointers")]
#[inline(always)]
pub(super) unsafe fn execute(
    regs: *mut u64,
    dst: Reg,
    packed: u64,
    [a, b]: [u64; 2],
    operation: impl FnOnce(u64, u64) -> Outcome,
) {
    let unread = (packed >> UNREAD_SHIFT) as u32 & 63;
    let Outcome { result, carry, less, aux } = operation(a << unread, b << unread);
    let result = (result as i64 >> unread) as u64;
    // SAFETY: by the caller's promise.
    unsafe {
        let first = regs.add(usize::from((packed >> FIRST_SHIFT) as u16));
        *first = result;
        *first.add(1) = result;
        if packed & KEEPS_CARRY == 0 {
            *first.add(2) = carry.into();
        }
        *first.add(3) = less.into();
        *first.add(4) = aux.map_or(result, |aux| aux >> unread);
        *regs.add(usize::from(dst)) = result;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_operations_are_unpacked_again() {
        for ty in [Type::I8, Type::I16, Type::I32, Type::I64] {
            for keeps_carry in [false, true] {
                let op = StatusOp { constant: -5, first: RegSlot(300), ty, keeps_carry };
                assert_eq!(StatusOp::unpack(op.pack()), op);
                assert_eq!(constant(op.pack()), -5_i64 as u64);
            }
        }
    }
}
