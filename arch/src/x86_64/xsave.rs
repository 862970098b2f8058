//! The area that FXSAVE and XSAVE write (SDM vol. 1, §10.5 and chapter 13): its layout, and a CPU's state in it.
//!
//! A component is in use if it is not as it was initialised. Processors also count what was written and has its first value
//! again; programs cannot rely on either.

use base::CpuFrame;

use super::x87::{F80, OPCODE, State};
use super::{mxcsr, slot};
use crate::frame::Registers;

/// In XCR0 and a mask: the x87 FPU.
pub const X87: u64 = 1 << 0;
/// In XCR0 and a mask: XMM registers and MXCSR.
pub const SSE: u64 = 1 << 1;
/// In XCR0 and a mask: upper halves of the YMM registers.
pub const AVX: u64 = 1 << 2;

/// Bytes that FXSAVE writes to at most, and the header follows.
pub const LEGACY_BYTES: usize = 512;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Where the header has XSTATE_BV: the components that are saved and not as initialised.
pub const XSTATE_BV: usize = 512;
/// Where the header has XCOMP_BV: the components for which there is room.
pub const XCOMP_BV: usize = 520;
/// In XCOMP_BV: the form is compacted.
pub const COMPACTED: u64 = 1 << 63;

const CONTROL: usize = 0;
const STATUS: usize = 2;
const TAGS: usize = 4;
const OPCODE_AT: usize = 6;
const INSTRUCTION: usize = 8;
const OPERAND: usize = 16;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const ST: usize = 32;
const XMM: usize = 160;

/// A component of the extended part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Component {
    /// Its bit.
    pub number: u32,
    /// Where it stands in the standard form.
    pub offset: u32,
    /// Its bytes.
    pub size: u32,
}

/// The components of the extended part. None of them is aligned to 64 bytes in the compacted form.
pub const COMPONENTS: &[Component] = &[Component { number: 2, offset: 576, size: 256 }];

/// Vector registers in an area.
const VECTORS: usize = 16;

/// Bytes of an area in the standard form.
#[must_use]
pub fn standard_size(xcr0: u64) -> u32 {
    let present = COMPONENTS.iter().filter(|component| xcr0 >> component.number & 1 != 0);
    let ends = present.map(|component| component.offset + component.size);
    ends.max().unwrap_or(0).max((LEGACY_BYTES + HEADER_BYTES) as u32)
}

/// Bytes of an area in the compacted form.
#[must_use]
pub fn compacted_size(xcr0: u64) -> u32 {
    let present = COMPONENTS.iter().filter(|component| xcr0 >> component.number & 1 != 0);
    (LEGACY_BYTES + HEADER_BYTES) as u32 + present.map(|component| component.size).sum::<u32>()
}

/// How wide pointers of the x87 FPU are in an area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pointers {
    /// 64 bits: with REX.W.
    Bits64,
    /// 32 bits, and a selector, which is zero.
    Bits32,
}

/// What cannot be restored: a general-protection fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AreaError {
    /// The header names components that there are not, or has reserved bits.
    #[error("the header of the area is not valid")]
    Header,
    /// MXCSR has bits that it does not have.
    #[error("MXCSR in the area has reserved bits")]
    Mxcsr,
    /// It ends before all that it says to have.
    #[error("the area is too short")]
    Short,
}

/// The components that are not as they were initialised.
pub(crate) fn in_use(from: &impl Registers) -> u64 {
    let any = |slot: fn(u8) -> base::RegSlot| (0..VECTORS as u8).any(|n| from.wide(slot(n)) != 0);
    let is_used = [
        (X87, State::read(from) != State::initial()),
        (SSE, any(slot::xmm)),
        (AVX, any(slot::ymm_high)),
    ];
    is_used.into_iter().filter(|(_, used)| *used).map(|(component, _)| component).sum()
}

