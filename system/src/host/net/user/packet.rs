//! Frames of the guest, taken apart and checked. What does not hold together is dropped here.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv4Packet, IpProtocol, Ipv4Packet,
    TcpPacket, UdpPacket,
};

use super::super::config::Mac;
use super::super::{Frame, Offload};

/// An IPv4 packet whose header is sound, cut to its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) source: Ipv4Addr,
    pub(super) target: Ipv4Addr,
    /// All of it.
    pub(super) bytes: &'a [u8],
    /// Bytes of its header.
    pub(super) header: usize,
}

impl<'a> Ip<'a> {
    pub(super) fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header..).unwrap_or_default()
    }
}

/// A part of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fragment {
    pub(super) ident: u16,
    pub(super) protocol: u8,
    pub(super) offset: usize,
    pub(super) last: bool,
}

/// What a frame holds.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    Arp(ArpRepr),
    Fragment(Ip<'a>, Fragment),
    Tcp(Ip<'a>, TcpPacket<&'a [u8]>),
    Udp(Ip<'a>, UdpPacket<&'a [u8]>),
    Icmp(Ip<'a>, Icmpv4Packet<&'a [u8]>),
    Other(Ip<'a>),
}

/// Who checks the checksums of transport protocols.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sums {
    /// We do.
    Verify,
    /// Nobody needs to: the guest has left them to its device.
    Trust,
}

impl From<Offload> for Sums {
    fn from(offload: Offload) -> Self {
        if offload.checksum.is_some() { Self::Trust } else { Self::Verify }
    }
}

/// The sender's Ethernet address and the packet; none if it makes no sense.
pub(super) fn parse<'a>(frame: Frame<'a>) -> Option<(Mac, Packet<'a>)> {
    let ethernet = EthernetFrame::new_checked(frame.bytes).ok()?;
    let source = Mac(ethernet.src_addr().0);
    if !source.is_unicast() {
        return None;
    }
    let packet = match ethernet.ethertype() {
        EthernetProtocol::Arp => {
            let arp = ArpPacket::new_checked(ethernet.payload()).ok()?;
            Packet::Arp(ArpRepr::parse(&arp).ok()?)
        }
        EthernetProtocol::Ipv4 => parse_ip(ethernet.payload(), frame.offload.into())?,
        _ => return None,
    };
    Some((source, packet))
}

fn parse_ip(bytes: &[u8], sums: Sums) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let (header, total) = (usize::from(packet.header_len()), usize::from(packet.total_len()));
    let sound = packet.version() == 4 && header >= 20 && packet.verify_checksum();
    if !sound || header > total {
        return None;
    }
    let (source, target) = (packet.src_addr(), packet.dst_addr());
    let ip = Ip { source, target, bytes: bytes.get(..total)?, header };
    if packet.more_frags() || packet.frag_offset() != 0 {
        let fragment = Fragment {
            ident: packet.ident(),
            protocol: packet.next_header().into(),
            offset: packet.frag_offset().into(),
            last: !packet.more_frags(),
        };
        return Some(Packet::Fragment(ip, fragment));
    }
    parse_transport(ip, packet.next_header(), sums)
}

/// The transport protocol's packet in an IP packet that is complete.
pub(super) fn parse_transport(ip: Ip<'_>, protocol: IpProtocol, sums: Sums) -> Option<Packet<'_>> {
    let (source, target, payload) = (ip.source.into(), ip.target.into(), ip.payload());
    let packet = match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            if sums == Sums::Verify && !tcp.verify_checksum(&source, &target) {
                return None;
            }
            Packet::Tcp(ip, tcp)
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            if sums == Sums::Verify && !udp.verify_checksum(&source, &target) {
                return None;
            }
            Packet::Udp(ip, udp)
        }
        IpProtocol::Icmp => {
            let icmp = Icmpv4Packet::new_checked(payload).ok()?;
            if sums == Sums::Verify && !icmp.verify_checksum() {
                return None;
            }
            Packet::Icmp(ip, icmp)
        }
        _ => Packet::Other(ip),
    };
    Some(packet)
}
