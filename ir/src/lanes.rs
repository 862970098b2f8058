//! What the operations on vectors compute, as functions on 128 bits: the one place that says so. The
//! evaluator and the interpreter call them, and the back end is compared with them. Floating point is
//! in [`crate::fp`].

use crate::block::Inst;
use crate::ops::{Opcode, SATURATED, Shape};
use crate::types::Type;

/// An operation of up to three wide operands and a number. A scalar operand takes the low bits of a
/// wide one; a scalar result does, too.
pub type WideFn = fn(u128, u128, u128, u32) -> u128;

/// A lane, zero-extended; of a scalar type, the low bits.
#[inline]
#[must_use]
pub const fn get(ty: Type, vector: u128, lane: u32) -> u64 {
    let bits = ty.lane().bits();
    (vector >> (lane * bits)) as u64 & (u64::MAX >> (64 - bits))
}

/// The vector with the low bits of `value` in a lane.
#[inline]
#[must_use]
pub const fn set(ty: Type, vector: u128, lane: u32, value: u64) -> u128 {
    let bits = ty.lane().bits();
    let mask = (u64::MAX >> (64 - bits)) as u128;
    vector & !(mask << (lane * bits)) | (value as u128 & mask) << (lane * bits)
}

/// The function of an operation on vectors without memory, helpers or floating point; `None` if it
/// is none, or of a type that it cannot have. The number that it takes is [`Inst::imm`].
#[must_use]
pub fn function(inst: &Inst) -> Option<WideFn> {
    if let Shape::Shuffle = inst.op.info().shape {
        return Some(|a, b, mask, _| shuffle(a, b, mask));
    }
    if let Shape::ZextWide = inst.op.info().shape {
        return Some(match inst.ty.bits() {
            8 => |a, _, _, _| a & 0xff,
            16 => |a, _, _, _| a & 0xffff,
            32 => |a, _, _, _| a & 0xffff_ffff,
            _ => |a, _, _, _| a & u128::from(u64::MAX),
        });
    }
    whole(inst.op).or_else(|| match inst.ty {
        Type::I8x16 => bytes(inst.op),
        Type::I16x8 => halves(inst.op),
        Type::I32x4 | Type::F32x4 => words(inst.op),
        Type::I64x2 | Type::F64x2 => doublewords(inst.op),
        _ => None,
    })
}

/// A saturating operation on vectors of a type, which adds to the flags; `None` if it is none.
#[must_use]
pub fn saturating(op: Opcode, ty: Type, [a, b]: [u128; 2], flags: &mut u64) -> Option<u128> {
    let (lane, lanes) = (ty.lane().bits(), ty.lanes());
    let result = if let Shape::Narrow = op.info().shape { ty.narrowed() } else { ty };
    let mut out = 0;
    for n in 0..lanes {
        let (x, y) = (get(ty, a, n), get(ty, b, n));
        let (sx, sy) = (i128::from(sign_extend(x, lane)), i128::from(sign_extend(y, lane)));
        let (ux, uy) = (i128::from(x), i128::from(y));
        let to = result.lane().bits();
        let (exact, range) = match op {
            Opcode::SatAddS => (sx + sy, signed_range(to)),
            Opcode::SatAddU => (ux + uy, unsigned_range(to)),
            Opcode::SatSubS => (sx - sy, signed_range(to)),
            Opcode::SatSubU => (ux - uy, unsigned_range(to)),
            Opcode::SatNarrowS => (sx, signed_range(to)),
            Opcode::SatNarrowSU => (sx, unsigned_range(to)),
            Opcode::SatNarrowU => (ux, unsigned_range(to)),
            _ => return None,
        };
        let value = exact.clamp(range.0, range.1);
        if value != exact {
            *flags |= SATURATED;
        }
        out = set(result, out, n, value as u64);
    }
    Some(out)
}

const fn signed_range(bits: u32) -> (i128, i128) {
    (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
}

const fn unsigned_range(bits: u32) -> (i128, i128) {
    (0, (1 << bits) - 1)
}

const fn sign_extend(value: u64, bits: u32) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

fn shuffle(a: u128, b: u128, mask: u128) -> u128 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    let byte = |n: u8| if n < 16 { a[usize::from(n)] } else { b[usize::from(n & 15)] };
    u128::from_le_bytes(mask.to_le_bytes().map(byte))
}

fn swizzle(table: u128, indices: u128) -> u128 {
    let table = table.to_le_bytes();
    let byte = |n: u8| table.get(usize::from(n)).copied().unwrap_or(0);
    u128::from_le_bytes(indices.to_le_bytes().map(byte))
}

/// Operations on 128 bits as such.
fn whole(op: Opcode) -> Option<WideFn> {
    Some(match op {
        Opcode::Mov => |a, _, _, _| a,
        Opcode::And => |a, b, _, _| a & b,
        Opcode::Or => |a, b, _, _| a | b,
        Opcode::Xor => |a, b, _, _| a ^ b,
        Opcode::AndNot => |a, b, _, _| a & !b,
        Opcode::Not => |a, _, _, _| !a,
        Opcode::BitSelect => |a, b, c, _| a & b | !a & c,
        Opcode::Swizzle => |a, b, _, _| swizzle(a, b),
        _ => return None,
    })
}