fn put(area: &mut [u8], at: usize, bytes: &[u8]) {
    area[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Bytes of an area that is as long as it has to be.
fn take<const N: usize>(area: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|n| area.get(at + n).copied().unwrap_or(0))
}

/// Writes the FPU's part.
pub(crate) fn put_x87(area: &mut [u8], state: &State, pointers: Pointers) {
    put(area, CONTROL, &state.control.to_le_bytes());
    put(area, STATUS, &state.status.to_le_bytes());
    put(area, TAGS, &[state.valid, 0]);
    put(area, OPCODE_AT, &state.opcode.to_le_bytes());
    for (at, pointer) in [(INSTRUCTION, state.instruction), (OPERAND, state.operand)] {
        let pointer = match pointers {
            Pointers::Bits64 => pointer,
            Pointers::Bits32 => pointer & 0xffff_ffff,
        };
        put(area, at, &pointer.to_le_bytes());
    }
    for i in 0..8 {
        let register = state.st(i).bits().to_le_bytes();
        put(area, ST + 16 * usize::from(i), &register);
    }
}

/// Reads the FPU's part.
pub(crate) fn take_x87(area: &[u8], pointers: Pointers) -> State {
    // The FPU holds canonical addresses only.
    const HIGH: u32 = 64 - super::cpuid::LINEAR_BITS;
    let pointer = |at| match pointers {
        Pointers::Bits64 => ((i64::from_le_bytes(take(area, at)) << HIGH) >> HIGH) as u64,
        Pointers::Bits32 => u32::from_le_bytes(take(area, at)).into(),
    };
    let control = u16::from_le_bytes(take(area, CONTROL));
    let mut state = State {
        control: control & super::x87::CONTROL | super::x87::CONTROL_FIXED,
        status: u16::from_le_bytes(take(area, STATUS)),
        valid: take::<1>(area, TAGS)[0],
        opcode: u16::from_le_bytes(take(area, OPCODE_AT)) & OPCODE,
        instruction: pointer(INSTRUCTION),
        operand: pointer(OPERAND),
        ..State::default()
    };
    state.summarise();
    for i in 0..8 {
        state.registers[state.physical(i)] =
            F80::from_bytes(&take::<10>(area, ST + 16 * usize::from(i)));
    }
    state
}

/// Writes MXCSR and its mask.
pub(crate) fn put_mxcsr(area: &mut [u8], from: &impl Registers) {
    put(area, MXCSR, &mxcsr::read(from).to_le_bytes());
    put(area, MXCSR_MASK, &mxcsr::WRITABLE.to_le_bytes());
}

/// Reads MXCSR.
pub(crate) fn take_mxcsr(area: &[u8]) -> Result<u32, AreaError> {
    let value = u32::from_le_bytes(take(area, MXCSR));
    if value & !mxcsr::WRITABLE == 0 { Ok(value) } else { Err(AreaError::Mxcsr) }
}

fn put_vectors(area: &mut [u8], at: usize, from: &impl Registers, slot: fn(u8) -> base::RegSlot) {
    for n in 0..VECTORS {
        put(area, at + 16 * n, &from.wide(slot(n as u8)).to_le_bytes());
    }
}

fn take_vectors(
    area: Option<(&[u8], usize)>,
    to: &mut impl Registers,
    slot: fn(u8) -> base::RegSlot,
) {
    for n in 0..VECTORS {
        let bytes = area.map_or([0; 16], |(area, at)| take(area, at + 16 * n));
        to.set_wide_slot(slot(n as u8), u128::from_le_bytes(bytes));
    }
}

/// Writes the XMM registers.
pub(crate) fn put_xmm(area: &mut [u8], from: &impl Registers) {
    put_vectors(area, XMM, from, slot::xmm);
}

/// Reads the XMM registers.
pub(crate) fn take_xmm(area: &[u8], to: &mut impl Registers) {
    take_vectors(Some((area, XMM)), to, slot::xmm);
}

/// How much of an area an instruction writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// XSAVE: all that is asked for.
    All,
    /// XSAVEOPT: what is asked for and in use.
    Used,
    /// XSAVEC: the same, compacted.
    Compacted,
}

/// Writes those components that `mask` names of an area that holds what was there before, as long as [`standard_size`]
/// says. Only what is written changes.
pub(crate) fn save(
    area: &mut [u8],
    from: &impl Registers,
    form: Form,
    pointers: Pointers,
    mask: u64,
) {
    let mut used = in_use(from) & mask;
    let has_mxcsr = mxcsr::read(from) != mxcsr::INIT;
    if form == Form::Compacted && mask & SSE != 0 && has_mxcsr {
        used |= SSE;
    }
    let written = if form == Form::All { mask } else { used };
    if written & X87 != 0 {
        put_x87(area, &State::read(from), pointers);
    }
    let mxcsr_with = if form == Form::Compacted { written & SSE } else { mask & (SSE | AVX) };
    if mxcsr_with != 0 {
        put_mxcsr(area, from);
    }
    if written & SSE != 0 {
        put_xmm(area, from);
    }
    if written & AVX != 0 {
        // The only one of the extended part: it stands at the same place in both forms.
        put_vectors(area, COMPONENTS[0].offset as usize, from, slot::ymm_high);
    }
    if form == Form::Compacted {
        put(area, XSTATE_BV, &used.to_le_bytes());
        put(area, XCOMP_BV, &(mask | COMPACTED).to_le_bytes());
    } else {
        let before = u64::from_le_bytes(take(area, XSTATE_BV));
        put(area, XSTATE_BV, &(before & !mask | used).to_le_bytes());
    }
}

