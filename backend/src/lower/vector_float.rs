//! Floating point on vectors: as for scalars, the host's results where they provably stand in every
//! lane, else the exact slow path.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::{Block, FpRules, Inst, Opcode, Type};

use super::Lowering;
use super::float::{Fast, tiny_is_exact};
use super::values::clif_type;

impl Lowering<'_, '_> {
    pub(super) fn vector_float(&mut self, block: &Block, inst: &Inst) -> Value {
        let operands = inst.op.info().shape.operands();
        let args: Vec<Value> = (0..operands).map(|n| self.arg(block, inst, n)).collect();
        self.arithmetic(inst, &args)
    }

    /// The host's operation on lanes, if it has one for this rounding and it is none that scalars have,
    /// too.
    pub(super) fn fast_lanes(
        &mut self,
        inst: &Inst,
        args: &[Value],
        nearest: bool,
    ) -> Option<Fast> {
        match inst.op {
            Opcode::FMin | Opcode::FMinimum | Opcode::FMax | Opcode::FMaximum => {
                Some(self.min_max_lanes(inst, args))
            }
            Opcode::FLanesEq | Opcode::FLanesGt | Opcode::FLanesGe => {
                Some(self.compare_float_lanes(inst.op, args))
            }
            Opcode::FRound | Opcode::FRoundX => self.round_lanes(inst, args[0]),
            Opcode::FToS | Opcode::FToU => self.lanes_to_int(inst, args[0]),
            Opcode::SToF | Opcode::UToF if nearest => Some(self.lanes_from_int(inst, args[0])),
            Opcode::FCvt => self.convert_lanes(inst, args[0], nearest),
            _ => None,
        }
    }

    /// Whether "inexact" is set and every lane is finite, and above the least normal number unless
    /// such results are always exact: see `result_stands` of scalars.
    pub(super) fn lanes_stand(&mut self, inst: &Inst, result: Value) -> Value {
        let (lanes, infinity, least) = match inst.ty {
            Type::F32x4 => (
                Type::I32x4,
                u64::from(f32::INFINITY.to_bits()),
                u64::from(f32::MIN_POSITIVE.to_bits()),
            ),
            _ => (Type::I64x2, f64::INFINITY.to_bits(), f64::MIN_POSITIVE.to_bits()),
        };
        let magnitude = self.fb.ins().fabs(result);
        let magnitude = self.bitcast(magnitude, clif_type(lanes));
        let infinity = self.splat_of(lanes, infinity);
        // Without their signs, encodings compare as integers do.
        let mut stand = self.fb.ins().icmp(IntCC::SignedGreaterThan, infinity, magnitude);
        if !tiny_is_exact(inst) {
            let least = self.splat_of(lanes, least);
            let above = self.fb.ins().icmp(IntCC::SignedGreaterThan, magnitude, least);
            stand = self.fb.ins().band(stand, above);
        }
        let all = self.all_lanes(stand);
        let inexact = self.is_inexact_set();
        self.fb.ins().band(all, inexact)
    }

    /// Whether every lane of arithmetic stands for one reason or another, where not all of them do for
    /// the usual one: "inexact" may be set, or the lane exact, or come from an operand of zero. A
    /// vector of 64 bits has such lanes always. `None` for what is no arithmetic.
    pub(super) fn lanes_are_certain(
        &mut self,
        inst: &Inst,
        args: &[Value],
        result: Value,
    ) -> Option<Value> {
        let arithmetic = matches!(
            inst.op,
            Opcode::FAdd | Opcode::FSub | Opcode::FMul | Opcode::FDiv | Opcode::FSqrt
        ) || inst.op == Opcode::FMulAdd;
        if !arithmetic {
            return None;
        }
        let zero = self.splat_float(inst.ty, 0.0);
        let numbers = self.lanes_between(inst.ty, result, 0.0);
        let from_zero = self.is_zero_in_or_out(inst.op, args, result, zero);
        let from_zero = self.fb.ins().band(from_zero, numbers);
        let least = match inst.ty {
            Type::F32x4 => f64::from(f32::from_bits(f32::MIN_POSITIVE.to_bits() + 1)),
            _ => f64::from_bits(f64::MIN_POSITIVE.to_bits() + 1),
        };
        let normal = self.lanes_between(inst.ty, result, least);
        let inexact = self.is_inexact_set();
        let inexact = self.fb.ins().uextend(types::I64, inexact);
        let inexact = self.fb.ins().ineg(inexact);
        let inexact = self.fb.ins().splat(types::I64X2, inexact);
        let inexact = self.bitcast(inexact, self.fb.func.dfg.value_type(normal));
        let silent = match self.exact_lanes(inst, args, result, zero) {
            Some(exact) => self.fb.ins().bor(exact, inexact),
            None => inexact,
        };
        let certain = self.fb.ins().band(normal, silent);
        let certain = self.fb.ins().bor(certain, from_zero);
        Some(self.all_lanes(certain))
    }

