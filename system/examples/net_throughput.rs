//! How fast TCP is through the network in user mode, from and to a guest whose network stack is
//! smoltcp: `cargo run --release -p ferry-system --example net_throughput`.

#[path = "../tests/net/guest.rs"]
mod guest;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ferry_system::host::net::GuestOffloads;
use guest::{GATEWAY, Guest};

/// How long each direction is measured.
const TIME: Duration = Duration::from_secs(3);
const BUFFER: usize = 1 << 20;

fn main() {
    let modes = [
        ("no offloads", GuestOffloads::None),
        ("checksums left out", GuestOffloads::Checksum),
        ("checksums and segmentation left out", GuestOffloads::Segmentation),
    ];
    for (name, offloads) in modes {
        report(&format!("{name}: guest to host"), to_host(offloads));
        report(&format!("{name}: host to guest"), to_guest(offloads));
    }
}

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn report(what: &str, bits_per_second: f64) {
    println!("{what}: {:.2} Gbit/s", bits_per_second / 1e9);
}

/// A server for one connection.
fn server(
    handle: impl FnOnce(TcpStream) -> u64 + Send + 'static,
) -> (u16, thread::JoinHandle<u64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (port, thread::spawn(move || handle(listener.accept().expect("a connection").0)))
}

fn to_host(offloads: GuestOffloads) -> f64 {
    let (port, thread) = server(|mut stream| {
        let (mut bytes, mut total) = (vec![0; 256 << 10], 0);
        while let Ok(len @ 1..) = stream.read(&mut bytes) {
            total += len as u64;
        }
        total
    });
    let mut guest = Guest::new("user", offloads);
    let handle = guest.connect((GATEWAY, port), BUFFER);
    let bytes = vec![0x5a; BUFFER];
    let start = Instant::now();
    guest.within(TIME, |guest| {
        let socket = guest.tcp(handle);
        if socket.can_send() {
            socket.send_slice(&bytes).expect("an open connection");
        }
        false
    });
    guest.tcp(handle).close();
    guest.until("the server's end", |_| thread.is_finished());
    let total = thread.join().expect("the server");
    total as f64 * 8.0 / start.elapsed().as_secs_f64()
}

fn to_guest(offloads: GuestOffloads) -> f64 {
    let (port, thread) = server(|mut stream| {
        let bytes = vec![0x5a; 256 << 10];
        let start = Instant::now();
        let mut total = 0;
        while start.elapsed() < TIME && stream.write_all(&bytes).is_ok() {
            total += bytes.len() as u64;
        }
        total
    });
    let mut guest = Guest::new("user", offloads);
    let handle = guest.connect((GATEWAY, port), BUFFER);
    let start = Instant::now();
    let mut total = 0;
    guest.within(2 * TIME, |guest| {
        let socket = guest.tcp(handle);
        while socket.can_recv() {
            total += socket.recv(|bytes| (bytes.len(), bytes.len())).expect("an open connection");
        }
        thread.is_finished() && !socket.may_recv()
    });
    assert_eq!(total as u64, thread.join().expect("the server"));
    total as f64 * 8.0 / start.elapsed().as_secs_f64()
}
