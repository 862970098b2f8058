//! One connection: the guest's side, the host's side, and the bytes between them.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, RecvError, State};
use smoltcp::time::{Duration as StackDuration, Instant as StackInstant};
use smoltcp::wire::{HardwareAddress, IpEndpoint, IpListenEndpoint};

use super::link::{Link, Port};
use super::poller::{Poller, Ready, Token};
use super::socket;
use super::udp::Pair;

/// Bytes between guest and host, each way.
const BUFFER: usize = 256 << 10;
/// How long the guest may be silent when it has to answer.
const PATIENCE: StackDuration = StackDuration::from_secs(600);
/// How often a silent guest is asked whether it is still there.
const KEEP_ALIVE: StackDuration = StackDuration::from_secs(60);
/// How long a connection may move nothing once one of its sides has closed.
const HALF_CLOSED: Duration = Duration::from_secs(900);
/// How soon a connection is served again by itself.
const SOON: Duration = Duration::from_millis(1);

/// The guest's side of all connections.
pub(super) struct Stack {
    interface: Interface,
    /// No sockets, for segments that belong to none.
    nobody: SocketSet<'static>,
    start: Instant,
}

impl Stack {
    pub(super) fn new(link: &mut Link, start: Instant) -> Self {
        let interface = interface(link, StackInstant::ZERO);
        Self { interface, nobody: SocketSet::new(Vec::new()), start }
    }

    /// Looks again at what the link can do.
    pub(super) fn renew(&mut self, link: &mut Link, now: Instant) {
        self.interface = interface(link, self.time(now));
    }

    pub(super) fn refuse(&mut self, segment: &[u8], link: &mut Link, now: Instant) {
        let time = self.time(now);
        let mut port = Port { link, inbound: Some(segment) };
        self.interface.poll_ingress_single(time, &mut port, &mut self.nobody);
    }

    fn time(&self, now: Instant) -> StackInstant {
        let since = now.saturating_duration_since(self.start);
        StackInstant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn deadline(&mut self, sockets: &SocketSet<'_>, now: Instant) -> Option<Instant> {
        let time = self.time(now);
        let delay = self.interface.poll_delay(time, sockets)?;
        Some(now + Duration::from_micros(delay.total_micros()))
    }
}

fn interface(link: &mut Link, time: StackInstant) -> Interface {
    use std::hash::{BuildHasher, RandomState};
    let mut config = Config::new(HardwareAddress::Ip);
    // First sequence numbers that cannot be guessed by who does not see the connection.
    config.random_seed = RandomState::new().hash_one(time.total_micros());
    let mut interface = Interface::new(config, &mut Port { link, inbound: None }, time);
    interface.set_any_ip(true);
    interface
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It goes on when something happens.
    Keep,
    /// It goes on when there is room on the link.
    NeedsRoom,
    /// The address did not accept; another may.
    Retry,
    /// It is over.
    Done,
}

/// The host's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HostSide {
    /// It is being connected.
    Connecting,
    /// It sends and receives.
    Open,
    /// It will send nothing more.
    Finished,
    /// It is gone.
    Failed,
}

/// One connection.
pub(super) struct Flow {
    pub(super) pair: Pair,
    /// When it wants to be served if nothing happens.
    pub(super) deadline: Option<Instant>,
    /// It is among those with something to do.
    pub(super) dirty: bool,
    /// It is among those that wait for room.
    pub(super) waiting: bool,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    host: OwnedFd,
    side: HostSide,
    /// The host's socket may have something, or may take something.
    readable: bool,
    writable: bool,
    /// The guest will send nothing more, and the host knows.
    guest_finished: bool,
    /// Both sides have closed, and the guest knows.
    acknowledged_all: bool,
    /// Where to connect to if this fails.
    others: Vec<SocketAddr>,
    /// When bytes were moved last.
    used: Instant,
}

impl Flow {
    /// A connection that the guest opens: its SYN is answered when the host's side is connected.
    pub(super) fn opened_by_guest(
        pair: Pair,
        hosts: &[SocketAddr],
        poller: &mut Poller,
        now: Instant,
    ) -> Option<(Token, Self)> {
        let mut others: Vec<_> = hosts.iter().rev().copied().collect();
        let (token, host) = connect(&mut others, poller)?;
        let mut socket = new_socket();
        socket.listen(IpListenEndpoint::from(endpoint(pair.peer))).ok()?;
        socket.pause_synack(true);
        Some((token, Self::new(pair, socket, host, (HostSide::Connecting, others), now)))
    }

