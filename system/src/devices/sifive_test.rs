//! SiFive's test finisher: one register that ends or restarts the machine. Linux uses it by the
//! device tree's `syscon-poweroff` and `syscon-reboot`.

use crate::device::{Access, Device, Effect, Refusal, Width, World};

/// Bytes of its window.
const WINDOW: u64 = 0x1000;
/// The only register.
const FINISHER: u64 = 0;

/// In the register's low half.
const FAIL: u64 = 0x3333;
const PASS: u64 = 0x5555;
const RESET: u64 = 0x7777;

/// The device. It has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct SifiveTest;

impl Device for SifiveTest {
    fn name(&self) -> &'static str {
        "sifive,test0"
    }

    fn windows(&self) -> Vec<u64> {
        vec![WINDOW]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        check(access).map(|()| 0)
    }

    /// Other values than the three do nothing.
    fn write(&mut self, access: Access, value: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        check(access)?;
        Ok(match value & 0xffff {
            // The guest's own code, of which a process has 8 bits; a failure is never a success.
            FAIL => Effect::PowerOff((value >> 16 & 0xff).max(1) as u8),
            PASS => Effect::PowerOff(0),
            RESET => Effect::Reset,
            _ => Effect::None,
        })
    }

    fn reset(&mut self) {}
}

fn check(access: Access) -> Result<(), Refusal> {
    match (access.offset, access.width) {
        (FINISHER, Width::B2 | Width::B4) => Ok(()),
        (FINISHER, _) => Err(Refusal::Width),
        _ => Err(Refusal::NoRegister),
    }
}

#[cfg(test)]
mod tests {
    use softmmu::GuestMemory;

    use super::*;
    use crate::device::Time;

    #[test]
    fn it_ends_and_restarts_the_machine() {
        let memory = GuestMemory::new();
        let world = World::new(Time(0), 0, &memory);
        let write = |offset, width, value| {
            SifiveTest.write(Access { window: 0, offset, width }, value, &world)
        };
        assert_eq!(write(0, Width::B4, 0x5555), Ok(Effect::PowerOff(0)));
        assert_eq!(write(0, Width::B2, 0x7777), Ok(Effect::Reset));
        assert_eq!(write(0, Width::B4, 0x0007_3333), Ok(Effect::PowerOff(7)));
        assert_eq!(write(0, Width::B4, 0x0100_3333), Ok(Effect::PowerOff(1)));
        assert_eq!(write(0, Width::B4, 0), Ok(Effect::None));
        assert_eq!(write(0, Width::B8, 0x5555), Err(Refusal::Width));
        assert_eq!(write(4, Width::B4, 0x5555), Err(Refusal::NoRegister));
        assert_eq!(
            SifiveTest.read(Access { window: 0, offset: 0, width: Width::B4 }, &world),
            Ok(0)
        );
    }
}
