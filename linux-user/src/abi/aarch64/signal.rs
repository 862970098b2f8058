//! The arm64 signal frame (`arch/arm64/kernel/signal.c`, `asm/ucontext.h`, `asm/sigcontext.h`): after the general
//! registers comes a list of records, each with its name and size; at the end of the frame, out of the records'
//! reach, a frame record for unwinders.

use arch::aarch64::debug::{set_vector, vector};
use arch::aarch64::fpcr::{fpcr, fpsr, set_fpcr, set_fpsr};
use arch::aarch64::key;
use arch::aarch64::pstate::{self, pstate, set_pstate};
use arch::aarch64::slot::{self, x};
use base::{CpuFrame, GuestVirt};
use syscalls::Errno;

use super::{X0, authentication, stack};
use crate::signal::{
    Access, Cause, MemoryFault, SigInfo, SigSet, SignalEntry, SignalReturn, UserStack,
};
use crate::user::UserPtr;

crate::plain! {
    /// `struct ucontext`. The set is followed by room for a longer one, and the machine context is aligned to 16
    /// bytes.
    struct UserContext {
        flags: u64,
        link: u64,
        stack: UserStack,
        sigmask: u64,
        unused: [u8; 120],
        align: u64,
        context: SignalContext,
    }

    /// `struct sigcontext` up to its records.
    struct SignalContext {
        fault_address: u64,
        regs: [u64; 31],
        sp: u64,
        pc: u64,
        pstate: u64,
        align: u64,
    }

    /// `struct _aarch64_ctx`
    struct Head {
        magic: u32,
        size: u32,
    }

    /// `struct fpsimd_context`
    struct FpsimdContext {
        head: Head,
        fpsr: u32,
        fpcr: u32,
        vregs: [[u64; 2]; 32],
    }

    /// `struct esr_context`
    struct EsrContext {
        head: Head,
        esr: u64,
    }

    /// `struct extra_context`
    struct ExtraContext {
        head: Head,
        data: u64,
        size: u32,
        reserved: [u32; 3],
    }

    /// The part of `struct rt_sigframe` that is written: up to the end mark.
    struct Frame {
        info: [u64; SigInfo::BYTES / 8],
        context: UserContext,
        fpsimd: FpsimdContext,
        /// Two records: the syndrome and the end mark, or the end mark twice.
        last: [EsrContext; 2],
    }

    /// `struct frame_record`
    struct FrameRecord {
        fp: u64,
        lr: u64,
    }
}

/// The part of [`Frame`] before the records.
const FRAME_HEAD_BYTES: u64 = SigInfo::BYTES as u64 + size_of::<UserContext>() as u64;
/// `sizeof(sigcontext.__reserved)`: room for records.
const RECORDS_BYTES: u64 = 4096;
/// `struct rt_sigframe`
const FRAME_BYTES: u64 = FRAME_HEAD_BYTES + RECORDS_BYTES;
const _: () = assert!(FRAME_BYTES == 4688 && FRAME_BYTES.is_multiple_of(16));
const RECORD_BYTES: u64 = size_of::<FrameRecord>() as u64;
/// Bytes that a frame takes at most, wherever the stack pointer is.
pub(super) const STACK_BYTES: u64 = FRAME_BYTES + RECORD_BYTES + 16;

/// `SIGFRAME_MAXSZ`: a frame whose records go on beyond it is refused.
const FRAME_MAX: u64 = 256 << 10;

const FPSIMD_MAGIC: u32 = 0x4650_8001;
const ESR_MAGIC: u32 = 0x4553_5201;
const EXTRA_MAGIC: u32 = 0x4558_5401;
const END: Head = Head { magic: 0, size: 0 };
/// What an end mark takes of the room for records.
const END_BYTES: u64 = 16;

/// Where a frame lies below a stack's free end.
pub(super) fn frame_place(stack: GuestVirt) -> GuestVirt {
    let record = stack.0.wrapping_sub(RECORD_BYTES) & !0xf;
    GuestVirt(record.wrapping_sub(FRAME_BYTES))
}

