//! String instructions with a repeat prefix (SDM vol. 2, "REP/REPE/REPZ/REPNE/REPNZ"): each helper does a bounded part,
//! after which the registers say what is left, and says whether the instruction is to be executed again.

use base::GuestVirt;
use base::sys::fault;

use super::FrameRef;
use crate::access::{self, Direction, Faulted};
use crate::x86_64::slot;

const RAX: u8 = 0;
const RCX: u8 = 1;
const RSI: u8 = 6;
const RDI: u8 = 7;

/// How many bytes are moved or stored at most before the CPU looks at interrupts.
const STEP_BYTES: u64 = 1 << 16;
/// How many elements are loaded or compared at most.
const STEP_ELEMENTS: u64 = 1 << 12;

/// What a helper is told of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeat(u64);

const SHORT: u64 = 1 << 8;
const WHILE_DIFFERENT: u64 = 1 << 9;
const ONCE: u64 = 1 << 10;

impl Repeat {
    /// Of elements of 1, 2, 4 or 8 bytes.
    #[must_use]
    pub const fn of(bytes: u32) -> Self {
        Self(bytes as u64)
    }

    /// With addresses and count of 32 bits.
    #[must_use]
    pub const fn short(self) -> Self {
        Self(self.0 | SHORT)
    }

    /// REPNE: as long as elements are different.
    #[must_use]
    pub const fn while_different(self) -> Self {
        Self(self.0 | WHILE_DIFFERENT)
    }

    /// One element at a time: what comes between them is seen.
    #[must_use]
    pub const fn once(self) -> Self {
        Self(self.0 | ONCE)
    }

    /// With the base of the source's segment in a slot.
    #[must_use]
    pub const fn in_segment(self, base: base::RegSlot) -> Self {
        Self(self.0 | (base.0 as u64) << 16)
    }

    /// As it is passed to a helper.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    fn bytes(self) -> u32 {
        self.0 as u32 & 0xff
    }

    fn mask(self) -> u64 {
        if self.0 & SHORT == 0 { u64::MAX } else { 0xffff_ffff }
    }

    /// How many elements are done before the CPU looks at interrupts, if otherwise it would be so many.
    fn at_most(self, elements: u64) -> u64 {
        if self.0 & ONCE == 0 { elements } else { 1 }
    }

    fn stops_where_equal(self) -> bool {
        self.0 & WHILE_DIFFERENT != 0
    }
}

/// An instruction that is being executed.
struct Step<'f> {
    frame: &'f mut FrameRef,
    repeat: Repeat,
    direction: Direction,
    segment: u64,
}

impl<'f> Step<'f> {
    fn new(frame: &'f mut FrameRef, raw: u64) -> Self {
        let repeat = Repeat(raw);
        let direction = if frame.get(slot::DF) == 0 { Direction::Up } else { Direction::Down };
        let segment = match (raw >> 16) as u16 {
            0 => 0,
            base => frame.get(base::RegSlot(base)),
        };
        Self { frame, repeat, direction, segment }
    }

    /// Registers of 32 bits are written even if nothing is done.
    fn shorten(&mut self, registers: &[u8]) {
        for &n in registers {
            self.frame.set(slot::gpr(n), self.register(n));
        }
    }

    fn register(&self, n: u8) -> u64 {
        self.frame.get(slot::gpr(n)) & self.repeat.mask()
    }

    fn count(&self) -> u64 {
        self.register(RCX)
    }

    fn source(&self) -> GuestVirt {
        GuestVirt(self.segment.wrapping_add(self.register(RSI)))
    }

    fn destination(&self) -> GuestVirt {
        GuestVirt(self.register(RDI))
    }

    /// How many elements there are until an address register wraps, at least one.
    fn until_wrap(&self, register: u8) -> u64 {
        let (at, bytes) = (self.register(register), u64::from(self.repeat.bytes()));
        match self.direction {
            Direction::Up => ((self.repeat.mask() - at) / bytes).max(1),
            Direction::Down => at / bytes + 1,
        }
    }

