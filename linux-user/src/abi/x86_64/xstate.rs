//! The floating-point state in a signal frame: what XSAVE stores in its standard form (SDM vol. 1, §13.4), and around it
//! what Linux notes there (`arch/x86/include/uapi/asm/sigcontext.h`).

use arch::x86_64::feature::Feature;
use arch::x86_64::slot::{self, fpr, xmm, ymm_high};
use arch::x86_64::{CpuModel, mxcsr};
use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;

use crate::user::UserPtr;

crate::plain! {
    /// The legacy region, up to what is there for software.
    struct Legacy {
        fcw: u16,
        fsw: u16,
        ftw: u16,
        fop: u16,
        fip: u64,
        fdp: u64,
        mxcsr: u32,
        mxcsr_mask: u32,
        /// ST(0) to ST(7).
        st: [[u64; 2]; 8],
        xmm: [[u64; 2]; 16],
        reserved: [u64; 6],
        software: Software,
    }

    /// `struct _fpx_sw_bytes`
    struct Software {
        magic: u32,
        /// Bytes with the second magic number after the state.
        extended_size: u32,
        features: u64,
        /// Bytes of the state.
        size: u32,
        padding: [u32; 7],
    }

    /// The XSAVE header.
    struct Header {
        xstate_bv: u64,
        xcomp_bv: u64,
        reserved: [u64; 6],
    }

    /// Everything that there can be.
    struct Area {
        legacy: Legacy,
        header: Header,
        ymm_high: [[u64; 2]; 16],
    }
}

const LEGACY_BYTES: u64 = size_of::<Legacy>() as u64;
const LEAST_BYTES: u64 = LEGACY_BYTES + size_of::<Header>() as u64;
const AREA_BYTES: u64 = size_of::<Area>() as u64;
const _: () = assert!(LEGACY_BYTES == 512 && LEAST_BYTES == 576 && AREA_BYTES == 832);

const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
const MAGIC2_BYTES: u64 = 4;

/// The x87 state.
const X87: u64 = 1;
/// XMM registers.
const SSE: u64 = 2;
/// The upper halves of YMM registers.
const AVX: u64 = 4;

/// Where the top of the x87 stack stands in the status word.
const TOP_SHIFT: u64 = 11;

/// The state components that the system has enabled: XCR0, or zero on a CPU without XSAVE.
pub(super) fn features(cpu: &CpuModel) -> u64 {
    match (cpu.has(Feature::XSAVE), cpu.has(Feature::AVX)) {
        (false, _) => 0,
        (true, false) => X87 | SSE,
        (true, true) => X87 | SSE | AVX,
    }
}

/// Bytes of the state, without the second magic number.
fn size(cpu: &CpuModel) -> u64 {
    match features(cpu) {
        0 => LEGACY_BYTES,
        features if features & AVX == 0 => LEAST_BYTES,
        _ => AREA_BYTES,
    }
}

/// Bytes that the state takes in a frame.
pub(super) fn frame_bytes(cpu: &CpuModel) -> u64 {
    size(cpu) + if features(cpu) == 0 { 0 } else { MAGIC2_BYTES }
}

fn wide(frame: &CpuFrame, RegSlot(low): RegSlot) -> [u64; 2] {
    [frame.get(RegSlot(low)), frame.get(RegSlot(low + 1))]
}

fn set_wide(frame: &mut CpuFrame, RegSlot(low): RegSlot, [first, second]: [u64; 2]) {
    frame.set(RegSlot(low), first);
    frame.set(RegSlot(low + 1), second);
}

/// The physical register of ST(i).
fn physical(fsw: u64, st: usize) -> RegSlot {
    fpr((fsw >> TOP_SHIFT) as u8 + st as u8 & 7)
}

/// Writes the state to a signal frame.
///
/// # Errors
/// `EFAULT`
pub(super) fn save(cpu: &CpuModel, frame: &CpuFrame, at: GuestVirt) -> Result<(), Errno> {
    let (features, size) = (features(cpu), size(cpu));
    let software = match features {
        0 => Software { magic: 0, extended_size: 0, features: 0, size: 0, padding: [0; 7] },
        _ => Software {
            magic: MAGIC1,
            extended_size: (size + MAGIC2_BYTES) as u32,
            features,
            size: size as u32,
            padding: [0; 7],
        },
    };
    UserPtr::new(at).write(legacy(frame, software))?;
    if features == 0 {
        return Ok(());
    }
    let upper: [[u64; 2]; 16] = std::array::from_fn(|n| wide(frame, ymm_high(n as u8)));
    let avx = if upper == [[0; 2]; 16] { 0 } else { AVX };
    // Linux says so of the first two whatever is in them.
    let header = Header { xstate_bv: X87 | SSE | features & avx, xcomp_bv: 0, reserved: [0; 6] };
    UserPtr::new(at.wrapping_add(LEGACY_BYTES)).write(header)?;
    if features & AVX != 0 {
        UserPtr::new(at.wrapping_add(LEAST_BYTES)).write(upper)?;
    }
    UserPtr::new(at.wrapping_add(size)).write(MAGIC2)
}