    /// Lanes whose magnitude is at least `least`, and finite.
    fn lanes_between(&mut self, ty: Type, a: Value, least: f64) -> Value {
        let magnitude = self.fb.ins().fabs(a);
        let (least, infinity) = (self.splat_float(ty, least), self.splat_float(ty, f64::INFINITY));
        let above = self.fb.ins().fcmp(FloatCC::LessThanOrEqual, least, magnitude);
        let below = self.fb.ins().fcmp(FloatCC::LessThan, magnitude, infinity);
        self.fb.ins().band(above, below)
    }

    /// Lanes that lost nothing, by computing their error as scalars' are ([`Lowering::is_exact`]).
    fn exact_lanes(
        &mut self,
        inst: &Inst,
        args: &[Value],
        result: Value,
        zero: Value,
    ) -> Option<Value> {
        // An error is itself exact as long as neither it nor what it belongs to is tiny.
        let large = 2.0_f64.powi(if inst.ty == Type::F32x4 { 72 - 127 } else { 159 - 1023 });
        let exact = match (inst.op, self.options.host_has_fma) {
            (Opcode::FAdd, _) => self.is_exact_sum(args[0], args[1], result, zero),
            (Opcode::FSub, _) => {
                let negated = self.fb.ins().fneg(args[1]);
                self.is_exact_sum(args[0], negated, result, zero)
            }
            (Opcode::FMul, true) => self.is_exact_product(args[0], args[1], result, zero),
            (Opcode::FMulAdd, true) => {
                let product = self.fb.ins().fmul(args[0], args[1]);
                let is_product = self.is_exact_product(args[0], args[1], product, zero);
                let is_sum = self.is_exact_sum(product, args[2], result, zero);
                let product_is_large = self.lanes_between(inst.ty, product, large);
                let exact = self.fb.ins().band(is_product, is_sum);
                self.fb.ins().band(exact, product_is_large)
            }
            _ => return None,
        };
        let result_is_large = self.lanes_between(inst.ty, result, large);
        Some(self.fb.ins().band(exact, result_is_large))
    }

    /// Whether a mask of lanes is all ones.
    fn all_lanes(&mut self, mask: Value) -> Value {
        let mask = self.bitcast(mask, types::I64X2);
        let ones = self.splat_of(Type::I64x2, u64::MAX);
        let same = self.fb.ins().icmp(IntCC::Equal, mask, ones);
        self.fb.ins().vall_true(same)
    }

    fn ordered_lanes(&mut self, a: Value, b: Value) -> Value {
        let ordered = self.fb.ins().fcmp(FloatCC::Ordered, a, b);
        self.all_lanes(ordered)
    }

    /// Where neither is a NaN, equal lanes are the same bits or zeros of both signs.
    fn min_max_lanes(&mut self, inst: &Inst, args: &[Value]) -> Fast {
        let (a, b) = (args[0], args[1]);
        if self.guest.fp == FpRules::X86 && matches!(inst.op, Opcode::FMin | Opcode::FMax) {
            return self.min_max_x86(inst, a, b);
        }
        let least = matches!(inst.op, Opcode::FMin | Opcode::FMinimum);
        let whole = clif_type(Type::WIDE);
        let less = self.fb.ins().fcmp(FloatCC::LessThan, a, b);
        let equal = self.fb.ins().fcmp(FloatCC::Equal, a, b);
        let [less, equal, x, y] = [less, equal, a, b].map(|value| self.bitcast(value, whole));
        let (unequal, same) = match least {
            true => (self.fb.ins().bitselect(less, x, y), self.fb.ins().bor(x, y)),
            false => (self.fb.ins().bitselect(less, y, x), self.fb.ins().band(x, y)),
        };
        let result = self.fb.ins().bitselect(equal, same, unequal);
        (self.bitcast(result, clif_type(inst.ty)), self.ordered_lanes(a, b))
    }

