//! UDP: each pair of addresses between which the guest sends has a socket of its own on the host,
//! which takes answers from there and nobody else, until it has been silent for a while.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use smoltcp::wire::Icmpv4DstUnreachable;

use super::super::config::{Forward, Protocol};
use super::icmp;
use super::link::Link;
use super::packet::Ip;
use super::policy::Policy;
use super::poller::{Poller, Token};
use super::socket;

/// Pairs at most. The one that was silent for longest makes room.
const FLOWS: usize = 512;
/// Hosts that reach a forwarded port at a time, at most.
const PEERS: usize = 512;
/// How long a pair may be silent.
const PATIENCE: Duration = Duration::from_secs(120);
/// Datagrams of one socket that are taken at a time.
const TURN: usize = 64;

/// Who in the guest speaks with whom, as the guest sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Pair {
    pub(super) guest: SocketAddrV4,
    pub(super) peer: SocketAddrV4,
}

struct Flow {
    pair: Pair,
    socket: OwnedFd,
    used: Instant,
    /// The header and first bytes of the packet that was sent last: errors repeat them.
    sent: Vec<u8>,
    header: usize,
}

struct Listener {
    socket: OwnedFd,
    guest: SocketAddrV4,
}

struct Peer {
    listener: Token,
    host: SocketAddrV4,
    used: Instant,
}

/// All pairs.
#[derive(Default)]
pub(super) struct Udp {
    flows: HashMap<Token, Flow>,
    by_pair: HashMap<Pair, Token>,
    listeners: HashMap<Token, Listener>,
    /// Whom the guest's answers go to that come from forwarded ports.
    peers: HashMap<Pair, Peer>,
}

impl Udp {
    /// Listens for datagrams to forward. Returns where.
    pub(super) fn listen(
        &mut self,
        forward: &Forward,
        poller: &mut Poller,
    ) -> rustix::io::Result<SocketAddrV4> {
        debug_assert_eq!(forward.protocol, Protocol::Udp, "the others are TCP's");
        let socket = socket::udp_at(forward.host)?;
        let (token, at) = (poller.add(&socket)?, socket::local(&socket)?);
        self.listeners.insert(token, Listener { socket, guest: forward.guest });
        Ok(at)
    }

    /// Passes on a datagram that answers one that was forwarded. Says whether it was one.
    pub(super) fn answer(&mut self, pair: Pair, data: &[u8], now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(&pair) else { return false };
        let Some(listener) = self.listeners.get(&peer.listener) else { return false };
        peer.used = now;
        // What the host does not take is lost, as datagrams may be.
        let _ = socket::send_to(&listener.socket, data, peer.host);
        true
    }

    /// Passes on a datagram of the guest's.
    pub(super) fn send(
        &mut self,
        (pair, host): (Pair, SocketAddrV4),
        ip: &Ip<'_>,
        data: &[u8],
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        let token = match self.by_pair.get(&pair) {
            Some(&token) => Some(token),
            None => self.open(pair, host, poller, now),
        };
        let Some(flow) = token.and_then(|token| self.flows.get_mut(&token)) else {
            return icmp::unreachable(ip, Icmpv4DstUnreachable::HostUnreachable, link);
        };
        flow.used = now;
        flow.sent.clear();
        flow.sent.extend_from_slice(&ip.bytes[..ip.bytes.len().min(ip.header + icmp::REPEATED)]);
        flow.header = ip.header;
        if let Err(error) = socket::send(&flow.socket, data)
            && !socket::is_transient(error)
        {
            let reason = unreachable_because(error);
            icmp::unreachable(ip, reason, link);
        }
    }

