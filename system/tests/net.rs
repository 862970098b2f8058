//! The network in user mode with a scripted guest: everything goes through frames on one side and
//! the host's loopback on the other.

#[path = "net/guest.rs"]
mod guest;

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ferry_system::host::net::{GuestOffloads, NetConfig, Offload, UserNet};
use guest::{ADDRESS, GATEWAY, Guest};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{dhcpv4, icmp, tcp, udp};
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, IpAddress};

const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const BUFFER: usize = 128 << 10;
const ALL: [GuestOffloads; 3] =
    [GuestOffloads::None, GuestOffloads::Checksum, GuestOffloads::Segmentation];

/// A server on the host's loopback that handles each of `connections` by itself.
fn server(
    connections: usize,
    handle: impl Fn(TcpStream) + Send + Sync + Clone + 'static,
) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let accepted = (0..connections).map(|_| {
            let (stream, _) = listener.accept().unwrap();
            let handle = handle.clone();
            thread::spawn(move || handle(stream))
        });
        accepted.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
    (port, thread)
}

/// A port of the loopback at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The bytes of a stream that has its own pattern.
fn pattern(seed: u64, from: usize, len: usize) -> Vec<u8> {
    let byte = |at: usize| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed) >> 56;
    (from..from + len).map(|at| byte(at) as u8).collect()
}

fn digest_of(seed: u64, len: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    pattern(seed, 0, len).iter().for_each(|&byte| hasher.write_u8(byte));
    hasher.finish()
}

/// Reads to the end.
fn digest(mut stream: impl Read) -> (usize, u64) {
    let (mut hasher, mut total, mut bytes) = (DefaultHasher::new(), 0, [0; 65536]);
    loop {
        match stream.read(&mut bytes).unwrap() {
            0 => return (total, hasher.finish()),
            len => {
                bytes[..len].iter().for_each(|&byte| hasher.write_u8(byte));
                total += len;
            }
        }
    }
}

fn receive_all(guest: &mut Guest, handle: SocketHandle) -> Vec<u8> {
    let mut received = Vec::new();
    guest.until("the peer's end", |guest| {
        let socket = guest.tcp(handle);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), received.extend_from_slice(bytes))).unwrap();
        }
        !socket.may_recv()
    });
    received
}

fn send_all(guest: &mut Guest, handle: SocketHandle, bytes: &[u8]) {
    let mut sent = 0;
    guest.until("room to send", |guest| {
        let socket = guest.tcp(handle);
        if socket.can_send() {
            sent += socket.send_slice(&bytes[sent..]).unwrap();
        }
        sent == bytes.len()
    });
}

#[test]
fn dhcp_gives_the_address_the_router_and_the_name_server() {
    let mut guest = Guest::unconfigured("user,hostname=box", GuestOffloads::None);
    let handle = guest.sockets.add(dhcpv4::Socket::new());
    guest.until("a lease", |guest| {
        let event = guest.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll();
        let Some(dhcpv4::Event::Configured(config)) = event else { return false };
        assert_eq!(config.address.to_string(), "10.0.2.15/24");
        assert_eq!(config.router, Some(GATEWAY));
        assert_eq!(config.dns_servers.as_slice(), [DNS]);
        true
    });
}

#[test]
fn a_request_is_answered_whatever_is_offloaded() {
    for offloads in ALL {
        let (port, thread) = server(1, |mut stream| {
            let mut request = [0; 18];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"GET / HTTP/1.0\r\n\r\n");
            assert!(stream.peer_addr().unwrap().ip().is_loopback());
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            stream.write_all(&pattern(1, 0, 100_000)).unwrap();
        });
        let mut guest = Guest::new("user", offloads);
        let handle = guest.connect((GATEWAY, port), BUFFER);
        send_all(&mut guest, handle, b"GET / HTTP/1.0\r\n\r\n");
        let answer = receive_all(&mut guest, handle);
        assert_eq!(&answer[..19], b"HTTP/1.0 200 OK\r\n\r\n");
        assert!(answer[19..] == pattern(1, 0, 100_000));
        guest.tcp(handle).close();
        guest.until("the end", |guest| {
            matches!(guest.tcp(handle).state(), tcp::State::Closed | tcp::State::TimeWait)
        });
        thread.join().unwrap();
    }
}

