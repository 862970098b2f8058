//! Network device (virtio 1.2, 5.1): one pair of queues, behind which is a [`NetBackend`]. Without a
//! control queue; so there is one pair of queues, and the driver keeps the address that it is given.

pub mod backend;
mod header;

use virtio_bindings::bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4,
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
    VIRTIO_NET_S_LINK_UP,
};

use self::backend::{Filled, Frame, GuestOffloads, MAX_FRAME, NetBackend};
use self::header::HostOffloads;
use super::{Chain, Io, QueueError, VirtioDevice, id};
use crate::device::Notifier;

/// The queue of frames for the guest, receiveq1 (5.1.2).
const RECEIVE: u16 = 0;
/// The queue of the guest's frames, transmitq1.
const TRANSMIT: u16 = 1;
/// Entries of each.
const QUEUE_SIZE: u16 = 256;

/// Whether a frame may lie in several chains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Merging {
    No,
    Yes,
}

/// Whether frames of the guest wait for room behind the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiting {
    No,
    Yes,
}

/// The device.
pub struct Net {
    backend: Box<dyn NetBackend>,
    mac: [u8; 6],
    mtu: u16,
    from_guest: HostOffloads,
    to_guest: GuestOffloads,
    merging: Merging,
    waiting: Waiting,
}

impl Net {
    /// A device with this address, in whose network IP packets have `mtu` bytes at most.
    #[must_use]
    pub fn new(backend: Box<dyn NetBackend>, mac: [u8; 6], mtu: u16) -> Self {
        Self {
            backend,
            mac,
            mtu,
            from_guest: HostOffloads::None,
            to_guest: GuestOffloads::None,
            merging: Merging::No,
            waiting: Waiting::No,
        }
    }

    /// Takes the guest's frames, as far as there is room.
    fn transmit(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        self.waiting = Waiting::No;
        while let Some(chain) = io.pop(TRANSMIT)? {
            if self.transmit_one(&chain, io)? == Waiting::Yes {
                io.put_back(TRANSMIT, &chain);
                self.waiting = Waiting::Yes;
                break;
            }
            io.complete(TRANSMIT, chain.head, 0)?;
        }
        self.backend.flush();
        Ok(())
    }

    /// Takes a frame. One that makes no sense is dropped.
    fn transmit_one(&mut self, chain: &Chain, io: &Io<'_>) -> Result<Waiting, QueueError> {
        let (memory, buffers) = (io.memory(), &chain.readable);
        let mut header = [0; header::LEN];
        let got = buffers.read(memory, 0, &mut header)?;
        let len = usize::try_from(buffers.len()).unwrap_or(usize::MAX).saturating_sub(got);
        let offload = header::parse(&header, len, self.from_guest);
        let Some(offload) = offload.filter(|_| (1..=MAX_FRAME).contains(&len)) else {
            return Ok(Waiting::No);
        };
        let mut read = Ok(len);
        let taken = self.backend.transmit(len, offload, &mut |bytes| {
            read = buffers.read(memory, header::LEN as u64, bytes);
            if read == Ok(len) { Filled::Complete } else { Filled::Abandoned }
        });
        read.map(|_| if taken.is_ok() { Waiting::No } else { Waiting::Yes })
    }

    /// Gives the guest what there is, as far as it has buffers.
    fn receive(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        while let Some(frame) = self.backend.receive() {
            let agreed = header::is_agreed(frame.offload, self.to_guest);
            if agreed && receive_one(frame, self.merging, io)? == Waiting::Yes {
                break;
            }
            self.backend.consume();
        }
        Ok(())
    }
}

/// Gives a frame to the guest, or drops it if the driver's buffers are too short. Says whether it
/// waits for buffers.
fn receive_one(
    Frame { bytes, offload }: Frame<'_>,
    merging: Merging,
    io: &mut Io<'_>,
) -> Result<Waiting, QueueError> {
    let needed = (header::LEN + bytes.len()) as u64;
    let (mut chains, mut room) = (Vec::new(), 0);
    while room < needed && (merging == Merging::Yes || chains.is_empty()) {
        let Some(chain) = io.pop(RECEIVE)? else {
            chains.iter().rev().for_each(|chain| io.put_back(RECEIVE, chain));
            return Ok(Waiting::Yes);
        };
        room += chain.writable.len();
        chains.push(chain);
    }
    if room < needed {
        chains.iter().rev().for_each(|chain| io.put_back(RECEIVE, chain));
        return Ok(Waiting::No);
    }
    let header = header::emit(offload, u16::try_from(chains.len()).unwrap_or(u16::MAX));
    io.complete_all(RECEIVE, &write(&header, bytes, &chains, io)?)?;
    Ok(Waiting::No)
}