    fn open(
        &mut self,
        pair: Pair,
        host: SocketAddrV4,
        poller: &mut Poller,
        now: Instant,
    ) -> Option<Token> {
        if self.flows.len() >= FLOWS {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.used);
            let oldest = oldest.map(|(token, flow)| (*token, flow.pair));
            if let Some((token, pair)) = oldest {
                self.flows.remove(&token);
                self.by_pair.remove(&pair);
            }
        }
        let socket = socket::udp(host.into()).ok()?;
        let token = poller.add(&socket).ok()?;
        let flow = Flow { pair, socket, used: now, sent: Vec::new(), header: 0 };
        self.flows.insert(token, flow);
        self.by_pair.insert(pair, token);
        Some(token)
    }

    /// Takes what has arrived. Says whether there may be more.
    pub(super) fn event(
        &mut self,
        token: Token,
        policy: &Policy,
        link: &mut Link,
        scratch: &mut [u8],
        now: Instant,
    ) -> bool {
        if let Some(flow) = self.flows.get_mut(&token) {
            return receive(flow, link, scratch, now);
        }
        (0..TURN).all(|_| self.forward(token, policy, link, scratch, now).is_some())
    }

    /// Passes a datagram on to the guest that has arrived at a forwarded port; none if none has.
    fn forward(
        &mut self,
        token: Token,
        policy: &Policy,
        link: &mut Link,
        scratch: &mut [u8],
        now: Instant,
    ) -> Option<()> {
        let listener = self.listeners.get(&token)?;
        let (len, host) = match socket::recv_from(&listener.socket, scratch) {
            Ok(received) => received,
            Err(error) if socket::is_transient(error) => return None,
            // An earlier answer could not be delivered: the next datagram may be there.
            Err(_) => return Some(()),
        };
        let guest = listener.guest;
        let peer = SocketAddrV4::new(policy.alias_of(*host.ip()), host.port());
        let pair = Pair { guest, peer };
        if self.peers.len() >= PEERS && !self.peers.contains_key(&pair) {
            let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.used);
            let oldest = oldest.map(|(pair, _)| *pair);
            oldest.and_then(|pair| self.peers.remove(&pair));
        }
        self.peers.insert(pair, Peer { listener: token, host, used: now });
        link.send_udp(parts(peer), parts(guest), &scratch[..len]);
        Some(())
    }

    /// When something is to be done if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let flows = self.flows.values().map(|flow| flow.used);
        let peers = self.peers.values().map(|peer| peer.used);
        flows.chain(peers).min().map(|used| used + PATIENCE)
    }

    /// Forgets who has been silent for long.
    pub(super) fn expire(&mut self, now: Instant) {
        let fresh = |used: Instant| used + PATIENCE > now;
        self.flows.retain(|_, flow| fresh(flow.used));
        let flows = &self.flows;
        self.by_pair.retain(|_, token| flows.contains_key(token));
        self.peers.retain(|_, peer| fresh(peer.used));
    }
}

fn receive(flow: &mut Flow, link: &mut Link, scratch: &mut [u8], now: Instant) -> bool {
    for _ in 0..TURN {
        match socket::recv(&flow.socket, scratch) {
            Ok(len) => {
                flow.used = now;
                link.send_udp(parts(flow.pair.peer), parts(flow.pair.guest), &scratch[..len]);
            }
            Err(error) if socket::is_transient(error) => return false,
            Err(error) => {
                let (source, target) = (*flow.pair.guest.ip(), *flow.pair.peer.ip());
                let ip = Ip { source, target, bytes: &flow.sent, header: flow.header };
                icmp::unreachable(&ip, unreachable_because(error), link);
            }
        }
    }
    true
}

fn parts(addr: SocketAddrV4) -> (Ipv4Addr, u16) {
    (*addr.ip(), addr.port())
}

fn unreachable_because(error: rustix::io::Errno) -> Icmpv4DstUnreachable {
    use rustix::io::Errno;
    match error {
        Errno::CONNREFUSED => Icmpv4DstUnreachable::PortUnreachable,
        Errno::NETUNREACH => Icmpv4DstUnreachable::NetUnreachable,
        Errno::MSGSIZE => Icmpv4DstUnreachable::FragRequired,
        Errno::ACCESS | Errno::PERM => Icmpv4DstUnreachable::CommProhibited,
        _ => Icmpv4DstUnreachable::HostUnreachable,
    }
}
