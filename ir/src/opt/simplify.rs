//! Simplification: constants fold by [`crate::fold`], constants go to the right, operands skip
//! what their type does not read, addresses absorb sums, and `rules.rs` has the algebra.

use super::rules::{Rewrite, Rules};
use super::values::{Known, Values};
use super::walk::Walk;
use crate::block::{Hint, Inst, Operand, Terminator};
use crate::fold;
use crate::ops::{Opcode, Shape, flag};
use crate::types::Type;
use base::GuestVirt;
use base::cpu::Approach;

/// How many rules one operation goes through at most. Each makes it simpler, so this is a limit on
/// time only.
const ROUNDS: usize = 8;

/// Simplifies an operation. What becomes of it may be a move.
pub(super) fn inst(walk: &mut Walk<'_>, inst: &mut Inst) {
    if inst.op.info().has(flag::SPECIAL) {
        return;
    }
    narrow_reads(walk, inst);
    address(walk, inst);
    for _ in 0..ROUNDS {
        if inst.op == Opcode::Mov || !rewrite(walk, inst) {
            return;
        }
        walk.stats.simplified += 1;
    }
}

/// Simplifies how the block ends.
pub(super) fn terminator(walk: &mut Walk<'_>) {
    let Some(operand) = walk.block.terminator.operand() else { return };
    let known = walk.values.read(walk.block, operand);
    let simpler = match (walk.block.terminator, known) {
        (Terminator::Branch { taken, fallthrough, .. }, Known::Const(cond)) => {
            let target = if cond == 0 { fallthrough } else { taken };
            Terminator::Jump { target, hint: Hint::Plain }
        }
        (Terminator::Indirect { hint: Hint::Far, .. }, Known::Const(target)) => {
            Terminator::Lookup { target: GuestVirt(target) }
        }
        (Terminator::Indirect { hint, approach: Approach::PLAIN, .. }, Known::Const(target)) => {
            Terminator::Jump { target: GuestVirt(target), hint }
        }
        (branch @ Terminator::Branch { .. }, known) => match not_zero(walk, known) {
            Some(operand) => branch.with_operand(operand),
            None => return,
        },
        _ => return,
    };
    walk.block.terminator = simpler;
    walk.stats.simplified += 1;
}

/// The value whose being other than zero a condition computes.
fn not_zero(walk: &mut Walk<'_>, cond: Known) -> Option<Operand> {
    let how = walk.values.computation(cond)?;
    let value = how.args[0];
    let is_it = (how.op, how.ty, how.args[1]) == (Opcode::Ne, Type::I64, Known::Const(0));
    if is_it { walk.operand(value) } else { None }
}

/// Operands skip extensions and masks that only touch bits which are not read; constants take the
/// one form in which their unread bits are copies of the sign.
fn narrow_reads(walk: &mut Walk<'_>, inst: &mut Inst) {
    for index in 0..inst.op.info().shape.operands() {
        let ty = inst.operand_type(index);
        if ty.is_vector() {
            continue;
        }
        let known = walk.values.read(walk.block, inst.args[index]);
        let source = match known {
            Known::Const(value) => Known::Const(fold::sext(ty, value) as u64),
            _ => look_through(walk.values, known, ty.bits()),
        };
        if source != known
            && let Some(operand) = walk.operand(source)
        {
            inst.args[index] = operand;
            walk.stats.simplified += 1;
        }
    }
}

/// What has the same low bits as `known`, as far back as it can still be read.
fn look_through(values: &Values, known: Known, bits: u32) -> Known {
    let (mut at, mut readable) = (known, known);
    for _ in 0..ROUNDS {
        let Some(how) = values.computation(at) else { break };
        let mask = || how.args[1].constant().unwrap_or(0);
        let skips = match how.op {
            Opcode::Sext | Opcode::Zext | Opcode::NanBox | Opcode::ZextWide => {
                how.ty.bits() >= bits
            }
            Opcode::And => how.ty.bits() >= bits && mask().trailing_ones() >= bits,
            _ => false,
        };
        at = match how.op {
            _ if skips => how.args[0],
            // A part of a register that was written: the rest of it was masked out first.
            Opcode::Or if is_zero_below(values, how.args[0], bits) => how.args[1],
            Opcode::Or if is_zero_below(values, how.args[1], bits) => how.args[0],
            _ => break,
        };
        let held = match at {
            Known::Value(index) => values.holder(index).is_some(),
            _ => true,
        };
        if held {
            readable = at;
        }
    }
    readable
}

