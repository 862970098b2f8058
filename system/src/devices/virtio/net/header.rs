//! What stands before each frame in a buffer: struct virtio_net_hdr (virtio 1.2, 5.1.6).

use virtio_bindings::bindings::virtio_net::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4,
};

use super::backend::{GuestOffloads, Offload, PartialChecksum, Segmentation};

/// Its bytes.
pub(super) const LEN: usize = 12;

const NEEDS_CSUM: u8 = VIRTIO_NET_HDR_F_NEEDS_CSUM as u8;
const GSO_NONE: u8 = VIRTIO_NET_HDR_GSO_NONE as u8;
const GSO_TCPV4: u8 = VIRTIO_NET_HDR_GSO_TCPV4 as u8;
const GSO_ECN: u8 = VIRTIO_NET_HDR_GSO_ECN as u8;

/// What the driver may leave to the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum HostOffloads {
    #[default]
    None,
    Checksum,
    Segmentation,
}

/// What the header of a frame of `len` bytes leaves to the device; none if it may not, or if it makes
/// no sense.
pub(super) fn parse(header: &[u8; LEN], len: usize, allowed: HostOffloads) -> Option<Offload> {
    let [flags, gso, ..] = *header;
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (headers, size, start, offset) = (field(2), field(4), field(6), field(8));
    let mut offload = Offload::default();
    if flags & NEEDS_CSUM != 0 {
        let inside = usize::from(start) + usize::from(offset) + 2 <= len;
        if !inside || allowed == HostOffloads::None {
            return None;
        }
        offload.checksum = Some(PartialChecksum { start, offset });
    }
    match gso & !GSO_ECN {
        GSO_NONE => {}
        GSO_TCPV4 if offload.checksum.is_some() && allowed == HostOffloads::Segmentation => {
            if size == 0 {
                return None;
            }
            offload.segmentation = Some(Segmentation { size, headers });
        }
        _ => return None,
    }
    Some(offload)
}

/// The header of a frame for the guest that lies in so many chains.
pub(super) fn emit(offload: Offload, chains: u16) -> [u8; LEN] {
    let mut header = [0; LEN];
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    if let Some(PartialChecksum { start, offset }) = offload.checksum {
        put(6, start);
        put(8, offset);
    }
    if let Some(Segmentation { size, headers }) = offload.segmentation {
        put(2, headers);
        put(4, size);
    }
    put(10, chains);
    header[0] = if offload.checksum.is_some() { NEEDS_CSUM } else { 0 };
    header[1] = if offload.segmentation.is_some() { GSO_TCPV4 } else { GSO_NONE };
    header
}

/// Whether the guest has agreed to what a frame leaves to it.
pub(super) fn is_agreed(offload: Offload, agreed: GuestOffloads) -> bool {
    match agreed {
        GuestOffloads::None => offload == Offload::default(),
        GuestOffloads::Checksum => offload.segmentation.is_none(),
        GuestOffloads::Segmentation => true,
    }
}
