//! Frames that no sane guest sends, and what only a test may configure.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, IpProtocol,
    Ipv4Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

use super::super::config::{Access, Mac};
use super::super::{PartialChecksum, Segmentation};
use super::link::ip_repr;
use super::*;

/// An address that leads to one of the host's loopback on which nobody listens.
const ALIAS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 7);
const NOBODY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 99, 98, 97);

/// A network without a thread, of which nothing but the loopback can be reached.
struct Bench {
    nat: Nat,
    from_nat: Receiver,
}

impl Bench {
    fn new(offloads: GuestOffloads) -> Self {
        let config = UserConfig { access: Access::Open, ..UserConfig::default() };
        let (out, from_nat) = queue();
        let policy = Policy::new(config.access).with_alias(ALIAS, NOBODY);
        let link = Link::new(out, config.mac, config.mtu);
        let (mut nat, _) = Nat::new(&config, policy, Vec::new(), link).unwrap();
        nat.negotiate(offloads, Instant::now());
        Self { nat, from_nat }
    }

    fn send(&mut self, bytes: &[u8], offload: Offload) {
        self.nat.frame(Frame { bytes, offload }, Instant::now());
    }

    /// A turn of the network's thread. Returns the frames for the guest.
    fn turn(&mut self) -> Vec<(Vec<u8>, Offload)> {
        let mut ready = Vec::new();
        self.nat.wait(|| false, &mut ready).unwrap();
        let now = Instant::now();
        ready.into_iter().for_each(|event| self.nat.event(event, now));
        self.nat.serve(now);
        self.nat.link.flush();
        let mut frames = Vec::new();
        while let Some(frame) = self.from_nat.peek() {
            frames.push((frame.bytes.to_vec(), frame.offload));
            self.from_nat.pop();
        }
        frames
    }

