use std::mem::offset_of;

use arch::x86_64::mxcsr;
use arch::x86_64::slot::{fpr, xmm, ymm_high};

use super::*;
use crate::memory::{AddressSpace, MapRequest};

/// A page of guest memory, and its end.
fn stack() -> GuestVirt {
    base::sys::fault::install();
    let request = MapRequest::anonymous(GuestVirt(0), 0x2000);
    AddressSpace::current().map(&request).unwrap().wrapping_add(0x2000)
}

fn entry(stack: GuestVirt) -> SignalEntry {
    SignalEntry {
        handler: GuestVirt(0x40_1000),
        info: SigInfo::fault(libc::SIGSEGV, 1, GuestVirt(0x1238)),
        wants_info: true,
        stack,
        trampoline: Some(GuestVirt(0x40_2000)),
        blocked: SigSet(0x55),
        altstack: UserStack { sp: 1, flags: 2, pad: 0, size: 3 },
        fault: None,
        trap: Trap { number: 14, error: 6, address: GuestVirt(0x1238) },
    }
}

/// Registers that all differ.
fn filled() -> Box<CpuFrame> {
    let mut frame = CpuFrame::new();
    arch::x86_64::reset(&mut frame);
    (0..16).for_each(|n| frame.set(gpr(n), 0x100 + u64::from(n)));
    for n in 0..16 {
        frame.set(xmm(n), 0x200 + u64::from(n));
        frame.set(RegSlot(xmm(n).0 + 1), 0x300 + u64::from(n));
        frame.set(ymm_high(n), 0x400 + u64::from(n));
    }
    (0..8).for_each(|n| frame.set(fpr(n), 0x500 + u64::from(n)));
    frame.set(slot::FSW, 3 << 11 | 0x41);
    frame.set(slot::FTW, 0xe8);
    frame.set(slot::FS_BASE, 0x7777);
    mxcsr::set(&mut frame, 0x9fa1);
    flags::set_eflags(&mut frame, flags::IF | flags::DF | flags::OF | flags::AF);
    frame.pc = 0x40_0123;
    frame
}

fn word(at: u64) -> u64 {
    UserPtr::<u64>::new(GuestVirt(at)).read().unwrap()
}

/// The offsets of glibc's `ucontext_t`.
#[test]
fn the_layout_is_the_kernels() {
    assert_eq!(offset_of!(Frame, context), 8);
    assert_eq!(offset_of!(Frame, info), 312);
    assert_eq!(offset_of!(UserContext, context), 40);
    assert_eq!(offset_of!(UserContext, sigmask), 40 + 256);
    assert_eq!(offset_of!(SignalContext, rip), 128);
    assert_eq!(offset_of!(SignalContext, cs), 144);
    assert_eq!(offset_of!(SignalContext, cr2), 176);
    assert_eq!(offset_of!(SignalContext, fpstate), 184);
}

#[test]
fn handlers_find_the_stack_as_functions_do() {
    let max = CpuModel::default();
    let v1: CpuModel = "x86-64-v1".parse().unwrap();
    for stack in 0x2_0000..0x2_0080 {
        for cpu in [&max, &v1] {
            let place = frame_place(cpu, GuestVirt(stack)).0;
            assert_eq!(place % 16, 8);
            assert!(stack - place <= stack_bytes(cpu) + 8);
        }
    }
    assert_eq!(stack_bytes(&max), 1360);
}

