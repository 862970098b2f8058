//! What becomes of each frame, and what is done when something happens on the host.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Instant;

use smoltcp::wire::{Icmpv4DstUnreachable, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket};

use super::super::config::{Mac, Protocol, UserConfig};
use super::super::{Frame, GuestOffloads};
use super::dhcp::{self, Dhcp};
use super::dns::{self, Dns};
use super::fragments::Fragments;
use super::icmp::{self, Pings};
use super::link::Link;
use super::packet::{self, Ip, Packet, Sums};
use super::policy::{Place, Policy};
use super::poller::{Poller, Ready};
use super::tcp::{self, Tcp};
use super::udp::{Pair, Udp};
use super::{OpenError, addresses, arp};

/// The network between the guest's link and the host's sockets.
pub(super) struct Nat {
    pub(super) link: Link,
    pub(super) poller: Poller,
    policy: Policy,
    dhcp: Dhcp,
    dns: Dns,
    pings: Pings,
    udp: Udp,
    pub(super) tcp: Tcp,
    fragments: Fragments,
    /// What has more than it was given a turn for.
    again: Vec<Ready>,
    scratch: Vec<u8>,
}

impl Nat {
    /// A network; returns where each of the forwarded ports is, too.
    pub(super) fn new(
        config: &UserConfig,
        policy: Policy,
        servers: Vec<SocketAddr>,
        mut link: Link,
    ) -> Result<(Self, Vec<SocketAddrV4>), OpenError> {
        let mut poller = Poller::new().map_err(OpenError::Host)?;
        let mut udp = Udp::default();
        let mut tcp = Tcp::new(&mut link, Instant::now());
        let mut ports = Vec::new();
        for forward in &config.forwards {
            let port = match forward.protocol {
                Protocol::Tcp => tcp.listen(forward, &mut poller),
                Protocol::Udp => udp.listen(forward, &mut poller),
            };
            let error = |source| OpenError::Listen { at: forward.host, source };
            ports.push(port.map_err(error)?);
        }
        let nat = Self {
            link,
            poller,
            policy,
            dhcp: Dhcp::new(config),
            dns: Dns::new(servers),
            pings: Pings::default(),
            udp,
            tcp,
            fragments: Fragments::default(),
            again: Vec::new(),
            scratch: vec![0; 0xffff],
        };
        Ok((nat, ports))
    }

    /// The guest accepts other frames than before.
    pub(super) fn negotiate(&mut self, offloads: GuestOffloads, now: Instant) {
        self.link.set_offloads(offloads);
        self.tcp.renegotiate(&mut self.link, now);
    }

    /// Takes a frame from the guest.
    pub(super) fn frame(&mut self, frame: Frame<'_>, now: Instant) {
        let Some((mac, packet)) = packet::parse(frame) else { return };
        match packet {
            Packet::Arp(message) => {
                if let Some((addr, mac)) = arp::teaches(&message) {
                    self.link.learn(addr, mac);
                }
                if let Some(answer) = arp::answer(&message) {
                    self.link.send_arp(mac, answer);
                }
            }
            Packet::Fragment(ip, part) => {
                let whole = self.fragments.add(&ip, part, now);
                if let Some(whole) = whole {
                    self.reassembled(&whole, (ip, part.protocol), mac, now);
                }
            }
            packet => self.packet(packet, mac, now),
        }
    }

