use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use syscalls::Sysno;

use super::*;
use crate::host::{self, args};
use crate::signal::Trap;
use crate::user::UserSlice;

/// The offsets that aarch64 glibc's `ucontext_t` and the kernel's headers agree on.
#[test]
fn the_layout_is_the_kernels() {
    assert_eq!(offset_of!(Frame, context), 128);
    assert_eq!(offset_of!(UserContext, stack), 16);
    assert_eq!(offset_of!(UserContext, sigmask), 40);
    assert_eq!(offset_of!(UserContext, context), 176);
    assert_eq!(offset_of!(SignalContext, regs), 8);
    assert_eq!(offset_of!(SignalContext, sp), 256);
    assert_eq!(offset_of!(SignalContext, pstate), 272);
    assert_eq!(offset_of!(Frame, fpsimd), 128 + 176 + 288);
    assert_eq!(offset_of!(Frame, fpsimd) as u64, FRAME_HEAD_BYTES);
    assert_eq!(size_of::<FpsimdContext>(), 0x210);
    assert_eq!(size_of::<EsrContext>(), 16);
    assert_eq!(size_of::<ExtraContext>(), 32);
    assert!(size_of::<Frame>() as u64 <= FRAME_BYTES);
    assert_eq!(STACK_BYTES, 4720);
}

#[test]
fn frames_are_aligned_below_the_stacks_end() {
    assert_eq!(frame_place(GuestVirt(0x2_0000)), GuestVirt(0x2_0000 - 16 - 4688));
    assert_eq!(frame_place(GuestVirt(0x2_000f)), GuestVirt(0x2_0000 - 16 - 4688));
    assert_eq!(frame_place(GuestVirt(8)).0 & 0xf, 0, "wraps, and will fault");
}

/// Memory for a stack, in the guest's window.
fn stack() -> GuestVirt {
    const LEN: u64 = 0x1_0000;
    static NEXT: AtomicU64 = AtomicU64::new(0x3000_0000);
    base::sys::fault::install();
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let at = NEXT.fetch_add(2 * LEN, Ordering::Relaxed);
    assert_eq!(host::call(Sysno::mmap, args![at, LEN, prot, flags, -1, 0]), Ok(at));
    GuestVirt(at + LEN)
}

fn filled() -> Box<CpuFrame> {
    let mut frame = CpuFrame::new();
    (0..31).for_each(|n| frame.set(x(n), 100 + u64::from(n)));
    (0..32).for_each(|n| set_vector(&mut frame, n, [u64::from(n), !u64::from(n)]));
    set_fpsr(&mut frame, 1 << 27 | 0x1f);
    set_fpcr(&mut frame, 1 << 22 | 1 << 25);
    set_pstate(&mut frame, 0x6000_1000 | pstate::TCO);
    frame.set(slot::SP, 0x7777_0000);
    frame.set(slot::EXCLUSIVE_ADDR, 0x1000);
    frame.pc = 0x40_0000;
    frame
}

fn entry(fault: Option<MemoryFault>) -> SignalEntry {
    SignalEntry {
        handler: GuestVirt(0x40_1000),
        info: SigInfo::fault(libc::SIGSEGV, 1, GuestVirt(0x1238)),
        wants_info: true,
        stack: GuestVirt(0),
        trampoline: Some(GuestVirt(0x40_2000)),
        blocked: SigSet(0x55),
        altstack: UserStack { sp: 1, flags: 0, pad: 0, size: 2 },
        fault,
        trap: Trap::default(),
    }
}

fn word(at: GuestVirt, offset: u64) -> u64 {
    UserPtr::new(at.wrapping_add(offset)).read().unwrap()
}

fn put(at: GuestVirt, offset: u64, value: u64) {
    UserPtr::new(at.wrapping_add(offset)).write(value).unwrap();
}

/// A frame on a stack of its own, whose records may be changed.
fn entered(fault: Option<MemoryFault>) -> (Box<CpuFrame>, GuestVirt) {
    let mut frame = filled();
    let place = frame_place(stack());
    enter(&mut frame, place, &entry(fault)).unwrap();
    (frame, place)
}

