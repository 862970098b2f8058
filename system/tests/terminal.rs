//! The terminal is as it was, however Ferry ends: a process with a pseudo-terminal as standard input makes it
//! raw and ends.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ferry_system::device::Notifier;
use ferry_system::devices::virtio::console::{ConsoleSize, SizeSource};
use ferry_system::host::chars::terminal::TerminalSize;
use ferry_system::host::chars::{CharBackend, Escape, stdio, terminal};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Set for the process under test: how it ends.
const ENDING: &str = "FERRY_TEST_TERMINAL_ENDING";

/// Runs this test again as the process under test, with a pseudo-terminal.
fn start(test: &str, ending: &str) -> (Child, OwnedFd) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let user = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    // `nohup` may have had signals ignored, and that is inherited.
    let child = Command::new("env")
        .arg("--default-signal")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ENDING, ending)
        .stdin(user)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child, controller)
}

fn is_raw(terminal: &OwnedFd) -> bool {
    !tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ICANON)
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_terminal_is_restored() {
    if let Ok(ending) = std::env::var(ENDING) {
        assert!(terminal::make_raw().unwrap());
        std::io::stdin().read_exact(&mut [0]).unwrap();
        match ending.as_str() {
            "exit" => std::process::exit(3),
            "panic" => panic!("as asked"),
            "abort" => std::process::abort(),
            signal => {
                let kill = format!("kill -{signal} {}", std::process::id());
                Command::new("sh").args(["-c", &kill]).status().unwrap();
                std::thread::sleep(Duration::from_secs(30));
                std::process::exit(4);
            }
        }
    }
    for (ending, code, signal) in [
        ("exit", Some(3), None),
        ("panic", Some(101), None),
        ("abort", None, Some(6)),
        ("TERM", None, Some(15)),
        ("HUP", None, Some(1)),
        ("SEGV", None, Some(11)),
    ] {
        let (mut child, terminal) = start("the_terminal_is_restored", ending);
        wait_until(|| is_raw(&terminal));
        rustix::io::write(&terminal, b"x").unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (code, signal), "{ending}");
        assert!(!is_raw(&terminal), "{ending}");
    }
}

#[test]
fn keys_reach_the_guest_and_ferry() {
    if std::env::var(ENDING).is_ok() {
        let (sender, escapes) = std::sync::mpsc::channel();
        let mut backend = stdio(move |escape| sender.send(escape).unwrap()).unwrap();
        assert_eq!([(); 2].map(|()| escapes.recv().unwrap()), [Escape::Monitor, Escape::Quit]);
        let mut buffer = [0; 16];
        let given = backend.read(&mut buffer);
        let report = format!("<{:?} {}>", &buffer[..given], backend.take_break());
        assert_eq!(backend.write(report.as_bytes()), report.len());
        drop(backend);
        std::process::exit(0);
    }
    let (mut child, terminal) = start("keys_reach_the_guest_and_ferry", "quit");
    wait_until(|| is_raw(&terminal));
    let mut terminal = std::fs::File::from(terminal);
    terminal.write_all(b"a\x03\x01c\x01\x01\x01b\x01x").unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.ends_with("<[97, 3, 1] true>"), "{output:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The child ends when it was told that the terminal is 132 by 43.
#[test]
fn a_new_size_is_told() {
    if std::env::var(ENDING).is_ok() {
        let (sender, told) = std::sync::mpsc::channel();
        let mut backend = stdio(|_| ()).unwrap();
        let bits = Arc::new(AtomicU64::new(0));
        let wake = Arc::new(move || sender.send(()).unwrap());
        backend.connect(Notifier::new(Arc::clone(&bits), 1, wake));
        while TerminalSize.size() != (ConsoleSize { columns: 132, rows: 43 }) {
            told.recv().unwrap();
            bits.store(0, Ordering::SeqCst);
        }
        std::process::exit(4);
    }
    let (mut child, terminal) = start("a_new_size_is_told", "size");
    wait_until(|| is_raw(&terminal));
    let size = Winsize { ws_row: 43, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let mut status = None;
    wait_until(|| {
        // It is not the process's controlling terminal, so its signals come from here.
        let kill = format!("kill -WINCH {}", child.id());
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(4));
}