fn legacy(frame: &CpuFrame, software: Software) -> Legacy {
    let fsw = frame.get(slot::FSW);
    Legacy {
        fcw: frame.get(slot::FCW) as u16,
        fsw: fsw as u16,
        ftw: frame.get(slot::FTW) as u16 & 0xff,
        fop: frame.get(slot::FOP) as u16,
        fip: frame.get(slot::FIP),
        fdp: frame.get(slot::FDP),
        mxcsr: mxcsr::get(frame),
        mxcsr_mask: mxcsr::WRITABLE,
        st: std::array::from_fn(|n| wide(frame, physical(fsw, n))),
        xmm: std::array::from_fn(|n| wide(frame, xmm(n as u8))),
        reserved: [0; 6],
        software,
    }
}

/// The state that a handler starts with: that of a new program.
pub(super) fn clear(frame: &mut CpuFrame) {
    clear_x87(frame);
    set_vectors(frame, xmm, &[[0; 2]; 16]);
    set_vectors(frame, ymm_high, &[[0; 2]; 16]);
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
    let legacy = UserPtr::<Legacy>::new(at).read()?;
    let wanted = extended(cpu, at, &legacy.software)?;
    if legacy.mxcsr & !mxcsr::WRITABLE != 0 {
        return Err(Errno::EINVAL);
    }
    let (present, upper) = match wanted {
        None => (X87 | SSE, [[0; 2]; 16]),
        Some(wanted) => extended_state(cpu, at, wanted)?,
    };
    clear(frame);
    if present & X87 != 0 {
        restore_x87(frame, &legacy);
    }
    if present & SSE != 0 {
        set_vectors(frame, xmm, &legacy.xmm);
    }
    set_vectors(frame, ymm_high, &upper);
    if wanted.is_none_or(|wanted| wanted & (SSE | AVX) != 0) {
        mxcsr::set(frame, legacy.mxcsr);
    }
    Ok(())
}

/// What of the extended state there is to be restored, if the frame has one (`check_xstate_in_sigframe`).
fn extended(cpu: &CpuModel, at: GuestVirt, software: &Software) -> Result<Option<u64>, Errno> {
    let (own, size) = (features(cpu), u64::from(software.size));
    let is_sound = own != 0
        && software.magic == MAGIC1
        && (LEAST_BYTES..=self::size(cpu)).contains(&size)
        && software.size <= software.extended_size;
    if !is_sound || UserPtr::<u32>::new(at.wrapping_add(size)).read()? != MAGIC2 {
        return Ok(None);
    }
    Ok(Some(software.features & own))
}

/// The components that the header says are there, of those that are wanted, and the upper halves.
fn extended_state(
    cpu: &CpuModel,
    at: GuestVirt,
    wanted: u64,
) -> Result<(u64, [[u64; 2]; 16]), Errno> {
    let header = UserPtr::<Header>::new(at.wrapping_add(LEGACY_BYTES)).read()?;
    let is_sound = header.xstate_bv & !features(cpu) == 0
        && header.xcomp_bv == 0
        && header.reserved[0] == 0
        && at.0.is_multiple_of(64);
    if !is_sound {
        return Err(Errno::EINVAL);
    }
    let present = header.xstate_bv & wanted;
    let upper = match present & AVX {
        0 => [[0; 2]; 16],
        _ => UserPtr::new(at.wrapping_add(LEAST_BYTES)).read()?,
    };
    Ok((present, upper))
}

fn set_vectors(frame: &mut CpuFrame, place: fn(u8) -> RegSlot, values: &[[u64; 2]; 16]) {
    (0..16).for_each(|n| set_wide(frame, place(n), values[usize::from(n)]));
}

fn restore_x87(frame: &mut CpuFrame, legacy: &Legacy) {
    let fsw = u64::from(legacy.fsw);
    frame.set(slot::FCW, u64::from(legacy.fcw));
    frame.set(slot::FSW, fsw);
    frame.set(slot::FTW, u64::from(legacy.ftw & 0xff));
    frame.set(slot::FOP, u64::from(legacy.fop & 0x7ff));
    frame.set(slot::FIP, legacy.fip);
    frame.set(slot::FDP, legacy.fdp);
    for (n, &[low, high]) in legacy.st.iter().enumerate() {
        set_wide(frame, physical(fsw, n), [low, high & 0xffff]);
    }
}

fn clear_x87(frame: &mut CpuFrame) {
    frame.set(slot::FCW, slot::FCW_INIT);
    [slot::FSW, slot::FTW, slot::FOP, slot::FIP, slot::FDP]
        .into_iter()
        .for_each(|slot| frame.set(slot, 0));
    (0..8).for_each(|n| set_wide(frame, fpr(n), [0; 2]));
}