#[test]
fn a_handler_finds_what_the_kernel_gives_it() {
    let (frame, place) = entered(None);
    assert_eq!(frame.pc, 0x40_1000);
    assert_eq!(frame.get(slot::SP), place.0);
    assert_eq!([0, 1, 2].map(|n| frame.get(x(n))), [11, place.0, place.0 + 128]);
    assert_eq!((frame.get(x(3)), frame.get(x(30))), (103, 0x40_2000));
    assert_eq!(frame.get(x(29)), place.0 + 4688);
    assert_eq!([4688, 4696].map(|at| word(place, at)), [129, 130], "the frame record");
    assert_eq!(pstate(&frame), 0x6000_1000, "tag checks are not overridden");
    assert_eq!(frame.get(slot::EXCLUSIVE_ADDR), slot::NO_EXCLUSIVE);
    let context = 128 + 176;
    assert_eq!((word(place, 0) as u32, word(place, 16)), (11, 0x1238));
    assert_eq!((word(place, 128 + 16), word(place, 128 + 40)), (1, 0x55));
    assert_eq!(word(place, context), 0, "no fault address");
    assert_eq!(word(place, context + 8 + 8 * 30), 130);
    assert_eq!(word(place, context + 256), 0x7777_0000);
    assert_eq!(word(place, context + 264), 0x40_0000);
    assert_eq!(word(place, context + 272), 0x6200_1000);
    let records = context + 288;
    assert_eq!(word(place, records), 0x210 << 32 | 0x4650_8001);
    assert_eq!(word(place, records + 8), (1 << 22 | 1 << 25) << 32 | 1 << 27 | 0x1f);
    assert_eq!(word(place, records + 16 + 31 * 16), 31);
    assert_eq!(word(place, records + 24 + 31 * 16), !31);
    assert_eq!(word(place, records + 0x210), 0, "the end");
}

#[test]
fn a_handler_that_wants_no_information_gets_none() {
    let mut frame = filled();
    let place = frame_place(stack());
    enter(&mut frame, place, &SignalEntry { wants_info: false, ..entry(None) }).unwrap();
    assert_eq!([0, 1, 2].map(|n| frame.get(x(n))), [11, 101, 102]);
}

#[test]
fn faults_are_told_with_their_syndrome() {
    let fault = |addr, access, cause| MemoryFault { addr: GuestVirt(addr), access, cause };
    let written = fault(0x1238, Access::Write, Cause::Forbidden);
    let (_, place) = entered(Some(written));
    let records = 128 + 176 + 288;
    assert_eq!(word(place, 128 + 176), 0x1238);
    assert_eq!(word(place, records + 0x210), 0x10 << 32 | 0x4553_5201);
    assert_eq!(word(place, records + 0x218), 0x9200_004f);
    assert_eq!(word(place, records + 0x220), 0, "the end");
    assert_eq!(
        syndrome(&CpuFrame::new(), &fault(0x1238, Access::Read, Cause::Unmapped)),
        0x9200_0007
    );
    assert_eq!(
        syndrome(&CpuFrame::new(), &fault(0x1238, Access::Fetch, Cause::Forbidden)),
        0x8200_000f
    );
    assert_eq!(
        syndrome(&CpuFrame::new(), &fault(1 << 48, Access::Write, Cause::Unmapped)),
        0x9200_0044
    );
    assert_eq!(syndrome(&CpuFrame::new(), &fault(1, Access::Read, Cause::Misaligned)), 0x9200_0021);
    let pc = fault(0x4002, Access::Fetch, Cause::Misaligned);
    assert_eq!(syndrome(&CpuFrame::new(), &pc), 0x8a00_0000);
    let (_, place) = entered(Some(pc));
    assert_eq!(word(place, 128 + 176), 0);
}

#[test]
fn every_register_survives_a_handler() {
    let (mut frame, _) = entered(None);
    (0..30).for_each(|n| frame.set(x(n), 0));
    (0..32).for_each(|n| set_vector(&mut frame, n, [0, 0]));
    set_fpcr(&mut frame, 0);
    set_fpsr(&mut frame, 0);
    let saved = leave(&mut frame).unwrap();
    assert_eq!((saved.blocked, saved.altstack.size), (SigSet(0x55), 2));
    let before = filled();
    assert_eq!(frame.pc, before.pc);
    assert_eq!(frame.key_flags, before.key_flags, "translations depend on the rounding mode");
    let monitor = slot::EXCLUSIVE_ADDR.index();
    assert_eq!(frame.get(slot::EXCLUSIVE_ADDR), slot::NO_EXCLUSIVE);
    assert_eq!(frame.slots[..monitor], before.slots[..monitor]);
    assert_eq!(frame.slots[monitor + 1..128], before.slots[monitor + 1..128]);
}

