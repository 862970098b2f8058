//! ICMP (RFC 792): echo requests to us are answered here; those to others go through the host's ping
//! sockets (icmp(7)) where it lets anybody have one, and are answered with "unreachable" where not.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Ipv4Packet, Ipv4Repr};

use super::addresses;
use super::link::Link;
use super::packet::Ip;
use super::policy::{Place, Policy};
use super::poller::{Poller, Token};
use super::socket;

/// Who pings whom at the same time, at most.
const PINGS: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Datagrams of one ping that are taken at a time.
const TURN: usize = 32;
/// Bytes of a packet that an error repeats behind its header (RFC 1812, 4.3.2.3).
pub(super) const REPEATED: usize = 548;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    guest: Ipv4Addr,
    target: Ipv4Addr,
    ident: u16,
}

struct Ping {
    key: Key,
    socket: OwnedFd,
    deadline: Instant,
}

/// Echo requests that are under way.
#[derive(Default)]
pub(super) struct Pings {
    pings: HashMap<Token, Ping>,
    by_key: HashMap<Key, Token>,
}

impl Pings {
    /// Takes a message of the guest's.
    pub(super) fn ingress(
        &mut self,
        ip: &Ip<'_>,
        icmp: &Icmpv4Packet<&[u8]>,
        policy: &Policy,
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        let sums = ChecksumCapabilities::ignored();
        let Ok(Icmpv4Repr::EchoRequest { ident, seq_no, data }) = Icmpv4Repr::parse(icmp, &sums)
        else {
            return;
        };
        if addresses::is_ours(ip.target) {
            let reply = Icmpv4Repr::EchoReply { ident, seq_no, data };
            return link.send_icmp(ip.target, ip.source, &reply);
        }
        let key = Key { guest: ip.source, target: ip.target, ident };
        let request = Icmpv4Repr::EchoRequest { ident, seq_no, data };
        match policy.place(ip.target) {
            Place::Host(host) => {
                if self.send(key, host, &request, poller, now).is_none() {
                    unreachable(ip, Icmpv4DstUnreachable::HostUnreachable, link);
                }
            }
            Place::Forbidden => unreachable(ip, Icmpv4DstUnreachable::CommProhibited, link),
            Place::Dns | Place::Nowhere => {}
        }
    }

    /// Passes a request on; none if it cannot be.
    fn send(
        &mut self,
        key: Key,
        host: Ipv4Addr,
        request: &Icmpv4Repr<'_>,
        poller: &mut Poller,
        now: Instant,
    ) -> Option<()> {
        let token = match self.by_key.get(&key) {
            Some(&token) => token,
            None => self.open(key, host, poller, now)?,
        };
        let ping = self.pings.get_mut(&token)?;
        ping.deadline = now + PATIENCE;
        let mut message = vec![0; request.buffer_len()];
        let sums = ChecksumCapabilities::default();
        request.emit(&mut Icmpv4Packet::new_unchecked(&mut message), &sums);
        match socket::send(&ping.socket, &message) {
            Ok(_) => Some(()),
            Err(error) if socket::is_transient(error) => Some(()),
            Err(_) => None,
        }
    }

    fn open(
        &mut self,
        key: Key,
        host: Ipv4Addr,
        poller: &mut Poller,
        now: Instant,
    ) -> Option<Token> {
        if self.pings.len() >= PINGS {
            return None;
        }
        let socket = socket::ping(SocketAddrV4::new(host, 0)).ok()?;
        let token = poller.add(&socket).ok()?;
        self.pings.insert(token, Ping { key, socket, deadline: now + PATIENCE });
        self.by_key.insert(key, token);
        Some(token)
    }

    /// Takes answers, if the event is for a ping of ours.
    pub(super) fn event(&mut self, token: Token, link: &mut Link, scratch: &mut [u8]) {
        let Some(ping) = self.pings.get(&token) else { return };
        for _ in 0..TURN {
            let Ok(len) = socket::recv(&ping.socket, scratch) else { return };
            let sums = ChecksumCapabilities::ignored();
            let packet = Icmpv4Packet::new_checked(&scratch[..len]);
            let repr = packet.and_then(|packet| Icmpv4Repr::parse(&packet, &sums));
            // The host has put a number of its own in the place of the guest's.
            if let Ok(Icmpv4Repr::EchoReply { seq_no, data, .. }) = repr {
                let Key { guest, target, ident } = ping.key;
                link.send_icmp(target, guest, &Icmpv4Repr::EchoReply { ident, seq_no, data });
            }
        }
    }

    /// When something is to be done if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pings.values().map(|ping| ping.deadline).min()
    }

    /// Forgets who has not asked for long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.pings.retain(|_, ping| ping.deadline > now);
        let pings = &self.pings;
        self.by_key.retain(|_, token| pings.contains_key(token));
    }
}

/// Tells the guest that a packet of its goes nowhere. The packet may be cut off behind its header.
pub(super) fn unreachable(ip: &Ip<'_>, reason: Icmpv4DstUnreachable, link: &mut Link) {
    let packet = Ipv4Packet::new_unchecked(ip.bytes);
    if ip.bytes.len() < 20 {
        return;
    }
    let payload_len = usize::from(packet.total_len()).saturating_sub(ip.header);
    let header = Ipv4Repr {
        src_addr: ip.source,
        dst_addr: ip.target,
        next_header: packet.next_header(),
        payload_len,
        hop_limit: packet.hop_limit(),
    };
    let data = ip.payload();
    let data = &data[..data.len().min(REPEATED)];
    let message = Icmpv4Repr::DstUnreachable { reason, header, data };
    link.send_icmp(addresses::GATEWAY, ip.source, &message);
}
