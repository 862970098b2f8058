//! Executing an instruction on the whole state, where the host decides what becomes of an over- or underflow of the stack and of
//! exceptions that are not masked.

use super::host::{All, Memory, run_all};
use super::ops::{Op, Row, Shape};
use super::quick::{Call, set_flags, store};
use super::{ES, State};
use crate::frame::FrameRef;
use crate::x86_64::{flags, slot};

/// What no comparison leaves: so it shows whether there was any result.
const UNTOUCHED: u64 = flags::SF;

/// Executes an instruction on the whole state. Nothing happens if an exception is pending: that comes first.
#[cold]
#[inline(never)]
pub(super) fn run(mut frame: FrameRef, what: u64, pc: u64, low: u64, address: u64) -> u64 {
    let Some(op) = Op::from_opcode(what as u16) else { return 0 };
    if frame.get(slot::FSW) as u16 & ES != 0 {
        return 0;
    }
    let is_comparison = op.row().uses.shape == Shape::Flags;
    let low = if is_comparison { UNTOUCHED } else { low };
    let result = execute(op, op.row(), &mut frame, Call { what, pc, low, address }).into();
    if is_comparison && result & UNTOUCHED == 0 {
        set_flags(&mut frame, result);
    }
    0
}

/// Returns what the operand's first byte has become.
fn execute(op: Op, row: &Row, frame: &mut FrameRef, call: Call) -> u8 {
    /// Values of registers that no instruction leaves there: those that it does not write keep them.
    const NO_ADDRESS: u64 = 0x5a5a_5a5a;
    const NO_OPCODE: u16 = 0x2a5;
    let before = State::read(&*frame);
    let mut state = State { operand: NO_ADDRESS, opcode: NO_OPCODE, ..before };
    let (top, one) = (state.physical(0), state.physical(1));
    let other = state.physical(row.uses.register(call.what));
    // What is only read, or stands at the top, is copied to ST(1); else they change places.
    let is_copied = other == top || row.uses.shape == Shape::Load;
    if is_copied {
        state.registers[one] = state.registers[other];
        state.valid = with_bit(state.valid, one, bit(state.valid, other));
    } else {
        swap(&mut state, one, other);
    }
    let mut all = All::new(&state, Memory::new(call.low, (call.what >> 16) as u16));
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
    after.instruction = call.pc;
    after.opcode = if after.opcode == NO_OPCODE { before.opcode } else { op.opcode() };
    after.operand = match after.operand {
        NO_ADDRESS => before.operand,
        0 => 0,
        _ => call.address,
    };
    // Invalid operation, overflow and underflow, if they are not masked, keep it from being stored.
    const PREVENT: u16 = 1 | 1 << 3 | 1 << 4;
    if let Some(size) = row.uses.stores()
        && after.status & !after.control & PREVENT == 0
        && !store(frame, call.address, &bytes[..size])
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
