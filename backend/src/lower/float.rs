//! Floating point: the host's instruction where its result provably stands, the exact slow path
//! where not.
//!
//! The host's own sticky flags are never looked at (Cranelift's operations are pure: they are
//! merged, moved and dropped). Instead, with rounding to nearest and the guest's "inexact" flag
//! already set, a result that is a normal number can raise nothing new, and it is the same bits on
//! every IEEE machine. All else goes to [`crate::fp_slow`].

use base::CpuFrame;
use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::types::FpRound;
use ir::{Block, FpMode, FpOp, FpRules, Inst, Opcode, Type};

use super::Lowering;
use super::values::clif_type;
use crate::fp_slow;

/// The inexact flag in the guest's flags slot (`base::float::Flags`).
pub(super) const INEXACT: i64 = 1;

/// The host's result, and a condition: whether it stands, in every lane.
pub(super) type Fast = (Value, Value);

/// Whether a result of an operation on operands stands for a reason of its own; `None` where that is not asked.
type Certainty<'a, 'f> = fn(&mut Lowering<'a, 'f>, &Inst, &[Value], Value) -> Option<Value>;

/// Which results stand once "inexact" is set: those whose magnitude, doubled so that the sign is
/// out of the way, less `least` is below `below`.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// binary64, any finite number.
    Finite64,
    /// binary64 above the least normal number.
    Normal64,
    /// binary32, any finite number.
    Finite32,
    /// binary32 above the least normal number.
    Normal32,
}

impl Limit {
    pub(super) const ALL: [Self; 4] =
        [Self::Finite64, Self::Normal64, Self::Finite32, Self::Normal32];

    fn of(tiny_is_exact: bool, single: bool) -> Self {
        match (tiny_is_exact, single) {
            (true, false) => Self::Finite64,
            (false, false) => Self::Normal64,
            (true, true) => Self::Finite32,
            (false, true) => Self::Normal32,
        }
    }

    /// Twice the bits after the least normal number's, or nothing.
    const fn least(self) -> u64 {
        match self {
            Self::Finite64 | Self::Finite32 => 0,
            Self::Normal64 => (f64::MIN_POSITIVE.to_bits() + 1) << 1,
            Self::Normal32 => ((f32::MIN_POSITIVE.to_bits() + 1) << 1) as u64,
        }
    }

    /// Twice infinity's bits, less `least`.
    const fn below(self) -> u64 {
        let infinity = match self {
            Self::Finite64 | Self::Normal64 => f64::INFINITY.to_bits() << 1,
            Self::Finite32 | Self::Normal32 => (f32::INFINITY.to_bits() << 1) as u64,
        };
        infinity - self.least()
    }
}

/// Sums, differences and roots have no inexact tiny results, unless those are flushed.
pub(super) fn tiny_is_exact(inst: &Inst) -> bool {
    let is_exact = matches!(inst.op, Opcode::FAdd | Opcode::FSub | Opcode::FSqrt);
    is_exact && !inst.mode().has(FpMode::FLUSH) || is_seeded(Defect::TinyResultsStand)
}

impl<'a, 'f> Lowering<'a, 'f> {
    pub(super) fn float(&mut self, block: &Block, inst: &Inst) {
        let operands = inst.op.info().shape.operands();
        let args: Vec<Value> = (0..operands).map(|n| self.arg(block, inst, n)).collect();
        let value = match inst.op {
            Opcode::FNeg => self.fb.ins().fneg(args[0]),
            Opcode::FAbs => self.fb.ins().fabs(args[0]),
            Opcode::FCopySign => self.fb.ins().fcopysign(args[0], args[1]),
            _ => self.arithmetic(inst, &args),
        };
        self.define(inst, value);
    }

    /// An operation of floating point, by the host where its result stands.
    pub(super) fn arithmetic(&mut self, inst: &Inst, args: &[Value]) -> Value {
        let Some((fast, stands)) = self.fast(inst, args) else { return self.slow(inst, args) };
        let mut conditions = self.watched_one_by_one(inst, args);
        conditions.push(stands);
        let result = self.guarded(inst, args, fast, &conditions);
        self.remember_usual(inst, args, result);
        result
    }

