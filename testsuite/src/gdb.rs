//! A debugger for tests: it speaks gdb's remote protocol, a packet at a time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A connection to a debugged guest.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    input: Vec<u8>,
}

/// A guest that does not stop or answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    /// Connects, as soon as somebody listens there.
    ///
    /// # Errors
    /// Nobody does.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Err(error) if start.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
                Ok(stream) => break stream,
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, input: Vec::new() };
        client.ask("qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+")?;
        Ok(client)
    }

    /// Sends a packet without waiting for an answer.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, body: &str) -> io::Result<()> {
        let sum = body.bytes().fold(0, |sum: u8, byte| sum.wrapping_add(byte));
        self.stream.write_all(format!("${body}#{sum:02x}").as_bytes())
    }

    /// What Ctrl-C in gdb does.
    ///
    /// # Errors
    /// The connection's.
    pub fn interrupt(&mut self) -> io::Result<()> {
        self.stream.write_all(&[3])
    }

    /// Sends a packet; the answer's body.
    ///
    /// # Errors
    /// The connection's; there is no answer in time.
    pub fn ask(&mut self, body: &str) -> io::Result<String> {
        self.send(body)?;
        self.wait()
    }

    /// The next packet's body.
    ///
    /// # Errors
    /// The connection's; there is none in time.
    pub fn wait(&mut self) -> io::Result<String> {
        loop {
            let start = self.input.iter().position(|&byte| byte == b'$');
            let end = self.input.iter().position(|&byte| byte == b'#');
            if let (Some(start), Some(end)) = (start, end)
                && self.input.len() >= end + 3
            {
                let body = expand(&self.input[start + 1..end]);
                self.input.drain(..end + 3);
                // Whoever has said its last does not listen.
                let _ = self.stream.write_all(b"+");
                return Ok(body);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => self.input.extend(&buffer[..len]),
            }
        }
    }

    /// A register's value.
    ///
    /// # Errors
    /// The connection's; there is no such register.
    pub fn register(&mut self, number: u32) -> io::Result<u64> {
        let text = self.ask(&format!("p{number:x}"))?;
        little_endian(&text).ok_or_else(|| io::Error::other(format!("register {number}: {text}")))
    }

    /// Eight bytes of memory.
    ///
    /// # Errors
    /// The connection's; they cannot be read.
    pub fn word(&mut self, addr: u64) -> io::Result<u64> {
        let text = self.ask(&format!("m{addr:x},8"))?;
        little_endian(&text).ok_or_else(|| io::Error::other(format!("memory at {addr:#x}: {text}")))
    }
}

/// Undoes the protocol's run-length encoding.
fn expand(body: &[u8]) -> String {
    let mut text = String::new();
    let mut bytes = body.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, text.chars().last()) {
            (b'*', Some(last)) => {
                let count = bytes.next().map_or(0, |&count| usize::from(count).saturating_sub(29));
                text.extend(std::iter::repeat_n(last, count));
            }
            _ => text.push(byte.into()),
        }
    }
    text
}

fn little_endian(hex: &str) -> Option<u64> {
    let bytes: Option<Vec<u8>> = (0..hex.len() / 2)
        .map(|n| u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok())
        .collect();
    let bytes =
        bytes.filter(|bytes| hex.len().is_multiple_of(2) && (1..=8).contains(&bytes.len()))?;
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_expanded_and_read() {
        assert_eq!(expand(b"0* x"), "0000x");
        assert_eq!(little_endian("7856341200000080"), Some(0x8000_0000_1234_5678));
        assert_eq!((little_endian("E14"), little_endian("")), (None, None));
    }
}
