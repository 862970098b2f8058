//! Input device (virtio 1.2, 5.8): a keyboard with one key, the power button. The board has no other
//! that a stock kernel has a driver for; `systemd-logind` and its like act on the key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Io, QueueError, VirtioDevice, id};
use crate::device::Notifier;

/// Queues (5.8.2).
const EVENTQ: u16 = 0;

/// Entries of each.
const QUEUE_SIZE: u16 = 64;

/// Presses that wait for the guest at most: more say nothing new.
const MOST_PRESSES: u32 = 8;

/// `struct virtio_input_config` (5.8.4), by offset.
mod config {
    pub(super) const SELECT: u64 = 0;
    pub(super) const SUBSEL: u64 = 1;
    pub(super) const SIZE: usize = 2;
    pub(super) const DATA: usize = 8;
    pub(super) const END: usize = 136;
}

/// `enum virtio_input_config_select` (5.8.4).
mod select {
    pub(super) const ID_NAME: u8 = 0x01;
    pub(super) const ID_SERIAL: u8 = 0x02;
    pub(super) const ID_DEVIDS: u8 = 0x03;
    pub(super) const EV_BITS: u8 = 0x11;
}

/// Types and codes of events, as Linux numbers them (`input-event-codes.h`).
mod event {
    pub(super) const SYN: u16 = 0;
    pub(super) const KEY: u16 = 1;
    pub(super) const SYN_REPORT: u16 = 0;
    pub(super) const KEY_POWER: u16 = 116;
}

/// What one press is to the guest: `struct virtio_input_event` (5.8.6) four times.
const PRESS: [(u16, u16, u32); 4] = [
    (event::KEY, event::KEY_POWER, 1),
    (event::SYN, event::SYN_REPORT, 0),
    (event::KEY, event::KEY_POWER, 0),
    (event::SYN, event::SYN_REPORT, 0),
];

/// `struct virtio_input_devids` (5.8.4): bus (virtual), vendor, product, version.
const DEVIDS: [u16; 4] = [6, 0x1af4, 1, 1];

/// Why a button cannot be pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ButtonError {
    /// No driver has the device.
    #[error(
        "the guest does not listen to its power button: its kernel needs the driver virtio_input, and a program \
         such as systemd-logind acts on the key; shut it down from within, or cut its power with quit"
    )]
    NobodyListens,
}

/// A button that can be pressed on any thread.
#[derive(Default)]
pub struct Button(Mutex<ButtonState>);

#[derive(Default)]
struct ButtonState {
    /// Of which the guest does not know yet.
    presses: u32,
    /// A driver has the device.
    has_driver: bool,
    notifier: Option<Notifier>,
}

