//! Console device (virtio 1.2, 5.3): one port, its size, and the emergency write. There are no further
//! ports (VIRTIO_CONSOLE_F_MULTIPORT).

use super::{Chain, Io, QueueError, VirtioDevice, id};
use crate::device::{Notifier, Time};
use crate::host::chars::CharBackend;

/// Feature bits (5.3.3).
mod feature {
    pub(super) const SIZE: u32 = 0;
    pub(super) const EMERG_WRITE: u32 = 2;
}

/// `struct virtio_console_config` (5.3.4), by offset.
mod config {
    pub(super) const COLS: usize = 0;
    pub(super) const ROWS: usize = 2;
    pub(super) const MAX_NR_PORTS: usize = 4;
    pub(super) const EMERG_WR: usize = 8;
    pub(super) const END: usize = 12;
}

/// Queues (5.3.2).
const RECEIVEQ: u16 = 0;
const TRANSMITQ: u16 = 1;

/// Entries of each.
const QUEUE_SIZE: u16 = 64;

/// Bytes that are moved at once.
const PART: usize = 4096;

/// Bytes that are sent before other things have their turn: a chain may have 4 GiB.
const TURN: usize = 1 << 20;

/// How large a console is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConsoleSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Where a console's size comes from. A change is told through the notifier of the backend, or seen
/// when something else is.
pub trait SizeSource: Send {
    /// As it is now.
    fn size(&mut self) -> ConsoleSize;
}

impl SizeSource for ConsoleSize {
    fn size(&mut self) -> ConsoleSize {
        *self
    }
}

/// The device.
pub struct Console {
    backend: Box<dyn CharBackend>,
    source: Option<Box<dyn SizeSource>>,
    size: ConsoleSize,
    /// A chain of which the backend has not taken all, and how much it has.
    sending: Option<(Chain, u64)>,
    /// The backend takes more, but others have their turn.
    more: bool,
}

/// What has come of sending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The whole chain.
    All,
    /// Not all yet.
    Part,
}

impl Console {
    /// With what stands behind it, and what its size is, if it has any.
    #[must_use]
    pub fn new(backend: Box<dyn CharBackend>, mut size: Option<Box<dyn SizeSource>>) -> Self {
        let now = size.as_mut().map(|source| source.size()).unwrap_or_default();
        Self { backend, source: size, size: now, sending: None, more: false }
    }

    fn send(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        let mut turn = TURN;
        self.more = false;
        loop {
            let Some((chain, done)) = &mut self.sending else {
                let Some(chain) = io.pop(TRANSMITQ)? else { return Ok(()) };
                self.sending = Some((chain, 0));
                continue;
            };
            if send_part(self.backend.as_mut(), chain, done, &mut turn, io)? == Sent::Part {
                self.more = turn == 0;
                return Ok(());
            }
            io.complete(TRANSMITQ, chain.head, 0)?;
            self.sending = None;
        }
    }

    fn receive(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        let mut bytes = [0; PART];
        while let Some(chain) = io.pop(RECEIVEQ)? {
            let room = chain.writable.len().min(PART as u64) as usize;
            let read = self.backend.read(&mut bytes[..room]);
            if read == 0 && room != 0 {
                io.put_back(RECEIVEQ, &chain);
                break;
            }
            let written = chain.writable.write(io.memory(), 0, &bytes[..read.min(room)])?;
            io.complete(RECEIVEQ, chain.head, written as u32)?;
        }
        Ok(())
    }

    fn look_at_size(&mut self, io: &mut Io<'_>) {
        let Some(source) = &mut self.source else { return };
        let now = source.size();
        if std::mem::replace(&mut self.size, now) != now && io.has_feature(feature::SIZE) {
            io.config_changed();
        }
    }
}

/// Sends as much of a chain as the backend takes and as is left of the turn.
fn send_part(
    backend: &mut dyn CharBackend,
    chain: &Chain,
    done: &mut u64,
    turn: &mut usize,
    io: &Io<'_>,
) -> Result<Sent, QueueError> {
    let mut bytes = [0; PART];
    while *done < chain.readable.len() {
        let part = PART.min(*turn);
        let read = chain.readable.read(io.memory(), *done, &mut bytes[..part])?;
        let taken = backend.write(&bytes[..read]).min(read);
        *done += taken as u64;
        *turn -= taken;
        if taken < read || *turn == 0 && *done < chain.readable.len() {
            return Ok(Sent::Part);
        }
    }
    Ok(Sent::All)
}

impl VirtioDevice for Console {
    fn name(&self) -> &'static str {
        "virtio-console"
    }

    fn device_id(&self) -> u16 {
        id::CONSOLE
    }

    fn pci_class(&self) -> u32 {
        0x07_8000
    }

    fn features(&self) -> u64 {
        let size = u64::from(self.source.is_some()) << feature::SIZE;
        size | 1 << feature::EMERG_WRITE
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2]
    }

    fn config(&self) -> Vec<u8> {
        let mut bytes = vec![0; config::END];
        let mut put = |at: usize, value: &[u8]| bytes[at..][..value.len()].copy_from_slice(value);
        put(config::COLS, &self.size.columns.to_le_bytes());
        put(config::ROWS, &self.size.rows.to_le_bytes());
        put(config::MAX_NR_PORTS, &1_u32.to_le_bytes());
        bytes
    }

    /// A byte written to `emerg_wr` is sent at once, even before the driver is ready; what there is
    /// no room for is lost.
    fn write_config(&mut self, offset: u64, bytes: &[u8], _io: &mut Io<'_>) {
        if offset == config::EMERG_WR as u64
            && let Some(&byte) = bytes.first()
        {
            self.backend.write(&[byte]);
        }
    }

    fn connect(&mut self, notifier: Notifier) {
        self.backend.connect(notifier);
    }

    fn activate(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        self.look_at_size(io);
        self.receive(io)
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        match queue {
            RECEIVEQ => self.receive(io),
            _ => self.send(io),
        }
    }

    fn wake(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        self.look_at_size(io);
        if self.sending.is_some() {
            self.send(io)?;
        }
        self.receive(io)
    }

    fn deadline(&self) -> Option<Time> {
        self.more.then_some(Time(0))
    }

    fn reset_queue(&mut self, queue: u16) {
        if queue == TRANSMITQ {
            (self.sending, self.more) = (None, false);
        }
    }

    fn reset(&mut self) {
        (self.sending, self.more) = (None, false);
    }
}

#[cfg(test)]
#[path = "console_tests.rs"]
mod tests;