#[test]
fn every_register_survives_a_handler() {
    for cpu in ["max", "x86-64-v1"].map(|model| model.parse::<CpuModel>().unwrap()) {
        let stack = stack();
        let mut frame = filled();
        if !cpu.has(arch::x86_64::feature::Feature::AVX) {
            (0..16).for_each(|n| frame.set(ymm_high(n), 0));
        }
        let before: Vec<u64> = frame.slots.to_vec();
        let eflags_before = eflags(&frame);
        let key = frame.key_flags;
        let place = frame_place(&cpu, stack);
        enter(&cpu, &mut frame, place, &entry(stack)).unwrap();
        assert_eq!((frame.pc, frame.get(RSP)), (0x40_1000, place.0));
        assert_eq!((frame.get(RDI), frame.get(RSI)), (11, place.0 + 312));
        assert_eq!((frame.get(RDX), frame.get(RAX)), (place.0 + 8, 0));
        assert_eq!((mxcsr::get(&frame), frame.get(slot::FTW)), (mxcsr::INIT, 0));
        assert_eq!(eflags(&frame) & flags::DF, 0);
        let context = place.0 + 8 + 40;
        assert_eq!((word(place.0), word(context + 128)), (0x40_2000, 0x40_0123));
        assert_eq!((word(context + 152), word(context + 160)), (6, 14));
        assert_eq!(word(context + 176), 0x1238);
        // ST(0) is physical register 3; the tags are of physical registers.
        let state = word(context + 184);
        assert_eq!((state % 64, word(state + 32), word(state + 4) as u8), (0, 0x503, 0xe8));
        assert_eq!(word(state + 24) as u32, 0x9fa1);
        frame.set(RSP, frame.get(RSP) + 8);
        let returned = leave(&cpu, &mut frame).unwrap();
        assert_eq!((returned.blocked.0, returned.altstack.size), (0x55, 3));
        assert_eq!((frame.pc, frame.key_flags), (0x40_0123, key));
        assert_eq!(eflags(&frame), eflags_before);
        // The flags' values may differ, what they say does not.
        let flags_slots = 16..=20;
        for n in (0..before.len()).filter(|n| !flags_slots.contains(n)) {
            assert_eq!(frame.slots[n], before[n], "slot {n}");
        }
    }
}

#[test]
fn states_are_marked_as_the_kernel_marks_them() {
    let (cpu, stack) = (CpuModel::default(), stack());
    let mut frame = filled();
    let place = frame_place(&cpu, stack);
    enter(&cpu, &mut frame, place, &entry(stack)).unwrap();
    let state = word(place.0 + 8 + 40 + 184);
    assert_eq!(word(place.0 + 8), 7, "uc_flags");
    assert_eq!(word(state + 464), 836 << 32 | 0x4650_5853);
    assert_eq!((word(state + 472), word(state + 480) as u32), (7, 832));
    assert_eq!((word(state + 512), word(state + 520)), (7, 0));
    assert_eq!(UserPtr::<u32>::new(GuestVirt(state + 832)).read(), Ok(0x4650_5845));
    // Without the second magic number only the legacy region counts.
    UserPtr::<u32>::new(GuestVirt(state + 832)).write(0).unwrap();
    frame.set(RSP, place.0 + 8);
    leave(&cpu, &mut frame).unwrap();
    assert_eq!((frame.get(xmm(1)), frame.get(ymm_high(1))), (0x201, 0));
}

#[test]
fn frames_that_no_cpu_would_take_are_refused() {
    let (cpu, stack) = (CpuModel::default(), stack());
    let place = frame_place(&cpu, stack);
    let spoilt = |at: u64, value: u64| {
        let mut frame = filled();
        enter(&cpu, &mut frame, place, &entry(stack)).unwrap();
        let state = word(place.0 + 8 + 40 + 184);
        let at = if at < 1000 { state + at } else { place.0 + at - 1000 };
        UserPtr::<u64>::new(GuestVirt(at)).write(value).unwrap();
        frame.set(RSP, place.0 + 8);
        leave(&cpu, &mut frame)
    };
    assert!(spoilt(24, 0x1_0000).is_err(), "MXCSR");
    assert!(spoilt(512, 15).is_err(), "XSTATE_BV");
    assert!(spoilt(520, 1 << 63).is_err(), "XCOMP_BV");
    assert!(spoilt(1000 + 8 + 40 + 144, 0x23).is_err(), "CS of 32-bit programs");
    assert!(spoilt(1000 + 8 + 40 + 184, 0).is_ok(), "no state");
    let mut frame = filled();
    let without = SignalEntry { trampoline: None, ..entry(stack) };
    assert_eq!(enter(&cpu, &mut frame, place, &without), Err(Errno::EFAULT));
}
