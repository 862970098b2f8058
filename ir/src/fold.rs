//! What the operations without effects compute: the meaning of the table's words, written for
//! obviousness. The optimiser folds constants by it and [`crate::eval`] runs blocks by it.

use base::float::{F32, F64, Format};

use crate::block::Inst;
use crate::ops::{Opcode, Shape};
use crate::types::Type;

/// The low bits of a value that `ty` reads.
#[inline]
#[must_use]
pub const fn zext(ty: Type, value: u64) -> u64 {
    value & (u64::MAX >> (64 - ty.bits()))
}

/// The low bits of a value that `ty` reads, as a signed number.
#[inline]
#[must_use]
pub const fn sext(ty: Type, value: u64) -> i64 {
    let unread = 64 - ty.bits();
    ((value << unread) as i64) >> unread
}

/// As [`evaluate`], for an operation with all that stands beside its operands.
#[must_use]
pub fn evaluate_inst(inst: &Inst, args: [u64; 3]) -> Option<u64> {
    match inst.op {
        Opcode::Cond => Some(inst.condition().holds(args[0]).into()),
        _ => evaluate(inst.op, inst.ty, args),
    }
}

/// The result of an operation, zero-extended from its type; `None` if the operation has effects, may
/// fault or has anything to do with vectors ([`crate::lanes`]), and for conditions. Bits of the
/// operands that the operation does not read do not matter.
#[must_use]
pub fn evaluate(op: Opcode, ty: Type, args: [u64; 3]) -> Option<u64> {
    let [a, b, c] = args;
    if ty.is_vector() {
        return None;
    }
    match op.info().shape {
        Shape::Flags => Some(flags(op, ty, a, b, c)),
        Shape::Unary | Shape::Extend => unary(op, ty, a),
        Shape::Binary => binary(op, ty, a, b).map(|result| zext(ty, result)),
        Shape::Compare => compare(op, ty, a, b).map(u64::from),
        Shape::Select => Some(zext(ty, if a == 0 { c } else { b })),
        Shape::FpUnary | Shape::FpBinary => sign(op, ty, a, b),
        _ => None,
    }
}

fn unary(op: Opcode, ty: Type, a: u64) -> Option<u64> {
    let (read, unread) = (zext(ty, a), 64 - ty.bits());
    let result = match op {
        Opcode::Mov | Opcode::Zext => read,
        Opcode::Sext => return Some(sext(ty, a) as u64),
        Opcode::Not => !a,
        Opcode::Neg => a.wrapping_neg(),
        Opcode::Clz => u64::from(read.leading_zeros() - unread),
        Opcode::Ctz => u64::from(read.trailing_zeros().min(ty.bits())),
        Opcode::Popcnt => u64::from(read.count_ones()),
        Opcode::Bswap => read.swap_bytes() >> unread,
        Opcode::NanBox => return Some(a | !0 << 32),
        Opcode::NanUnbox if a >> 32 == 0xffff_ffff => read,
        Opcode::NanUnbox => F32::QUIET_NAN,
        _ => return None,
    };
    Some(zext(ty, result))
}

fn binary(op: Opcode, ty: Type, a: u64, b: u64) -> Option<u64> {
    let (ua, ub, sa, sb) = (zext(ty, a), zext(ty, b), sext(ty, a), sext(ty, b));
    let amount = ub as u32 % ty.bits();
    Some(match op {
        Opcode::Add => a.wrapping_add(b),
        Opcode::Sub => a.wrapping_sub(b),
        Opcode::And => a & b,
        Opcode::Or => a | b,
        Opcode::Xor => a ^ b,
        Opcode::AndNot => a & !b,
        Opcode::Shl => ua << amount,
        Opcode::ShrU => ua >> amount,
        Opcode::ShrS => (sa >> amount) as u64,
        Opcode::Rotl => rotate_left(ty, ua, amount),
        Opcode::Rotr => rotate_left(ty, ua, (ty.bits() - amount) % ty.bits()),
        Opcode::Mul => a.wrapping_mul(b),
        Opcode::MulHiU => high_half(ty, i128::from(ua).wrapping_mul(i128::from(ub))),
        Opcode::MulHiS => high_half(ty, i128::from(sa) * i128::from(sb)),
        Opcode::MulHiSU => high_half(ty, i128::from(sa) * i128::from(ub)),
        Opcode::DivU => ua.checked_div(ub).unwrap_or(u64::MAX),
        Opcode::RemU => ua.checked_rem(ub).unwrap_or(ua),
        Opcode::DivS if sb == 0 => u64::MAX,
        Opcode::DivS => sa.wrapping_div(sb) as u64,
        Opcode::RemS if sb == 0 => ua,
        Opcode::RemS => sa.wrapping_rem(sb) as u64,
        Opcode::MinU => ua.min(ub),
        Opcode::MaxU => ua.max(ub),
        Opcode::MinS => sa.min(sb) as u64,
        Opcode::MaxS => sa.max(sb) as u64,
        _ => return None,
    })
}

