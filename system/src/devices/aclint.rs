//! Timers and software interrupts of harts (RISC-V Advanced Core Local Interruptor Specification
//! 1.0-rc4), also in the layout of SiFive's CLINT (section 1.1, "Backward Compatibility With SiFive
//! CLINT").
//!
//! Each window shows one part, see [`Part`]; all share their registers. Outputs: for hart `h`, `3 * h` is
//! its MSIP, `3 * h + 1` its MTIP and `3 * h + 2` its SSIP. MSIP and MTIP are levels. SSIP is an edge:
//! the output stays asserted from the store to SETSSIP until the machine has set the hart's
//! `mip.SSIP` and says so with [`Aclint::acknowledge_ssip`].

use crate::device::{Access, Device, Effect, InterruptController, Refusal, Time, Width, World};

/// Harts at most.
pub const MAX_HARTS: u32 = 64;
/// Nanoseconds a tick: the timebase is 10 MHz.
pub const TICK: u64 = 100;

/// Bytes of the MSWI and the SSWI device.
const SWI_SIZE: u64 = 0x4000;
/// Bytes of the MTIMER device with both of its tables.
const MTIMER_SIZE: u64 = 0x8000;
/// MTIME, after MTIMECMP of 4095 harts.
const MTIME: u64 = 0x7ff8;

/// What a window shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// SiFive's CLINT in 64 KiB: MSWI at 0, MTIMER at 0x4000.
    Clint,
    /// Machine-level timer (section 2) in 32 KiB: MTIMECMP from 0, MTIME at 0x7ff8.
    Mtimer,
    /// Machine-level software interrupts (section 3) in 16 KiB: MSIP from 0.
    Mswi,
    /// Supervisor-level software interrupts (section 4) in 16 KiB: SETSSIP from 0.
    Sswi,
}

impl Part {
    fn size(self) -> u64 {
        match self {
            Self::Clint => 0x1_0000,
            Self::Mtimer => MTIMER_SIZE,
            Self::Mswi | Self::Sswi => SWI_SIZE,
        }
    }
}

/// A register, and for those of 64 bits where in it an access starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Register {
    Msip(usize),
    Mtimecmp(usize, u64),
    Mtime(u64),
    Setssip(usize),
    /// Reads as zero, ignores stores.
    Reserved,
}

#[derive(Clone, Debug)]
struct Hart {
    mtimecmp: u64,
    msip: bool,
    mtip: bool,
    ssip: bool,
}

impl Hart {
    /// MTIMECMP is unknown after reset; this rings never.
    const RESET: Self = Self { mtimecmp: u64::MAX, msip: false, mtip: false, ssip: false };
}

/// The devices.
#[derive(Clone, Debug)]
pub struct Aclint {
    parts: Vec<Part>,
    harts: Vec<Hart>,
    /// What MTIME is ahead of the ticks of the machine's time, wrapping.
    ahead: u64,
    /// When the device last looked at the clock.
    seen: Time,
}

impl Aclint {
    /// For this many harts, [`MAX_HARTS`] at most, with a window for each part.
    #[must_use]
    pub fn new(harts: u32, parts: &[Part]) -> Self {
        let harts = vec![Hart::RESET; harts.min(MAX_HARTS) as usize];
        Self { parts: parts.to_vec(), harts, ahead: 0, seen: Time(0) }
    }

    /// MTIME, and with it the harts' `time`, at a moment.
    #[must_use]
    pub fn mtime(&self, now: Time) -> u64 {
        (now.0 / TICK).wrapping_add(self.ahead)
    }

    /// What MTIME is ahead of `now / TICK`, wrapping: for harts that compute `time` themselves. A store to
    /// MTIME and a reset change it.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// The machine has set the hart's `mip.SSIP`.
    pub fn acknowledge_ssip(&mut self, hart: u32) {
        if let Some(hart) = self.harts.get_mut(hart as usize) {
            hart.ssip = false;
        }
    }

    /// Brings every MTIP up to date.
    fn look(&mut self, now: Time) {
        self.seen = now;
        let mtime = self.mtime(now);
        for hart in &mut self.harts {
            hart.mtip = mtime >= hart.mtimecmp;
        }
    }

    /// When a hart's MTIP changes next: MTIME reaches MTIMECMP, or has reached it and starts again at 0.
    fn next_change(&self, hart: &Hart) -> Option<Time> {
        let mtime = self.mtime(self.seen);
        let goal = if mtime < hart.mtimecmp { hart.mtimecmp } else { 0 };
        let tick = (self.seen.0 / TICK).checked_add(goal.wrapping_sub(mtime))?;
        (goal != mtime).then(|| tick.checked_mul(TICK)).flatten().map(Time)
    }