macro_rules! lanes_of {
    ($name:ident, $u:ty, $s:ty, $count:literal) => {
        fn $name(op: Opcode) -> Option<WideFn> {
            type Lanes = [$u; $count];
            #[inline(always)]
            fn split(vector: u128) -> Lanes {
                let bytes = vector.to_le_bytes();
                std::array::from_fn(|n| {
                    let mut lane = [0; size_of::<$u>()];
                    lane.copy_from_slice(&bytes[n * size_of::<$u>()..][..size_of::<$u>()]);
                    <$u>::from_le_bytes(lane)
                })
            }
            #[inline(always)]
            fn join(lanes: Lanes) -> u128 {
                let mut bytes = [0; 16];
                for (lane, to) in lanes.iter().zip(bytes.chunks_exact_mut(size_of::<$u>())) {
                    to.copy_from_slice(&lane.to_le_bytes());
                }
                u128::from_le_bytes(bytes)
            }
            #[inline(always)]
            fn map(a: u128, f: impl Fn($u) -> $u) -> u128 {
                join(split(a).map(f))
            }
            #[inline(always)]
            fn zip(a: u128, b: u128, f: impl Fn($u, $u) -> $u) -> u128 {
                let (a, b) = (split(a), split(b));
                join(std::array::from_fn(|n| f(a[n], b[n])))
            }
            #[inline(always)]
            fn mask(a: u128, b: u128, f: impl Fn($u, $u) -> bool) -> u128 {
                zip(a, b, |a, b| if f(a, b) { <$u>::MAX } else { 0 })
            }
            Some(match op {
                Opcode::Add => |a, b, _, _| zip(a, b, <$u>::wrapping_add),
                Opcode::Sub => |a, b, _, _| zip(a, b, <$u>::wrapping_sub),
                Opcode::Mul => |a, b, _, _| zip(a, b, <$u>::wrapping_mul),
                Opcode::Neg => |a, _, _, _| map(a, <$u>::wrapping_neg),
                Opcode::MinU => |a, b, _, _| zip(a, b, <$u>::min),
                Opcode::MaxU => |a, b, _, _| zip(a, b, <$u>::max),
                Opcode::MinS => |a, b, _, _| zip(a, b, |a, b| (a as $s).min(b as $s) as $u),
                Opcode::MaxS => |a, b, _, _| zip(a, b, |a, b| (a as $s).max(b as $s) as $u),
                Opcode::Popcnt => |a, _, _, _| map(a, |a| a.count_ones() as $u),
                Opcode::AbsLanes => |a, _, _, _| map(a, |a| (a as $s).wrapping_abs() as $u),
                Opcode::AvgLanesU => |a, b, _, _| zip(a, b, |a, b| (a | b) - ((a ^ b) >> 1)),
                Opcode::ShlLanes => |a, _, _, by| map(a, |a| a.checked_shl(by).unwrap_or(0)),
                Opcode::ShrLanesU => |a, _, _, by| map(a, |a| a.checked_shr(by).unwrap_or(0)),
                Opcode::ShrLanesS => {
                    |a, _, _, by| map(a, |a| (a as $s >> by.min(<$u>::BITS - 1)) as $u)
                }
                Opcode::LanesEq => |a, b, _, _| mask(a, b, |a, b| a == b),
                Opcode::LanesGtS => |a, b, _, _| mask(a, b, |a, b| a as $s > b as $s),
                Opcode::LanesGeS => |a, b, _, _| mask(a, b, |a, b| a as $s >= b as $s),
                Opcode::LanesGtU => |a, b, _, _| mask(a, b, |a, b| a > b),
                Opcode::LanesGeU => |a, b, _, _| mask(a, b, |a, b| a >= b),
                Opcode::Splat => |a, _, _, _| join([a as $u; $count]),
                Opcode::LaneU => |a, _, _, n| split(a)[n as usize % $count].into(),
                Opcode::LaneS => {
                    |a, _, _, n| u128::from(split(a)[n as usize % $count] as $s as i64 as u64)
                }
                Opcode::SetLane => |a, b, _, n| {
                    let mut lanes = split(a);
                    lanes[n as usize % $count] = b as $u;
                    join(lanes)
                },
                Opcode::FNeg => |a, _, _, _| map(a, |a| a ^ 1 << (<$u>::BITS - 1)),
                Opcode::FAbs => |a, _, _, _| map(a, |a| a & !(1 << (<$u>::BITS - 1))),
                op => return lengthening(op, <$u>::BITS),
            })
        }
    };
}

lanes_of!(bytes, u8, i8, 16);
lanes_of!(halves, u16, i16, 8);
lanes_of!(words, u32, i32, 4);
lanes_of!(doublewords, u64, i64, 2);