#[test]
fn nobody_listening_is_a_reset() {
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handle = guest.connect((GATEWAY, closed_port()), 4096);
    guest.until("a reset", |guest| guest.tcp(handle).state() == tcp::State::Closed);
    // Addresses that must not be reached are refused at once, too.
    for addr in [[127, 0, 0, 1], [169, 254, 169, 254], [240, 0, 0, 1]] {
        let handle = guest.connect((addr.into(), 80), 4096);
        guest.until("a reset", |guest| guest.tcp(handle).state() == tcp::State::Closed);
    }
    // The guest asks by ARP for those in its own network, and nobody answers.
    let handle = guest.connect((Ipv4Addr::new(10, 0, 2, 77), 80), 4096);
    let refused = guest.within(Duration::from_millis(200), |guest| {
        guest.tcp(handle).state() == tcp::State::Closed
    });
    assert!(!refused);
}

#[test]
fn each_side_can_finish_alone() {
    // The host's side answers only when the guest's has finished.
    let (port, thread) = server(1, |mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        assert_eq!(request, b"all of it");
        stream.write_all(b"answer").unwrap();
    });
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handle = guest.connect((GATEWAY, port), 4096);
    send_all(&mut guest, handle, b"all of it");
    guest.tcp(handle).close();
    assert_eq!(receive_all(&mut guest, handle), b"answer");
    thread.join().unwrap();

    // The host's side finishes first, and the guest goes on.
    let (port, thread) = server(1, |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest == pattern(2, 0, 300_000));
    });
    let handle = guest.connect((GATEWAY, port), BUFFER);
    assert_eq!(receive_all(&mut guest, handle), b"");
    send_all(&mut guest, handle, &pattern(2, 0, 300_000));
    guest.tcp(handle).close();
    guest.until("the end", |guest| {
        matches!(guest.tcp(handle).state(), tcp::State::Closed | tcp::State::TimeWait)
    });
    thread.join().unwrap();
}

