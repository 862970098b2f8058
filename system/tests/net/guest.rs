//! A guest's network stack on a wire of the backend's: smoltcp with all that it has.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ferry_system::Notifier;
use ferry_system::host::net::{
    ETHERNET_HEADER, Filled, Frame, Full, GuestOffloads, Mac, NetBackend, NetConfig, Offload,
    PartialChecksum, UserNet,
};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

/// The guest's device.
pub(crate) struct Wire {
    pub(crate) net: UserNet,
    offloads: GuestOffloads,
    mtu: usize,
    /// Frames that the backend had no room for.
    unsent: VecDeque<(Vec<u8>, Offload)>,
}

pub(crate) struct Received(Vec<u8>);
pub(crate) struct Sending<'a> {
    wire: &'a mut Wire,
}

impl Wire {
    fn offload(&self) -> Offload {
        let start = (ETHERNET_HEADER + 20) as u16;
        let checksum = PartialChecksum { start, offset: 16 };
        let partial = self.offloads != GuestOffloads::None;
        Offload { checksum: partial.then_some(checksum), segmentation: None }
    }

    /// Sends a frame as it is.
    pub(crate) fn send(&mut self, frame: &[u8], offload: Offload) -> Result<(), Full> {
        self.net.transmit(frame.len(), offload, &mut |bytes| {
            bytes.copy_from_slice(frame);
            Filled::Complete
        })
    }

    fn flush(&mut self) {
        while let Some((frame, offload)) = self.unsent.pop_front() {
            if self.send(&frame, offload).is_err() {
                self.unsent.push_front((frame, offload));
                break;
            }
        }
        self.net.flush();
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let offload = self.wire.offload();
        let mut result = None;
        let mut f = Some(f);
        let mut fill = |bytes: &mut [u8]| {
            result = f.take().map(|f| f(bytes));
            Filled::Complete
        };
        if self.wire.net.transmit(len, offload, &mut fill).is_err() {
            let mut frame = vec![0; len];
            fill(&mut frame);
            self.wire.unsent.push_back((frame, offload));
        }
        result.unwrap()
    }

    fn set_meta(&mut self, _: PacketMeta) {}
}

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Received, Sending<'_>)> {
        let Frame { bytes, offload } = self.net.receive()?;
        assert!(offload.segmentation.is_none() || self.offloads == GuestOffloads::Segmentation);
        assert!(offload.checksum.is_none() || self.offloads != GuestOffloads::None);
        let longest = ETHERNET_HEADER + self.mtu;
        assert!(bytes.len() <= longest || offload.segmentation.is_some());
        if let Some(segmentation) = offload.segmentation {
            assert!(bytes.len() > longest);
            assert!(usize::from(segmentation.size) + usize::from(segmentation.headers) <= longest);
        }
        let received = Received(bytes.to_vec());
        self.net.consume();
        Some((received, Sending { wire: self }))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Sending<'_>> {
        self.unsent.is_empty().then_some(Sending { wire: self })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = ETHERNET_HEADER + self.mtu;
        if self.offloads != GuestOffloads::None {
            capabilities.checksum.tcp = phy::Checksum::None;
        }
        if self.offloads == GuestOffloads::Segmentation {
            capabilities.segmentation.tcpv4 = NonZeroUsize::new(0xffff);
        }
        capabilities
    }
}

/// A guest.
pub(crate) struct Guest {
    pub(crate) wire: Wire,
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    bell: Arc<(Mutex<bool>, Condvar)>,
    told: Arc<AtomicU64>,
    start: Instant,
    port: u16,
}

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

impl Guest {
    /// A guest with its address set.
    pub(crate) fn new(config: &str, offloads: GuestOffloads) -> Self {
        let mut guest = Self::unconfigured(config, offloads);
        guest.set_address(ADDRESS);
        guest
    }

    /// A guest that knows nothing of its network.
    pub(crate) fn unconfigured(config: &str, offloads: GuestOffloads) -> Self {
        let Ok(NetConfig::User(config)) = config.parse() else { panic!("{config}") };
        let mut net = UserNet::open(&config).unwrap();
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let ring = Arc::clone(&bell);
        let wake = Arc::new(move || {
            *ring.0.lock().unwrap() = true;
            ring.1.notify_all();
        });
        let told = Arc::new(AtomicU64::new(0));
        net.connect(Notifier::new(Arc::clone(&told), 1, wake));
        net.negotiate(offloads);
        let mtu = config.mtu.into();
        let mut wire = Wire { net, offloads, mtu, unsent: VecDeque::new() };
        let Mac(mac) = config.mac;
        let stack = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        let interface = Interface::new(stack, &mut wire, StackInstant::ZERO);
        let sockets = SocketSet::new(Vec::new());
        Self { wire, interface, sockets, bell, told, start: Instant::now(), port: 40000 }
    }

    pub(crate) fn set_address(&mut self, addr: Ipv4Addr) {
        self.interface.update_ip_addrs(|addrs| {
            addrs.clear();
            addrs.push(IpCidr::new(addr.into(), 24)).unwrap();
        });
        self.interface.routes_mut().add_default_ipv4_route(GATEWAY).unwrap();
    }

    pub(crate) fn time(&self) -> StackInstant {
        StackInstant::from_micros(self.start.elapsed().as_micros() as i64)
    }

    pub(crate) fn poll(&mut self) {
        self.told.store(0, Ordering::SeqCst);
        let time = self.time();
        self.interface.poll(time, &mut self.wire, &mut self.sockets);
        self.wire.flush();
    }

    /// Runs until the condition holds.
    pub(crate) fn until(&mut self, what: &str, condition: impl FnMut(&mut Self) -> bool) {
        assert!(self.within(PATIENCE, condition), "waited in vain: {what}");
    }

    /// Runs until the condition holds, or that long. Says whether it holds.
    pub(crate) fn within(
        &mut self,
        patience: Duration,
        mut condition: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = Instant::now() + patience;
        loop {
            self.poll();
            if condition(self) {
                self.poll();
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            self.poll();
            let time = self.time();
            let delay = self.interface.poll_delay(time, &self.sockets);
            let delay = delay.map_or(PATIENCE, |delay| Duration::from_micros(delay.total_micros()));
            // Conditions may depend on the host's threads too.
            let delay = delay.min(Duration::from_millis(5));
            let (rung, bell) = &*self.bell;
            let mut rung = rung.lock().unwrap();
            if !*rung {
                rung = bell.wait_timeout(rung, delay).unwrap().0;
            }
            *rung = false;
        }
    }

    pub(crate) fn add_tcp(&mut self, buffer: usize) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        self.sockets.add(socket)
    }

    /// A connection that is being made.
    pub(crate) fn connect(&mut self, to: (Ipv4Addr, u16), buffer: usize) -> SocketHandle {
        let handle = self.add_tcp(buffer);
        self.port += 1;
        let port = self.port;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.interface.context(), to, port).unwrap();
        handle
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
}
