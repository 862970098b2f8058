//! x87 (SDM vol. 1, chapter 8). Translations check for pending exceptions before instructions that wait for them.

use base::GuestVirt;

use super::FrameRef;
use super::memory;
use crate::guarded;
use crate::x86_64::slot;
pub(super) use crate::x86_64::x87::execute;
use crate::x86_64::x87::{BUSY, CONTROL, CONTROL_FIXED, ES, EXCEPTIONS, Format, SF, State};

/// An instruction that writes memory: registers change only if it could.
pub(super) fn store(frame: FrameRef, what: u64, pc: u64, address: u64) -> u64 {
    execute(frame, what, pc, 0, address)
}

/// FLDCW
pub(super) fn fldcw(mut frame: FrameRef, value: u64) -> u64 {
    let mut state = State {
        control: value as u16 & CONTROL | CONTROL_FIXED,
        status: frame.get(slot::FSW) as u16,
        ..State::default()
    };
    state.summarise();
    frame.set(slot::FCW, state.control.into());
    frame.set(slot::FSW, state.status.into());
    0
}

/// FNCLEX
pub(super) fn fnclex(mut frame: FrameRef) -> u64 {
    let cleared = EXCEPTIONS | SF | ES | BUSY;
    frame.set(slot::FSW, frame.get(slot::FSW) & u64::from(!cleared));
    0
}

/// FNINIT. What registers hold stays.
pub(super) fn fninit(mut frame: FrameRef) -> u64 {
    initialise(&mut frame);
    0
}

fn initialise(frame: &mut FrameRef) {
    let registers = State::read(frame).registers;
    State { registers, ..State::initial() }.write(frame);
}

fn format(bits: u64) -> Format {
    if bits == 16 { Format::Bits16 } else { Format::Bits32 }
}

/// Where processors look first whether they may access an image of so many bytes: at its first number, byte by byte as it
/// may lie on two pages, and at its last byte.
fn ends(format: Format, bytes: usize) -> [u32; 5] {
    let last = bytes as u32 - 1;
    match format {
        Format::Bits16 => [0, 1, last, last, last],
        Format::Bits32 => [0, 1, 2, 3, last],
    }
}

/// FLDENV, with an operand size of 16 bits or another.
pub(super) fn fldenv(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let format = format(bits);
    let mut bytes = vec![0; format.environment_bytes()];
    let ends = ends(format, bytes.len());
    if memory::demand_readable(&mut frame, address, &ends).is_err() {
        return 0;
    }
    if guarded::read(&mut frame, &mut bytes, GuestVirt(address)).is_ok() {
        let mut state = State::read(&frame);
        state.set_environment(format, &bytes);
        state.write(&mut frame);
    }
    0
}

/// FNSTENV: exceptions are masked afterwards.
pub(super) fn fnstenv(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let (mut state, format) = (State::read(&frame), format(bits));
    let image = state.environment(format);
    let stored = memory::demand_writable(&mut frame, address, &ends(format, image.len()))
        .and_then(|()| memory::write(&mut frame, address, &image));
    if stored.is_ok() {
        state.control |= EXCEPTIONS;
        state.summarise();
        state.write(&mut frame);
    }
    0
}

/// FRSTOR
pub(super) fn frstor(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let format = format(bits);
    let mut bytes = vec![0; format.state_bytes()];
    let ends = ends(format, bytes.len());
    if memory::demand_readable(&mut frame, address, &ends).is_err() {
        return 0;
    }
    if guarded::read(&mut frame, &mut bytes, GuestVirt(address)).is_ok() {
        let mut state = State::read(&frame);
        state.set_image(format, &bytes);
        state.write(&mut frame);
    }
    0
}

/// FNSAVE: FNINIT follows.
pub(super) fn fnsave(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let format = format(bits);
    let image = State::read(&frame).image(format);
    let stored = memory::demand_writable(&mut frame, address, &ends(format, image.len()))
        .and_then(|()| memory::write(&mut frame, address, &image));
    if stored.is_ok() {
        initialise(&mut frame);
    }
    0
}