    /// Where neither is a NaN: the first where it is less (or greater), else the second.
    fn min_max_x86(&mut self, inst: &Inst, a: Value, b: Value) -> Fast {
        let first = match inst.op {
            Opcode::FMin => self.fb.ins().fcmp(FloatCC::LessThan, a, b),
            _ => self.fb.ins().fcmp(FloatCC::LessThan, b, a),
        };
        let whole = clif_type(Type::WIDE);
        let [first, x, y] = [first, a, b].map(|value| self.bitcast(value, whole));
        let result = self.fb.ins().bitselect(first, x, y);
        (self.bitcast(result, clif_type(inst.ty)), self.ordered_lanes(a, b))
    }

    /// Whether no lane of any is subnormal: the magnitude less one, its sign flipped, is below that of the least
    /// normal number, which zero is not.
    pub(super) fn no_subnormal_lane(&mut self, vectors: &[Value]) -> Value {
        let mut subnormal: Option<Value> = None;
        for &vector in vectors {
            let single = self.fb.func.dfg.value_type(vector) == types::F32X4;
            let (ty, less, least) = match single {
                true => {
                    let least = u64::from(f32::MIN_POSITIVE.to_bits());
                    (Type::I32x4, (1 << 31) - 1, least + (1 << 31) - 1)
                }
                false => {
                    let least = f64::MIN_POSITIVE.to_bits();
                    (Type::I64x2, (1 << 63) - 1, least + (1 << 63) - 1)
                }
            };
            let magnitude = self.fb.ins().fabs(vector);
            let magnitude = self.bitcast(magnitude, clif_type(ty));
            let (less, least) = (self.splat_of(ty, less), self.splat_of(ty, least));
            let flipped = self.fb.ins().iadd(magnitude, less);
            let mask = self.fb.ins().icmp(IntCC::SignedGreaterThan, least, flipped);
            let mask = self.bitcast(mask, types::I64X2);
            subnormal = Some(match subnormal {
                Some(other) => self.fb.ins().bor(other, mask),
                None => mask,
            });
        }
        match subnormal {
            Some(mask) => {
                let any = self.fb.ins().vany_true(mask);
                self.fb.ins().icmp_imm_u(IntCC::Equal, any, 0)
            }
            None => self.fb.ins().iconst(types::I8, 1),
        }
    }

    fn compare_float_lanes(&mut self, op: Opcode, args: &[Value]) -> Fast {
        // The other way round: the host has only these.
        let (condition, a, b) = match op {
            Opcode::FLanesEq => (FloatCC::Equal, args[0], args[1]),
            Opcode::FLanesGt => (FloatCC::LessThan, args[1], args[0]),
            _ => (FloatCC::LessThanOrEqual, args[1], args[0]),
        };
        let mask = self.fb.ins().fcmp(condition, a, b);
        (self.bitcast(mask, clif_type(Type::WIDE)), self.ordered_lanes(a, b))
    }

    fn round_lanes(&mut self, inst: &Inst, a: Value) -> Option<Fast> {
        let whole = self.whole(inst.round(), a)?;
        let numbers = self.ordered_lanes(a, a);
        if inst.op == Opcode::FRound {
            return Some((whole, numbers));
        }
        let silent = self.silent_lanes(whole, a);
        Some((whole, self.fb.ins().band(numbers, silent)))
    }

    /// Whether going from `a` to `whole` raises nothing: "inexact" is set, or all lanes are equal.
    fn silent_lanes(&mut self, whole: Value, a: Value) -> Value {
        let same = self.fb.ins().fcmp(FloatCC::Equal, whole, a);
        let same = self.all_lanes(same);
        let inexact = self.is_inexact_set();
        self.fb.ins().bor(same, inexact)
    }

