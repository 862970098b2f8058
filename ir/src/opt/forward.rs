//! Forwarding: an operand names the constant that it holds, or the first holder of its value. The
//! copies in between then have no use, and what else looks through values sees the same ones.

use super::values::Known;
use super::walk::Walk;
use crate::block::{Inst, Operand};

/// Forwards the operands of an operation.
pub(super) fn operands(walk: &mut Walk<'_>, inst: &mut Inst) {
    for arg in &mut inst.args {
        if !arg.is_none() {
            *arg = operand(walk, *arg);
        }
    }
}

/// What to read instead of an operand.
pub(super) fn operand(walk: &mut Walk<'_>, operand: Operand) -> Operand {
    if operand.is_const() {
        return operand;
    }
    let better = match walk.values.read(walk.block, operand) {
        Known::Const(value) => walk.block.constant(value),
        Known::Value(index) => walk.values.holder(index).unwrap_or(operand),
        Known::None => operand,
    };
    if better != operand {
        walk.stats.forwarded += 1;
    }
    better
}
