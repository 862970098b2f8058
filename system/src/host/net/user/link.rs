//! The wire to the guest: who is where on it, and how frames are put on it.

use std::net::Ipv4Addr;

use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket, UdpRepr,
};

use super::super::config::Mac;
use super::super::queue::Sender;
use super::super::{
    ETHERNET_HEADER, Filled, Full, GuestOffloads, Offload, PartialChecksum, Segmentation,
};
use super::addresses;

const IP_HEADER: usize = 20;
/// Where TCP's checksum is in its header.
const TCP_CHECKSUM: u16 = 16;
/// Bytes of an IP packet that stands for several segments.
const LARGE: usize = 0xffff;

/// The wire to the guest.
pub(super) struct Link {
    out: Sender,
    /// The stations of the network by the last byte of their addresses, as they were last seen.
    stations: [Option<Mac>; 256],
    /// The guest's device: where stations are that were not seen yet.
    device: Mac,
    offloads: GuestOffloads,
    mtu: u16,
    ident: u16,
    /// Where answers go for which there is no room.
    lost: Vec<u8>,
}

impl Link {
    pub(super) fn new(out: Sender, device: Mac, mtu: u16) -> Self {
        let stations = [None; 256];
        let offloads = GuestOffloads::None;
        Self { out, stations, device, offloads, mtu, ident: 0, lost: Vec::new() }
    }

    pub(super) fn set_offloads(&mut self, offloads: GuestOffloads) {
        self.offloads = offloads;
    }

    /// Remembers where a station is.
    pub(super) fn learn(&mut self, addr: Ipv4Addr, mac: Mac) {
        if addresses::is_guest(addr) {
            self.stations[usize::from(addr.octets()[3])] = Some(mac);
        }
    }

    fn station(&self, addr: Ipv4Addr) -> Mac {
        if addr == addresses::BROADCAST || addr.is_broadcast() {
            return Mac([0xff; 6]);
        }
        let known = self.stations[usize::from(addr.octets()[3])];
        known.filter(|_| addresses::is_local(addr)).unwrap_or(self.device)
    }

    /// Whether a frame of any length has room.
    pub(super) fn has_room(&mut self) -> bool {
        self.out.has_room()
    }

    /// Shows the guest's device what was sent. Says whether there was anything.
    pub(super) fn flush(&mut self) -> bool {
        self.out.flush()
    }

    /// Sends an answer to ARP.
    pub(super) fn send_arp(&mut self, to: Mac, arp: ArpRepr) {
        let len = ETHERNET_HEADER + arp.buffer_len();
        // An answer that has no room is lost, and asked for again.
        let _ = self.out.push(len, |bytes| {
            let from = match arp {
                ArpRepr::EthernetIpv4 { source_hardware_addr, .. } => source_hardware_addr,
                _ => EthernetAddress::BROADCAST,
            };
            ethernet(bytes, to, Mac(from.0), EthernetProtocol::Arp);
            arp.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_HEADER..]));
            (Filled::Complete, Offload::default())
        });
    }

    /// Sends a datagram, in fragments if it is too long. Lost if there is no room: UDP's senders know
    /// that it can be.
    pub(super) fn send_udp(&mut self, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), data: &[u8]) {
        let mac = self.station(to.0);
        self.send_udp_to(mac, from, to, data);
    }

    /// The same, to a station that may not have its address yet.
    pub(super) fn send_udp_to(
        &mut self,
        mac: Mac,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        data: &[u8],
    ) {
        let udp = UdpRepr { src_port: from.1, dst_port: to.1 };
        let len = udp.header_len() + data.len();
        if IP_HEADER + len > LARGE {
            return;
        }
        let mut datagram = vec![0; len];
        let (source, target) = (from.0.into(), to.0.into());
        let sums = ChecksumCapabilities::default();
        let mut packet = UdpPacket::new_unchecked(&mut datagram);
        udp.emit(&mut packet, &source, &target, data.len(), |out| out.copy_from_slice(data), &sums);
        self.send_ip(mac, from.0, to.0, IpProtocol::Udp, &datagram);
    }

    /// Sends a message of ICMP.
    pub(super) fn send_icmp(&mut self, from: Ipv4Addr, to: Ipv4Addr, icmp: &Icmpv4Repr<'_>) {
        let mut message = vec![0; icmp.buffer_len()];
        let sums = ChecksumCapabilities::default();
        icmp.emit(&mut Icmpv4Packet::new_unchecked(&mut message), &sums);
        self.send_ip(self.station(to), from, to, IpProtocol::Icmp, &message);
    }

    fn send_ip(
        &mut self,
        mac: Mac,
        from: Ipv4Addr,
        to: Ipv4Addr,
        protocol: IpProtocol,
        payload: &[u8],
    ) {
        self.ident = self.ident.wrapping_add(1);
        let ident = self.ident;
        // Fragments but the last have a multiple of eight bytes.
        let step = (usize::from(self.mtu) - IP_HEADER) & !7;
        let whole = payload.len() + IP_HEADER <= usize::from(self.mtu);
        let step = if whole { payload.len().max(1) } else { step };
        for (index, part) in payload.chunks(step).enumerate() {
            let offset = index * step;
            let more = offset + part.len() < payload.len();
            let _ = self.out.push(ETHERNET_HEADER + IP_HEADER + part.len(), |bytes| {
                ethernet(bytes, mac, gateway_mac(from), EthernetProtocol::Ipv4);
                let bytes = &mut bytes[ETHERNET_HEADER..];
                bytes[IP_HEADER..].copy_from_slice(part);
                let payload_len = part.len();
                let repr = ip_repr(from, to, protocol, payload_len);
                let mut packet = Ipv4Packet::new_unchecked(bytes);
                repr.emit(&mut packet, &ChecksumCapabilities::default());
                packet.set_ident(ident);
                packet.set_dont_frag(false);
                packet.set_more_frags(more);
                packet.set_frag_offset(u16::try_from(offset).unwrap_or_default());
                packet.fill_checksum();
                (Filled::Complete, Offload::default())
            });
        }
    }

    /// Sends an IP packet that a TCP socket writes.
    fn send_tcp<R>(
        &mut self,
        len: usize,
        segment: Option<u16>,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let (device, stations, offloads) = (self.device, &self.stations, self.offloads);
        let mut result = None;
        let mut write = Some(write);
        let mut fill = |bytes: &mut [u8]| {
            result = write.take().map(|write| write(&mut bytes[ETHERNET_HEADER..]));
            let ip = Ipv4Packet::new_unchecked(&mut bytes[ETHERNET_HEADER..]);
            let (source, target) = (ip.src_addr(), ip.dst_addr());
            let known = stations[usize::from(target.octets()[3])];
            let mac = known.filter(|_| addresses::is_local(target)).unwrap_or(device);
            ethernet(bytes, mac, gateway_mac(source), EthernetProtocol::Ipv4);
            let ip = &mut bytes[ETHERNET_HEADER..];
            (Filled::Complete, finish_tcp(ip, (source, target), segment, offloads))
        };
        let pushed = self.out.push(ETHERNET_HEADER + len, &mut fill);
        if pushed == Err(Full) {
            let mut lost = std::mem::take(&mut self.lost);
            lost.resize(ETHERNET_HEADER + len, 0);
            fill(&mut lost);
            self.lost = lost;
        }
        // `fill` runs exactly once: packets of sockets are never empty nor longer than a frame.
        result.unwrap_or_else(|| unreachable!("the packet was written"))
    }
}