    fn decode(&self, access: Access) -> Result<Register, Refusal> {
        let Access { window, offset, width } = access;
        let part = *self.parts.get(window as usize).ok_or(Refusal::NoRegister)?;
        let register = match part {
            Part::Clint if offset < SWI_SIZE => self.in_table(Register::Msip, offset),
            Part::Clint => self.in_mtimer(offset - SWI_SIZE),
            Part::Mtimer => self.in_mtimer(offset),
            Part::Mswi => self.in_table(Register::Msip, offset),
            Part::Sswi => self.in_table(Register::Setssip, offset),
        };
        let wide = matches!(register, Register::Mtimecmp(_, 0) | Register::Mtime(0));
        match width {
            Width::B4 if offset.is_multiple_of(4) => Ok(register),
            Width::B8 if offset.is_multiple_of(8) && (wide || register == Register::Reserved) => {
                Ok(register)
            }
            Width::B4 | Width::B8 if wide => Err(Refusal::NoRegister),
            _ => Err(Refusal::Width),
        }
    }

    /// A register of 32 bits in a table with one for each hart.
    fn in_table(&self, register: fn(usize) -> Register, offset: u64) -> Register {
        let hart = (offset / 4) as usize;
        if hart < self.harts.len() { register(hart) } else { Register::Reserved }
    }

    fn in_mtimer(&self, offset: u64) -> Register {
        let hart = (offset / 8) as usize;
        match offset {
            MTIME..MTIMER_SIZE => Register::Mtime(offset % 8),
            _ if hart < self.harts.len() => Register::Mtimecmp(hart, offset % 8),
            _ => Register::Reserved,
        }
    }
}

/// `old`, with the bytes of an access to it replaced.
fn merge(old: u64, byte: u64, width: Width, value: u64) -> u64 {
    let mask = width.mask() << (8 * byte);
    old & !mask | value << (8 * byte) & mask
}