fn lengthening(op: Opcode, bits: u32) -> Option<WideFn> {
    macro_rules! forms {
        ($from:ident) => {
            match op {
                Opcode::LengthenLowS => Some(|a, _, _, _| lengthen(Type::$from, a, true)),
                Opcode::LengthenLowU => Some(|a, _, _, _| lengthen(Type::$from, a, false)),
                Opcode::LengthenHighS => Some(|a, _, _, _| lengthen(Type::$from, a >> 64, true)),
                Opcode::LengthenHighU => Some(|a, _, _, _| lengthen(Type::$from, a >> 64, false)),
                _ => None,
            }
        };
    }
    match bits {
        8 => forms!(I8x16),
        16 => forms!(I16x8),
        32 => forms!(I32x4),
        _ => None,
    }
}

fn lengthen(from: Type, a: u128, signed: bool) -> u128 {
    let bits = from.lane().bits();
    (0..from.lanes() / 2).fold(0, |result, n| {
        let lane = get(from, a, n);
        let lane = if signed { sign_extend(lane, bits) as u64 } else { lane };
        set(from.widened(), result, n, lane)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u128 = 0x8001_7fff_0102_0304_fffe_fdfc_8081_8283;
    const B: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

    fn run(op: Opcode, ty: Type, imm: i32, a: u128, b: u128, c: u128) -> u128 {
        let none = crate::Operand::NONE;
        let inst = Inst { op, ty, aux: 0, imm, dst: none, args: [none; 4] };
        function(&inst).expect("an operation on vectors")(a, b, c, imm as u32)
    }

    #[test]
    fn lanes_are_numbered_from_the_lowest() {
        assert_eq!(get(Type::I16x8, A, 0), 0x8283);
        assert_eq!(get(Type::I16x8, A, 7), 0x8001);
        assert_eq!(set(Type::I8x16, 0, 15, 0x1ff), 0xff << 120);
        assert_eq!(run(Opcode::LaneS, Type::I8x16, 1, A, 0, 0), u128::from(0x82_u8 as i8 as u64));
        assert_eq!(run(Opcode::LaneU, Type::I32x4, 3, A, 0, 0), 0x8001_7fff);
    }

    #[test]
    fn lanes_do_not_touch_each_other() {
        assert_eq!(run(Opcode::Add, Type::I8x16, 0, 0xff, 1, 0), 0);
        assert_eq!(run(Opcode::Sub, Type::I32x4, 0, 0, 1, 0), 0xffff_ffff);
        assert_eq!(run(Opcode::ShlLanes, Type::I16x8, 8, A, 0, 0), {
            0x0100_ff00_0200_0400_fe00_fc00_8100_8300
        });
        assert_eq!(run(Opcode::ShrLanesS, Type::I64x2, 60, A, 0, 0), {
            0xffff_ffff_ffff_fff8_ffff_ffff_ffff_ffff
        });
        assert_eq!(run(Opcode::AvgLanesU, Type::I8x16, 0, 0xff, 0xfe, 0), 0xff);
    }

    #[test]
    fn bytes_move_by_number() {
        let reverse = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
        assert_eq!(run(Opcode::Shuffle, Type::I8x16, 0, A, B, reverse), A.swap_bytes());
        assert_eq!(run(Opcode::Shuffle, Type::I8x16, 0, A, B, reverse + u128::MAX / 255 * 16), {
            B.swap_bytes()
        });
        assert_eq!(run(Opcode::Swizzle, Type::I8x16, 0, A, !0 << 16 | 0x100f, 0), 0x0080);
        assert_eq!(run(Opcode::BitSelect, Type::I64x2, 0, 0xf0, 0xaa, 0x55), 0xa5);
    }

    #[test]
    fn halves_lengthen() {
        assert_eq!(run(Opcode::LengthenLowS, Type::I8x16, 0, A, 0, 0), {
            0xffff_fffe_fffd_fffc_ff80_ff81_ff82_ff83
        });
        assert_eq!(run(Opcode::LengthenHighU, Type::I32x4, 0, A, 0, 0), {
            0x0000_0000_8001_7fff_0000_0000_0102_0304
        });
    }

    #[test]
    fn saturation_is_noted() {
        let mut flags = 1;
        let run = |op, ty, a, b, flags: &mut u64| saturating(op, ty, [a, b], flags);
        let (sum, narrow) = (Opcode::SatAddS, Opcode::SatNarrowSU);
        assert_eq!(run(sum, Type::I16x8, 0x7ffe, 1, &mut flags), Some(0x7fff));
        assert_eq!(flags, 1);
        let clamped = run(sum, Type::I16x8, 0x7fff_8000, 0x0001_ffff, &mut flags);
        assert_eq!(clamped, Some(0x7fff_8000));
        assert_eq!(flags, 1 | SATURATED);
        assert_eq!(run(narrow, Type::I32x4, 0xffff_ffff_0001_0000, 0, &mut flags), Some(0xffff));
        assert_eq!(run(Opcode::Add, Type::I32x4, 0, 0, &mut flags), None);
    }
}