    /// A connection that somebody has opened to a forwarded port.
    pub(super) fn opened_by_host(
        pair: Pair,
        host: OwnedFd,
        stack: &mut Stack,
        poller: &mut Poller,
        now: Instant,
    ) -> Option<(Token, Self)> {
        let token = poller.add(&host).ok()?;
        let mut socket = new_socket();
        let local = IpListenEndpoint::from(endpoint(pair.peer));
        socket.connect(stack.interface.context(), endpoint(pair.guest), local).ok()?;
        Some((token, Self::new(pair, socket, host, (HostSide::Open, Vec::new()), now)))
    }

    fn new(
        pair: Pair,
        socket: tcp::Socket<'static>,
        host: OwnedFd,
        (side, others): (HostSide, Vec<SocketAddr>),
        now: Instant,
    ) -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            pair,
            deadline: None,
            dirty: false,
            waiting: false,
            sockets,
            handle,
            host,
            side,
            readable: side == HostSide::Open,
            writable: side == HostSide::Open,
            guest_finished: false,
            acknowledged_all: false,
            others,
            used: now,
        }
    }

    /// Takes a segment.
    pub(super) fn ingress(
        &mut self,
        stack: &mut Stack,
        segment: &[u8],
        link: &mut Link,
        now: Instant,
    ) {
        let time = stack.time(now);
        let mut port = Port { link, inbound: Some(segment) };
        stack.interface.poll_ingress_single(time, &mut port, &mut self.sockets);
    }

    /// Remembers what has become possible.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
    }

    /// Connects to the next address; none if there is none.
    pub(super) fn next_host(&mut self, poller: &mut Poller) -> Option<Token> {
        let (token, host) = connect(&mut self.others, poller)?;
        self.host = host;
        (self.readable, self.writable) = (false, false);
        Some(token)
    }

    /// Resets the guest's side, with the host's not connected.
    pub(super) fn abandon(mut self, stack: &mut Stack, link: &mut Link, now: Instant) {
        self.socket().abort();
        self.egress(stack, link, now);
    }

    /// Does what there is to do.
    pub(super) fn serve(&mut self, stack: &mut Stack, link: &mut Link, now: Instant) -> Fate {
        if self.side == HostSide::Connecting {
            match self.connected() {
                Ok(true) => self.socket().pause_synack(false),
                Ok(false) => {}
                Err(_) => return Fate::Retry,
            }
        }
        if self.side != HostSide::Connecting && (self.pass_to_host() | self.pass_to_guest()) {
            self.used = now;
        }
        self.check_idle(now);
        self.egress(stack, link, now);
        let fate = self.fate(link);
        self.deadline = match fate {
            Fate::Keep => self.next_deadline(stack, now),
            _ => None,
        };
        fate
    }

    /// Whether the host's side is connected.
    fn connected(&mut self) -> Result<bool, Errno> {
        if self.socket().state() == State::Closed || self.socket().state() == State::Listen {
            // The guest has given up.
            self.fail();
            return Ok(false);
        }
        if !self.writable {
            return Ok(false);
        }
        socket::outcome(&self.host)?;
        self.side = HostSide::Open;
        self.readable = true;
        Ok(true)
    }

    /// Passes on what the guest has sent. Says whether there was anything.
    fn pass_to_host(&mut self) -> bool {
        let mut moved = false;
        while self.side != HostSide::Failed && self.writable && !self.guest_finished {
            let host = &self.host;
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
            let sent = socket.recv(|bytes| match bytes {
                [] => (0, Err(None)),
                bytes => match socket::send(host, bytes) {
                    Ok(len) => (len, Ok(())),
                    Err(error) => (0, Err(Some(error))),
                },
            });
            match sent {
                Ok(Ok(())) => moved = true,
                Ok(Err(None)) | Err(RecvError::InvalidState) => break,
                Ok(Err(Some(Errno::INTR))) => {}
                Ok(Err(Some(error))) if socket::is_transient(error) => self.writable = false,
                Ok(Err(Some(_))) => self.fail(),
                Err(RecvError::Finished) => {
                    self.guest_finished = true;
                    socket::finish(&self.host);
                }
            }
        }
        moved
    }

    /// Takes what the host's side has for the guest. Says whether there was anything.
    fn pass_to_guest(&mut self) -> bool {
        let mut moved = false;
        while self.side == HostSide::Open && self.readable {
            let host = &self.host;
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
            if !socket.can_send() {
                break;
            }
            let received = socket.send(|room| match socket::recv(host, room) {
                Ok(len) => (len, Ok(len)),
                Err(error) => (0, Err(error)),
            });
            match received {
                Ok(Ok(0)) => {
                    self.side = HostSide::Finished;
                    self.socket().close();
                }
                Ok(Ok(_)) => moved = true,
                Ok(Err(Errno::INTR)) => {}
                Ok(Err(error)) if socket::is_transient(error) => self.readable = false,
                Ok(Err(_)) => self.fail(),
                Err(_) => break,
            }
        }
        moved
    }

    /// The host's side is gone: so is the guest's.
    fn fail(&mut self) {
        self.side = HostSide::Failed;
        self.socket().abort();
    }

    /// Sends what the guest's side has to send, as far as there is room.
    fn egress(&mut self, stack: &mut Stack, link: &mut Link, now: Instant) {
        if self.acknowledged_all {
            // There is nothing more to send, and the end of TIME-WAIT would drop what the host has
            // not taken yet.
            return;
        }
        let time = stack.time(now);
        let mut port = Port { link, inbound: None };
        while stack.interface.poll_egress(time, &mut port, &mut self.sockets) != PollResult::None {}
    }

    fn fate(&mut self, link: &mut Link) -> Fate {
        let failed = self.side == HostSide::Failed;
        let (finished, guest_finished) = (self.side == HostSide::Finished, self.guest_finished);
        let socket = self.socket();
        let (state, unsent) = (socket.state(), socket.remote_endpoint().is_some());
        match state {
            // A reset that there was no room for.
            State::Closed if unsent && !link.has_room() => Fate::NeedsRoom,
            State::Closed if !failed && socket.can_recv() => Fate::Keep,
            State::Closed => {
                if !(finished && guest_finished) {
                    socket::reset_on_close(&self.host);
                }
                Fate::Done
            }
            // A guest that gives up before it is answered is back to where nothing was.
            State::Listen => Fate::Done,
            _ if !link.has_room() => Fate::NeedsRoom,
            State::TimeWait if guest_finished => Fate::Done,
            State::TimeWait => {
                self.acknowledged_all = true;
                Fate::Keep
            }
            _ => Fate::Keep,
        }
    }

    /// Gives up what has not moved for long with one side closed.
    fn check_idle(&mut self, now: Instant) {
        if self.used + HALF_CLOSED <= now && self.is_half_closed() {
            self.fail();
        }
    }

    fn is_half_closed(&mut self) -> bool {
        let established = [State::Established, State::SynSent, State::SynReceived];
        self.side == HostSide::Finished || !established.contains(&self.socket().state())
    }

    fn next_deadline(&mut self, stack: &mut Stack, now: Instant) -> Option<Instant> {
        // A guest's side whose answer is held back would ask to be served at once, again and again.
        if self.side == HostSide::Connecting {
            return None;
        }
        let idle = self.is_half_closed().then(|| self.used + HALF_CLOSED);
        if self.acknowledged_all {
            return idle;
        }
        // It has just been served: there is nothing that it could do earlier.
        let stack = stack.deadline(&self.sockets, now).map(|at| at.max(now + SOON));
        stack.into_iter().chain(idle).min()
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

/// The first address, from the end, to which a connection can be begun.
fn connect(hosts: &mut Vec<SocketAddr>, poller: &mut Poller) -> Option<(Token, OwnedFd)> {
    while let Some(host) = hosts.pop() {
        let begun = socket::tcp(host).and_then(|socket| Ok((poller.add(&socket)?, socket)));
        if let Ok(begun) = begun {
            return Some(begun);
        }
    }
    None
}

fn endpoint(addr: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new((*addr.ip()).into(), addr.port())
}

fn new_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    // What arrives together is acknowledged together anyway, and what the host has sent is not held
    // back.
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket.set_timeout(Some(PATIENCE));
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket
}
