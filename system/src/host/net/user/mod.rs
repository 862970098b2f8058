//! A network in user mode, as QEMU's users know it: the guest is alone in 10.0.2.0/24 with a router
//! that is the host's network stack, reached by ordinary sockets. It needs no privileges.
//!
//! The guest is 10.0.2.15 (by DHCP), the router 10.0.2.2 (its ports are those of the host's loopback),
//! the name server 10.0.2.3 (it passes questions on to the host's). TCP and UDP go anywhere that the
//! host reaches, except where addresses mean something else to the host ([`policy`]); echo requests
//! where the host lets anybody send them. What leads to the guest is named in the configuration.
//!
//! One thread does everything, driven by epoll; frames come and go by bounded queues, and all tables
//! are bounded. Missing: IPv6, and ICMP other than echo and "unreachable".

pub mod addresses;
mod arp;
mod dhcp;
mod dns;
mod flow;
mod fragments;
mod icmp;
mod link;
mod nat;
mod packet;
mod policy;
mod poller;
mod socket;
mod tcp;
mod udp;

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use self::link::Link;
use self::nat::Nat;
use self::policy::Policy;
use self::poller::Waker;
use super::config::UserConfig;
use super::queue::{Receiver, Sender, Waiting, queue};
use super::{Filled, Frame, Full, GuestOffloads, NetBackend, Offload};
use crate::device::Notifier;

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A port that is to be forwarded cannot be had.
    #[error("hostfwd: cannot listen on {at}: {source}")]
    Listen {
        /// Where.
        at: SocketAddrV4,
        /// Why not.
        #[source]
        source: rustix::io::Errno,
    },
    /// The host refuses what the network needs.
    #[error("the host refuses a network in user mode: {0}")]
    Host(#[source] rustix::io::Errno),
    /// The host refuses a thread.
    #[error("the host refuses a thread for the network: {0}")]
    Thread(#[source] std::io::Error),
}

/// Bytes of frames that are taken from the guest at a time, before what follows from them is done.
const TURN: usize = 512 << 10;

/// [`Control::request`], beside the values of [`GuestOffloads`].
const STOP: u8 = 0x80;
const NOTHING: u8 = 0xff;

/// What the device and the thread share beside the queues.
struct Control {
    waker: Arc<Waker>,
    /// What the thread is to do next: a value of `GuestOffloads`, [`STOP`] or [`NOTHING`].
    request: AtomicU8,
    notifier: OnceLock<Notifier>,
}

/// A network in user mode.
pub struct UserNet {
    to_host: Sender,
    to_guest: Receiver,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
    ports: Vec<SocketAddrV4>,
}

impl UserNet {
    /// Listens on the forwarded ports and starts the thread.
    ///
    /// # Errors
    /// The host refuses something.
    pub fn open(config: &UserConfig) -> Result<Self, OpenError> {
        let servers = match config.dns.as_slice() {
            [] => dns::servers_in(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
            servers => servers.to_vec(),
        };
        Self::open_with(config, Policy::new(config.access), servers)
    }

    fn open_with(
        config: &UserConfig,
        policy: Policy,
        servers: Vec<SocketAddr>,
    ) -> Result<Self, OpenError> {
        let (to_host, from_guest) = queue();
        let (out, to_guest) = queue();
        let link = Link::new(out, config.mac, config.mtu);
        let (nat, ports) = Nat::new(config, policy, servers, link)?;
        let waker = nat.poller.waker();
        let request = AtomicU8::new(NOTHING);
        let control = Arc::new(Control { waker, request, notifier: OnceLock::new() });
        let shared = Arc::clone(&control);
        let thread = std::thread::Builder::new()
            .name("ferry-net".into())
            .spawn(move || run(nat, from_guest, &shared))
            .map_err(OpenError::Thread)?;
        Ok(Self { to_host, to_guest, control, thread: Some(thread), ports })
    }

    /// Where the forwarded ports are, in the configuration's order: what the host has chosen for port 0.
    #[must_use]
    pub fn ports(&self) -> &[SocketAddrV4] {
        &self.ports
    }
}

impl Drop for UserNet {
    fn drop(&mut self) {
        self.control.request.store(STOP, Ordering::Release);
        self.control.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl NetBackend for UserNet {
    fn connect(&mut self, notifier: Notifier) {
        // A second device behind the same network would be a mistake; the first one stays.
        let _ = self.control.notifier.set(notifier);
    }

    fn negotiate(&mut self, offloads: GuestOffloads) {
        self.control.request.store(offloads as u8, Ordering::Release);
        self.control.waker.wake();
        while self.receive().is_some() {
            self.consume();
        }
    }

    fn transmit(
        &mut self,
        len: usize,
        offload: Offload,
        fill: &mut dyn FnMut(&mut [u8]) -> Filled,
    ) -> Result<(), Full> {
        self.to_host.push(len, |bytes| (fill(bytes), offload))
    }

    fn flush(&mut self) {
        if self.to_host.flush() {
            self.control.waker.wake();
        }
    }

    fn receive(&mut self) -> Option<Frame<'_>> {
        self.to_guest.peek()
    }

    fn consume(&mut self) {
        if self.to_guest.pop() == Waiting::Sender {
            self.control.waker.wake();
        }
    }
}

/// The thread.
fn run(mut nat: Nat, mut from_guest: Receiver, control: &Control) {
    let mut ready = Vec::new();
    loop {
        let idle =
            || from_guest.peek().is_none() && control.request.load(Ordering::Acquire) == NOTHING;
        if nat.wait(idle, &mut ready).is_err() {
            // Only a descriptor that is none makes epoll fail.
            return;
        }
        let now = Instant::now();
        match control.request.swap(NOTHING, Ordering::AcqRel) {
            STOP => return,
            NOTHING => {}
            value => nat.negotiate(offloads(value), now),
        }
        for &event in &ready {
            nat.event(event, now);
        }
        let room_made = take_frames(&mut nat, &mut from_guest, now);
        nat.serve(now);
        if (nat.link.flush() | room_made)
            && let Some(notifier) = control.notifier.get()
        {
            notifier.notify();
        }
    }
}

fn offloads(value: u8) -> GuestOffloads {
    [GuestOffloads::None, GuestOffloads::Checksum, GuestOffloads::Segmentation]
        .into_iter()
        .find(|&offloads| offloads as u8 == value)
        .unwrap_or_default()
}

/// Takes a turn's frames from the guest. Says whether its device waits for the room that this makes.
fn take_frames(nat: &mut Nat, from_guest: &mut Receiver, now: Instant) -> bool {
    let (mut taken, mut room_made) = (0, false);
    while taken < TURN
        && let Some(frame) = from_guest.peek()
    {
        taken += frame.bytes.len();
        nat.frame(frame, now);
        room_made |= from_guest.pop() == Waiting::Sender;
    }
    room_made
}

#[cfg(test)]
mod tests;
