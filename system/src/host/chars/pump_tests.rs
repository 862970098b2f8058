//! Backends with real files, sockets and pseudo-terminals.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::*;
use crate::host::chars::{file, pty, unix};

const PATIENCE: Duration = Duration::from_secs(10);

/// Its notifications; each must be asked for again.
struct Told {
    bits: Arc<AtomicU64>,
    calls: Receiver<()>,
}

impl Told {
    fn by(backend: &mut impl CharBackend) -> Self {
        let (bits, (sender, calls)) = (Arc::<AtomicU64>::default(), channel());
        let wake = Arc::new(move || sender.send(()).unwrap_or(()));
        backend.connect(Notifier::new(Arc::clone(&bits), 1, wake));
        Self { bits, calls }
    }

    /// Like a device's owner: taken first, acted upon by the caller then. What happens in between is told again.
    fn wait(&self) -> Result<(), RecvTimeoutError> {
        self.calls.recv_timeout(PATIENCE)?;
        self.bits.store(0, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }
}

fn read_exactly(backend: &mut Pump, told: &Told, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let mut buffer = [0; 100];
        let given = backend.read(&mut buffer);
        bytes.extend(&buffer[..given]);
        if given == 0 {
            told.wait().expect("more input");
        }
    }
    bytes
}

fn write_all(backend: &mut Pump, told: &Told, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = backend.write(bytes);
        bytes = &bytes[taken..];
        if !bytes.is_empty() {
            told.wait().expect("room");
        }
    }
}

/// A path for a test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("ferry-chars-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

#[test]
fn a_file_has_all_output_when_the_backend_is_dropped() {
    let path = Scratch::new("file");
    let bytes = pattern(OUTPUT * 3 + 7);
    let mut backend = file(&path.0).unwrap();
    let told = Told::by(&mut backend);
    write_all(&mut backend, &told, &bytes);
    drop(backend);
    assert_eq!(std::fs::read(&path.0).unwrap(), bytes);
}

#[test]
fn a_reader_that_does_not_read_fills_the_buffer_and_no_more() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut backend = Pump::new(true).unwrap();
    backend.spawn_writer("test", writer).unwrap();
    let told = Told::by(&mut backend);
    let chunk = pattern(1000);
    let mut written = Vec::<u8>::new();
    let full = loop {
        let taken = backend.write(&chunk);
        written.extend(&chunk[..taken]);
        if taken < chunk.len() {
            break written.len();
        }
    };
    assert!(full <= OUTPUT + CHUNK + (1 << 20), "the pipe and the buffer are bounded: {full}");
    let mut reader = reader;
    let mut received = vec![0; full];
    let thread = thread::spawn(move || {
        reader.read_exact(&mut received).unwrap();
        (received, reader)
    });
    told.wait().expect("room again");
    let (received, _reader) = thread.join().unwrap();
    assert!(received == written);
}

#[test]
fn input_beyond_the_buffer_waits() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut backend = Pump::new(false).unwrap();
    let told = Told::by(&mut backend);
    let read = move |shared: &Shared| {
        shared.read_loop(reader.as_fd(), |bytes| shared.push_input(bytes));
    };
    backend.spawn("test", read).unwrap();
    let bytes = pattern(INPUT * 5);
    let sent = bytes.clone();
    let thread = thread::spawn(move || writer.write_all(&sent));
    assert!(read_exactly(&mut backend, &told, bytes.len()) == bytes);
    thread.join().unwrap().unwrap();
    assert!(backend.0.state().input.is_empty());
}

#[test]
fn a_socket_is_connected_again_and_nothing_is_lost_between() {
    let path = Scratch::new("socket");
    let mut backend = unix(&path.0).unwrap();
    let told = Told::by(&mut backend);
    assert_eq!(backend.write(b"early "), 6);
    for round in 0..2 {
        let _ = std::fs::remove_file(&path.0);
        let listener = UnixListener::bind(&path.0).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        write_all(&mut backend, &told, b"hello");
        let expected: &[u8] = if round == 0 { b"early hello" } else { b"hello" };
        let mut bytes = vec![0; expected.len()];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, expected);
        peer.write_all(b"typed").unwrap();
        assert_eq!(read_exactly(&mut backend, &told, 5), b"typed");
        drop((listener, peer));
        while backend.0.state().connected {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_pseudo_terminal_is_raw_and_shows_what_came_before() {
    let mut made = pty().unwrap();
    let told = Told::by(&mut made.pump);
    assert_eq!(made.pump.write(b"boot\n"), 5);
    let user = OpenOptions::new().read(true).write(true).open(&made.path).unwrap();
    let mut bytes = [0; 5];
    (&user).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"boot\n");
    (&user).write_all(b"\x03ls\r").unwrap();
    assert_eq!(read_exactly(&mut made.pump, &told, 4), b"\x03ls\r");
}

#[test]
fn nobody_to_read_keeps_the_newest_output() {
    let mut backend = Pump::new(false).unwrap();
    let bytes = pattern(OUTPUT + 100);
    assert_eq!(backend.write(&bytes), bytes.len());
    let (kept, path) = (backend.0.state().output.clone(), Scratch::new("kept"));
    assert!(kept.iter().eq(&bytes[100..]));
    backend.0.set_connected(true);
    backend.spawn_writer("test", File::create(&path.0).unwrap()).unwrap();
    drop(backend);
    assert!(std::fs::read(&path.0).unwrap() == bytes[100..]);
}