#[test]
fn resets_are_passed_on() {
    // The host's socket is closed with bytes that were not read, so the host resets it.
    let (port, thread) = server(1, |mut stream| {
        stream.read_exact(&mut [0; 1]).unwrap();
    });
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handle = guest.connect((GATEWAY, port), 4096);
    send_all(&mut guest, handle, &[0; 4096]);
    guest.until("the host's reset", |guest| guest.tcp(handle).state() == tcp::State::Closed);
    thread.join().unwrap();

    let (port, thread) = server(1, |mut stream| {
        stream.read_exact(&mut [0; 1]).unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
    let handle = guest.connect((GATEWAY, port), 4096);
    send_all(&mut guest, handle, &[0; 1]);
    guest.within(Duration::from_millis(100), |_| false);
    guest.tcp(handle).abort();
    guest.until("the host's thread", |_| thread.is_finished());
    thread.join().unwrap();
}

#[test]
fn much_goes_both_ways_at_once() {
    const LEN: usize = 24 << 20;
    for offloads in ALL {
        let (port, thread) = server(1, |mut stream| {
            let mut writer = stream.try_clone().unwrap();
            let writing = thread::spawn(move || {
                (0..LEN).step_by(1 << 20).for_each(|at| {
                    writer.write_all(&pattern(3, at, 1 << 20)).unwrap();
                });
                writer.shutdown(Shutdown::Write).unwrap();
            });
            assert_eq!(digest(&mut stream), (LEN, digest_of(4, LEN)));
            writing.join().unwrap();
        });
        let mut guest = Guest::new("user", offloads);
        let handle = guest.connect((GATEWAY, port), 512 << 10);
        let (mut sent, mut received, mut hasher) = (0, 0, DefaultHasher::new());
        let outgoing = pattern(4, 0, LEN);
        guest.until("all bytes", |guest| {
            let socket = guest.tcp(handle);
            if socket.can_send() && sent < LEN {
                sent += socket.send_slice(&outgoing[sent..]).unwrap();
                if sent == LEN {
                    socket.close();
                }
            }
            while socket.can_recv() {
                received += socket
                    .recv(|bytes| {
                        bytes.iter().for_each(|&byte| hasher.write_u8(byte));
                        (bytes.len(), bytes.len())
                    })
                    .unwrap();
            }
            received == LEN && sent == LEN
        });
        assert_eq!(hasher.finish(), digest_of(3, LEN));
        guest.until("the host's thread", |_| thread.is_finished());
        thread.join().unwrap();
    }
}

#[test]
fn a_slow_reader_holds_the_writer_back() {
    const LEN: usize = 8 << 20;
    let (port, thread) = server(1, |stream| {
        // What the buffers between hold must not be lost, though the guest has closed long ago.
        thread::sleep(Duration::from_millis(500));
        assert_eq!(digest(stream), (LEN, digest_of(5, LEN)));
    });
    let mut guest = Guest::new("user", GuestOffloads::Segmentation);
    let handle = guest.connect((GATEWAY, port), BUFFER);
    send_all(&mut guest, handle, &pattern(5, 0, LEN));
    guest.tcp(handle).close();
    guest.until("the host's thread", |_| thread.is_finished());
    thread.join().unwrap();

    // The guest reads nothing for a while, then all of it: more than the host's buffers hold.
    const MORE: usize = 32 << 20;
    let (port, thread) = server(1, |mut stream| stream.write_all(&pattern(6, 0, MORE)).unwrap());
    let handle = guest.connect((GATEWAY, port), BUFFER);
    guest.within(Duration::from_millis(500), |_| false);
    assert!(!thread.is_finished(), "more was taken than fits");
    let received = receive_all(&mut guest, handle);
    assert!(received == pattern(6, 0, MORE));
    thread.join().unwrap();
}

#[test]
fn two_hundred_connections_at_once() {
    const CONNECTIONS: usize = 200;
    let (port, thread) = server(CONNECTIONS, |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handles: Vec<_> = (0..CONNECTIONS).map(|_| guest.connect((GATEWAY, port), 16384)).collect();
    let mut sent = vec![0; CONNECTIONS];
    let mut received = vec![Vec::new(); CONNECTIONS];
    guest.until("all echoes", |guest| {
        let mut open = false;
        for (index, &handle) in handles.iter().enumerate() {
            let socket = guest.tcp(handle);
            let (len, done) = (10_000 + index, sent[index] == 10_000 + index);
            if socket.can_send() && !done {
                let rest = pattern(index as u64, sent[index], len - sent[index]);
                sent[index] += socket.send_slice(&rest).unwrap();
                if sent[index] == len {
                    socket.close();
                }
            }
            while socket.can_recv() {
                let into = &mut received[index];
                socket.recv(|bytes| (bytes.len(), into.extend_from_slice(bytes))).unwrap();
            }
            open |= socket.may_recv() || !done;
        }
        !open
    });
    for (index, bytes) in received.iter().enumerate() {
        assert!(*bytes == pattern(index as u64, 0, 10_000 + index), "connection {index}");
    }
    thread.join().unwrap();
}

#[test]
fn a_forwarded_port_leads_to_the_guest() {
    let mut guest = Guest::new("user,hostfwd=tcp:0-:22", GuestOffloads::Checksum);
    let at = guest.wire.net.ports()[0];
    assert!(at.ip().is_loopback());
    let handle = guest.add_tcp(4096);
    guest.tcp(handle).listen(22).unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    guest.until("a connection", |guest| guest.tcp(handle).may_send());
    assert_eq!(guest.tcp(handle).remote_endpoint().unwrap().addr, IpAddress::from(GATEWAY));
    assert_eq!(receive_all(&mut guest, handle), b"hello");
    send_all(&mut guest, handle, b"welcome");
    guest.tcp(handle).close();
    guest.until("the client", |_| client.is_finished());
    assert_eq!(client.join().unwrap(), "welcome");

    // Nobody listens any more.
    let client = thread::spawn(move || TcpStream::connect(at).unwrap().read(&mut [0; 1]));
    guest.until("the client", |_| client.is_finished());
    let error = client.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

fn add_udp(guest: &mut Guest, port: u16) -> SocketHandle {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 65536]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).unwrap();
    guest.sockets.add(socket)
}

fn receive_udp(guest: &mut Guest, handle: SocketHandle) -> (Vec<u8>, (IpAddress, u16)) {
    let mut received = None;
    guest.until("a datagram", |guest| {
        let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
        received = socket
            .recv()
            .ok()
            .map(|(data, meta)| (data.to_vec(), (meta.endpoint.addr, meta.endpoint.port)));
        received.is_some()
    });
    received.unwrap()
}

#[test]
fn datagrams_are_echoed() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let mut bytes = [0; 2000];
        for _ in 0..2 {
            let (len, from) = server.recv_from(&mut bytes).unwrap();
            server.send_to(&bytes[..len], from).unwrap();
        }
    });
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handle = add_udp(&mut guest, 5000);
    for data in [&b"ping"[..], &[7; 1400]] {
        let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(data, (GATEWAY, port)).unwrap();
        let (echo, from) = receive_udp(&mut guest, handle);
        assert_eq!((echo.as_slice(), from), (data, (GATEWAY.into(), port)));
    }
    thread.join().unwrap();
}