    /// Turns until there is a frame for the guest.
    fn answer(&mut self) -> Vec<u8> {
        for _ in 0..500 {
            if let Some((frame, _)) = self.turn().pop() {
                return frame;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("no answer");
    }
}

/// An Ethernet frame around an IP packet with this payload.
fn ip_frame(target: std::net::Ipv4Addr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = ip_repr(addresses::GUEST, target, protocol, payload.len());
    let mut frame = vec![0; 14 + 20 + payload.len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_src_addr(EthernetAddress(Mac::DEFAULT.0));
    ethernet.set_dst_addr(EthernetAddress(addresses::our_mac(addresses::GATEWAY).0));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    frame[34..].copy_from_slice(payload);
    frame
}

fn udp_payload(target: std::net::Ipv4Addr, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let udp = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let mut bytes = vec![0; 8 + data.len()];
    let (source, target) = (addresses::GUEST.into(), target.into());
    let sums = ChecksumCapabilities::default();
    let mut packet = UdpPacket::new_unchecked(&mut bytes);
    udp.emit(&mut packet, &source, &target, data.len(), |out| out.copy_from_slice(data), &sums);
    bytes
}

#[test]
fn a_datagram_in_fragments_arrives_and_comes_back_in_fragments() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let data: Vec<_> = (0..5000).map(|at| at as u8).collect();
    let payload = udp_payload(addresses::GATEWAY, (9, port), &data);
    let mut bench = Bench::new(GuestOffloads::None);
    for (index, part) in payload.chunks(1480).enumerate() {
        let mut frame = ip_frame(addresses::GATEWAY, IpProtocol::Udp, part);
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
        packet.set_ident(77);
        packet.set_frag_offset((index * 1480) as u16);
        packet.set_more_frags((index + 1) * 1480 < payload.len());
        packet.fill_checksum();
        bench.send(&frame, Offload::default());
    }
    let mut received = vec![0; 9000];
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (len, from) = server.recv_from(&mut received).unwrap();
    assert_eq!(received[..len], data);

    server.send_to(&data, from).unwrap();
    let first = bench.answer();
    let mut frames = vec![first];
    frames.extend(bench.turn().into_iter().map(|(frame, _)| frame));
    // `answer` gives the last of its turn: the others were before it.
    let last = Ipv4Packet::new_checked(&frames[0][14..]).unwrap();
    assert!(!last.more_frags());
    assert!(last.verify_checksum());
    assert_eq!(usize::from(last.frag_offset()) + usize::from(last.total_len()) - 20, 5008);
}

#[test]
fn others_are_pinged_where_the_host_allows_it() {
    let request = Icmpv4Repr::EchoRequest { ident: 5, seq_no: 6, data: b"abc" };
    let mut message = vec![0; request.buffer_len()];
    let sums = ChecksumCapabilities::default();
    request.emit(&mut Icmpv4Packet::new_unchecked(&mut message), &sums);
    let mut bench = Bench::new(GuestOffloads::None);
    bench.send(&ip_frame(ALIAS, IpProtocol::Icmp, &message), Offload::default());
    let frame = bench.answer();
    let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
    let answer = Icmpv4Repr::parse(&Icmpv4Packet::new_checked(ip.payload()).unwrap(), &sums);
    let allowed = socket::ping(SocketAddrV4::new(NOBODY, 0)).is_ok();
    if allowed {
        let expected = Icmpv4Repr::EchoReply { ident: 5, seq_no: 6, data: b"abc" };
        assert_eq!((answer, ip.src_addr()), (Ok(expected), ALIAS));
    } else {
        assert!(matches!(answer, Ok(Icmpv4Repr::DstUnreachable { .. })), "{answer:?}");
    }
}

#[test]
fn connections_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut bench = Bench::new(GuestOffloads::None);
    let count = tcp::FLOWS + 20;
    for source in 0..count {
        let payload = segment((1000 + source as u16, port), TcpControl::Syn, (1, None), &[]);
        let frame = ip_frame(addresses::GATEWAY, IpProtocol::Tcp, &payload);
        bench.send(&frame, trusted());
    }
    assert_eq!(bench.nat.tcp.len(), tcp::FLOWS);
    let mut resets = 0;
    for (frame, _) in bench.turn() {
        let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
        resets += usize::from(TcpPacket::new_checked(ip.payload()).unwrap().rst());
    }
    assert_eq!(resets, count - tcp::FLOWS);
}

#[test]
fn nothing_is_done_while_a_connection_is_being_made() {
    // A listener whose queue is full answers nobody.
    let address = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
    let listener = socket::tcp_at(address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let at = socket::local(&listener).unwrap();
    let _full: Vec<_> = (0..4).map(|_| socket::tcp(at.into()).unwrap()).collect();
    let mut bench = Bench::new(GuestOffloads::None);
    let syn = segment((1000, at.port()), TcpControl::Syn, (1, None), &[]);
    bench.send(&ip_frame(addresses::GATEWAY, IpProtocol::Tcp, &syn), trusted());
    for _ in 0..3 {
        assert_eq!(bench.turn(), []);
    }
    assert_eq!(bench.nat.tcp.len(), 1);
    assert_eq!(bench.nat.deadline(), None);

    // And an idle one is left alone until it is asked whether it is still there.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut bench = Bench::new(GuestOffloads::None);
    let syn = segment((1000, port), TcpControl::Syn, (1, None), &[]);
    bench.send(&ip_frame(addresses::GATEWAY, IpProtocol::Tcp, &syn), trusted());
    let answer = bench.answer();
    let ip = Ipv4Packet::new_checked(&answer[14..]).unwrap();
    let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
    assert!(tcp.syn() && tcp.ack());
    let sequence = tcp.seq_number().0 as u32;
    let ports = (1000, port);
    let ack = segment(ports, TcpControl::None, (2, Some(sequence.wrapping_add(1))), &[]);
    bench.send(&ip_frame(addresses::GATEWAY, IpProtocol::Tcp, &ack), trusted());
    bench.turn();
    let wait = bench.nat.deadline().unwrap() - Instant::now();
    assert!(wait > Duration::from_secs(30), "{wait:?}");
}

fn segment(
    ports: (u16, u16),
    control: TcpControl,
    (seq, ack): (u32, Option<u32>),
    data: &[u8],
) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: ports.0,
        dst_port: ports.1,
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
        window_len: 4000,
        window_scale: (control == TcpControl::Syn).then_some(2),
        max_seg_size: (control == TcpControl::Syn).then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: data,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let sums = ChecksumCapabilities::ignored();
    let (source, target) = (addresses::GUEST.into(), addresses::GATEWAY.into());
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[..]), &source, &target, &sums);
    bytes
}

/// Says that nobody needs to check the checksum.
fn trusted() -> Offload {
    let checksum = Some(PartialChecksum { start: 34, offset: 16 });
    Offload { checksum, segmentation: None }
}

/// What a hostile guest does next.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Ip { target: std::net::Ipv4Addr, protocol: u8, payload: Vec<u8> },
    Udp { target: std::net::Ipv4Addr, ports: (u16, u16), data: Vec<u8> },
    Tcp { port: u16, control: TcpControl, seq: i32, ack: Option<i32>, len: usize, noise: Vec<u8> },
    Change { at: usize, byte: u8 },
    Turn,
}

