//! Subnormal operands, which x86 reports: a flag of their own ("denormal"), that is sticky as the others are.
//!
//! Looking at each operand of each operation would cost more than the operations. So what was looked at once is known in
//! the rest of the block, and so are results that were found to be normal numbers. A number is *usual* if
//! * it is not subnormal, or
//! * "denormal" is set, so that it raises nothing new, or
//! * the limits of [`super::float`] are zero: then no result stands without a look at the operands, and the slow path is always
//!   right.
//!
//! The slow path keeps that so. Where it meets a subnormal number and yet leaves "denormal" clear (a result that nobody has
//! used, or an operand beside a NaN), compiled code *distrusts* what it knows: the limits are zero from then on, though "inexact" be set or become so, until
//! the next poll, where nothing is known.
//!
//! Where subnormal operands are zeros (DAZ), they raise nothing: there each is looked at each time.

use std::collections::HashSet;

use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type as ClifType, Value};
use ir::{FpMode, FpRules, Inst, Opcode};

use super::Lowering;
use super::float::tiny_is_exact;

/// "Denormal" in the guest's flags slot (`base::float::Flags`).
const DENORMAL: i64 = 32;

/// The numbers that are usual, each at a type.
#[derive(Default)]
pub(super) struct Subnormals {
    usual: HashSet<(Value, ClifType)>,
}

impl Subnormals {
    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.usual.clear();
    }
}

impl Lowering<'_, '_> {
    /// Whether an operation needs only look at operands of which nothing is known: arithmetic, whose results stand by
    /// the limits.
    pub(super) fn remembers(&self, inst: &Inst) -> bool {
        let by_limits = matches!(
            inst.op,
            Opcode::FAdd
                | Opcode::FSub
                | Opcode::FMul
                | Opcode::FDiv
                | Opcode::FSqrt
                | Opcode::FMulAdd
        );
        by_limits && self.guest.fp == FpRules::X86 && !inst.mode().has(FpMode::ZERO_INPUTS)
    }

    fn name(&self, number: Value) -> (Value, ClifType) {
        (self.as_made(number), self.fb.func.dfg.value_type(number))
    }

    /// The operands that must be looked at.
    pub(super) fn unknown_operands(&self, inst: &Inst, args: &[Value]) -> Vec<Value> {
        let known = |arg: &Value| self.subnormals.usual.contains(&self.name(*arg));
        let remembers = self.remembers(inst);
        let seen = if is_seeded(Defect::SubnormalOperandUnseen) { 1 } else { args.len() };
        args.iter().copied().take(seen).filter(|arg| !(remembers && known(arg))).collect()
    }

    /// Behind an operation: its operands are usual, and its result, if tiny ones do not stand or cannot be.
    pub(super) fn remember_usual(&mut self, inst: &Inst, args: &[Value], result: Value) {
        if self.guest.fp != FpRules::X86 {
            return;
        }
        let from_integer = matches!(inst.op, Opcode::SToF | Opcode::UToF);
        if self.remembers(inst) {
            let names: Vec<_> = args.iter().map(|&arg| self.name(arg)).collect();
            self.subnormals.usual.extend(names);
        }
        if from_integer || self.remembers(inst) && self.gives_usual(inst) {
            let name = self.name(result);
            self.subnormals.usual.insert(name);
        }
    }

    /// Whether results that stand are usual: no tiny ones do. Lanes that are zero are too frequent for that.
    pub(super) fn gives_usual(&self, inst: &Inst) -> bool {
        !(inst.ty.is_vector() && tiny_is_exact(inst))
    }

    /// Whether a sum, a difference or a root is zero, which is then exact: seen first, as it is frequent and would not pass for a
    /// normal number. `None` where tiny results stand anyway.
    pub(super) fn is_plain_zero(
        &mut self,
        inst: &Inst,
        _: &[Value],
        result: Value,
    ) -> Option<Value> {
        if !self.remembers(inst) || inst.ty.is_vector() || !tiny_is_exact(inst) {
            return None;
        }
        let zero = self.float_constant(inst.ty, 0.0);
        Some(self.fb.ins().fcmp(FloatCC::Equal, result, zero))
    }

    /// At a poll: nothing is known of any number from here on.
    pub(super) fn forget_numbers(&mut self) {
        if self.guest.fp == FpRules::X86 {
            self.flags_changed();
        }
    }

    /// Nothing is known of any number, so that there is nothing to distrust.
    pub(super) fn trust_again(&mut self) {
        if self.guest.fp == FpRules::X86 {
            let all = self.konst(u64::MAX);
            self.fb.def_var(self.trust, all);
        }
    }

    /// Behind the slow path: brings the limits up to date.
    pub(super) fn after_slow(&mut self, inst: &Inst, args: &[Value], result: Value) {
        if !self.uses_float {
            return;
        }
        let gate = self.gate();
        if self.guest.fp != FpRules::X86 {
            return self.set_limits(gate);
        }
        if self.remembers(inst) {
            let unreported = self.is_unreported(inst, args, result);
            let (none, before) = (self.konst(0), self.fb.use_var(self.trust));
            let trust = self.fb.ins().select(unreported, none, before);
            self.fb.def_var(self.trust, trust);
        }
        let trust = self.fb.use_var(self.trust);
        let trusted = self.fb.ins().band(gate, trust);
        self.set_limits(trusted);
    }

    /// Whether a number is subnormal that shall be usual, and "denormal" clear.
    fn is_unreported(&mut self, inst: &Inst, args: &[Value], result: Value) -> Value {
        let result = Some(result).filter(|_| self.gives_usual(inst));
        let numbers: Vec<Value> = args.iter().copied().chain(result).collect();
        let flags = self.flags();
        let reported = self.fb.ins().band_imm_u(flags, DENORMAL);
        let reported = self.fb.ins().icmp_imm_u(IntCC::NotEqual, reported, 0);
        match self.no_subnormal(&numbers) {
            Some(usual) => {
                let fine = self.fb.ins().bor(usual, reported);
                self.fb.ins().icmp_imm_u(IntCC::Equal, fine, 0)
            }
            None => self.fb.ins().icmp_imm_u(IntCC::Equal, reported, 0),
        }
    }
}