    /// Whether no operand is subnormal, where that matters: x86 reports those, or takes them for zeros.
    pub(super) fn watched_operands(&mut self, inst: &Inst, args: &[Value]) -> Option<Value> {
        let is_silent = match inst.op {
            Opcode::SToF | Opcode::UToF => true,
            Opcode::FRound | Opcode::FRoundX | Opcode::FToS | Opcode::FToU => {
                !inst.mode().has(FpMode::ZERO_INPUTS)
            }
            _ => false,
        };
        if self.guest.fp != FpRules::X86 || is_silent { None } else { self.no_subnormal(args) }
    }

    /// The same as conditions that must all hold, of those operands of which it is not known: a branch for each is less than
    /// their conjunction.
    fn watched_one_by_one(&mut self, inst: &Inst, args: &[Value]) -> Vec<Value> {
        let mut unknown = self.unknown_operands(inst, args);
        unknown.dedup();
        match unknown.first() {
            Some(&first) if !self.is_vector(first) => {
                unknown.chunks(1).filter_map(|one| self.watched_operands(inst, one)).collect()
            }
            _ => self.watched_operands(inst, &unknown).into_iter().collect(),
        }
    }

    /// Whether none of them is subnormal; `None` if there are none.
    pub(super) fn no_subnormal(&mut self, numbers: &[Value]) -> Option<Value> {
        let mut distinct = numbers.to_vec();
        distinct.dedup();
        let first = *distinct.first()?;
        if self.is_vector(first) {
            return Some(self.no_subnormal_lane(&distinct));
        }
        let mut all = self.is_not_subnormal(first);
        for &number in &distinct[1..] {
            let one = self.is_not_subnormal(number);
            all = self.fb.ins().band(all, one);
        }
        Some(all)
    }