fn target() -> impl Strategy<Value = std::net::Ipv4Addr> {
    prop_oneof![
        Just(addresses::GATEWAY),
        Just(addresses::DNS),
        Just(ALIAS),
        Just(addresses::BROADCAST),
        Just(std::net::Ipv4Addr::BROADCAST),
        Just(std::net::Ipv4Addr::LOCALHOST),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let control = prop_oneof![
        Just(TcpControl::None),
        Just(TcpControl::Psh),
        Just(TcpControl::Syn),
        Just(TcpControl::Fin),
        Just(TcpControl::Rst),
    ];
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let seq = || prop_oneof![-3i32..5, any::<i32>(), 1000i32..70000];
    // Neither the addresses nor the sum that guards them: nothing may leave this host.
    let changed = prop_oneof![0usize..24, 34usize..80];
    prop_oneof![
        1 => bytes(200).prop_map(Step::Bytes),
        1 => (target(), any::<u8>(), bytes(100))
            .prop_map(|(target, protocol, payload)| Step::Ip { target, protocol, payload }),
        1 => (target(), (0u16..80, prop_oneof![Just(53), Just(67), Just(9)]), bytes(300))
            .prop_map(|(target, ports, data)| Step::Udp { target, ports, data }),
        6 => (0u16..2, control, seq(), proptest::option::of(seq()), 0usize..3000, bytes(40)).prop_map(
            |(port, control, seq, ack, len, noise)| Step::Tcp {
                port, control, seq, ack, len, noise
            }
        ),
        2 => (changed, any::<u8>()).prop_map(|(at, byte)| Step::Change { at, byte }),
        3 => Just(Step::Turn),
    ]
}

/// Plays the steps; sequence numbers are relative to what the network said last, so that they often
/// mean something to it.
fn play(bench: &mut Bench, port: u16, steps: Vec<Step>) {
    let (mut last, mut sequence, mut acknowledged) = (Vec::new(), 0_u32, 1_u32);
    for step in steps {
        let (frame, offload) = match step {
            Step::Bytes(bytes) => (bytes, Offload::default()),
            Step::Ip { target, protocol, payload } => {
                (ip_frame(target, protocol.into(), &payload), Offload::default())
            }
            Step::Udp { target, ports, data } => {
                let payload = udp_payload(target, ports, &data);
                (ip_frame(target, IpProtocol::Udp, &payload), Offload::default())
            }
            Step::Tcp { port: source, control, seq, ack, len, noise } => {
                let seq = acknowledged.wrapping_add_signed(seq);
                let ack = ack.map(|ack| sequence.wrapping_add_signed(ack));
                let mut payload =
                    segment((4000 + source, port), control, (seq, ack), &vec![1; len]);
                for (byte, noise) in payload[14..].iter_mut().zip(&noise).step_by(7) {
                    *byte ^= noise & 0x11;
                }
                let segmentation = Some(Segmentation { size: 1, headers: 1 });
                let offload = Offload { segmentation, ..trusted() };
                (ip_frame(addresses::GATEWAY, IpProtocol::Tcp, &payload), offload)
            }
            Step::Change { at, byte } => {
                let mut frame: Vec<u8> = std::mem::take(&mut last);
                if let Some(changed) = frame.get_mut(at) {
                    *changed = byte;
                }
                (frame, trusted())
            }
            Step::Turn => {
                for (frame, _) in bench.turn() {
                    let ip = Ipv4Packet::new_checked(&frame[14..]);
                    let Ok(ip) = ip else { continue };
                    if let Ok(tcp) = TcpPacket::new_checked(ip.payload()) {
                        sequence = tcp.seq_number().0 as u32 + u32::from(tcp.syn());
                        acknowledged = tcp.ack_number().0 as u32;
                    }
                }
                continue;
            }
        };
        bench.send(&frame, offload);
        last = frame;
    }
    bench.turn();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_guest_sends_is_survived(
        steps in proptest::collection::vec(step(), 1..60),
        offloads in prop_oneof![Just(GuestOffloads::None), Just(GuestOffloads::Segmentation)],
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            let accepted = listener.accept();
            if let Ok((mut stream, _)) = accepted {
                use std::io::Write;
                let _ = stream.write_all(&[7; 5000]);
            }
        });
        let mut bench = Bench::new(offloads);
        play(&mut bench, port, steps);
        accepting.join().unwrap();
        bench.turn();
        prop_assert!(bench.nat.tcp.len() <= tcp::FLOWS);
    }
}