impl Button {
    /// Presses it, and lets it go.
    ///
    /// # Errors
    /// No driver would notice.
    pub fn press(&self) -> Result<(), ButtonError> {
        let mut state = self.state();
        if !state.has_driver {
            return Err(ButtonError::NobodyListens);
        }
        state.presses = (state.presses + 1).min(MOST_PRESSES);
        state.notifier.iter().for_each(Notifier::notify);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, ButtonState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The device.
pub struct Input {
    button: Arc<Button>,
    select: u8,
    subsel: u8,
    /// Events of the press that is being told.
    told: usize,
}

impl Input {
    /// With its only key.
    #[must_use]
    pub fn new(button: Arc<Button>) -> Self {
        Self { button, select: 0, subsel: 0, told: 0 }
    }

    /// Tells of presses, as far as the driver has given buffers for events.
    fn tell(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        while self.button.state().presses > 0 {
            let Some(chain) = io.pop(EVENTQ)? else { break };
            let (kind, code, value) = PRESS[self.told];
            let mut bytes = [0; 8];
            bytes[..2].copy_from_slice(&kind.to_le_bytes());
            bytes[2..4].copy_from_slice(&code.to_le_bytes());
            bytes[4..].copy_from_slice(&value.to_le_bytes());
            let written = chain.writable.write(io.memory(), 0, &bytes)?;
            io.complete(EVENTQ, chain.head, written as u32)?;
            self.told = (self.told + 1) % PRESS.len();
            if self.told == 0 {
                let mut state = self.button.state();
                state.presses = state.presses.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// What the driver has selected.
    fn selected(&self) -> Vec<u8> {
        match (self.select, self.subsel) {
            (select::ID_NAME, 0) => b"Ferry power button".to_vec(),
            (select::ID_SERIAL, 0) => b"power".to_vec(),
            (select::ID_DEVIDS, 0) => DEVIDS.iter().flat_map(|id| id.to_le_bytes()).collect(),
            (select::EV_BITS, kind) if u16::from(kind) == event::KEY => {
                let mut bits = vec![0; usize::from(event::KEY_POWER) / 8 + 1];
                bits[usize::from(event::KEY_POWER) / 8] = 1 << (event::KEY_POWER % 8);
                bits
            }
            _ => Vec::new(),
        }
    }

    fn forget(&mut self) {
        self.told = 0;
        let mut state = self.button.state();
        (state.presses, state.has_driver) = (0, false);
    }
}

impl VirtioDevice for Input {
    fn name(&self) -> &'static str {
        "virtio-input"
    }

    fn device_id(&self) -> u16 {
        id::INPUT
    }

    fn pci_class(&self) -> u32 {
        0x09_0000
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2]
    }

    fn config(&self) -> Vec<u8> {
        let (mut bytes, data) = (vec![0; config::END], self.selected());
        bytes[config::SELECT as usize] = self.select;
        bytes[config::SUBSEL as usize] = self.subsel;
        bytes[config::SIZE] = data.len() as u8;
        bytes[config::DATA..][..data.len()].copy_from_slice(&data);
        bytes
    }

    fn write_config(&mut self, offset: u64, bytes: &[u8], _: &mut Io<'_>) {
        for (at, &byte) in (offset..).zip(bytes) {
            match at {
                config::SELECT => self.select = byte,
                config::SUBSEL => self.subsel = byte,
                _ => {}
            }
        }
    }

    fn connect(&mut self, notifier: Notifier) {
        self.button.state().notifier = Some(notifier);
    }

    fn activate(&mut self, _: &mut Io<'_>) -> Result<(), QueueError> {
        self.button.state().has_driver = true;
        Ok(())
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        if queue == EVENTQ {
            return self.tell(io);
        }
        // There is nothing to light up.
        while let Some(chain) = io.pop(queue)? {
            io.complete(queue, chain.head, 0)?;
        }
        Ok(())
    }

    fn wake(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        self.tell(io)
    }

    fn reset_queue(&mut self, _: u16) {}

    fn reset(&mut self) {
        (self.select, self.subsel) = (0, 0);
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Driver, Transport};
    use super::*;

    fn started(transport: Transport) -> (Driver, Arc<Button>) {
        let button = Arc::new(Button::default());
        let device = Box::new(Input::new(Arc::clone(&button)));
        (Driver::started(transport, device, u64::MAX), button)
    }

    fn told(driver: &mut Driver, buffers: &[u64]) -> Vec<(u16, u16, u32)> {
        let used = driver.used(EVENTQ);
        assert!(used.iter().all(|&(_, len)| len == 8));
        let half = |bytes: &[u8]| u16::from_le_bytes(bytes.try_into().unwrap());
        let event = |&(head, _): &(u32, u32)| {
            let bytes = driver.bytes(buffers[head as usize], 8);
            let value = u32::from_le_bytes(bytes[4..].try_into().unwrap());
            (half(&bytes[..2]), half(&bytes[2..4]), value)
        };
        used.iter().map(event).collect()
    }

    #[test]
    fn a_press_is_four_events_for_whoever_listens() {
        for transport in Transport::ALL {
            let (mut driver, button) = started(transport);
            let buffers: Vec<u64> = (0..6).map(|_| driver.room(8)).collect();
            buffers.iter().for_each(|&at| _ = driver.add(EVENTQ, &[], &[(at, 8)]));
            driver.kick(EVENTQ);
            assert_eq!(driver.used(EVENTQ), []);
            assert_eq!(button.press(), Ok(()));
            driver.wake();
            assert_eq!(told(&mut driver, &buffers), PRESS);
            // The second comes as far as there are buffers, and its end with the next.
            assert_eq!(button.press(), Ok(()));
            driver.wake();
            assert_eq!(told(&mut driver, &buffers), PRESS[..2]);
            let more: Vec<u64> = (0..9).map(|_| driver.room(8)).collect();
            more[6..].iter().for_each(|&at| _ = driver.add(EVENTQ, &[], &[(at, 8)]));
            driver.kick(EVENTQ);
            assert_eq!(told(&mut driver, &more), PRESS[2..]);
            driver.add(1, &[(more[0], 8)], &[]);
            driver.kick(1);
            assert_eq!(driver.used(1), [(0, 0)]);
            assert_eq!(driver.status(), 15);
        }
    }

    #[test]
    fn nobody_listens_before_there_is_a_driver_or_after_a_reset() {
        let button = Arc::new(Button::default());
        let device = Box::new(Input::new(Arc::clone(&button)));
        let mut driver = Driver::new(Transport::PciMsix, device);
        assert_eq!(button.press(), Err(ButtonError::NobodyListens));
        driver.start(u64::MAX);
        (0..100).for_each(|_| assert_eq!(button.press(), Ok(())));
        assert_eq!(button.state().presses, MOST_PRESSES);
        driver.set_status(0);
        assert_eq!(button.press(), Err(ButtonError::NobodyListens));
        driver.start(u64::MAX);
        let at = driver.room(8);
        driver.add(EVENTQ, &[], &[(at, 8)]);
        driver.kick(EVENTQ);
        assert_eq!(driver.used(EVENTQ), []);
    }

    #[test]
    fn the_configuration_says_what_is_selected() {
        let (mut driver, _) = started(Transport::Mmio);
        let mut selected = |select: u8, subsel: u8| {
            driver.write_config(0, select);
            driver.write_config(1, subsel);
            let bytes = driver.config(0, 136);
            assert_eq!(bytes[..2], [select, subsel]);
            bytes[8..8 + usize::from(bytes[2])].to_vec()
        };
        assert_eq!(selected(1, 0), b"Ferry power button");
        assert_eq!(selected(3, 0).len(), 8);
        let keys = selected(0x11, 1);
        assert_eq!((keys.len(), keys[14], keys[..14].iter().max()), (15, 0x10, Some(&0)));
        for nothing in [(0, 0), (1, 1), (0x10, 0), (0x11, 2), (0x12, 0), (255, 255)] {
            assert!(selected(nothing.0, nothing.1).is_empty(), "{nothing:?}");
        }
    }
}