    /// Twice the bits less one: zero wraps, and a subnormal number is below twice the least normal one.
    fn is_not_subnormal(&mut self, a: Value) -> Value {
        let bits = self.as_integer(a);
        let ty = self.fb.func.dfg.value_type(bits);
        let doubled = self.fb.ins().iadd(bits, bits);
        let less = self.fb.ins().iadd_imm_s(doubled, -1);
        let limit = match ty {
            types::I32 => i64::from(f32::MIN_POSITIVE.to_bits()) * 2 - 1,
            _ => f64::MIN_POSITIVE.to_bits() as i64 * 2 - 1,
        };
        let limit = self.fb.ins().iconst(ty, limit);
        self.fb.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, less, limit)
    }

    /// The host's operation, if it has one for this rounding.
    fn fast(&mut self, inst: &Inst, args: &[Value]) -> Option<Fast> {
        // Subnormal operands and results count as something else: leave them to the slow path.
        if inst.mode().has(FpMode::FLUSH) && self.guest.fp != FpRules::X86 {
            return None;
        }
        let nearest = inst.round() == FpRound::NearestEven;
        match inst.op {
            Opcode::FAdd | Opcode::FSub | Opcode::FMul | Opcode::FDiv | Opcode::FSqrt
                if nearest =>
            {
                Some(self.host_arithmetic(inst, args))
            }
            Opcode::FMulAdd if nearest && self.options.host_has_fma => {
                Some(self.host_arithmetic(inst, args))
            }
            _ if inst.ty.is_vector() => self.fast_lanes(inst, args, nearest),
            Opcode::FMin | Opcode::FMinimum | Opcode::FMax | Opcode::FMaximum => {
                Some(self.min_max(inst.op, args))
            }
            Opcode::FRound | Opcode::FRoundX => self.round(inst, args[0]),
            Opcode::FEq | Opcode::FLt | Opcode::FLe | Opcode::FLtQ | Opcode::FLeQ => {
                Some(self.float_compare(inst.op, args))
            }
            Opcode::FToS | Opcode::FToU => self.float_to_int(inst, args[0]),
            Opcode::SToF | Opcode::UToF => self.int_to_float(inst, args[0], nearest),
            Opcode::FCvt => self.convert_format(inst, args[0], nearest),
            _ => None,
        }
    }

    fn host_arithmetic(&mut self, inst: &Inst, args: &[Value]) -> Fast {
        let result = match inst.op {
            Opcode::FAdd => self.fb.ins().fadd(args[0], args[1]),
            Opcode::FSub => self.fb.ins().fsub(args[0], args[1]),
            Opcode::FMul => self.fb.ins().fmul(args[0], args[1]),
            Opcode::FDiv => self.fb.ins().fdiv(args[0], args[1]),
            Opcode::FSqrt => self.fb.ins().sqrt(args[0]),
            _ => self.fb.ins().fma(args[0], args[1], args[2]),
        };
        let stands = match inst.ty.is_vector() {
            true => self.lanes_stand(inst, result),
            false => self.result_stands(inst, result),
        };
        (result, stands)
    }

    /// Whether the host's result stands, by [`base::float::fast::result_stands`] or, for operations
    /// whose tiny results are exact, [`base::float::fast::exact_when_tiny_stands`]: the bits but for
    /// the sign are below a limit that is zero as long as "inexact" is not set.
    fn result_stands(&mut self, inst: &Inst, result: Value) -> Value {
        let bits = self.as_integer(result);
        let ty = self.fb.func.dfg.value_type(bits);
        let tiny = tiny_is_exact(inst) && !self.remembers(inst);
        let rule = Limit::of(tiny, ty == types::I32);
        let magnitude = self.fb.ins().ishl_imm_u(bits, 1);
        let above_least = match rule.least() {
            0 => magnitude,
            least => {
                let least = self.fb.ins().iconst(ty, least as i64);
                self.fb.ins().isub(magnitude, least)
            }
        };
        let limit = self.fb.use_var(self.limits[rule as usize]);
        let limit = if ty == types::I32 { self.fb.ins().ireduce(ty, limit) } else { limit };
        self.fb.ins().icmp(IntCC::UnsignedLessThan, above_least, limit)
    }

    /// Brings the limits up to date with the flags in the frame.
    pub(super) fn flags_changed(&mut self) {
        self.subnormals.forget();
        if !self.uses_float {
            return;
        }
        self.trust_again();
        let gate = self.gate();
        self.set_limits(gate);
    }

    /// All ones if "inexact" is set, else 0.
    pub(super) fn gate(&mut self) -> Value {
        let flags = self.flags();
        let bit = self.fb.ins().band_imm_u(flags, INEXACT);
        self.fb.ins().ineg(bit)
    }

    pub(super) fn set_limits(&mut self, gate: Value) {
        for rule in Limit::ALL {
            let below = self.konst(rule.below());
            let limit = self.fb.ins().band(gate, below);
            self.fb.def_var(self.limits[rule as usize], limit);
        }
    }

    pub(super) fn is_inexact_set(&mut self) -> Value {
        let limit = self.fb.use_var(self.limits[Limit::Finite64 as usize]);
        let zero = self.konst(0);
        self.fb.ins().icmp(IntCC::NotEqual, limit, zero)
    }

    /// The guest's flags, as they are now.
    pub(super) fn flags(&mut self) -> Value {
        self.load_frame(types::I64, self.guest.fp_flags.offset() as i32)
    }

    /// Ordered and unequal operands need no rule about NaNs or zeros. Of equal ones x86 takes the second.
    fn min_max(&mut self, op: Opcode, args: &[Value]) -> Fast {
        if self.guest.fp == FpRules::X86 && matches!(op, Opcode::FMin | Opcode::FMax) {
            let condition = match op {
                Opcode::FMin => FloatCC::LessThan,
                _ => FloatCC::GreaterThan,
            };
            let first = self.fb.ins().fcmp(condition, args[0], args[1]);
            let result = self.fb.ins().select(first, args[0], args[1]);
            return (result, self.fb.ins().fcmp(FloatCC::Ordered, args[0], args[1]));
        }
        let less = self.fb.ins().fcmp(FloatCC::LessThan, args[0], args[1]);
        let decided = self.fb.ins().fcmp(FloatCC::OrderedNotEqual, args[0], args[1]);
        let result = match op {
            Opcode::FMin | Opcode::FMinimum => self.fb.ins().select(less, args[0], args[1]),
            _ => self.fb.ins().select(less, args[1], args[0]),
        };
        (result, decided)
    }

    /// A comparison of ordered operands raises nothing.
    fn float_compare(&mut self, op: Opcode, args: &[Value]) -> Fast {
        let condition = match op {
            Opcode::FEq => FloatCC::Equal,
            Opcode::FLt | Opcode::FLtQ => FloatCC::LessThan,
            _ => FloatCC::LessThanOrEqual,
        };
        let result = self.fb.ins().fcmp(condition, args[0], args[1]);
        let result = self.fb.ins().uextend(types::I64, result);
        let ordered = self.fb.ins().fcmp(FloatCC::Ordered, args[0], args[1]);
        (result, ordered)
    }

    /// Rounded to an integer in the same format, in every lane, if the host can.
    pub(super) fn whole(&mut self, round: FpRound, a: Value) -> Option<Value> {
        Some(match round {
            FpRound::TowardZero => self.fb.ins().trunc(a),
            FpRound::NearestEven => self.fb.ins().nearest(a),
            FpRound::Down => self.fb.ins().floor(a),
            FpRound::Up => self.fb.ins().ceil(a),
            FpRound::NearestAway => return None,
        })
    }

    fn round(&mut self, inst: &Inst, a: Value) -> Option<Fast> {
        let whole = self.whole(inst.round(), a)?;
        let number = self.fb.ins().fcmp(FloatCC::Ordered, a, a);
        if inst.op == Opcode::FRound {
            return Some((whole, number));
        }
        let exact = self.fb.ins().fcmp(FloatCC::Equal, whole, a);
        let inexact = self.is_inexact_set();
        let silent = self.fb.ins().bor(exact, inexact);
        Some((whole, self.fb.ins().band(number, silent)))
    }

    /// Rounds in the source format, then converts what is within range.
    fn float_to_int(&mut self, inst: &Inst, a: Value) -> Option<Fast> {
        let whole = self.whole(inst.round(), a)?;
        let signed = inst.op == Opcode::FToS;
        let bits = inst.other_type().bits();
        let in_range = self.is_in_range(inst.ty, whole, signed, bits);
        let exact = self.fb.ins().fcmp(FloatCC::Equal, whole, a);
        let inexact = self.is_inexact_set();
        let silent = self.fb.ins().bor(exact, inexact);
        let stands = self.fb.ins().band(in_range, silent);
        // The host's conversion must not see what is out of range: it would trap.
        let zero = self.float_constant(inst.ty, 0.0);
        let safe = self.fb.ins().select(stands, whole, zero);
        let result = match (signed, bits) {
            (true, 32) => {
                let word = self.fb.ins().fcvt_to_sint(types::I32, safe);
                self.fb.ins().sextend(types::I64, word)
            }
            (false, 64) => self.fb.ins().fcvt_to_uint(types::I64, safe),
            // 32 unsigned bits are within 64 signed ones.
            _ => self.fb.ins().fcvt_to_sint(types::I64, safe),
        };
        Some((result, stands))
    }

    fn is_in_range(&mut self, ty: Type, whole: Value, signed: bool, bits: u32) -> Value {
        // Powers of two are exact in both formats.
        let limit = 2.0_f64.powi(if signed { bits - 1 } else { bits } as i32);
        let above_all = self.float_constant(ty, limit);
        let below = self.fb.ins().fcmp(FloatCC::LessThan, whole, above_all);
        let least = self.float_constant(ty, if signed { -limit } else { 0.0 });
        let above = self.fb.ins().fcmp(FloatCC::GreaterThanOrEqual, whole, least);
        self.fb.ins().band(below, above)
    }

    pub(super) fn float_constant(&mut self, ty: Type, value: f64) -> Value {
        match ty {
            Type::F32 => self.fb.ins().f32const(value as f32),
            _ => self.fb.ins().f64const(value),
        }
    }

    fn int_to_float(&mut self, inst: &Inst, a: Value, nearest: bool) -> Option<Fast> {
        // A binary64 holds every 32-bit integer.
        let exact = inst.ty == Type::F64 && inst.other_type().bits() <= 32;
        if !exact && !nearest {
            return None;
        }
        let to = clif_type(inst.ty);
        let result = match inst.op {
            Opcode::SToF => self.fb.ins().fcvt_from_sint(to, a),
            _ => self.fb.ins().fcvt_from_uint(to, a),
        };
        let stands = match exact {
            true => self.fb.ins().iconst(types::I8, 1),
            false => self.is_inexact_set(),
        };
        Some((result, stands))
    }

    fn convert_format(&mut self, inst: &Inst, a: Value, nearest: bool) -> Option<Fast> {
        match (inst.other_type(), inst.ty) {
            (Type::F32, Type::F64) => {
                let result = self.fb.ins().fpromote(types::F64, a);
                Some((result, self.fb.ins().fcmp(FloatCC::Ordered, a, a)))
            }
            (Type::F64, Type::F32) if nearest => {
                let result = self.fb.ins().fdemote(types::F32, a);
                Some((result, self.result_stands(inst, result)))
            }
            _ => None,
        }
    }

    /// The fast result where all conditions hold, else that of the slow path, which may set flags. In between,
    /// out of line: as long as "inexact" is not set, a result stands if it is exact (and, where that matters, the
    /// operands are usual).
    pub(super) fn guarded(
        &mut self,
        inst: &Inst,
        args: &[Value],
        fast: Value,
        conditions: &[Value],
    ) -> Value {
        let (cold, done) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(cold);
        let result_type = self.fb.func.dfg.value_type(fast);
        let result = self.fb.append_block_param(done, result_type);
        let (last, others) = conditions.split_last().expect("that the result stands is one");
        for &condition in others {
            let next = self.fb.create_block();
            self.fb.ins().brif(condition, next, &[], cold, &[]);
            self.begin(next);
        }
        self.fb.ins().brif(*last, done, &[fast.into()], cold, &[]);
        self.begin(cold);
        let rules: [Certainty<'a, 'f>; 2] = [Self::is_plain_zero, Self::is_exact];
        for rule in rules {
            let Some(mut exact) = rule(self, inst, args, fast) else { continue };
            if let Some(usual) = self.watched_operands(inst, args) {
                exact = self.fb.ins().band(exact, usual);
            }
            let next = self.fb.create_block();
            self.fb.set_cold_block(next);
            self.fb.ins().brif(exact, done, &[fast.into()], next, &[]);
            self.begin(next);
        }
        let slow = self.slow(inst, args);
        self.fb.ins().jump(done, &[slow.into()]);
        self.begin(done);
        result
    }

    /// Whether arithmetic lost nothing, by computing its error with the host; `None` where that
    /// takes too long. The error is itself exact as long as neither it nor the result is tiny
    /// (Muller et al., Handbook of Floating-Point Arithmetic, 2nd edition, chapter 4).
    pub(super) fn is_exact(&mut self, inst: &Inst, args: &[Value], result: Value) -> Option<Value> {
        if inst.ty.is_vector() {
            return self.lanes_are_certain(inst, args, result);
        }
        let zero = self.float_constant(inst.ty, 0.0);
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
                let product_is_large = self.is_large(product);
                let exact = self.fb.ins().band(is_product, is_sum);
                self.fb.ins().band(exact, product_is_large)
            }
            (Opcode::FDiv, true) => {
                let negated = self.fb.ins().fneg(result);
                let rest = self.fb.ins().fma(negated, args[1], args[0]);
                let none = self.fb.ins().fcmp(FloatCC::Equal, rest, zero);
                let dividend_is_large = self.is_large(args[0]);
                self.fb.ins().band(none, dividend_is_large)
            }
            (Opcode::FSqrt, true) => {
                let negated = self.fb.ins().fneg(result);
                let rest = self.fb.ins().fma(negated, result, args[0]);
                let none = self.fb.ins().fcmp(FloatCC::Equal, rest, zero);
                let square_is_large = self.is_large(args[0]);
                self.fb.ins().band(none, square_is_large)
            }
            _ => return None,
        };
        let large = self.is_large(result);
        let exact = self.fb.ins().band(exact, large);
        let from_zero = self.comes_from_zero(inst, args, result, zero);
        Some(self.fb.ins().bor(exact, from_zero))
    }

    /// Whether arithmetic is exact because an operand or the result is zero.
    fn comes_from_zero(
        &mut self,
        inst: &Inst,
        args: &[Value],
        result: Value,
        zero: Value,
    ) -> Value {
        let is_zero = self.is_zero_in_or_out(inst.op, args, result, zero);
        let magnitude = self.fb.ins().fabs(result);
        let infinity = self.float_constant(inst.ty, f64::INFINITY);
        let finite = self.fb.ins().fcmp(FloatCC::LessThan, magnitude, infinity);
        self.fb.ins().band(is_zero, finite)
    }

    /// Whether an operation (or each lane of one) has an operand or a result that is zero and makes
    /// it exact, if it is finite.
    pub(super) fn is_zero_in_or_out(
        &mut self,
        op: Opcode,
        args: &[Value],
        result: Value,
        zero: Value,
    ) -> Value {
        match op {
            Opcode::FMul | Opcode::FMulAdd => {
                let a = self.fb.ins().fcmp(FloatCC::Equal, args[0], zero);
                let b = self.fb.ins().fcmp(FloatCC::Equal, args[1], zero);
                self.fb.ins().bor(a, b)
            }
            Opcode::FDiv => self.fb.ins().fcmp(FloatCC::Equal, args[0], zero),
            _ => self.fb.ins().fcmp(FloatCC::Equal, result, zero),
        }
    }

    /// The sum's error, by the six operations of Knuth's TwoSum, is zero.
    pub(super) fn is_exact_sum(&mut self, a: Value, b: Value, sum: Value, zero: Value) -> Value {
        let b_part = self.fb.ins().fsub(sum, a);
        let a_part = self.fb.ins().fsub(sum, b_part);
        let b_error = self.fb.ins().fsub(b, b_part);
        let a_error = self.fb.ins().fsub(a, a_part);
        let error = self.fb.ins().fadd(a_error, b_error);
        self.fb.ins().fcmp(FloatCC::Equal, error, zero)
    }

    pub(super) fn is_exact_product(
        &mut self,
        a: Value,
        b: Value,
        product: Value,
        zero: Value,
    ) -> Value {
        let negated = self.fb.ins().fneg(product);
        let error = self.fb.ins().fma(a, b, negated);
        self.fb.ins().fcmp(FloatCC::Equal, error, zero)
    }

    /// Whether a number is finite and far enough from the subnormal ones that an error of it is a
    /// normal number or zero.
    fn is_large(&mut self, a: Value) -> Value {
        let bits = self.as_integer(a);
        let ty = self.fb.func.dfg.value_type(bits);
        // Twice the exponent's field, the sign shifted out: three significands above the least.
        let (least, infinity) = match ty {
            types::I32 => ((3_u64 * 24) << 24, 0xff00_0000),
            _ => ((3_u64 * 53) << 53, 0xffe0_0000_0000_0000),
        };
        let doubled = self.fb.ins().ishl_imm_u(bits, 1);
        let least_value = self.fb.ins().iconst(ty, least as i64);
        let above = self.fb.ins().isub(doubled, least_value);
        let limit = self.fb.ins().iconst(ty, (infinity - least) as i64);
        self.fb.ins().icmp(IntCC::UnsignedLessThan, above, limit)
    }

    pub(super) fn slow(&mut self, inst: &Inst, args: &[Value]) -> Value {
        let packed = fp_slow::pack(FpOp::from(inst), self.guest);
        let mut operands = vec![self.frame, self.konst(packed)];
        for (index, &arg) in args.iter().enumerate() {
            if inst.ty.is_vector() {
                self.store_frame(arg, CpuFrame::FP_WIDE + 16 * index as i32);
            } else {
                let bits = self.as_integer(arg);
                operands.push(self.convert(bits, Type::I64));
            }
        }
        let zero = self.konst(0);
        operands.resize(5, zero);
        let function = self.load_frame(types::I64, CpuFrame::FP_SLOW);
        let sig = self.sigs.slow;
        self.fb.ins().call_indirect(sig, function, &operands);
        // What the slow path left there.
        self.keep_next_access();
        let result = match inst.ty.is_vector() {
            true => self.load_frame(clif_type(inst.result_type()), CpuFrame::FP_WIDE),
            false => {
                let result = self.load_frame(types::I64, CpuFrame::FP_RESULT);
                self.convert(result, inst.result_type())
            }
        };
        self.after_slow(inst, args, result);
        result
    }
}