    /// So many elements are done: address registers and the count say so.
    fn advance(&mut self, registers: &[u8], elements: u64) {
        if elements == 0 {
            return;
        }
        let distance = elements.wrapping_mul(u64::from(self.repeat.bytes()));
        let mask = self.repeat.mask();
        for &register in registers {
            let old = self.frame.get(slot::gpr(register));
            let new = match self.direction {
                Direction::Up => old.wrapping_add(distance),
                Direction::Down => old.wrapping_sub(distance),
            };
            self.frame.set(slot::gpr(register), new & mask);
        }
        let left = self.count().wrapping_sub(elements);
        self.frame.set(slot::gpr(RCX), left & mask);
    }

    /// Says that the last access faulted.
    fn fault(&mut self, _: Faulted) {
        self.frame.set_fault(fault::last_fault().addr.0);
    }

    fn load(&self, from: GuestVirt) -> Result<u64, Faulted> {
        match self.repeat.bytes() {
            1 => access::load8(from).map(u64::from),
            2 => access::load16(from).map(u64::from),
            4 => access::load32(from).map(u64::from),
            _ => access::load64(from),
        }
    }

    fn store(&self, to: GuestVirt, value: u64) -> Result<(), Faulted> {
        match self.repeat.bytes() {
            1 => access::store8(to, value as u8),
            2 => access::store16(to, value as u16),
            4 => access::store32(to, value as u32),
            _ => access::store64(to, value),
        }
    }

    /// Does parts until all is done or enough for once. Each part is told how many elements it may do, and says how
    /// many it did; if that is fewer, `one` does the next, of which is then known what it was that faulted.
    fn run(
        &mut self,
        registers: &[u8],
        part: impl Fn(&Self, u64) -> u64,
        one: impl Fn(&Self) -> Result<(), Faulted>,
    ) -> u64 {
        self.shorten(registers);
        self.shorten(&[RCX]);
        let mut room = self.repeat.at_most(STEP_BYTES / u64::from(self.repeat.bytes()));
        while self.count() != 0 && room != 0 {
            let wrap = registers.iter().map(|&register| self.until_wrap(register)).min();
            let wanted = self.count().min(room).min(wrap.unwrap_or(1));
            let done = part(self, wanted);
            self.advance(registers, done);
            room -= done;
            if done == wanted {
                continue;
            }
            if let Err(faulted) = one(self) {
                self.fault(faulted);
                return 0;
            }
            self.advance(registers, 1);
            room -= 1;
        }
        u64::from(self.count() != 0)
    }
}

/// How many elements were done of those that were wanted.
fn done(wanted: u64, result: Result<(), u64>) -> u64 {
    wanted - result.err().unwrap_or(0)
}

/// REP MOVS: 1 if anything is left.
pub(super) fn movs(mut frame: FrameRef, repeat: u64) -> u64 {
    let mut step = Step::new(&mut frame, repeat);
    let part = |step: &Step<'_>, wanted| {
        let (to, from) = (step.destination(), step.source());
        done(wanted, access::repeat_move(step.direction, step.repeat.bytes(), to, from, wanted))
    };
    step.run(&[RSI, RDI], part, |step| step.store(step.destination(), step.load(step.source())?))
}

/// REP STOS: 1 if anything is left.
pub(super) fn stos(mut frame: FrameRef, repeat: u64) -> u64 {
    let value = frame.get(slot::gpr(RAX));
    let mut step = Step::new(&mut frame, repeat);
    let part = |step: &Step<'_>, wanted| {
        let (to, bytes) = (step.destination(), step.repeat.bytes());
        done(wanted, access::repeat_store(step.direction, bytes, to, value, wanted))
    };
    step.run(&[RDI], part, |step| step.store(step.destination(), value))
}

