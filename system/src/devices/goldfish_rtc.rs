//! The Goldfish real-time clock (Android emulator, `GOLDFISH-VIRTUAL-HARDWARE`, "Goldfish RTC"): Unix
//! time in nanoseconds, and one alarm. 64-bit registers are read low half first and written high
//! half first.

use crate::device::{Access, Device, Effect, Lines, Refusal, Time, Width, World};

/// Bytes of its window.
const WINDOW: u64 = 0x1000;

/// Registers, by offset.
mod reg {
    /// Low half of the time; reading it latches the high half, writing it sets the clock.
    pub(super) const TIME_LOW: u64 = 0x00;
    /// High half of the time, as latched.
    pub(super) const TIME_HIGH: u64 = 0x04;
    /// Low half of the alarm; writing it arms the alarm.
    pub(super) const ALARM_LOW: u64 = 0x08;
    /// High half of the alarm.
    pub(super) const ALARM_HIGH: u64 = 0x0c;
    /// Bit 0: the alarm's interrupt reaches the line.
    pub(super) const IRQ_ENABLED: u64 = 0x10;
    /// Any write disarms the alarm.
    pub(super) const CLEAR_ALARM: u64 = 0x14;
    /// 1 while the alarm is armed.
    pub(super) const ALARM_STATUS: u64 = 0x18;
    /// Any write ends the interrupt.
    pub(super) const CLEAR_INTERRUPT: u64 = 0x1c;
}

/// The device.
#[derive(Clone, Debug, Default)]
pub struct GoldfishRtc {
    /// What the guest's clock is ahead of the machine's, in wrapping nanoseconds: 0 until it is set.
    ahead: u64,
    /// The machine's time and the guest's, when the device last looked at the clock.
    seen: (Time, u64),
    latched_high: u32,
    new_time_high: u32,
    alarm: u64,
    armed: bool,
    pending: bool,
    enabled: bool,
}

impl GoldfishRtc {
    /// As after power-on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn time(&self, world: &World<'_>) -> u64 {
        world.epoch.wrapping_add(world.now.0).wrapping_add(self.ahead)
    }

    fn set_time(&mut self, time: u64, world: &World<'_>) {
        self.ahead = self.ahead.wrapping_add(time.wrapping_sub(self.time(world)));
        self.check_alarm(world);
    }

    /// Raises the interrupt if the alarm's time has come.
    fn check_alarm(&mut self, world: &World<'_>) {
        self.seen = (world.now, self.time(world));
        if self.armed && self.alarm <= self.time(world) {
            self.armed = false;
            self.pending = true;
        }
    }
}

