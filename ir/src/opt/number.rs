//! Value numbering: an operation whose equal was done before becomes a move of that result.
//!
//! Floating-point operations add to the guest's flags, and adding the same flags again changes
//! nothing: they merge too, unless the flags were written in between.

use super::values::{Computation, Known, computation};
use super::walk::Walk;
use crate::block::{Inst, Operand};
use crate::ops::{Opcode, flag};
use base::defect::{Defect, is_seeded};

/// Turns the operation into a move if its result still stands somewhere; gives what it moves.
pub(super) fn merge(walk: &mut Walk<'_>, inst: &mut Inst, args: [Known; 4]) -> Option<Known> {
    let index = walk.values.equal(&key(walk, inst, args))?;
    let holder = walk.values.holder(index)?;
    let (ty, dst) = (inst.result_type().moved(), inst.dst);
    let args = [holder, Operand::NONE, Operand::NONE, Operand::NONE];
    *inst = Inst { op: Opcode::Mov, ty, aux: 0, imm: 0, dst, args };
    walk.stats.merged += 1;
    Some(Known::Value(index))
}

/// Remembers what was computed.
pub(super) fn remember(walk: &mut Walk<'_>, inst: &Inst, args: [Known; 4], known: Known) {
    let key = key(walk, inst, args);
    walk.values.remember(key, known);
}

fn key(walk: &Walk<'_>, inst: &Inst, args: [Known; 4]) -> Computation {
    let mut key = computation(inst, args);
    let info = inst.op.info();
    if is_seeded(Defect::NumbersWithoutConstants) && key.args[1].constant().is_some() {
        key.args[1] = Known::Const(0);
    }
    if info.has(flag::COMMUTES) && order(args[0]) > order(args[1]) {
        key.args.swap(0, 1);
    }
    if info.has(flag::FP_FLAGS) {
        key.imm = walk.flag_writes;
    }
    key
}

/// Any total order.
fn order(known: Known) -> (u8, u64) {
    match known {
        Known::Value(index) => (0, index.into()),
        Known::Const(value) => (1, value),
        Known::None => (2, 0),
    }
}