#[test]
fn a_forwarded_udp_port_leads_to_the_guest() {
    let mut guest = Guest::new("user,hostfwd=udp:0-:69", GuestOffloads::None);
    let at = guest.wire.net.ports()[0];
    let handle = add_udp(&mut guest, 69);
    let clients = [0, 1].map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    for client in &clients {
        client.send_to(b"question", at).unwrap();
        let (question, from) = receive_udp(&mut guest, handle);
        assert_eq!(question, b"question");
        assert_eq!(from, (GATEWAY.into(), client.local_addr().unwrap().port()));
        let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(b"answer", from).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut answer = [0; 16];
        guest.until("the answer", |_| {
            let Ok((len, from)) = client.recv_from(&mut answer) else { return false };
            assert_eq!((&answer[..len], from), (&b"answer"[..], SocketAddr::from(at)));
            true
        });
    }
}

fn add_icmp(guest: &mut Guest, endpoint: icmp::Endpoint) -> SocketHandle {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(endpoint).unwrap();
    guest.sockets.add(socket)
}

fn ping(guest: &mut Guest, handle: SocketHandle, to: Ipv4Addr, data: &[u8]) {
    let request = Icmpv4Repr::EchoRequest { ident: 0x22, seq_no: 3, data };
    let socket = guest.sockets.get_mut::<icmp::Socket<'_>>(handle);
    let bytes = socket.send(request.buffer_len(), to.into()).unwrap();
    let sums = smoltcp::phy::ChecksumCapabilities::default();
    request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &sums);
}

#[test]
fn the_router_and_the_name_server_answer_to_ping() {
    let mut guest = Guest::new("user", GuestOffloads::None);
    let handle = add_icmp(&mut guest, icmp::Endpoint::Ident(0x22));
    for to in [GATEWAY, DNS] {
        ping(&mut guest, handle, to, b"are you there?");
        guest.until("an echo", |guest| {
            let socket = guest.sockets.get_mut::<icmp::Socket<'_>>(handle);
            let Ok((bytes, from)) = socket.recv() else { return false };
            assert_eq!(from, IpAddress::from(to));
            let sums = smoltcp::phy::ChecksumCapabilities::default();
            let reply = Icmpv4Repr::parse(&Icmpv4Packet::new_checked(bytes).unwrap(), &sums);
            let data = b"are you there?";
            assert_eq!(reply, Ok(Icmpv4Repr::EchoReply { ident: 0x22, seq_no: 3, data }));
            true
        });
    }
}

/// Waits for "unreachable" for a datagram from this port.
fn unreachable_reason(guest: &mut Guest, handle: SocketHandle) -> Icmpv4DstUnreachable {
    let mut reason = None;
    guest.until("unreachable", |guest| {
        let socket = guest.sockets.get_mut::<icmp::Socket<'_>>(handle);
        let Ok((bytes, _)) = socket.recv() else { return false };
        let sums = smoltcp::phy::ChecksumCapabilities::default();
        let message = Icmpv4Repr::parse(&Icmpv4Packet::new_checked(bytes).unwrap(), &sums);
        if let Ok(Icmpv4Repr::DstUnreachable { reason: why, .. }) = message {
            reason = Some(why);
        }
        reason.is_some()
    });
    reason.unwrap()
}

#[test]
fn datagrams_that_go_nowhere_are_answered() {
    let mut guest = Guest::new("user", GuestOffloads::None);
    let errors = add_icmp(&mut guest, icmp::Endpoint::Udp(5000.into()));
    let handle = add_udp(&mut guest, 5000);
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let cases = [
        ((GATEWAY, closed), Icmpv4DstUnreachable::PortUnreachable),
        ((DNS, 80), Icmpv4DstUnreachable::PortUnreachable),
        ((Ipv4Addr::new(127, 0, 0, 1), 9), Icmpv4DstUnreachable::CommProhibited),
        ((Ipv4Addr::new(169, 254, 169, 254), 80), Icmpv4DstUnreachable::CommProhibited),
    ];
    for (to, expected) in cases {
        let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(b"?", to).unwrap();
        assert_eq!(unreachable_reason(&mut guest, errors), expected, "{to:?}");
    }
}

/// An answer to a question: the same with these flags, and its number.
fn dns_server(answers: usize) -> (u16, JoinHandle<()>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let mut bytes = [0; 512];
        for _ in 0..answers {
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            bytes[2] = 0x81;
            bytes[3] = 0x80;
            bytes[0] ^= 1;
            socket.send_to(&bytes[..len], from).unwrap();
            bytes[0] ^= 1;
            socket.send_to(&bytes[..len], from).unwrap();
        }
    });
    (port, thread)
}

const QUESTION: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x07example\x04test\0\0\x01\0\x01";