    fn reassembled(&mut self, bytes: &[u8], (ip, protocol): (Ip<'_>, u8), mac: Mac, now: Instant) {
        // The first bytes are a header that is sound except for its length.
        let header = usize::from(Ipv4Packet::new_unchecked(bytes).header_len()).min(20);
        let ip = Ip { bytes, header, ..ip };
        let packet = packet::parse_transport(ip, IpProtocol::from(protocol), Sums::Verify);
        if let Some(packet) = packet {
            self.packet(packet, mac, now);
        }
    }

    fn packet(&mut self, packet: Packet<'_>, mac: Mac, now: Instant) {
        match packet {
            Packet::Udp(ip, udp) if udp.dst_port() == dhcp::SERVER_PORT => {
                self.dhcp(&ip, &udp);
            }
            Packet::Tcp(ip, tcp) if self.accepts(&ip, mac) => self.tcp(&ip, &tcp, now),
            Packet::Udp(ip, udp) if self.accepts(&ip, mac) => self.udp(&ip, &udp, now),
            Packet::Icmp(ip, icmp) if self.accepts(&ip, mac) => {
                let Self { pings, policy, poller, link, .. } = self;
                pings.ingress(&ip, &icmp, policy, poller, link, now);
            }
            Packet::Other(ip)
                if self.accepts(&ip, mac) && self.policy.place(ip.target) != Place::Nowhere =>
            {
                icmp::unreachable(&ip, Icmpv4DstUnreachable::ProtoUnreachable, &mut self.link);
            }
            _ => {}
        }
    }

    /// Whether a packet comes from an address that the guest may have. Remembers who has it.
    fn accepts(&mut self, ip: &Ip<'_>, mac: Mac) -> bool {
        let accepted = addresses::is_guest(ip.source);
        if accepted {
            self.link.learn(ip.source, mac);
        }
        accepted
    }

    fn dhcp(&mut self, ip: &Ip<'_>, udp: &UdpPacket<&[u8]>) {
        let to_us = ip.target.is_broadcast()
            || ip.target == addresses::BROADCAST
            || ip.target == addresses::GATEWAY;
        if !to_us || udp.src_port() != dhcp::CLIENT_PORT {
            return;
        }
        if let Some(answer) = self.dhcp.answer(udp.payload()) {
            let from = (addresses::GATEWAY, dhcp::SERVER_PORT);
            let to = (answer.to, dhcp::CLIENT_PORT);
            self.link.send_udp_to(answer.mac, from, to, &answer.bytes);
        }
    }

    fn tcp(&mut self, ip: &Ip<'_>, tcp: &TcpPacket<&[u8]>, now: Instant) {
        let pair = pair(ip, tcp.src_port(), tcp.dst_port());
        let Self { tcp: flows, link, poller, dns, .. } = self;
        if flows.ingress(&pair, ip, link, now) {
            return;
        }
        let port = tcp.dst_port();
        match self.policy.place(ip.target) {
            Place::Nowhere => {}
            Place::Host(host) if tcp::opens(tcp) => {
                let hosts = [SocketAddr::new(host.into(), port)];
                flows.open((pair, &hosts), ip, poller, link, now);
            }
            Place::Dns if tcp::opens(tcp) && port == dns::PORT => {
                flows.open((pair, dns.servers()), ip, poller, link, now);
            }
            _ => flows.refuse(ip, link, now),
        }
    }

    fn udp(&mut self, ip: &Ip<'_>, udp: &UdpPacket<&[u8]>, now: Instant) {
        let (pair, data) = (pair(ip, udp.src_port(), udp.dst_port()), udp.payload());
        let Self { udp: flows, link, poller, dns, .. } = self;
        let port = pair.peer.port();
        if flows.answer(pair, data, now) || port == 0 || pair.guest.port() == 0 {
            return;
        }
        match self.policy.place(ip.target) {
            Place::Nowhere => {}
            Place::Dns if port == dns::PORT => dns.ask(pair.guest, data, poller, link, now),
            Place::Dns => icmp::unreachable(ip, Icmpv4DstUnreachable::PortUnreachable, link),
            Place::Forbidden => icmp::unreachable(ip, Icmpv4DstUnreachable::CommProhibited, link),
            Place::Host(host) => {
                let host = SocketAddrV4::new(host, port);
                flows.send((pair, host), ip, data, poller, link, now);
            }
        }
    }

    /// Does what has become possible on the host.
    pub(super) fn event(&mut self, ready: Ready, now: Instant) {
        let Self { dns, pings, udp, tcp, policy, poller, link, scratch, .. } = self;
        tcp.event(ready);
        if ready.readable {
            dns.event(ready.token, poller, link, scratch, now);
            pings.event(ready.token, link, scratch);
            if udp.event(ready.token, policy, link, scratch, now) {
                self.again.push(ready);
            }
        }
    }

    /// Does what is to be done by now.
    pub(super) fn serve(&mut self, now: Instant) {
        for ready in std::mem::take(&mut self.again) {
            self.event(ready, now);
        }
        let Self { dns, pings, udp, tcp, policy, poller, link, .. } = self;
        dns.expire(poller, link, now);
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(pings.deadline()) {
            pings.expire(now);
        }
        if is_due(udp.deadline()) {
            udp.expire(now);
        }
        tcp.expire(now);
        tcp.serve(policy, poller, link, now);
    }

    /// When [`Nat::serve`] is to be called if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines =
            [self.dns.deadline(), self.pings.deadline(), self.udp.deadline(), self.tcp.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Waits until something happens, unless there is something to do.
    pub(super) fn wait(
        &mut self,
        idle: impl FnOnce() -> bool,
        ready: &mut Vec<Ready>,
    ) -> rustix::io::Result<()> {
        let deadline = self.deadline();
        let Self { poller, tcp, link, again, .. } = self;
        let idle = || idle() && again.is_empty() && !tcp.is_busy(link);
        poller.wait(deadline, idle, ready)
    }
}

fn pair(ip: &Ip<'_>, source: u16, target: u16) -> Pair {
    let guest = SocketAddrV4::new(ip.source, source);
    Pair { guest, peer: SocketAddrV4::new(ip.target, target) }
}