/// Restores those components that `mask` names from an area in either form.
///
/// # Errors
/// The area is not valid; then nothing is changed.
pub(crate) fn restore(
    area: &[u8],
    to: &mut impl Registers,
    pointers: Pointers,
    mask: u64,
    xcr0: u64,
    compacted: Compacted,
) -> Result<(), AreaError> {
    let saved = u64::from_le_bytes(take(area, XSTATE_BV));
    let room = u64::from_le_bytes(take(area, XCOMP_BV));
    let is_compacted = room & COMPACTED != 0;
    let reserved: [u8; HEADER_BYTES - 16] = take(area, XCOMP_BV + 8);
    let is_valid = if is_compacted {
        compacted == Compacted::Accepted
            && room & !COMPACTED & !xcr0 == 0
            && saved & !room == 0
            && reserved.iter().all(|byte| *byte == 0)
    } else {
        saved & !xcr0 == 0 && room == 0 && reserved[..8].iter().all(|byte| *byte == 0)
    };
    if !is_valid {
        return Err(AreaError::Header);
    }
    let loads = saved & mask;
    let mxcsr = if is_compacted {
        match (mask & SSE != 0, loads & SSE != 0) {
            (false, _) => None,
            (true, false) => Some(mxcsr::INIT),
            (true, true) => Some(take_mxcsr(area)?),
        }
    } else {
        (mask & (SSE | AVX) != 0).then(|| take_mxcsr(area)).transpose()?
    };
    if let Some(mxcsr) = mxcsr {
        mxcsr::write(to, mxcsr);
    }
    if mask & X87 != 0 {
        let is_loaded = loads & X87 != 0;
        let state = if is_loaded { take_x87(area, pointers) } else { State::initial() };
        state.write(to);
    }
    if mask & SSE != 0 {
        take_vectors((loads & SSE != 0).then_some((area, XMM)), to, slot::xmm);
    }
    if mask & AVX != 0 {
        let at = COMPONENTS[0].offset as usize;
        take_vectors((loads & AVX != 0).then_some((area, at)), to, slot::ymm_high);
    }
    Ok(())
}

/// Whether areas in the compacted form are accepted: a CPU without XSAVEC knows none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compacted {
    /// Yes.
    Accepted,
    /// No.
    Unknown,
}

/// A CPU's state in the standard form, as XSAVE64 of everything writes it into zeros; if there is no XSAVE (XCR0 is 0), as
/// FXSAVE64 does.
#[must_use]
pub fn area_of(frame: &CpuFrame, xcr0: u64) -> Vec<u8> {
    if xcr0 == 0 {
        let mut area = vec![0; LEGACY_BYTES];
        put_x87(&mut area, &State::read(frame), Pointers::Bits64);
        put_mxcsr(&mut area, frame);
        put_xmm(&mut area, frame);
        return area;
    }
    let mut area = vec![0; standard_size(xcr0) as usize];
    save(&mut area, frame, Form::All, Pointers::Bits64, xcr0);
    area
}

/// Restores a CPU's state from an area, as XRSTOR64 of everything does; from a shorter one or without XSAVE (XCR0 is 0) as
/// FXRSTOR64 does, with the rest as initialised.
///
/// # Errors
/// The area is not valid; then nothing is changed.
pub fn restore_area(frame: &mut CpuFrame, area: &[u8], xcr0: u64) -> Result<(), AreaError> {
    if area.len() < LEGACY_BYTES {
        return Err(AreaError::Short);
    }
    if xcr0 != 0 && area.len() >= standard_size(xcr0) as usize {
        return restore(area, frame, Pointers::Bits64, xcr0, xcr0, Compacted::Accepted);
    }
    let mxcsr = take_mxcsr(area)?;
    mxcsr::write(frame, mxcsr);
    take_x87(area, Pointers::Bits64).write(frame);
    take_xmm(area, frame);
    take_vectors(None, frame, slot::ymm_high);
    Ok(())
}