/// Writes a header and a frame to chains. Returns what is written to each.
fn write(
    header: &[u8],
    bytes: &[u8],
    chains: &[Chain],
    io: &Io<'_>,
) -> Result<Vec<(u16, u32)>, QueueError> {
    let (mut header, mut bytes) = (header, bytes);
    let mut used = Vec::with_capacity(chains.len());
    for chain in chains {
        let first = chain.writable.write(io.memory(), 0, header)?;
        header = &header[first..];
        let second = chain.writable.write(io.memory(), first as u64, bytes)?;
        bytes = &bytes[second..];
        used.push((chain.head, (first + second) as u32));
    }
    Ok(used)
}

impl VirtioDevice for Net {
    fn name(&self) -> &'static str {
        "virtio-net"
    }

    fn device_id(&self) -> u16 {
        id::NET
    }

    fn pci_class(&self) -> u32 {
        // Network controller, Ethernet.
        0x02_0000
    }

    fn features(&self) -> u64 {
        let bits = [
            VIRTIO_NET_F_CSUM,
            VIRTIO_NET_F_GUEST_CSUM,
            VIRTIO_NET_F_MTU,
            VIRTIO_NET_F_MAC,
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_HOST_TSO4,
            VIRTIO_NET_F_MRG_RXBUF,
            VIRTIO_NET_F_STATUS,
        ];
        bits.into_iter().fold(0, |all, bit| all | 1 << bit)
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2]
    }

    /// struct virtio_net_config (5.1.4): mac, status, max_virtqueue_pairs, mtu.
    fn config(&self) -> Vec<u8> {
        let mut config = self.mac.to_vec();
        for field in [VIRTIO_NET_S_LINK_UP as u16, 1, self.mtu] {
            config.extend(field.to_le_bytes());
        }
        config
    }

    fn connect(&mut self, notifier: Notifier) {
        self.backend.connect(notifier);
    }

    fn activate(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        // Segmentation needs checksums in both directions (5.1.3.1).
        let host = (io.has_feature(VIRTIO_NET_F_CSUM), io.has_feature(VIRTIO_NET_F_HOST_TSO4));
        self.from_guest = match host {
            (false, _) => HostOffloads::None,
            (true, false) => HostOffloads::Checksum,
            (true, true) => HostOffloads::Segmentation,
        };
        let guest =
            (io.has_feature(VIRTIO_NET_F_GUEST_CSUM), io.has_feature(VIRTIO_NET_F_GUEST_TSO4));
        self.to_guest = match guest {
            (false, _) => GuestOffloads::None,
            (true, false) => GuestOffloads::Checksum,
            (true, true) => GuestOffloads::Segmentation,
        };
        let merging = io.has_feature(VIRTIO_NET_F_MRG_RXBUF);
        self.merging = if merging { Merging::Yes } else { Merging::No };
        self.backend.negotiate(self.to_guest);
        Ok(())
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        match queue {
            RECEIVE => self.receive(io),
            _ => self.transmit(io),
        }
    }

    fn wake(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        if self.waiting == Waiting::Yes {
            self.transmit(io)?;
        }
        if io.is_active(RECEIVE) { self.receive(io) } else { Ok(()) }
    }

    fn reset_queue(&mut self, queue: u16) {
        if queue == TRANSMIT {
            self.waiting = Waiting::No;
        }
    }

    fn reset(&mut self) {
        (self.from_guest, self.to_guest) = (HostOffloads::None, GuestOffloads::None);
        (self.merging, self.waiting) = (Merging::No, Waiting::No);
        self.backend.negotiate(GuestOffloads::None);
    }
}

#[cfg(test)]
mod tests;
