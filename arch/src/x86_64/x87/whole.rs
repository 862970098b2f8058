//! Executing an instruction on the whole state, where the host decides what becomes of an over- or underflow of the stack and of
//! exceptions that are not masked.

use super::State;
use super::host::{All, run_all};
use super::ops::{Op, Operand, Row, Shape};
use crate::frame::FrameRef;

/// Executes an instruction on the whole state.
#[cold]
#[inline(never)]
pub(super) fn execute(
    op: Op,
    row: &Row,
    frame: &mut FrameRef,
    operand: &Operand,
    store: &impl Fn(&mut FrameRef, &[u8]) -> bool,
) -> u8 {
    /// Values of registers that no instruction leaves there: those that it does not write keep them.
    const NO_ADDRESS: u64 = 0x5a5a_5a5a;
    const NO_OPCODE: u16 = 0x2a5;
    let before = State::read(&*frame);
    let mut state = State { operand: NO_ADDRESS, opcode: NO_OPCODE, ..before };
    let (top, one) = (state.physical(0), state.physical(1));
    let other = state.physical(op.register(row.uses));
    // What is only read, or stands at the top, is copied to ST(1); else they change places.
    let is_copied = other == top || row.uses.shape == Shape::Load;
    if is_copied {
        state.registers[one] = state.registers[other];
        state.valid = with_bit(state.valid, one, bit(state.valid, other));
    } else {
        swap(&mut state, one, other);
    }
    let mut all = All::new(&state, operand.memory());
    run_all(row.all, &mut all);
    let bytes = all.memory.0;
    let mut after = all.state();
    if is_copied {
        // What became of ST(1) has become of ST(0), but for the pop.
        if op.writes_other() {
            after.registers[top] = after.registers[one];
            if after.top() == before.top() {
                after.valid = with_bit(after.valid, top, bit(after.valid, one));
            }
        }
        after.registers[one] = before.registers[one];
        after.valid = with_bit(after.valid, one, bit(before.valid, one));
    } else {
        swap(&mut after, one, other);
    }
    after.instruction = operand.pc;
    after.opcode = if after.opcode == NO_OPCODE { before.opcode } else { op.opcode() };
    after.operand = match after.operand {
        NO_ADDRESS => before.operand,
        0 => 0,
        _ => operand.address,
    };
    // Invalid operation, overflow and underflow, if they are not masked, keep it from being stored.
    const PREVENT: u16 = 1 | 1 << 3 | 1 << 4;
    if let Shape::Store(size) = row.uses.shape
        && after.status & !after.control & PREVENT == 0
        && !store(frame, &bytes[..usize::from(size)])
    {
        return 0;
    }
    after.write(frame);
    bytes[0]
}

fn bit(bits: u8, n: usize) -> bool {
    bits >> n & 1 != 0
}

fn with_bit(bits: u8, n: usize, value: bool) -> u8 {
    bits & !(1 << n) | u8::from(value) << n
}

fn swap(state: &mut State, a: usize, b: usize) {
    state.registers.swap(a, b);
    let (of_a, of_b) = (bit(state.valid, a), bit(state.valid, b));
    state.valid = with_bit(with_bit(state.valid, a, of_b), b, of_a);
}