/// Rotates the low bits of `value`, which has no others.
const fn rotate_left(ty: Type, value: u64, amount: u32) -> u64 {
    if amount == 0 { value } else { value << amount | value >> (ty.bits() - amount) }
}

/// The upper half of a product of two numbers of `ty`. An unsigned product of 64-bit numbers wraps
/// into the sign of `product`, which the shift then shifts out again.
const fn high_half(ty: Type, product: i128) -> u64 {
    (product >> ty.bits()) as u64
}

/// N, Z, C and V of a sum, in bits 31 to 28.
fn flags(op: Opcode, ty: Type, a: u64, b: u64, carry: u64) -> u64 {
    let b = if op == Opcode::FlagsSub { !b } else { b };
    let carry = carry & 1;
    let unsigned = u128::from(zext(ty, a)) + u128::from(zext(ty, b)) + u128::from(carry);
    let signed = i128::from(sext(ty, a)) + i128::from(sext(ty, b)) + i128::from(carry);
    let sum = zext(ty, unsigned as u64);
    let n = sum >> (ty.bits() - 1);
    let z = u64::from(sum == 0);
    let c = u64::from(u128::from(sum) != unsigned);
    let v = u64::from(i128::from(sext(ty, sum)) != signed);
    n << 31 | z << 30 | c << 29 | v << 28
}

fn compare(op: Opcode, ty: Type, a: u64, b: u64) -> Option<bool> {
    let (ua, ub, sa, sb) = (zext(ty, a), zext(ty, b), sext(ty, a), sext(ty, b));
    Some(match op {
        Opcode::Eq => ua == ub,
        Opcode::Ne => ua != ub,
        Opcode::LtU => ua < ub,
        Opcode::LeU => ua <= ub,
        Opcode::LtS => sa < sb,
        Opcode::LeS => sa <= sb,
        _ => return None,
    })
}