    fn lanes_to_int(&mut self, inst: &Inst, a: Value) -> Option<Fast> {
        let whole = self.whole(inst.round(), a)?;
        let signed = inst.op == Opcode::FToS;
        let bits = inst.ty.lane().bits();
        // Powers of two are exact in both formats.
        let limit = 2.0_f64.powi(if signed { bits - 1 } else { bits } as i32);
        let above_all = self.splat_float(inst.ty, limit);
        let least = self.splat_float(inst.ty, if signed { -limit } else { 0.0 });
        let below = self.fb.ins().fcmp(FloatCC::LessThan, whole, above_all);
        let above = self.fb.ins().fcmp(FloatCC::LessThanOrEqual, least, whole);
        let in_range = self.fb.ins().band(below, above);
        let in_range = self.all_lanes(in_range);
        let silent = self.silent_lanes(whole, a);
        let stands = self.fb.ins().band(in_range, silent);
        let result = match (inst.ty, signed) {
            (Type::F32x4, true) => self.fb.ins().fcvt_to_sint_sat(types::I32X4, whole),
            (Type::F32x4, false) => self.fb.ins().fcvt_to_uint_sat(types::I32X4, whole),
            _ => self.each_long_lane(whole, |lowering, lane| match signed {
                true => lowering.fb.ins().fcvt_to_sint_sat(types::I64, lane),
                false => lowering.fb.ins().fcvt_to_uint_sat(types::I64, lane),
            }),
        };
        Some((result, stands))
    }

    fn splat_float(&mut self, ty: Type, value: f64) -> Value {
        let (lanes, bits) = match ty {
            Type::F32x4 => (Type::I32x4, u64::from((value as f32).to_bits())),
            _ => (Type::I64x2, value.to_bits()),
        };
        let lanes = self.splat_of(lanes, bits);
        self.bitcast(lanes, clif_type(ty))
    }

    /// A vector of two lanes, each converted by itself.
    fn each_long_lane(
        &mut self,
        vector: Value,
        mut convert: impl FnMut(&mut Self, Value) -> Value,
    ) -> Value {
        let [low, high] = [0, 1].map(|n| {
            let lane = self.fb.ins().extractlane(vector, n);
            convert(self, lane)
        });
        let ty = self.fb.func.dfg.value_type(low).by(2).unwrap_or(types::I64X2);
        let both = self.fb.ins().splat(ty, low);
        self.fb.ins().insertlane(both, high, 1)
    }

    fn lanes_from_int(&mut self, inst: &Inst, a: Value) -> Fast {
        let signed = inst.op == Opcode::SToF;
        let result = match (inst.ty, signed) {
            (Type::F32x4, true) => self.fb.ins().fcvt_from_sint(types::F32X4, a),
            (Type::F32x4, false) => self.fb.ins().fcvt_from_uint(types::F32X4, a),
            _ => self.each_long_lane(a, |lowering, lane| match signed {
                true => lowering.fb.ins().fcvt_from_sint(types::F64, lane),
                false => lowering.fb.ins().fcvt_from_uint(types::F64, lane),
            }),
        };
        (result, self.is_inexact_set())
    }

    fn convert_lanes(&mut self, inst: &Inst, a: Value, nearest: bool) -> Option<Fast> {
        match inst.ty {
            Type::F64x2 => {
                let result = self.fb.ins().fvpromote_low(a);
                // A NaN stays one, whichever it is.
                Some((result, self.ordered_lanes(result, result)))
            }
            _ if nearest => {
                let result = self.fb.ins().fvdemote(a);
                // The upper half is zero, which says nothing: put the lower half there, too.
                let words = self.bitcast(result, types::I64X2);
                let low = self.fb.ins().extractlane(words, 0);
                let twice = self.fb.ins().splat(types::I64X2, low);
                let twice = self.bitcast(twice, types::F32X4);
                Some((result, self.lanes_stand(inst, twice)))
            }
            _ => None,
        }
    }
}