/// REP LODS: 1 if anything is left. The accumulator is written when elements were loaded.
pub(super) fn lods(mut frame: FrameRef, repeat: u64) -> u64 {
    let mut step = Step::new(&mut frame, repeat);
    step.shorten(&[RCX]);
    for _ in 0..step.repeat.at_most(STEP_ELEMENTS) {
        if step.count() == 0 {
            return 0;
        }
        let value = match step.load(step.source()) {
            Ok(value) => value,
            Err(faulted) => {
                step.fault(faulted);
                return 0;
            }
        };
        let old = step.frame.get(slot::gpr(RAX));
        let merged = match step.repeat.bytes() {
            1 => old & !0xff | value,
            2 => old & !0xffff | value,
            _ => value,
        };
        step.frame.set(slot::gpr(RAX), merged);
        step.advance(&[RSI], 1);
    }
    u64::from(step.count() != 0)
}

/// REPE or REPNE CMPS: 1 if it is to go on.
pub(super) fn cmps(mut frame: FrameRef, repeat: u64) -> u64 {
    compare(&mut frame, repeat, &[RSI, RDI], |step| {
        // If both fault, it is the destination's fault that counts.
        let second = step.load(step.destination())?;
        Ok((step.load(step.source())?, second))
    })
}

/// REPE or REPNE SCAS: 1 if it is to go on.
pub(super) fn scas(mut frame: FrameRef, repeat: u64) -> u64 {
    let value = frame.get(slot::gpr(RAX));
    compare(&mut frame, repeat, &[RDI], |step| Ok((value, step.load(step.destination())?)))
}

