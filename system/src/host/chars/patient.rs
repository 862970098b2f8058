//! A backend that takes everything at once, for runs that repeat: the guest never finds it full.

use std::time::Duration;

use super::CharBackend;
use crate::device::Notifier;

/// How long it waits before it offers again what the other end did not take.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits for another backend instead of the guest.
pub struct Patient(Box<dyn CharBackend>);

impl Patient {
    /// Waits for this one.
    #[must_use]
    pub fn new(inner: Box<dyn CharBackend>) -> Self {
        Self(inner)
    }
}

impl CharBackend for Patient {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.0.write(rest).min(rest.len());
            rest = &rest[taken..];
            if taken == 0 {
                std::thread::sleep(PAUSE);
            }
        }
        bytes.len()
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.0.read(buffer)
    }

    fn connect(&mut self, notifier: Notifier) {
        self.0.connect(notifier);
    }

    fn take_break(&mut self) -> bool {
        self.0.take_break()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    #[test]
    fn it_takes_everything() {
        let line = Memory::with_room(2);
        let mut patient = Patient::new(Box::new(line.clone()));
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            while all.len() < 9 {
                all.extend(line.take_output());
                line.add_room(2);
                std::thread::yield_now();
            }
            all
        });
        assert_eq!(patient.write(b"all of it"), 9);
        assert_eq!(reader.join().unwrap(), b"all of it");
    }
}
