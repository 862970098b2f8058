//! FXSAVE, FXRSTOR and the XSAVE family (SDM vol. 1, §10.5 and chapter 13). Addresses are aligned: translations see to it.

use base::GuestVirt;

use super::FrameRef;
use super::memory;
use crate::guarded::{self, Noted};
use crate::x86_64::mxcsr;
use crate::x86_64::x87::State;
use crate::x86_64::xsave::{self, AreaError, Compacted, Form, Pointers, XSTATE_BV};

/// Bytes of the largest area.
const AREA: usize = 832;
/// Bytes that FXSAVE writes: what follows is for programs.
const FXSAVE_BYTES: usize = 416;
/// The last byte of its area, where processors look first whether they may access it.
const FXSAVE_LAST: u32 = 511;
/// Where the header says which form an area has: what XRSTOR reads first.
const XCOMP_BV: u32 = 520;

fn pointers(bits: u64) -> Pointers {
    if bits == 64 { Pointers::Bits64 } else { Pointers::Bits32 }
}

/// FXSAVE, FXSAVE64
pub(super) fn fxsave(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let mut area = [0; FXSAVE_BYTES];
    xsave::put_x87(&mut area, &State::read(&frame), pointers(bits));
    xsave::put_mxcsr(&mut area, &frame);
    xsave::put_xmm(&mut area, &frame);
    let _ = memory::demand_writable(&mut frame, address, &[FXSAVE_LAST, 0])
        .and_then(|()| memory::write(&mut frame, address, &area));
    0
}

/// FXRSTOR, FXRSTOR64
pub(super) fn fxrstor(mut frame: FrameRef, address: u64, bits: u64) -> u64 {
    let mut area = [0; FXSAVE_BYTES];
    let read = memory::demand_readable(&mut frame, address, &[FXSAVE_LAST])
        .and_then(|()| guarded::read(&mut frame, &mut area, GuestVirt(address)));
    if read.is_err() {
        return 0;
    }
    match xsave::take_mxcsr(&area) {
        Ok(value) => {
            mxcsr::write(&mut frame, value);
            xsave::take_x87(&area, pointers(bits)).write(&mut frame);
            xsave::take_xmm(&area, &mut frame);
        }
        Err(_) => {
            memory::general_protection(&mut frame);
        }
    }
    0
}

/// Writes an area: those bytes alone that an instruction writes.
fn save(
    frame: &mut FrameRef,
    address: u64,
    form: Form,
    pointers: Pointers,
    mask: u64,
) -> Result<(), Noted> {
    let size = match form {
        Form::Compacted => xsave::compacted_size(mask),
        _ => xsave::standard_size(mask),
    };
    memory::demand_writable(frame, address, &[size - 1, 0])?;
    let mut header = [0; 8];
    let header_at = address.wrapping_add(XSTATE_BV as u64);
    if form != Form::Compacted {
        guarded::read(frame, &mut header, GuestVirt(header_at))?;
    }
    // What differs where it was zeros, or where it was ones, was written.
    let filled = |fill: u8| {
        let mut area = [fill; AREA];
        area[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&header);
        xsave::save(&mut area, frame, form, pointers, mask);
        area
    };
    let (area, other) = (filled(0), filled(0xff));
    let mut at = 0;
    while at < AREA {
        let is_written = |n: usize| area[n] == other[n];
        let same = (at..AREA).take_while(|n| is_written(*n) == is_written(at)).count();
        if is_written(at) {
            memory::write(frame, address.wrapping_add(at as u64), &area[at..at + same])?;
        }
        at += same;
    }
    Ok(())
}

/// XSAVE, XSAVE64
pub(super) fn xsave(mut frame: FrameRef, address: u64, bits: u64, mask: u64, xcr0: u64) -> u64 {
    let _ = save(&mut frame, address, Form::All, pointers(bits), mask & xcr0);
    0
}

/// XSAVEOPT, XSAVEOPT64
pub(super) fn xsaveopt(mut frame: FrameRef, address: u64, bits: u64, mask: u64, xcr0: u64) -> u64 {
    let _ = save(&mut frame, address, Form::Used, pointers(bits), mask & xcr0);
    0
}

/// XSAVEC, XSAVEC64
pub(super) fn xsavec(mut frame: FrameRef, address: u64, bits: u64, mask: u64, xcr0: u64) -> u64 {
    let _ = save(&mut frame, address, Form::Compacted, pointers(bits), mask & xcr0);
    0
}

/// XRSTOR, XRSTOR64. In bit 63 of `xcr0`: areas in the compacted form are known.
pub(super) fn xrstor(mut frame: FrameRef, address: u64, bits: u64, mask: u64, xcr0: u64) -> u64 {
    let compacted = if xcr0 >> 63 == 0 { Compacted::Unknown } else { Compacted::Accepted };
    let xcr0 = xcr0 & !(1 << 63);
    let mask = mask & xcr0;
    let mut area = [0; AREA];
    // What is asked for, and the header that says whether it is there.
    let bytes = xsave::standard_size(mask) as usize;
    let read = memory::demand_readable(&mut frame, address, &[XCOMP_BV])
        .and_then(|()| guarded::read(&mut frame, &mut area[..bytes], GuestVirt(address)));
    if read.is_err() {
        return 0;
    }
    match xsave::restore(&area, &mut frame, pointers(bits), mask, xcr0, compacted) {
        Ok(()) => (),
        Err(AreaError::Header | AreaError::Mxcsr | AreaError::Short) => {
            memory::general_protection(&mut frame);
        }
    }
    0
}