/// Compares until the condition fails, the count is 0 or it is enough for once. A fault leaves flags as they were
/// before the instruction.
fn compare(
    frame: &mut FrameRef,
    repeat: u64,
    registers: &[u8],
    elements: impl Fn(&Step<'_>) -> Result<(u64, u64), Faulted>,
) -> u64 {
    let mut step = Step::new(frame, repeat);
    step.shorten(&[RCX]);
    let shift = 64 - 8 * step.repeat.bytes();
    let mut last = None;
    for _ in 0..step.repeat.at_most(STEP_ELEMENTS) {
        if step.count() == 0 {
            break;
        }
        let (a, b) = match elements(&step) {
            Ok(pair) => pair,
            Err(faulted) => {
                step.fault(faulted);
                return 0;
            }
        };
        step.advance(registers, 1);
        last = Some((a << shift, b << shift));
        if (a << shift == b << shift) == step.repeat.stops_where_equal() {
            set_flags(step.frame, (a, b), shift);
            return 0;
        }
    }
    if let (Some((a, b)), 0) = (last, step.count()) {
        set_flags(step.frame, (a >> shift, b >> shift), shift);
    }
    u64::from(step.count() != 0)
}

/// Flags of the comparison of two elements.
fn set_flags(frame: &mut FrameRef, (a, b): (u64, u64), shift: u32) {
    let extend = |value: u64| ((value << shift) as i64) >> shift;
    let (a, b) = (extend(a), extend(b));
    let difference = extend(a.wrapping_sub(b) as u64) as u64;
    frame.set(slot::ZERO, difference);
    frame.set(slot::SIGN, difference);
    frame.set(slot::CARRY, u64::from((a as u64) < b as u64));
    frame.set(slot::LESS, u64::from(a < b));
    frame.set(slot::AUX, (a ^ b) as u64);
}

#[cfg(test)]
mod tests {
    use base::CpuFrame;
    use base::sys::fault;

    use super::super::{REP_CMPS, REP_LODS, REP_MOVS, REP_SCAS, REP_STOS, call};
    use super::*;
    use crate::x86_64::flags;

    fn frame(count: u64, from: u64, to: u64) -> Box<CpuFrame> {
        fault::install();
        let mut frame = CpuFrame::new();
        frame.set(slot::gpr(RCX), count);
        frame.set(slot::gpr(RSI), from);
        frame.set(slot::gpr(RDI), to);
        frame
    }

    fn registers(frame: &CpuFrame) -> [u64; 3] {
        [RCX, RSI, RDI].map(|n| frame.get(slot::gpr(n)))
    }

    /// Repeats until it is done; how often it asked for more.
    fn finish(frame: &mut CpuFrame, id: base::HelperId, repeat: Repeat) -> u32 {
        let mut more = 0;
        while call(frame, id, [repeat.raw(), 0, 0, 0]).unwrap() == 1 {
            more += 1;
        }
        more
    }

    #[test]
    fn moves_go_up_and_down_and_overlap() {
        let mut memory: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let start = memory.as_mut_ptr() as u64;
        let mut up = frame(150_000, start, start + 1);
        assert_eq!(finish(&mut up, REP_MOVS, Repeat::of(1)), 2);
        assert!(memory[..=150_000].iter().all(|&byte| byte == 0));
        assert_eq!(registers(&up), [0, start + 150_000, start + 150_001]);
        memory[8..16].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let mut down = frame(2, start + 12, start + 14);
        down.set(slot::DF, 1);
        finish(&mut down, REP_MOVS, Repeat::of(4));
        assert_eq!(memory[8..18], [1, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(registers(&down), [0, start + 4, start + 6]);
    }

    #[test]
    fn a_fault_leaves_what_is_left() {
        let mut memory = vec![7_u64; 8];
        let start = memory.as_mut_ptr() as u64;
        let mut to_nowhere = frame(8, start, 0x1000);
        finish(&mut to_nowhere, REP_MOVS, Repeat::of(8));
        assert_eq!((to_nowhere.fault, to_nowhere.fault_addr), (1, 0x1000));
        assert_eq!(registers(&to_nowhere), [8, start, 0x1000]);
        assert!(fault::last_fault().write);
        let mut from_nowhere = frame(8, 0x1000, start);
        finish(&mut from_nowhere, REP_MOVS, Repeat::of(8));
        assert!(from_nowhere.fault == 1 && !fault::last_fault().write);
    }

    #[test]
    fn stores_fill() {
        let mut memory = vec![0_u16; 100];
        let mut filled = frame(50, 0, memory.as_mut_ptr() as u64);
        filled.set(slot::gpr(RAX), 0xabcd_1234);
        finish(&mut filled, REP_STOS, Repeat::of(2));
        assert!(memory[..50].iter().all(|&word| word == 0x1234) && memory[50] == 0);
    }

    #[test]
    fn comparisons_stop_and_leave_flags() {
        let (a, b) = (*b"abcdefgh", *b"abcdxfgh");
        let [from, to] = [&a, &b].map(|text| text.as_ptr() as u64);
        let mut compared = frame(8, from, to);
        finish(&mut compared, REP_CMPS, Repeat::of(1));
        assert_eq!(registers(&compared), [3, from + 5, to + 5]);
        assert_eq!(flags::eflags(&compared) & (flags::ZF | flags::CF), flags::CF);
        let mut found = frame(8, 0, from);
        found.set(slot::gpr(RAX), u64::from(b'c'));
        finish(&mut found, REP_SCAS, Repeat::of(1).while_different());
        assert_eq!(registers(&found), [5, 0, from + 3]);
        assert_eq!(flags::eflags(&found) & flags::ZF, flags::ZF);
        let mut none = frame(0, from, to);
        none.set(slot::ZERO, 5);
        finish(&mut none, REP_CMPS, Repeat::of(1));
        assert_eq!(none.get(slot::ZERO), 5);
    }

    #[test]
    fn loads_leave_the_last_one() {
        let memory = [1_u8, 2, 3];
        let mut loaded = frame(3, memory.as_ptr() as u64, 0);
        loaded.set(slot::gpr(RAX), 0x100);
        finish(&mut loaded, REP_LODS, Repeat::of(1));
        assert_eq!(loaded.get(slot::gpr(RAX)), 0x103);
    }

    #[test]
    fn short_addresses_wrap() {
        let step = |at: u64, direction| {
            let mut frame = frame(9, at, 0);
            frame.set(slot::DF, u64::from(direction == Direction::Down));
            // SAFETY: the frame outlives the reference.
            #[expect(unsafe_code, reason = "the frame of a test")]
            let mut frame = unsafe { FrameRef::new(&raw mut *frame) };
            Step::new(&mut frame, Repeat::of(4).short().raw()).until_wrap(RSI)
        };
        assert_eq!(step(0xffff_fff0, Direction::Up), 3);
        assert_eq!(step(0xffff_fffe, Direction::Up), 1);
        assert_eq!(step(9, Direction::Down), 3);
    }
}
