//! Helpers that access guest memory: CASP and STXP of doublewords, and FEAT_MOPS.
//!
//! Addresses in arguments are without tags; those in registers may have them. Registers are named by their numbers; 31
//! is XZR.

use base::addr::PAGE_SIZE;
use base::{GuestVirt, RegSlot};

use super::FrameRef;
use crate::aarch64::slot;
use crate::access;
use crate::guarded::{read, write};

fn x(frame: &FrameRef, n: u64) -> u64 {
    if n >= 31 { 0 } else { frame.get(RegSlot(n as u16)) }
}

fn set_x(frame: &mut FrameRef, n: u64, value: u64) {
    if n < 31 {
        frame.set(RegSlot(n as u16), value);
    }
}

fn pair(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Compares and exchanges 16 aligned bytes; what was there, or `None` if that faulted.
fn exchange(frame: &mut FrameRef, addr: u64, expected: u128, new: u128) -> Option<u128> {
    let place = frame.atomic_place(addr, 16).ok_or(access::Faulted);
    let old = place.and_then(|place| base::sys::access::compare_exchange128(place, expected, new));
    match old {
        Ok(old) => {
            frame.atomic_done(addr, 16);
            access::tell_exchange(GuestVirt(addr), 16, [old, expected, new]);
            Some(old)
        }
        Err(access::Faulted) => {
            frame.set_fault(addr);
            None
        }
    }
}

/// CASP of doublewords, of any order: registers `s` and the next, `t` and the next, both even. The address is
/// aligned.
pub(super) fn casp(mut frame: FrameRef, addr: u64, s: u64, t: u64) -> u64 {
    let expected = pair(x(&frame, s), x(&frame, s + 1));
    let new = pair(x(&frame, t), x(&frame, t + 1));
    if let Some(old) = exchange(&mut frame, addr, expected, new) {
        set_x(&mut frame, s, old as u64);
        set_x(&mut frame, s + 1, (old >> 64) as u64);
    }
    0
}

/// STXP, STLXP of doublewords: what the status register gets. The address is aligned.
pub(super) fn stxp(mut frame: FrameRef, addr: u64, t: u64, t2: u64) -> u64 {
    let monitored = frame.get(slot::EXCLUSIVE_ADDR);
    let seen = pair(frame.get(slot::EXCLUSIVE_LO), frame.get(slot::EXCLUSIVE_HI));
    if monitored != addr {
        frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
        return 1;
    }
    let new = pair(x(&frame, t), x(&frame, t2));
    match exchange(&mut frame, addr, seen, new) {
        Some(old) => {
            frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
            u64::from(old != seen)
        }
        None => 0,
    }
}

/// How many bytes a MOPS instruction does at most before it lets the CPU look at interrupts.
const STEP: u64 = 1 << 16;
/// How many of them at once.
const CHUNK: u64 = PAGE_SIZE;
/// The greatest sizes that the prologues let pass (Arm ARM, CPYFP and SETP, and CPYP).
const GREATEST: u64 = i64::MAX as u64;
const GREATEST_EITHER_WAY: u64 = 0x007f_ffff_ffff_ffff;

/// An address without its tag.
fn untagged(addr: u64) -> GuestVirt {
    GuestVirt(addr & ((1 << 56) - 1))
}

/// How many of the bytes from `to` on lie on its page. A store of as many faults at its first byte or not at all, so
/// that what is left to do is always what the registers say: bytes that are copied once more may
/// have been overwritten by their own copies.
fn on_page_from(to: GuestVirt) -> u64 {
    PAGE_SIZE - to.page_offset()
}

/// The same of the bytes before `end`.
fn on_page_before(end: GuestVirt) -> u64 {
    end.wrapping_offset(-1).page_offset() + 1
}

/// Whether registers are in the format of option B, which a program can only have from elsewhere (a signal frame that
/// it made up): PSTATE.C.
fn is_option_b(frame: &FrameRef) -> bool {
    frame.get(slot::NZCV) & 1 << 29 != 0
}

/// Numbers of the registers of a MOPS instruction as a helper gets them, a byte each: destination, source (or data),
/// size.
fn registers(packed: u64) -> [u64; 3] {
    [packed & 0xff, packed >> 8 & 0xff, packed >> 16 & 0xff]
}

/// SETP: registers as option A has them (Arm ARM, SETP): `d` behind the end, `n` the size, negative.
/// No byte is set yet. `packed` has the numbers of d, s and n, here and below; s may be 31.
pub(super) fn setp(mut frame: FrameRef, packed: u64) -> u64 {
    start_set(&mut frame, packed);
    0
}

fn start_set(frame: &mut FrameRef, packed: u64) {
    let [d, _, n] = registers(packed);
    let size = x(frame, n).min(GREATEST);
    let start = x(frame, d);
    set_x(frame, d, start.wrapping_add(size));
    set_x(frame, n, size.wrapping_neg());
    frame.set(slot::NZCV, 0);
}

/// SETM, SETE: sets at most [`STEP`] bytes. 1 if any are left to set, by executing the instruction again.
pub(super) fn set(mut frame: FrameRef, packed: u64) -> u64 {
    let [d, s, n] = registers(packed);
    if is_option_b(&frame) {
        start_set(&mut frame, packed);
    }
    let bytes = [x(&frame, s) as u8; CHUNK as usize];
    for _ in 0..STEP / CHUNK {
        let left = x(&frame, n).wrapping_neg();
        if left == 0 || left > GREATEST {
            return 0;
        }
        let size = left.min(CHUNK);
        let to = untagged(x(&frame, d).wrapping_sub(left));
        if write(&mut frame, to, &bytes[..size as usize]).is_err() {
            return 0;
        }
        set_x(&mut frame, n, (left - size).wrapping_neg());
    }
    u64::from(x(&frame, n) != 0)
}

/// CPYFP: registers as option A has them for copying forward: `d` and `s` behind the ends, `n` the size, negative.
pub(super) fn cpyfp(mut frame: FrameRef, packed: u64) -> u64 {
    let [_, _, n] = registers(packed);
    let size = x(&frame, n).min(GREATEST);
    start_forward(&mut frame, packed, size);
    0
}

fn start_forward(frame: &mut FrameRef, packed: u64, size: u64) {
    let [d, s, n] = registers(packed);
    for register in [d, s] {
        let start = x(frame, register);
        set_x(frame, register, start.wrapping_add(size));
    }
    set_x(frame, n, size.wrapping_neg());
    frame.set(slot::NZCV, 0);
}

/// CPYP: the same, or for copying backward: `d` and `s` at the starts, `n` the size, positive.
pub(super) fn cpyp(mut frame: FrameRef, packed: u64) -> u64 {
    let [d, s, n] = registers(packed);
    let size = x(&frame, n).min(GREATEST_EITHER_WAY);
    let address = |register| x(&frame, register) & ((1 << 56) - 1);
    let (to, from) = (address(d), address(s));
    if from < to && to < from + size {
        set_x(&mut frame, n, size);
        frame.set(slot::NZCV, 0);
    } else {
        start_forward(&mut frame, packed, size);
    }
    0
}

/// Registers of option B as those of option A: there both addresses move, N says backward, and `n` is positive.
fn to_option_a(frame: &mut FrameRef, packed: u64) {
    let [d, s, n] = registers(packed);
    let size = x(frame, n);
    if frame.get(slot::NZCV) >> 31 & 1 == 0 {
        start_forward(frame, packed, size);
        return;
    }
    for register in [d, s] {
        let end = x(frame, register);
        set_x(frame, register, end.wrapping_sub(size));
    }
    frame.set(slot::NZCV, 0);
}

/// CPYFM, CPYFE, CPYM, CPYE: copies at most [`STEP`] bytes. 1 if any are left to copy, by executing the instruction
/// again.
pub(super) fn cpy(mut frame: FrameRef, packed: u64) -> u64 {
    let [d, s, n] = registers(packed);
    if is_option_b(&frame) {
        to_option_a(&mut frame, packed);
    }
    let mut buffer = [0; CHUNK as usize];
    for _ in 0..STEP / CHUNK {
        let count = x(&frame, n);
        if count == 0 {
            return 0;
        }
        let backward = count <= GREATEST;
        let left = if backward { count } else { count.wrapping_neg() };
        let at = |register, offset| untagged(x(&frame, register).wrapping_add(offset));
        let fitting = match backward {
            true => on_page_before(at(d, left)),
            false => on_page_from(at(d, left.wrapping_neg())),
        };
        let size = left.min(fitting);
        let offset = if backward { left - size } else { left.wrapping_neg() };
        let [to, from] = [d, s].map(|register| at(register, offset));
        let bytes = &mut buffer[..size as usize];
        let copied = read(&mut frame, bytes, from).and_then(|()| write(&mut frame, to, bytes));
        if copied.is_err() {
            return 0;
        }
        let rest = left - size;
        set_x(&mut frame, n, if backward { rest } else { rest.wrapping_neg() });
    }
    u64::from(x(&frame, n) != 0)
}

#[cfg(test)]
mod tests {
    use base::CpuFrame;
    use base::sys::fault;

    use super::super::{CASP, CPY, CPYFP, CPYP, SET, SETP, STXP, call};
    use super::*;

    /// x0, x1 and x2 as destination, source and size.
    const REGISTERS: u64 = 0x02_01_00;

    fn frame(registers: &[u64]) -> Box<CpuFrame> {
        fault::install();
        let mut frame = CpuFrame::new();
        frame.slots[..registers.len()].copy_from_slice(registers);
        frame
    }

    fn run(frame: &mut CpuFrame, id: base::HelperId, args: [u64; 3]) -> u64 {
        call(frame, id, [args[0], args[1], args[2], 0]).unwrap()
    }

    /// Repeats an instruction until it is done; how often it asked for more.
    fn finish(frame: &mut CpuFrame, id: base::HelperId) -> u32 {
        let mut more = 0;
        while run(frame, id, [REGISTERS, 0, 0]) == 1 {
            more += 1;
        }
        more
    }

    #[repr(align(64))]
    struct Aligned([u64; 16]);

    #[test]
    fn addresses_may_have_tags() {
        let mut memory = Box::new(Aligned([0x11; 16]));
        let addr = &raw mut memory.0[0] as u64;
        let mut frame = frame(&[addr | 0x5a << 56, (addr + 64) | 0xff << 56, 16]);
        run(&mut frame, CPYP, [REGISTERS, 0, 0]);
        memory.0[8] = 0x22;
        assert_eq!(finish(&mut frame, CPY), 0);
        assert_eq!((frame.fault, memory.0[0], memory.0[1], memory.0[2]), (0, 0x22, 0x11, 0x11));
        frame.slots[..3].copy_from_slice(&[addr | 0x80 << 56, 0x33, 8]);
        run(&mut frame, SETP, [REGISTERS, 0, 0]);
        assert_eq!(finish(&mut frame, SET), 0);
        assert_eq!((frame.fault, memory.0[0], memory.0[1]), (0, 0x3333_3333_3333_3333, 0x11));
    }

    #[test]
    fn pairs_are_exchanged_at_once() {
        let mut memory = Box::new(Aligned([0; 16]));
        (memory.0[2], memory.0[3]) = (1, 2);
        let addr = &raw mut memory.0[2] as u64;
        let mut frame = frame(&[1, 2, 3, 4]);
        run(&mut frame, CASP, [addr, 0, 2]);
        assert_eq!((frame.slots[0], frame.slots[1], memory.0[2], memory.0[3]), (1, 2, 3, 4));
        // What is there differs in the high half alone; the pair that ends with XZR is 0.
        (frame.slots[0], frame.slots[1], frame.slots[30]) = (3, 5, 9);
        run(&mut frame, CASP, [addr, 0, 30]);
        assert_eq!((frame.slots[0], frame.slots[1], memory.0[2], memory.0[3]), (3, 4, 3, 4));
        run(&mut frame, CASP, [addr, 0, 30]);
        assert_eq!((memory.0[2], memory.0[3]), (9, 0));
        run(&mut frame, CASP, [0x10, 0, 2]);
        assert_eq!((frame.fault, frame.fault_addr), (1, 0x10));
    }

    /// What a load exclusive of a pair that read `seen` leaves.
    fn monitor(frame: &mut CpuFrame, addr: u64, seen: [u64; 2]) {
        frame.set(slot::EXCLUSIVE_ADDR, addr);
        frame.set(slot::EXCLUSIVE_LO, seen[0]);
        frame.set(slot::EXCLUSIVE_HI, seen[1]);
    }

    #[test]
    fn exclusives_fail_when_memory_has_changed() {
        let mut memory = Box::new(Aligned([7; 16]));
        let addr = &raw mut memory.0[0] as u64;
        let mut frame = frame(&[0, 0, 8, 9]);
        assert_eq!(run(&mut frame, STXP, [addr, 2, 3]), 1, "nothing is monitored");
        monitor(&mut frame, addr, [7, 7]);
        assert_eq!(run(&mut frame, STXP, [addr, 2, 3]), 0);
        assert_eq!(memory.0[..3], [8, 9, 7]);
        assert_eq!(run(&mut frame, STXP, [addr, 2, 3]), 1, "the monitor is open");
        monitor(&mut frame, addr, [8, 9]);
        memory.0[1] = 10;
        assert_eq!(run(&mut frame, STXP, [addr, 2, 3]), 1, "memory has changed");
        assert_eq!(memory.0[..2], [8, 10]);
        assert_eq!(frame.fault, 0);
        monitor(&mut frame, 0x20, [8, 9]);
        run(&mut frame, STXP, [0x20, 2, 3]);
        assert_eq!((frame.fault, frame.fault_addr), (1, 0x20));
    }

    #[test]
    fn memory_is_set() {
        let mut memory = vec![0_u8; 300_000];
        let start = memory.as_mut_ptr() as u64;
        let mut frame = frame(&[start + 1, 0x1_55, 299_998]);
        run(&mut frame, SETP, [REGISTERS, 0, 0]);
        let behind = start + 299_999;
        assert_eq!(frame.slots[..3], [behind, 0x155, 299_998_u64.wrapping_neg()]);
        assert_eq!(finish(&mut frame, SET), 4);
        assert_eq!(frame.slots[..3], [behind, 0x155, 0]);
        assert!(memory[1..299_999].iter().all(|&byte| byte == 0x55));
        assert_eq!((memory[0], memory[299_999]), (0, 0));
    }

    /// Copies within a buffer and compares with what the standard library does.
    fn copies(id: base::HelperId, to: usize, from: usize, size: usize, registers: [usize; 2]) {
        let mut memory: Vec<u8> = (0..300_000_usize).map(|i| (i * 7 + i / 256) as u8).collect();
        let mut expected = memory.clone();
        expected.copy_within(from..from + size, to);
        let start = memory.as_mut_ptr() as u64;
        let mut frame = frame(&[start + to as u64, start + from as u64, size as u64]);
        frame.set(slot::NZCV, 0xf000_0000);
        run(&mut frame, id, [REGISTERS, 0, 0]);
        finish(&mut frame, CPY);
        assert!(memory == expected, "{to} {from} {size}");
        let registers = registers.map(|at| start + at as u64);
        assert_eq!(frame.slots[..3], [registers[0], registers[1], 0]);
        assert_eq!((frame.get(slot::NZCV), frame.fault), (0, 0));
    }

    #[test]
    fn memory_is_copied_in_either_direction() {
        copies(CPYP, 1000, 5000, 3000, [4000, 8000]);
        copies(CPYP, 1000, 1500, 200_000, [201_000, 201_500]);
        copies(CPYP, 1500, 1000, 200_000, [1500, 1000]);
        copies(CPYP, 150_000, 1000, 100_000, [250_000, 101_000]);
        copies(CPYP, 1000, 1000, 100, [1100, 1100]);
        copies(CPYP, 8000, 1000, 0, [8000, 1000]);
        copies(CPYFP, 1000, 1500, 200_000, [201_000, 201_500]);
    }

    #[test]
    fn a_copy_stops_where_memory_ends() {
        let mut memory = vec![1_u8; 10_000];
        let start = memory.as_mut_ptr() as u64;
        // To page 1, where nobody has anything.
        let mut frame = frame(&[0x1000, start, 10_000]);
        run(&mut frame, CPYP, [REGISTERS, 0, 0]);
        assert_eq!(run(&mut frame, CPY, [REGISTERS, 0, 0]), 0);
        assert_eq!((frame.fault, frame.fault_addr), (1, 0x1000));
        assert_eq!(frame.slots[2], 10_000_u64.wrapping_neg());
        assert!(fault::last_fault().write);
    }

    #[test]
    fn registers_of_the_other_option_are_understood() {
        let mut memory: Vec<u8> = (0..100).collect();
        let start = memory.as_mut_ptr() as u64;
        // Forward, C set: both registers are where the rest begins.
        let mut frame = frame(&[start + 50, start, 10]);
        frame.set(slot::NZCV, 1 << 29);
        assert_eq!(run(&mut frame, CPY, [REGISTERS, 0, 0]), 0);
        assert_eq!(memory[49..61], [49, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 60]);
        // Backward, N and C set: behind where it ends.
        frame.slots[..3].copy_from_slice(&[start + 15, start + 10, 10]);
        frame.set(slot::NZCV, 5 << 29);
        assert_eq!(run(&mut frame, CPY, [REGISTERS, 0, 0]), 0);
        assert_eq!(memory[..16], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15]);
        frame.slots[..3].copy_from_slice(&[start + 90, 0xff, 5]);
        frame.set(slot::NZCV, 1 << 29);
        assert_eq!(run(&mut frame, SET, [REGISTERS, 0, 0]), 0);
        assert_eq!(memory[89..96], [89, 255, 255, 255, 255, 255, 95]);
    }
}