#[test]
fn frames_that_cannot_be_are_refused() {
    const RECORDS: u64 = 128 + 176 + 288;
    const PSTATE: u64 = 128 + 176 + 272;
    let after = |offset, value| {
        let (mut frame, place) = entered(None);
        put(place, offset, value);
        leave(&mut frame)
    };
    assert_eq!(after(PSTATE, 0x6000_0000).map(|_| ()), Ok(()));
    assert_eq!(after(PSTATE, 0x6000_0005), Err(Errno::EINVAL), "EL1");
    assert_eq!(after(PSTATE, 0x6000_0010), Err(Errno::EINVAL), "AArch32");
    assert_eq!(after(PSTATE, 0x6000_0080), Err(Errno::EINVAL), "interrupts are masked");
    assert_eq!(after(RECORDS, 0), Err(Errno::EINVAL), "no vector registers");
    assert_eq!(after(RECORDS, 0x200 << 32 | 0x4650_8001), Err(Errno::EINVAL), "too small");
    assert_eq!(after(RECORDS, 0x2000 << 32 | 0x4650_8001), Err(Errno::EINVAL), "too large");
    assert_eq!(after(RECORDS + 0x210, 16 << 32 | 0x4553_5201).map(|_| ()), Ok(()), "a syndrome");
    assert_eq!(after(RECORDS + 0x210, 16 << 32), Err(Errno::EINVAL), "an end with a size");
    assert_eq!(after(RECORDS + 0x210, 16 << 32 | 0x5356_4501), Err(Errno::EINVAL), "SVE");
    assert_eq!(after(RECORDS + 0x210, 8 << 32 | 0x4553_5201), Err(Errno::EINVAL), "alignment");
    assert_eq!(after(RECORDS + 0x210, 0x4553_5201), Err(Errno::EINVAL), "no end");
    let (mut frame, place) = entered(None);
    frame.set(slot::SP, place.0 + 8);
    assert_eq!(leave(&mut frame), Err(Errno::EFAULT));
    frame.set(slot::SP, 0x1_0000);
    assert_eq!(leave(&mut frame), Err(Errno::EFAULT));
}

/// The vector registers may have been moved behind the frame, as is done when other records need the room.
#[test]
fn records_may_go_on_behind_the_frame() {
    const RECORDS: u64 = 128 + 176 + 288;
    let start = |change: &dyn Fn(GuestVirt)| {
        let mut frame = filled();
        let place = frame_place(GuestVirt(stack().0 - 0x1000));
        enter(&mut frame, place, &entry(None)).unwrap();
        let slice = UserSlice::new(place.wrapping_add(RECORDS), 0x210).unwrap();
        let fpsimd = slice.read().unwrap();
        let extra = place.0 + RECORDS + 32;
        put(place, RECORDS, 32 << 32 | 0x4558_5401);
        put(place, RECORDS + 8, extra + 16);
        put(place, RECORDS + 16, 0x210 + 16);
        put(place, RECORDS + 32, 0);
        let moved = UserSlice::new(GuestVirt(extra + 16), 0x210).unwrap();
        moved.write(&fpsimd).unwrap();
        put(GuestVirt(extra + 16), 0x210, 0);
        change(place);
        set_vector(&mut frame, 7, [0, 0]);
        leave(&mut frame).map(|_| vector(&frame, 7))
    };
    assert_eq!(start(&|_| {}), Ok([7, !7]));
    let refused = |offset, value| {
        assert_eq!(start(&|place| put(place, offset, value)), Err(Errno::EINVAL), "{offset:#x}");
    };
    refused(RECORDS + 8, 0x1000);
    refused(RECORDS + 16, 0x218);
    refused(RECORDS + 16, 0x210);
    refused(RECORDS + 16, 0x10_0000);
    refused(RECORDS + 32, 1);
    refused(RECORDS, 16 << 32 | 0x4558_5401);
    refused(RECORDS + 48, 32 << 32 | 0x4558_5401);
}