/// The operations on the sign bit, which raise no flags.
fn sign(op: Opcode, ty: Type, a: u64, b: u64) -> Option<u64> {
    let mask = if ty == Type::F32 { F32::SIGN } else { F64::SIGN };
    let result = match op {
        Opcode::FNeg => a ^ mask,
        Opcode::FAbs => a & !mask,
        Opcode::FCopySign => a & !mask | b & mask,
        _ => return None,
    };
    Some(zext(ty, result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::flag;

    const NONE: crate::Operand = crate::Operand::NONE;

    #[test]
    fn flags_are_those_of_the_sum() {
        check(Opcode::FlagsAdd, Type::I32, &[0x7fff_ffff, 1, 0], 0b1001 << 28);
        check(Opcode::FlagsAdd, Type::I64, &[u64::MAX, 0, 1], 0b0110 << 28);
        check(Opcode::FlagsAdd, Type::I64, &[5, 0, 0], 0);
        check(Opcode::FlagsSub, Type::I64, &[5, 5, 1], 0b0110 << 28);
        check(Opcode::FlagsSub, Type::I32, &[3, 5, 1], 0b1000 << 28);
        check(Opcode::FlagsSub, Type::I64, &[1 << 63, 1, 1], 0b0011 << 28);
        check(Opcode::FlagsSub, Type::I64, &[0, 0, 0], 0b1000 << 28);
    }

    #[track_caller]
    fn check(op: Opcode, ty: Type, args: &[u64], expected: u64) {
        let mut all = [0xdead_beef; 3];
        all[..args.len()].copy_from_slice(args);
        assert_eq!(evaluate(op, ty, all), Some(expected), "{op:?} {ty:?} {args:x?}");
    }

    #[test]
    fn exactly_the_operations_without_effects_fold() {
        for &op in Opcode::ALL {
            let info = op.info();
            let effects = flag::FAULTS | flag::READS | flag::WRITES | flag::SPECIAL;
            let pure = !info.has_any(effects | flag::FP_FLAGS);
            for &ty in op.types() {
                let inst = Inst { op, ty, aux: 0, imm: 0, dst: NONE, args: [NONE; 4] };
                let wide = ty.is_vector() || inst.result_type().is_vector();
                let folds = evaluate_inst(&inst, [1, 2, 3]).is_some();
                assert_eq!(folds, pure && !wide, "{op:?} {ty:?}");
            }
        }
    }

    #[test]
    fn division_is_total() {
        const MIN32: u64 = 0x8000_0000;
        check(Opcode::DivU, Type::I32, &[7, 1 << 32], 0xffff_ffff);
        check(Opcode::DivS, Type::I64, &[7, 0], u64::MAX);
        check(Opcode::DivS, Type::I32, &[MIN32, 0xffff_ffff], MIN32);
        check(Opcode::DivS, Type::I64, &[1 << 63, u64::MAX], 1 << 63);
        check(Opcode::DivS, Type::I64, &[-7_i64 as u64, 2], -3_i64 as u64);
        check(Opcode::RemU, Type::I8, &[0x1ff, 0], 0xff);
        check(Opcode::RemS, Type::I64, &[1 << 63, u64::MAX], 0);
        check(Opcode::RemS, Type::I32, &[MIN32, 0], MIN32);
        check(Opcode::RemS, Type::I64, &[-7_i64 as u64, 2], -1_i64 as u64);
    }

    #[test]
    fn products_have_high_halves() {
        check(Opcode::MulHiU, Type::I64, &[u64::MAX, u64::MAX], u64::MAX - 1);
        check(Opcode::MulHiS, Type::I64, &[u64::MAX, u64::MAX], 0);
        check(Opcode::MulHiS, Type::I64, &[1 << 63, 1 << 63], 1 << 62);
        check(Opcode::MulHiSU, Type::I64, &[u64::MAX, u64::MAX], u64::MAX);
        check(Opcode::MulHiU, Type::I32, &[0xffff_ffff, 0xffff_ffff], 0xffff_fffe);
        check(Opcode::MulHiS, Type::I8, &[0x80, 0x7f], 0xc0);
    }

    #[test]
    fn shift_amounts_wrap_at_the_width() {
        check(Opcode::Shl, Type::I64, &[1, 65], 2);
        check(Opcode::Shl, Type::I32, &[1, 33], 2);
        check(Opcode::Shl, Type::I8, &[0xff, 12], 0xf0);
        check(Opcode::ShrU, Type::I32, &[u64::MAX, 28], 0xf);
        check(Opcode::ShrS, Type::I32, &[0x8000_0000, 31], 0xffff_ffff);
        check(Opcode::Rotl, Type::I8, &[0x181, 1], 0x03);
        check(Opcode::Rotr, Type::I8, &[0x181, 1], 0xc0);
        check(Opcode::Rotr, Type::I64, &[5, 0], 5);
        check(Opcode::Rotl, Type::I64, &[5, 64], 5);
    }

    #[test]
    fn counts_and_bytes() {
        check(Opcode::Clz, Type::I32, &[1 << 40], 32);
        check(Opcode::Clz, Type::I8, &[0x10], 3);
        check(Opcode::Ctz, Type::I16, &[1 << 16], 16);
        check(Opcode::Ctz, Type::I64, &[0], 64);
        check(Opcode::Popcnt, Type::I8, &[0xf0f], 4);
        check(Opcode::Bswap, Type::I32, &[0x00ff_1122_3344], 0x4433_2211);
    }

    #[test]
    fn widths_are_respected() {
        check(Opcode::Sext, Type::I32, &[0x1_8000_0000], 0xffff_ffff_8000_0000);
        check(Opcode::Zext, Type::I16, &[0xfff_ffff], 0xffff);
        check(Opcode::LtS, Type::I8, &[0x80, 0x7f], 1);
        check(Opcode::LtU, Type::I8, &[0x180, 0x7f], 0);
        check(Opcode::MinS, Type::I16, &[0x8000, 1], 0x8000);
        check(Opcode::Select, Type::I32, &[1 << 40, 1, 2], 1);
        check(Opcode::AndNot, Type::I8, &[0xff, 0x0f], 0xf0);
    }

    #[test]
    fn floats_are_bits() {
        check(Opcode::FNeg, Type::F64, &[0], 1 << 63);
        check(Opcode::FAbs, Type::F32, &[0xffff_ffff], 0x7fff_ffff);
        check(Opcode::FCopySign, Type::F32, &[1, 0x8000_0000], 0x8000_0001);
        check(Opcode::NanBox, Type::F32, &[0x12_3f80_0000], 0xffff_ffff_3f80_0000);
        check(Opcode::NanUnbox, Type::F32, &[0xffff_ffff_3f80_0000], 0x3f80_0000);
        check(Opcode::NanUnbox, Type::F32, &[0xffff_fffe_3f80_0000], 0x7fc0_0000);
    }
}