/// The exception syndrome of a fault (DDI 0487, ESR_EL1), as the kernel shows it.
fn syndrome(frame: &CpuFrame, fault: &MemoryFault) -> u64 {
    const DATA_ABORT: u64 = 0b10_0100;
    const INSTRUCTION_ABORT: u64 = 0b10_0000;
    const PC_ALIGNMENT: u64 = 0b10_0010;
    const SP_ALIGNMENT: u64 = 0b10_0110;
    const POINTER_AUTHENTICATION: u64 = 0b01_1100;
    const IL: u64 = 1 << 25;
    const WNR: u64 = 1 << 6;
    const TRANSLATION_LEVEL_0: u64 = 0x04;
    const TRANSLATION_LEVEL_3: u64 = 0x07;
    const PERMISSION_LEVEL_3: u64 = 0x0f;
    const ALIGNMENT: u64 = 0x21;
    /// Of what lies beyond a program's half of the address space, nothing is told.
    const TASK_SIZE: u64 = 1 << 48;
    if is_misaligned_pc(fault) {
        return PC_ALIGNMENT << 26 | IL;
    }
    if stack::is_misaligned(frame, fault) {
        return SP_ALIGNMENT << 26 | IL;
    }
    if fault.cause == Cause::Left {
        return POINTER_AUTHENTICATION << 26
            | IL
            | authentication::syndrome_at(fault.addr).unwrap_or(0);
    }
    let (class, write) = match fault.access {
        Access::Read => (DATA_ABORT, 0),
        Access::Write => (DATA_ABORT, WNR),
        Access::Fetch => (INSTRUCTION_ABORT, 0),
    };
    let status = match fault.cause {
        _ if fault.addr.0 >= TASK_SIZE => TRANSLATION_LEVEL_0,
        Cause::Unmapped => TRANSLATION_LEVEL_3,
        Cause::Forbidden => PERMISSION_LEVEL_3,
        Cause::Misaligned | Cause::Left => ALIGNMENT,
    };
    class << 26 | IL | write | status
}

fn is_misaligned_pc(fault: &MemoryFault) -> bool {
    (fault.access, fault.cause) == (Access::Fetch, Cause::Misaligned)
}

/// Whether the kernel tells of the address: it does of an access's.
fn is_told(frame: &CpuFrame, fault: &MemoryFault) -> bool {
    !is_misaligned_pc(fault) && fault.cause != Cause::Left && !stack::is_misaligned(frame, fault)
}

fn save(frame: &CpuFrame, fault: Option<&MemoryFault>) -> SignalContext {
    SignalContext {
        fault_address: fault.filter(|fault| is_told(frame, fault)).map_or(0, |f| f.addr.0),
        regs: std::array::from_fn(|n| frame.get(x(n as u8))),
        sp: frame.get(slot::SP),
        pc: frame.pc,
        pstate: pstate(frame),
        align: 0,
    }
}

fn save_fpsimd(frame: &CpuFrame) -> FpsimdContext {
    FpsimdContext {
        head: Head { magic: FPSIMD_MAGIC, size: size_of::<FpsimdContext>() as u32 },
        fpsr: fpsr(frame) as u32,
        fpcr: fpcr(frame) as u32,
        vregs: std::array::from_fn(|n| vector(frame, n as u8)),
    }
}

/// The end of the list of records.
fn last_records(frame: &CpuFrame, fault: Option<&MemoryFault>) -> [EsrContext; 2] {
    let end = EsrContext { head: END, esr: 0 };
    let head = Head { magic: ESR_MAGIC, size: size_of::<EsrContext>() as u32 };
    fault.map_or([end; 2], |fault| [EsrContext { head, esr: syndrome(frame, fault) }, end])
}

/// Every return from the kernel does so.
fn open_monitor(frame: &mut CpuFrame) {
    frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
}

/// Writes a frame and sets the registers up for the handler.
pub(super) fn enter(
    frame: &mut CpuFrame,
    place: GuestVirt,
    entry: &SignalEntry,
) -> Result<(), Errno> {
    let fault = entry.fault.as_ref();
    let context = UserContext {
        flags: 0,
        link: 0,
        stack: entry.altstack,
        sigmask: entry.blocked.0,
        unused: [0; 120],
        align: 0,
        context: save(frame, fault),
    };
    let record = FrameRecord { fp: frame.get(x(29)), lr: frame.get(x(30)) };
    let record_place = place.wrapping_add(FRAME_BYTES);
    UserPtr::new(record_place).write(record)?;
    let (fpsimd, last) = (save_fpsimd(frame), last_records(frame, fault));
    UserPtr::new(place).write(Frame { info: entry.info.0, context, fpsimd, last })?;
    frame.set(X0, entry.info.signal() as u64);
    if entry.wants_info {
        frame.set(x(1), place.0);
        frame.set(x(2), place.0 + SigInfo::BYTES as u64);
    }
    frame.set(x(29), record_place.0);
    frame.set(x(30), entry.trampoline.unwrap_or_default().0);
    frame.set(slot::SP, place.0);
    frame.set(slot::TCO, 0);
    frame.pc = entry.handler.0;
    open_monitor(frame);
    Ok(())
}