fn ask(guest: &mut Guest, handle: SocketHandle) -> Vec<u8> {
    let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
    socket.send_slice(QUESTION, (DNS, 53)).unwrap();
    let (answer, from) = receive_udp(guest, handle);
    assert_eq!(from, (DNS.into(), 53));
    answer
}

#[test]
fn names_are_asked_for_at_a_server_that_answers() {
    let (port, thread) = dns_server(1);
    let config = format!("user,dns=127.0.0.1:{},dns=127.0.0.1:{port}", closed_port());
    let mut guest = Guest::new(&config, GuestOffloads::None);
    let handle = add_udp(&mut guest, 5353);
    let answer = ask(&mut guest, handle);
    // Not the answer with the wrong number that came first.
    assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x80]);
    assert_eq!(answer[4..], QUESTION[4..]);
    thread.join().unwrap();
}

#[test]
fn names_fail_when_no_server_answers() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    for port in [closed_port(), silent_port] {
        let mut guest = Guest::new(&format!("user,dns=127.0.0.1:{port}"), GuestOffloads::None);
        let handle = add_udp(&mut guest, 5353);
        let answer = ask(&mut guest, handle);
        assert_eq!(answer[3] & 0xf, 2, "SERVFAIL");
        assert_eq!(answer[12..], QUESTION[12..]);
    }
}

#[test]
fn names_are_asked_for_by_tcp_too() {
    let (port, thread) = server(1, |mut stream| {
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&question).unwrap();
    });
    // The first server does not listen.
    let config = format!("user,dns=127.0.0.1:{},dns=127.0.0.1:{port}", closed_port());
    let mut guest = Guest::new(&config, GuestOffloads::None);
    let handle = guest.connect((DNS, 53), 4096);
    send_all(&mut guest, handle, b"\0\x02ab");
    assert_eq!(receive_all(&mut guest, handle), b"\0\x02ab");
    thread.join().unwrap();
    // No other port is there.
    let handle = guest.connect((DNS, 80), 4096);
    guest.until("a reset", |guest| guest.tcp(handle).state() == tcp::State::Closed);
}

#[test]
fn a_restricted_guest_reaches_nothing_but_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (dns_port, _) = dns_server(1);
    let config = format!("user,restrict=on,hostfwd=tcp:0-:22,dns=127.0.0.1:{dns_port}");
    let mut guest = Guest::new(&config, GuestOffloads::None);
    for to in [(GATEWAY, port), (DNS, 53)] {
        let handle = guest.connect(to, 4096);
        guest.until("a reset", |guest| guest.tcp(handle).state() == tcp::State::Closed);
    }
    assert!(listener.accept().is_err());
    let errors = add_icmp(&mut guest, icmp::Endpoint::Udp(5000.into()));
    let handle = add_udp(&mut guest, 5000);
    for to in [(GATEWAY, port), (DNS, 53)] {
        let socket = guest.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(QUESTION, to).unwrap();
        let reason = unreachable_reason(&mut guest, errors);
        assert_eq!(reason, Icmpv4DstUnreachable::CommProhibited);
    }

    let at = guest.wire.net.ports()[0];
    let handle = guest.add_tcp(4096);
    guest.tcp(handle).listen(22).unwrap();
    let client = thread::spawn(move || {
        let mut answer = String::new();
        TcpStream::connect(at).unwrap().read_to_string(&mut answer).unwrap();
        answer
    });
    guest.until("a connection", |guest| guest.tcp(handle).may_send());
    send_all(&mut guest, handle, b"still here");
    guest.tcp(handle).close();
    guest.until("the client", |_| client.is_finished());
    assert_eq!(client.join().unwrap(), "still here");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let text = format!("user,hostfwd=tcp:{}-:22", at.port());
    let Ok(NetConfig::User(config)) = text.parse() else { panic!("{text}") };
    let error = UserNet::open(&config).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on {at}")), "{error}");
}

#[test]
fn a_flood_of_frames_neither_grows_nor_stops_the_network() {
    let mut guest = Guest::new("user", GuestOffloads::None);
    let frame = [0xff; 1500];
    let mut refused = 0;
    for _ in 0..20_000 {
        if guest.wire.send(&frame, Offload::default()).is_err() {
            refused += 1;
            thread::sleep(Duration::from_micros(100));
        }
    }
    assert!(refused < 20_000);
    let handle = add_icmp(&mut guest, icmp::Endpoint::Ident(0x22));
    ping(&mut guest, handle, GATEWAY, b"still there?");
    guest.until("an echo", |guest| guest.sockets.get_mut::<icmp::Socket<'_>>(handle).can_recv());
    assert_eq!(guest.interface.ipv4_addr(), Some(ADDRESS));
}