impl Device for GoldfishRtc {
    fn name(&self) -> &'static str {
        "google,goldfish-rtc"
    }

    fn windows(&self) -> Vec<u64> {
        vec![WINDOW]
    }

    fn read(&mut self, access: Access, world: &World<'_>) -> Result<u64, Refusal> {
        check(access)?;
        self.check_alarm(world);
        Ok(match access.offset {
            reg::TIME_LOW => {
                let time = self.time(world);
                self.latched_high = (time >> 32) as u32;
                time & u64::from(u32::MAX)
            }
            reg::TIME_HIGH => self.latched_high.into(),
            reg::ALARM_LOW => self.alarm & u64::from(u32::MAX),
            reg::ALARM_HIGH => self.alarm >> 32,
            reg::IRQ_ENABLED => self.enabled.into(),
            reg::ALARM_STATUS => self.armed.into(),
            // Written only.
            _ => 0,
        })
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        check(access)?;
        self.check_alarm(world);
        match access.offset {
            reg::TIME_HIGH => self.new_time_high = value as u32,
            reg::TIME_LOW => self.set_time(u64::from(self.new_time_high) << 32 | value, world),
            reg::ALARM_HIGH => self.alarm = value << 32 | self.alarm & u64::from(u32::MAX),
            reg::ALARM_LOW => {
                self.alarm = self.alarm >> 32 << 32 | value;
                self.armed = true;
                self.check_alarm(world);
            }
            reg::IRQ_ENABLED => self.enabled = value & 1 != 0,
            reg::CLEAR_ALARM => self.armed = false,
            reg::CLEAR_INTERRUPT => self.pending = false,
            // Read only.
            _ => {}
        }
        Ok(Effect::None)
    }

    fn lines(&self) -> Lines {
        Lines::single(self.pending && self.enabled)
    }

    fn deadline(&self) -> Option<Time> {
        let (now, time) = self.seen;
        self.armed.then(|| Time(now.0.saturating_add(self.alarm.saturating_sub(time))))
    }

    fn wake(&mut self, world: &World<'_>) {
        self.check_alarm(world);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

fn check(access: Access) -> Result<(), Refusal> {
    match access {
        Access { width, .. } if width != Width::B4 => Err(Refusal::Width),
        Access { offset: 0..=reg::CLEAR_INTERRUPT, .. } if access.offset.is_multiple_of(4) => {
            Ok(())
        }
        _ => Err(Refusal::NoRegister),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use softmmu::GuestMemory;

    use super::*;

    const EPOCH: u64 = 1_700_000_000_000_000_000;

    struct Bench {
        rtc: GoldfishRtc,
        memory: GuestMemory,
        now: u64,
    }

    impl Bench {
        fn new() -> Self {
            Self { rtc: GoldfishRtc::new(), memory: GuestMemory::new(), now: 0 }
        }

        fn world(&self) -> (GoldfishRtc, World<'_>) {
            let world = World::new(Time(self.now), EPOCH, &self.memory);
            (self.rtc.clone(), world)
        }

        fn read(&mut self, offset: u64) -> u64 {
            let (mut rtc, world) = self.world();
            let value = rtc.read(Access { window: 0, offset, width: Width::B4 }, &world).unwrap();
            self.rtc = rtc;
            value
        }

        fn write(&mut self, offset: u64, value: u64) {
            let (mut rtc, world) = self.world();
            rtc.write(Access { window: 0, offset, width: Width::B4 }, value, &world).unwrap();
            self.rtc = rtc;
        }

        fn time(&mut self) -> u64 {
            self.read(reg::TIME_LOW) | self.read(reg::TIME_HIGH) << 32
        }

        fn set(&mut self, low: u64, value: u64) {
            self.write(low + 4, value >> 32);
            self.write(low, value & 0xffff_ffff);
        }

        fn wake(&mut self, now: u64) {
            self.now = now;
            let (mut rtc, world) = self.world();
            rtc.wake(&world);
            self.rtc = rtc;
        }
    }

    #[test]
    fn halves_belong_together() {
        let mut bench = Bench::new();
        bench.now = (1 << 32) - 1 - (EPOCH & 0xffff_ffff);
        assert_eq!(bench.read(reg::TIME_LOW), 0xffff_ffff);
        bench.now += 1;
        assert_eq!(bench.read(reg::TIME_HIGH), EPOCH >> 32);
        assert_eq!(bench.time(), EPOCH + bench.now);
    }

    #[test]
    fn the_alarm_rings_once_in_time() {
        let mut bench = Bench::new();
        bench.write(reg::IRQ_ENABLED, 1);
        bench.set(reg::ALARM_LOW, EPOCH + 500);
        assert_eq!((bench.rtc.deadline(), bench.read(reg::ALARM_STATUS)), (Some(Time(500)), 1));
        bench.wake(499);
        assert_eq!(bench.rtc.lines(), Lines::NONE);
        bench.wake(500);
        assert_eq!((bench.rtc.lines(), bench.rtc.deadline()), (Lines(1), None));
        bench.write(reg::CLEAR_INTERRUPT, 1);
        bench.wake(5000);
        assert_eq!((bench.rtc.lines(), bench.read(reg::ALARM_STATUS)), (Lines::NONE, 0));
    }

    #[test]
    fn a_guest_in_1970_has_alarms_too() {
        let mut bench = Bench::new();
        bench.now = 100;
        bench.set(reg::TIME_LOW, 0);
        bench.set(reg::ALARM_LOW, 7);
        assert_eq!(bench.rtc.deadline(), Some(Time(107)));
        bench.set(reg::ALARM_LOW, u64::MAX);
        assert_eq!(bench.rtc.deadline(), Some(Time(u64::MAX)));
    }

    #[test]
    fn alarms_can_be_disarmed_masked_and_lie_in_the_past() {
        let mut bench = Bench::new();
        bench.set(reg::ALARM_LOW, EPOCH + 10);
        bench.write(reg::CLEAR_ALARM, 0);
        bench.wake(20);
        bench.write(reg::IRQ_ENABLED, 1);
        assert_eq!(bench.rtc.lines(), Lines::NONE);
        bench.write(reg::IRQ_ENABLED, 0);
        bench.set(reg::ALARM_LOW, EPOCH);
        assert_eq!(bench.rtc.lines(), Lines::NONE);
        bench.write(reg::IRQ_ENABLED, 1);
        assert_eq!(bench.rtc.lines(), Lines(1));
    }

    #[test]
    fn only_whole_registers_are_accessed() {
        let bench = Bench::new();
        let (mut rtc, world) = bench.world();
        for (offset, width, refusal) in [
            (0, Width::B8, Refusal::Width),
            (0, Width::B1, Refusal::Width),
            (2, Width::B4, Refusal::NoRegister),
            (0x20, Width::B4, Refusal::NoRegister),
        ] {
            assert_eq!(rtc.read(Access { window: 0, offset, width }, &world), Err(refusal));
            assert_eq!(rtc.write(Access { window: 0, offset, width }, 1, &world), Err(refusal));
        }
    }

    proptest! {
        #[test]
        fn a_clock_that_is_set_goes_on_from_there(start in any::<u64>(), now in 0_u64..1 << 62, later in 0_u64..1 << 62) {
            let mut bench = Bench::new();
            bench.now = now;
            bench.set(reg::TIME_LOW, start);
            prop_assert_eq!(bench.time(), start);
            bench.now += later;
            prop_assert_eq!(bench.time(), start.wrapping_add(later));
        }

        #[test]
        fn no_access_fails_or_panics(accesses in prop::collection::vec((0_u64..8, any::<bool>(), any::<u64>(), any::<u32>()), 0..50)) {
            let mut bench = Bench::new();
            for (register, store, time, value) in accesses {
                bench.now = bench.now.max(time);
                if store {
                    bench.write(register * 4, value.into());
                } else {
                    prop_assert!(bench.read(register * 4) <= u64::from(u32::MAX));
                }
                let _ = bench.rtc.deadline();
            }
        }
    }
}
