//! TCP: the guest's side of each connection is a socket of smoltcp's that answers in the peer's name,
//! the other side is a socket of the host's; bytes go from one's buffer to the other by one system
//! call, as far as there is room, and ends and resets are passed on.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use smoltcp::wire::TcpPacket;

use super::super::config::{Forward, Protocol};
use super::flow::{Fate, Flow, Stack};
use super::link::Link;
use super::packet::Ip;
use super::policy::Policy;
use super::poller::{Poller, Ready, Token};
use super::socket;
use super::udp::Pair;

use std::os::fd::OwnedFd;

/// Connections at most.
pub(super) const FLOWS: usize = 512;
/// How soon connections are accepted again after the host or the table had no room for one.
const RETRY: Duration = Duration::from_millis(100);

struct Listener {
    token: Token,
    socket: OwnedFd,
    guest: SocketAddrV4,
    /// There may be connections to accept.
    pending: bool,
}

/// All connections.
pub(super) struct Tcp {
    stack: Stack,
    flows: HashMap<Token, Flow>,
    by_pair: HashMap<Pair, Token>,
    listeners: Vec<Listener>,
    /// Connections with something to do.
    dirty: Vec<Token>,
    /// Connections that wait for room on the link.
    waiting: VecDeque<Token>,
    retry: Option<Instant>,
}

impl Tcp {
    pub(super) fn new(link: &mut Link, now: Instant) -> Self {
        Self {
            stack: Stack::new(link, now),
            flows: HashMap::new(),
            by_pair: HashMap::new(),
            listeners: Vec::new(),
            dirty: Vec::new(),
            waiting: VecDeque::new(),
            retry: None,
        }
    }

    /// The guest accepts other frames than before.
    pub(super) fn renegotiate(&mut self, link: &mut Link, now: Instant) {
        self.stack.renew(link, now);
    }

    /// Listens for connections to forward. Returns where.
    pub(super) fn listen(
        &mut self,
        forward: &Forward,
        poller: &mut Poller,
    ) -> rustix::io::Result<SocketAddrV4> {
        debug_assert_eq!(forward.protocol, Protocol::Tcp, "the others are UDP's");
        let socket = socket::tcp_at(forward.host)?;
        let (token, at) = (poller.add(&socket)?, socket::local(&socket)?);
        self.listeners.push(Listener { token, socket, guest: forward.guest, pending: false });
        Ok(at)
    }

    /// Takes a segment of a connection that exists. Says whether there is one.
    pub(super) fn ingress(
        &mut self,
        pair: &Pair,
        ip: &Ip<'_>,
        link: &mut Link,
        now: Instant,
    ) -> bool {
        let Some(&token) = self.by_pair.get(pair) else { return false };
        let Some(flow) = self.flows.get_mut(&token) else { return false };
        flow.ingress(&mut self.stack, ip.bytes, link, now);
        mark(&mut self.dirty, token, flow);
        true
    }

    /// Takes the first segment of a connection to one of these addresses, the first that accepts it.
    pub(super) fn open(
        &mut self,
        (pair, hosts): (Pair, &[SocketAddr]),
        ip: &Ip<'_>,
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        let room = self.flows.len() < FLOWS;
        let flow = room.then(|| Flow::opened_by_guest(pair, hosts, poller, now)).flatten();
        let Some((token, mut flow)) = flow else {
            return self.refuse(ip, link, now);
        };
        flow.ingress(&mut self.stack, ip.bytes, link, now);
        mark(&mut self.dirty, token, &mut flow);
        self.flows.insert(token, flow);
        self.by_pair.insert(pair, token);
    }

    /// Answers a segment that belongs to no connection with a reset, unless it is one.
    pub(super) fn refuse(&mut self, ip: &Ip<'_>, link: &mut Link, now: Instant) {
        self.stack.refuse(ip.bytes, link, now);
    }

    /// Remembers what has become possible.
    pub(super) fn event(&mut self, ready: Ready) {
        if let Some(flow) = self.flows.get_mut(&ready.token) {
            flow.ready(ready);
            mark(&mut self.dirty, ready.token, flow);
        }
        let listener = self.listeners.iter_mut().find(|listener| listener.token == ready.token);
        if let Some(listener) = listener {
            listener.pending = true;
        }
    }