/// Whether a mask leaves nothing of a value's low bits.
fn is_zero_below(values: &Values, known: Known, bits: u32) -> bool {
    let masked = values.computation(known).filter(|how| how.op == Opcode::And);
    let mask = masked.filter(|how| how.ty.bits() >= bits).and_then(|how| how.args[1].constant());
    mask.is_some_and(|mask| mask.trailing_zeros() >= bits)
}

/// `[(x + c) + imm]` is `[x + imm']`.
fn address(walk: &mut Walk<'_>, inst: &mut Inst) {
    if !inst.op.info().shape.has_address() {
        return;
    }
    let base = walk.values.read(walk.block, inst.args[0]);
    let Some(&how) = walk.values.computation(base) else { return };
    let (Opcode::Add, Type::I64, Known::Const(c)) = (how.op, how.ty, how.args[1]) else { return };
    let Ok(imm) = i32::try_from((c as i64).wrapping_add(inst.imm.into())) else { return };
    if let Some(operand) = walk.operand(how.args[0]) {
        (inst.args[0], inst.imm) = (operand, imm);
        walk.stats.simplified += 1;
    }
}

/// Applies one rule, if one fits.
fn rewrite(walk: &mut Walk<'_>, inst: &mut Inst) -> bool {
    if matches!(inst.op.info().shape, Shape::Load | Shape::Store | Shape::AlignCheck) {
        return false;
    }
    let args = walk.read(inst);
    if let Some(value) = folded(inst, args) {
        return to_move(walk, inst, Known::Const(value));
    }
    if inst.op == Opcode::Cond {
        return condition(walk, inst, args[0]);
    }
    if inst.ty.is_vector() {
        return false;
    }
    if inst.op.info().has(flag::COMMUTES)
        && args[0].constant().is_some()
        && args[1].constant().is_none()
    {
        inst.args.swap(0, 1);
        return true;
    }
    match (Rules { values: walk.values, ty: inst.ty }).rewrite(inst.op, args) {
        None => false,
        Some(Rewrite::To(known)) => to_move(walk, inst, known),
        Some(Rewrite::Op(op, ty, args)) => to_operation(walk, inst, op, ty, args),
    }
}

fn folded(inst: &Inst, args: [Known; 4]) -> Option<u64> {
    let mut values = [0; 3];
    for (value, known) in values.iter_mut().zip(args) {
        *value = match known {
            Known::Const(value) => value,
            Known::None => 0,
            Known::Value(_) => return None,
        };
    }
    let result = fold::evaluate_inst(inst, values)?;
    Some(fold::sext(inst.result_type(), result) as u64)
}

/// A condition on flags that are known to be those of a difference or of a result is a comparison.
fn condition(walk: &mut Walk<'_>, inst: &mut Inst, flags: Known) -> bool {
    let Some(&how) = walk.values.computation(flags) else { return false };
    let [a, b, carry, _] = how.args;
    let (op, swapped) = match (how.op, b, carry) {
        (Opcode::FlagsSub, _, Known::Const(1)) => match inst.condition().of_difference() {
            Some(comparison) => comparison,
            None => return false,
        },
        (Opcode::FlagsAdd, Known::Const(0), Known::Const(0)) => {
            match inst.condition().of_result() {
                Ok(comparison) => comparison,
                Err(always) => return to_move(walk, inst, Known::Const(always.into())),
            }
        }
        _ => return false,
    };
    let args = if swapped { [b, a, Known::None] } else { [a, b, Known::None] };
    let before = *inst;
    inst.aux = 0;
    let done = to_operation(walk, inst, op, how.ty, args);
    if !done {
        *inst = before;
    }
    done
}

fn to_move(walk: &mut Walk<'_>, inst: &mut Inst, known: Known) -> bool {
    let ty = inst.result_type().moved();
    if walk.values.bits(known) < ty.bits() {
        return false;
    }
    let Some(operand) = walk.operand(known) else { return false };
    let args = [operand, Operand::NONE, Operand::NONE, Operand::NONE];
    *inst = Inst { op: Opcode::Mov, ty, aux: 0, imm: 0, dst: inst.dst, args };
    true
}

fn to_operation(
    walk: &mut Walk<'_>,
    inst: &mut Inst,
    op: Opcode,
    ty: Type,
    args: [Known; 3],
) -> bool {
    let mut new = Inst { op, ty, args: [Operand::NONE; 4], ..*inst };
    for (index, known) in args.into_iter().enumerate() {
        let needed = index < op.info().shape.operands();
        if needed && walk.values.bits(known) < new.operand_type(index).bits() {
            return false;
        }
        let Some(operand) = walk.operand(known) else { return false };
        new.args[index] = operand;
    }
    *inst = new;
    true
}