impl Device for Aclint {
    fn name(&self) -> &'static str {
        "riscv,aclint"
    }

    fn windows(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.size()).collect()
    }

    fn read(&mut self, access: Access, world: &World<'_>) -> Result<u64, Refusal> {
        let register = self.decode(access)?;
        self.look(world.now);
        Ok(match register {
            Register::Msip(hart) => self.harts[hart].msip.into(),
            Register::Mtimecmp(hart, byte) => self.harts[hart].mtimecmp >> (8 * byte),
            Register::Mtime(byte) => self.mtime(world.now) >> (8 * byte),
            Register::Setssip(_) | Register::Reserved => 0,
        })
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        match self.decode(access)? {
            Register::Msip(hart) => self.harts[hart].msip = value & 1 != 0,
            Register::Mtimecmp(hart, byte) => {
                let cmp = &mut self.harts[hart].mtimecmp;
                *cmp = merge(*cmp, byte, access.width, value);
            }
            Register::Mtime(byte) => {
                let old = self.mtime(world.now);
                let new = merge(old, byte, access.width, value);
                self.ahead = self.ahead.wrapping_add(new.wrapping_sub(old));
            }
            Register::Setssip(hart) => self.harts[hart].ssip |= value & 1 != 0,
            Register::Reserved => {}
        }
        self.look(world.now);
        Ok(Effect::None)
    }

    fn deadline(&self) -> Option<Time> {
        self.harts.iter().filter_map(|hart| self.next_change(hart)).min()
    }

    fn wake(&mut self, world: &World<'_>) {
        self.look(world.now);
    }

    /// MTIME is 0 again, as far as the device knows the time.
    fn reset(&mut self) {
        self.harts.fill(Hart::RESET);
        self.ahead = 0_u64.wrapping_sub(self.seen.0 / TICK);
    }

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Aclint {
    /// It has no inputs.
    fn set_input(&mut self, _input: u32, _asserted: bool) {}

    fn output(&self, output: u32) -> bool {
        self.harts.get(output as usize / 3).is_some_and(|hart| match output % 3 {
            0 => hart.msip,
            1 => hart.mtip,
            _ => hart.ssip,
        })
    }

    fn outputs(&self) -> u32 {
        3 * self.harts.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::bench::{Bench, any_access};

    fn clint(harts: u32) -> Bench<Aclint> {
        Bench::new(Aclint::new(harts, &[Part::Clint, Part::Sswi]))
    }

    #[test]
    fn the_timer_rings_when_its_time_has_come() {
        let mut clint = clint(2);
        assert_eq!(clint.device.deadline(), None);
        clint.write(0x4008, Width::B8, 50);
        assert_eq!((clint.device.deadline(), clint.outputs()), (Some(Time(5000)), vec![]));
        clint.wake(4999);
        assert!(clint.outputs().is_empty());
        clint.wake(5000);
        assert_eq!((clint.device.deadline(), clint.outputs()), (None, vec![4]));
        clint.write32(0x400c, 1);
        assert_eq!((clint.read(0x4008, Width::B8), clint.outputs()), (1 << 32 | 50, vec![]));
    }

    #[test]
    fn mtime_is_read_and_set_whole_or_by_halves() {
        let mut clint = clint(1);
        clint.now = 12_345;
        assert_eq!(clint.read(0xbff8, Width::B8), 123);
        clint.write32(0xbffc, 7);
        assert_eq!((clint.read32(0xbff8), clint.read32(0xbffc)), (123, 7));
        clint.write(0x4000, Width::B8, 1000);
        assert_eq!(clint.outputs(), [1]);
        clint.write(0xbff8, Width::B8, 990);
        assert_eq!((clint.outputs(), clint.device.deadline()), (vec![], Some(Time(13_300))));
        clint.device.reset();
        assert_eq!((clint.read(0xbff8, Width::B8), clint.device.deadline()), (0, None));
    }

    #[test]
    fn a_clock_that_starts_again_takes_the_interrupt_back() {
        let mut clint = clint(1);
        clint.write(0x4000, Width::B8, u64::MAX);
        clint.write(0xbff8, Width::B8, u64::MAX);
        assert_eq!((clint.outputs(), clint.device.deadline()), (vec![1], Some(Time(100))));
        clint.wake(100);
        assert_eq!((clint.outputs(), clint.read(0xbff8, Width::B8)), (vec![], 0));
    }

    #[test]
    fn software_interrupts_are_a_level_and_an_edge() {
        let mut clint = clint(2);
        let setssip = Access { window: 1, offset: 4, width: Width::B4 };
        clint.write32(4, 0xffff_ffff);
        clint.try_write(setssip, 1).unwrap();
        assert_eq!((clint.read32(4), clint.try_read(setssip)), (1, Ok(0)));
        assert_eq!(clint.outputs(), [3, 5]);
        clint.try_write(setssip, 0).unwrap();
        assert_eq!(clint.outputs(), [3, 5]);
        clint.device.acknowledge_ssip(1);
        clint.write32(4, 0);
        assert!(clint.outputs().is_empty());
    }

    #[test]
    fn the_parts_stand_alone_too() {
        let parts = [Part::Mtimer, Part::Mswi];
        let mut aclint = Bench::new(Aclint::new(1, &parts));
        assert_eq!(aclint.device.windows(), [0x8000, 0x4000]);
        aclint.now = 100;
        assert_eq!(aclint.read(0x7ff8, Width::B8), 1);
        aclint.try_write(Access { window: 1, offset: 0, width: Width::B4 }, 1).unwrap();
        assert_eq!(aclint.outputs(), [0]);
    }

    #[test]
    fn absent_harts_and_odd_accesses() {
        let mut clint = clint(1);
        clint.write32(4, 1);
        clint.write(0x4008, Width::B8, 0);
        assert_eq!((clint.read32(4), clint.outputs()), (0, vec![]));
        for (offset, width, refusal) in [
            (0, Width::B8, Refusal::Width),
            (0, Width::B1, Refusal::Width),
            (0xbff8, Width::B2, Refusal::Width),
            (0xbffc, Width::B1, Refusal::Width),
        ] {
            let access = Access { window: 0, offset, width };
            assert_eq!(clint.try_read(access), Err(refusal), "{access:?}");
        }
    }

    proptest! {
        #[test]
        fn the_deadline_is_the_first_moment_of_a_change(mtime in any::<u64>(), cmp in any::<u64>(), near in prop::option::of(-3_i64..1000)) {
            let mut clint = clint(1);
            let cmp = near.map_or(cmp, |near| mtime.wrapping_add_signed(near));
            clint.now = 1_050;
            clint.write(0xbff8, Width::B8, mtime);
            clint.write(0x4000, Width::B8, cmp);
            let before = clint.outputs();
            prop_assert_eq!(!before.is_empty(), mtime >= cmp);
            if let Some(Time(deadline)) = clint.device.deadline() {
                clint.wake(deadline - 1);
                prop_assert_eq!(&clint.outputs(), &before);
                clint.wake(deadline);
                prop_assert_ne!(&clint.outputs(), &before);
            }
        }

        #[test]
        fn no_access_panics(accesses in prop::collection::vec((any_access(0, 0x1_0000), any::<bool>(), any::<u64>(), 0_u64..1 << 40), 0..50)) {
            let mut clint = clint(MAX_HARTS);
            for (mut access, low, value, later) in accesses {
                if low {
                    access.offset = access.offset & 0xc1f8 | access.offset & 4;
                }
                clint.wake(clint.now + later);
                let _ = clint.try_read(access);
                let _ = clint.try_write(access, value);
                prop_assert!(clint.device.deadline().is_none_or(|Time(deadline)| deadline > clint.now));
            }
        }
    }
}