    /// Does what there is to do: accepts, passes bytes on, sends segments.
    pub(super) fn serve(
        &mut self,
        policy: &Policy,
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        self.accept(policy, poller, now);
        while let Some(token) = self.waiting.pop_front() {
            if !link.has_room() {
                self.waiting.push_front(token);
                break;
            }
            if let Some(flow) = self.flows.get_mut(&token) {
                flow.waiting = false;
            }
            self.serve_one(token, poller, link, now);
        }
        for token in std::mem::take(&mut self.dirty) {
            self.serve_one(token, poller, link, now);
        }
    }

    fn serve_one(&mut self, token: Token, poller: &mut Poller, link: &mut Link, now: Instant) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        flow.dirty = false;
        match flow.serve(&mut self.stack, link, now) {
            Fate::Keep => {}
            Fate::NeedsRoom => {
                if !std::mem::replace(&mut flow.waiting, true) {
                    self.waiting.push_back(token);
                }
            }
            Fate::Retry => self.retry_elsewhere(token, poller, link, now),
            Fate::Done => self.remove(token),
        }
    }

    /// The host's side could not be connected: tries the next address under a new token.
    fn retry_elsewhere(
        &mut self,
        token: Token,
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        let Some(mut flow) = self.flows.remove(&token) else { return };
        let pair = flow.pair;
        self.by_pair.remove(&pair);
        match flow.next_host(poller) {
            Some(token) => {
                self.by_pair.insert(pair, token);
                self.flows.insert(token, flow);
            }
            None => flow.abandon(&mut self.stack, link, now),
        }
    }

    fn remove(&mut self, token: Token) {
        if let Some(flow) = self.flows.remove(&token) {
            self.by_pair.remove(&flow.pair);
        }
    }

    fn accept(&mut self, policy: &Policy, poller: &mut Poller, now: Instant) {
        self.retry = None;
        for index in 0..self.listeners.len() {
            while self.listeners[index].pending {
                if self.flows.len() >= FLOWS {
                    self.retry = Some(now + RETRY);
                    break;
                }
                let listener = &mut self.listeners[index];
                match socket::accept(&listener.socket) {
                    Ok((connection, from)) => {
                        let guest = listener.guest;
                        self.forward(guest, connection, from, policy, poller, now);
                    }
                    Err(rustix::io::Errno::AGAIN) => listener.pending = false,
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                    Err(_) => {
                        self.retry = Some(now + RETRY);
                        break;
                    }
                }
            }
        }
    }

    /// Connects to the guest for somebody who has connected to a forwarded port.
    fn forward(
        &mut self,
        guest: SocketAddrV4,
        connection: OwnedFd,
        from: SocketAddrV4,
        policy: &Policy,
        poller: &mut Poller,
        now: Instant,
    ) {
        let alias = policy.alias_of(*from.ip());
        // Two peers on different loopback addresses may have the same port.
        let ports = (from.port()..=u16::MAX).chain(1024..from.port().max(1024));
        let mut peers = ports.map(|port| SocketAddrV4::new(alias, port));
        let by_pair = &self.by_pair;
        let free = peers.find(|&peer| !by_pair.contains_key(&Pair { guest, peer }));
        let Some(peer) = free else { return };
        let pair = Pair { guest, peer };
        let flow = Flow::opened_by_host(pair, connection, &mut self.stack, poller, now);
        if let Some((token, mut flow)) = flow {
            mark(&mut self.dirty, token, &mut flow);
            self.flows.insert(token, flow);
            self.by_pair.insert(pair, token);
        }
    }

    /// When something is to be done if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flows.values().filter_map(|flow| flow.deadline).chain(self.retry).min()
    }

    /// Whether there is something to do at once.
    pub(super) fn is_busy(&self, link: &mut Link) -> bool {
        !self.dirty.is_empty() || (!self.waiting.is_empty() && link.has_room())
    }

    /// How many connections there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Wakes the connections whose time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        for (&token, flow) in &mut self.flows {
            if flow.deadline.is_some_and(|deadline| deadline <= now) {
                mark(&mut self.dirty, token, flow);
            }
        }
    }
}

fn mark(dirty: &mut Vec<Token>, token: Token, flow: &mut Flow) {
    if !std::mem::replace(&mut flow.dirty, true) {
        dirty.push(token);
    }
}

/// Whether a segment opens a connection.
pub(super) fn opens(tcp: &TcpPacket<&[u8]>) -> bool {
    tcp.syn()
        && !tcp.ack()
        && !tcp.rst()
        && !tcp.fin()
        && tcp.src_port() != 0
        && tcp.dst_port() != 0
}
