//! The floating-point state in a signal frame: what XSAVE stores in its standard form, and around it what Linux notes there
//! (`arch/x86/kernel/fpu/signal.c`, `arch/x86/include/uapi/asm/sigcontext.h`).

use arch::x86_64::xsave::{self, HEADER_BYTES, LEGACY_BYTES, SSE, X87, XCOMP_BV, XSTATE_BV};
use arch::x86_64::{CpuModel, mxcsr, slot};
use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;

use crate::user::{UserPtr, UserSlice};

crate::plain! {
    /// `struct _fpx_sw_bytes`, which lies at the end of the legacy region.
    struct Software {
        magic: u32,
        /// Bytes with the second magic number after the state.
        extended_size: u32,
        features: u64,
        /// Bytes of the state.
        size: u32,
        padding: [u32; 7],
    }
}

const SOFTWARE: u64 = (LEGACY_BYTES - size_of::<Software>()) as u64;
const _: () = assert!(SOFTWARE == 464);

const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
const MAGIC2_BYTES: u64 = 4;

/// Bytes of the state, without the second magic number.
fn size(cpu: &CpuModel) -> u64 {
    match cpu.xcr0() {
        0 => LEGACY_BYTES as u64,
        xcr0 => u64::from(xsave::standard_size(xcr0)),
    }
}

/// Bytes that the state takes in a frame.
pub(super) fn frame_bytes(cpu: &CpuModel) -> u64 {
    size(cpu) + if cpu.xcr0() == 0 { 0 } else { MAGIC2_BYTES }
}

/// Writes the state to a signal frame.
///
/// # Errors
/// `EFAULT`
pub(super) fn save(cpu: &CpuModel, frame: &CpuFrame, at: GuestVirt) -> Result<(), Errno> {
    let (xcr0, size) = (cpu.xcr0(), size(cpu));
    let mut area = xsave::area_of(frame, xcr0);
    if xcr0 != 0 {
        // Linux says so of these whatever is in them.
        area[XSTATE_BV] |= (X87 | SSE) as u8;
    }
    UserSlice::new(at, area.len() as u64)?.write(&area)?;
    if xcr0 == 0 {
        return Ok(());
    }
    UserPtr::new(at.wrapping_add(SOFTWARE)).write(Software {
        magic: MAGIC1,
        extended_size: (size + MAGIC2_BYTES) as u32,
        features: xcr0,
        size: size as u32,
        padding: [0; 7],
    })?;
    UserPtr::new(at.wrapping_add(size)).write(MAGIC2)
}

/// The state that a handler starts with: that of a new program.
pub(super) fn clear(frame: &mut CpuFrame) {
    let zero = |frame: &mut CpuFrame, first: RegSlot, slots: u16| {
        (first.0..first.0 + slots).for_each(|slot| frame.set(RegSlot(slot), 0));
    };
    zero(frame, slot::fpr(0), 2 * 8);
    zero(frame, slot::xmm(0), 2 * 32);
    zero(frame, slot::ymm_high(0), 2 * 32);
    zero(frame, slot::FSW, slot::FDP.0 - slot::FSW.0 + 1);
    frame.set(slot::FCW, slot::FCW_INIT);
    mxcsr::set(frame, mxcsr::INIT);
}

/// Reads the state back from a signal frame, where there may be none.
///
/// # Errors
/// `EFAULT`; `EINVAL`: it is none that XRSTOR takes.
pub(super) fn load(cpu: &CpuModel, frame: &mut CpuFrame, at: GuestVirt) -> Result<(), Errno> {
    if at.0 == 0 {
        clear(frame);
        return Ok(());
    }
    let software = UserPtr::<Software>::new(at.wrapping_add(SOFTWARE)).read()?;
    let area = match is_extended(cpu, at, &software)? {
        true => extended(cpu, at, &software)?,
        false => UserSlice::new(at, LEGACY_BYTES as u64)?.read()?,
    };
    xsave::restore_area(frame, &area, cpu.xcr0()).map_err(|_| Errno::EINVAL)
}

/// Whether there is more than the legacy region (`check_xstate_in_sigframe`).
fn is_extended(cpu: &CpuModel, at: GuestVirt, software: &Software) -> Result<bool, Errno> {
    const LEAST: u64 = (LEGACY_BYTES + HEADER_BYTES) as u64;
    let is_sound = cpu.xcr0() != 0
        && software.magic == MAGIC1
        && (LEAST..=size(cpu)).contains(&software.size.into())
        && software.size <= software.extended_size;
    let end = at.wrapping_add(software.size.into());
    Ok(is_sound && UserPtr::<u32>::new(end).read()? == MAGIC2)
}

/// The whole state, of which only the components that the frame names are there.
fn extended(cpu: &CpuModel, at: GuestVirt, software: &Software) -> Result<Vec<u8>, Errno> {
    const ALIGN: u64 = 64;
    let mut area = UserSlice::new(at, software.size.into())?.read()?;
    let present = UserPtr::<u64>::new(at.wrapping_add(XSTATE_BV as u64)).read()?;
    let form = &area[XCOMP_BV..XCOMP_BV + 8];
    if present & !cpu.xcr0() != 0 || form != [0; 8] || !at.0.is_multiple_of(ALIGN) {
        return Err(Errno::EINVAL);
    }
    area.resize(size(cpu) as usize, 0);
    let wanted = present & software.features;
    area[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&wanted.to_le_bytes());
    Ok(area)
}