/// Restores the registers from the frame at the stack pointer.
pub(super) fn leave(frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
    let sp = GuestVirt(frame.get(slot::SP));
    if !sp.0.is_multiple_of(16) {
        return Err(Errno::EFAULT);
    }
    let context_place = sp.wrapping_add(SigInfo::BYTES as u64);
    let saved = UserPtr::<UserContext>::new(context_place).read()?;
    check_pstate(saved.context.pstate)?;
    let fpsimd = find_fpsimd(sp)?.read()?;
    restore(frame, &saved.context, &fpsimd);
    Ok(SignalReturn { blocked: SigSet(saved.sigmask), altstack: saved.stack })
}

/// Whether it is a program's: no other exception level, no other instruction set, nothing masked.
fn check_pstate(value: u64) -> Result<(), Errno> {
    const DAIF: u64 = 0xf << 6;
    if value & (pstate::MODE | DAIF) == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

fn restore(frame: &mut CpuFrame, context: &SignalContext, fpsimd: &FpsimdContext) {
    for (n, &value) in context.regs.iter().enumerate() {
        frame.set(x(n as u8), value);
    }
    key::set_sp(frame, context.sp);
    frame.pc = context.pc;
    set_pstate(frame, context.pstate);
    for (n, &value) in fpsimd.vregs.iter().enumerate() {
        set_vector(frame, n as u8, value);
    }
    set_fpsr(frame, u64::from(fpsimd.fpsr));
    set_fpcr(frame, u64::from(fpsimd.fpcr));
    open_monitor(frame);
}

/// A stretch of memory with records.
#[derive(Clone, Copy)]
struct Records {
    base: GuestVirt,
    offset: u64,
    limit: u64,
}

impl Records {
    /// Takes the next record, or says `None` for the end mark.
    ///
    /// # Errors
    /// `EFAULT`; `EINVAL`: a size is wrong.
    fn next(&mut self) -> Result<Option<(Head, GuestVirt)>, Errno> {
        let left = self.limit - self.offset;
        if left < size_of::<Head>() as u64 || !self.offset.is_multiple_of(16) {
            return Err(Errno::EINVAL);
        }
        let at = self.base.wrapping_add(self.offset);
        let head = UserPtr::<Head>::new(at).read()?;
        let size = u64::from(head.size);
        match head.magic {
            0 if size == 0 => return Ok(None),
            0 => return Err(Errno::EINVAL),
            _ if size < size_of::<Head>() as u64 || size > left => return Err(Errno::EINVAL),
            _ => self.offset += size,
        }
        Ok(Some((head, at)))
    }
}

/// Goes through the records of a frame, which must be known ones and hold the vector registers once.
fn find_fpsimd(frame: GuestVirt) -> Result<UserPtr<FpsimdContext>, Errno> {
    let base = frame.wrapping_add(FRAME_HEAD_BYTES);
    let mut records = Records { base, offset: 0, limit: RECORDS_BYTES };
    let (mut fpsimd, mut has_extra) = (None, false);
    while let Some((head, at)) = records.next()? {
        match head.magic {
            FPSIMD_MAGIC if fpsimd.is_none() => fpsimd = Some((head, at)),
            ESR_MAGIC => {}
            EXTRA_MAGIC if !has_extra => {
                has_extra = true;
                records = extra_records(frame, &records, head, at)?;
            }
            _ => return Err(Errno::EINVAL),
        }
    }
    match fpsimd {
        Some((head, at)) if head.size as usize == size_of::<FpsimdContext>() => {
            Ok(UserPtr::new(at))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The records that follow the frame, where one says that they do: after an end mark.
fn extra_records(
    frame: GuestVirt,
    records: &Records,
    head: Head,
    at: GuestVirt,
) -> Result<Records, Errno> {
    let has_room = records.limit - records.offset >= END_BYTES;
    if (head.size as usize) < size_of::<ExtraContext>() || !has_room {
        return Err(Errno::EINVAL);
    }
    let extra = UserPtr::<ExtraContext>::new(at).read()?;
    let end = at.wrapping_add(u64::from(head.size));
    let base = end.wrapping_add(END_BYTES);
    let limit = u64::from(extra.size);
    let room = frame.0.wrapping_add(FRAME_MAX).wrapping_sub(base.0);
    let is_wrong = extra.data != base.0 || !base.0.is_multiple_of(16) || !limit.is_multiple_of(16);
    if UserPtr::<Head>::new(end).read()? != END || is_wrong || limit > room {
        return Err(Errno::EINVAL);
    }
    Ok(Records { base, offset: 0, limit })
}

#[cfg(test)]
mod tests;