/// Completes a segment's checksum, or leaves that to the guest.
fn finish_tcp(
    ip: &mut [u8],
    (source, target): (Ipv4Addr, Ipv4Addr),
    segment: Option<u16>,
    offloads: GuestOffloads,
) -> Offload {
    let len = ip.len() - IP_HEADER;
    let mut tcp = TcpPacket::new_unchecked(&mut ip[IP_HEADER..]);
    let header = usize::from(tcp.header_len());
    if offloads == GuestOffloads::None {
        tcp.fill_checksum(&source.into(), &target.into());
        return Offload::default();
    }
    tcp.set_checksum(pseudo_header(source, target, len));
    let start = ETHERNET_HEADER + IP_HEADER;
    let headers = u16::try_from(start + header).unwrap_or_default();
    let start = u16::try_from(start).unwrap_or_default();
    let checksum = Some(PartialChecksum { start, offset: TCP_CHECKSUM });
    let segmentation = segment.map(|size| Segmentation { size, headers });
    Offload { checksum, segmentation }
}

/// The sum of TCP's pseudo-header (RFC 9293, 3.1), for so many bytes of header and payload.
fn pseudo_header(source: Ipv4Addr, target: Ipv4Addr, len: usize) -> u16 {
    let words = |addr: Ipv4Addr| (addr.to_bits() >> 16) + (addr.to_bits() & 0xffff);
    let len = u32::try_from(len).unwrap_or_default();
    let sum = words(source) + words(target) + u32::from(u8::from(IpProtocol::Tcp)) + len;
    let folded = (sum >> 16) + (sum & 0xffff);
    ((folded >> 16) + (folded & 0xffff)) as u16
}

fn ethernet(bytes: &mut [u8], to: Mac, from: Mac, kind: EthernetProtocol) {
    let mut frame = EthernetFrame::new_unchecked(bytes);
    frame.set_dst_addr(EthernetAddress(to.0));
    frame.set_src_addr(EthernetAddress(from.0));
    frame.set_ethertype(kind);
}

/// The Ethernet address from which a sender's packets come: its own, or the router's.
fn gateway_mac(from: Ipv4Addr) -> Mac {
    let ours = if addresses::is_ours(from) { from } else { addresses::GATEWAY };
    addresses::our_mac(ours)
}

/// The header of a packet that we send.
pub(super) fn ip_repr(
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: IpProtocol,
    payload_len: usize,
) -> Ipv4Repr {
    Ipv4Repr { src_addr: from, dst_addr: to, next_header: protocol, payload_len, hop_limit: 64 }
}

/// The link as TCP sockets see it, with one segment from the guest at most.
pub(super) struct Port<'a> {
    pub(super) link: &'a mut Link,
    pub(super) inbound: Option<&'a [u8]>,
}

/// A segment from the guest.
pub(super) struct Inbound<'a>(&'a [u8]);

/// A segment for the guest.
pub(super) struct Outbound<'a> {
    link: &'a mut Link,
    segment: Option<u16>,
}

impl phy::RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.link.send_tcp(len, self.segment, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size.map(u16::from);
    }
}

impl phy::Device for Port<'_> {
    type RxToken<'a>
        = Inbound<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outbound<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Inbound<'_>, Outbound<'_>)> {
        let inbound = self.inbound.take()?;
        Some((Inbound(inbound), Outbound { link: self.link, segment: None }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outbound<'_>> {
        self.link.has_room().then_some(Outbound { link: self.link, segment: None })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.link.mtu.into();
        // Checked when the frame was taken apart, and filled in when it is sent.
        capabilities.checksum.tcp = phy::Checksum::None;
        capabilities.checksum.ipv4 = phy::Checksum::Tx;
        if self.link.offloads == GuestOffloads::Segmentation {
            capabilities.segmentation.tcpv4 = std::num::NonZeroUsize::new(LARGE);
        }
        capabilities
    }
}
