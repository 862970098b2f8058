//! Pure integer operations as functions: the meaning of [`Opcode`]s without side effects, at every
//! width. Tier 0 calls them for what it has no micro-operation of its own for, and whoever folds
//! constants gets the same answers from here.

use crate::ops::Opcode;
use crate::types::Type;

/// A pure operation on 64-bit containers. It reads the low bits of its operands that its type has;
/// a unary operation ignores the second. Results of narrow types are sign-extended.
pub type Pure = fn(u64, u64) -> u64;

/// The function of an integer operation with one or two operands and no effects, or of what an
/// atomic operation stores (from the old value and its operand); `None` for all others.
#[must_use]
pub fn pure_function(op: Opcode, ty: Type) -> Option<Pure> {
    match ty {
        Type::I8 => width8(op),
        Type::I16 => width16(op),
        Type::I32 => width32(op),
        Type::I64 => width64(op),
        _ => None,
    }
}

macro_rules! integer_width {
    ($name:ident, $u:ident, $s:ident, $wide_u:ident, $wide_s:ident) => {
        fn $name(op: Opcode) -> Option<Pure> {
            const BITS: u32 = $u::BITS;
            const fn out(value: $u) -> u64 {
                value as $s as i64 as u64
            }
            const fn amount(value: u64) -> u32 {
                value as u32 % BITS
            }
            Some(match op {
                Opcode::Mov => |a, _| out(a as $u),
                Opcode::Add | Opcode::AtomicAdd => |a, b| out((a as $u).wrapping_add(b as $u)),
                Opcode::Sub => |a, b| out((a as $u).wrapping_sub(b as $u)),
                Opcode::And | Opcode::AtomicAnd => |a, b| out((a & b) as $u),
                Opcode::Or | Opcode::AtomicOr => |a, b| out((a | b) as $u),
                Opcode::Xor | Opcode::AtomicXor => |a, b| out((a ^ b) as $u),
                Opcode::AndNot => |a, b| out((a & !b) as $u),
                Opcode::Shl => |a, b| out((a as $u) << amount(b)),
                Opcode::ShrU => |a, b| out((a as $u) >> amount(b)),
                Opcode::ShrS => |a, b| out(((a as $s) >> amount(b)) as $u),
                Opcode::Rotl => |a, b| out((a as $u).rotate_left(amount(b))),
                Opcode::Rotr => |a, b| out((a as $u).rotate_right(amount(b))),
                Opcode::Mul => |a, b| out((a as $u).wrapping_mul(b as $u)),
                Opcode::MulHiU => |a, b| {
                    out(((a as $u as $wide_u * b as $u as $wide_u) >> BITS) as $u)
                },
                Opcode::MulHiS => |a, b| {
                    out(((a as $s as $wide_s * b as $s as $wide_s) >> BITS) as $u)
                },
                Opcode::MulHiSU => |a, b| {
                    out(((a as $s as $wide_s).wrapping_mul(b as $u as $wide_s) >> BITS) as $u)
                },
                Opcode::DivU => |a, b| out((a as $u).checked_div(b as $u).unwrap_or($u::MAX)),
                Opcode::DivS => |a, b| match (a as $s, b as $s) {
                    (_, 0) => u64::MAX,
                    (a, b) => out(a.wrapping_div(b) as $u),
                },
                Opcode::RemU => |a, b| out((a as $u).checked_rem(b as $u).unwrap_or(a as $u)),
                Opcode::RemS => |a, b| match (a as $s, b as $s) {
                    (a, 0) => out(a as $u),
                    (a, b) => out(a.wrapping_rem(b) as $u),
                },
                Opcode::MinU | Opcode::AtomicMinU => |a, b| out((a as $u).min(b as $u)),
                Opcode::MaxU | Opcode::AtomicMaxU => |a, b| out((a as $u).max(b as $u)),
                Opcode::MinS | Opcode::AtomicMinS => |a, b| out((a as $s).min(b as $s) as $u),
                Opcode::MaxS | Opcode::AtomicMaxS => |a, b| out((a as $s).max(b as $s) as $u),
                Opcode::AtomicSwap => |_, b| out(b as $u),
                Opcode::Not => |a, _| out(!(a as $u)),
                Opcode::Neg => |a, _| out((a as $u).wrapping_neg()),
                Opcode::Clz => |a, _| u64::from((a as $u).leading_zeros()),
                Opcode::Ctz => |a, _| u64::from((a as $u).trailing_zeros()),
                Opcode::Popcnt => |a, _| u64::from((a as $u).count_ones()),
                Opcode::Bswap => |a, _| out((a as $u).swap_bytes()),
                Opcode::Sext => |a, _| out(a as $u),
                Opcode::Zext => |a, _| u64::from(a as $u),
                Opcode::Eq => |a, b| u64::from(a as $u == b as $u),
                Opcode::Ne => |a, b| u64::from(a as $u != b as $u),
                Opcode::LtU => |a, b| u64::from((a as $u) < b as $u),
                Opcode::LeU => |a, b| u64::from(a as $u <= b as $u),
                Opcode::LtS => |a, b| u64::from((a as $s) < b as $s),
                Opcode::LeS => |a, b| u64::from(a as $s <= b as $s),
                _ => return None,
            })
        }
    };
}

integer_width!(width8, u8, i8, u16, i16);
integer_width!(width16, u16, i16, u32, i32);
integer_width!(width32, u32, i32, u64, i64);
integer_width!(width64, u64, i64, u128, i128);
