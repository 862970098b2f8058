//! Packets ("Overview" of the protocol): `$data#checksum`, each acknowledged by `+`.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// Bytes of a packet at most that anybody may send us.
const PACKET_MAX: usize = 1 << 24;

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A stub at the other end.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
    /// Whether the last answer must still be acknowledged: that goes out with the next packet.
    owes_ack: bool,
    acknowledges: bool,
    out: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    /// `HOST:PORT`, or the path of a socket.
    pub(crate) fn open(address: &str) -> io::Result<Self> {
        let stream: Box<dyn Duplex> = if address.contains('/') {
            Box::new(UnixStream::connect(address.strip_prefix("unix:").unwrap_or(address))?)
        } else {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        };
        Ok(Self::on(stream))
    }

    fn on(stream: Box<dyn Duplex>) -> Self {
        let stream = BufReader::with_capacity(1 << 14, stream);
        let (out, answer) = (Vec::new(), Vec::new());
        Self { stream, owes_ack: false, acknowledges: true, out, answer }
    }

    /// From now on, nothing is acknowledged any more: both sides have agreed.
    pub(crate) fn stop_acknowledging(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.owes_ack) {
            self.stream.get_mut().write_all(b"+")?;
        }
        self.acknowledges = false;
        Ok(())
    }

    /// Sends a packet and waits for the answer.
    pub(crate) fn ask(&mut self, packet: &[u8]) -> io::Result<&[u8]> {
        self.out.clear();
        if std::mem::take(&mut self.owes_ack) {
            self.out.push(b'+');
        }
        self.out.push(b'$');
        self.out.extend_from_slice(packet);
        let sum = packet.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        self.out.push(b'#');
        self.out.extend(format!("{sum:02x}").bytes());
        self.stream.get_mut().write_all(&self.out)?;
        loop {
            self.receive()?;
            // What the program prints, some stubs send along.
            let is_output = self.answer.first() == Some(&b'O') && self.answer != b"OK";
            if !is_output {
                return Ok(&self.answer);
            }
            if std::mem::take(&mut self.owes_ack) {
                self.stream.get_mut().write_all(b"+")?;
            }
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Reads one packet: `}` escapes the next byte, `*` repeats the one before.
    fn receive(&mut self) -> io::Result<()> {
        while self.byte()? != b'$' {}
        self.answer.clear();
        loop {
            match self.byte()? {
                b'#' => break,
                b'}' => {
                    let byte = self.byte()?;
                    self.answer.push(byte ^ 0x20);
                }
                b'*' => {
                    let (count, last) = (self.byte()?.saturating_sub(29), self.answer.last());
                    let last = *last.ok_or(io::ErrorKind::InvalidData)?;
                    self.answer.extend(std::iter::repeat_n(last, count.into()));
                }
                byte => self.answer.push(byte),
            }
            if self.answer.len() > PACKET_MAX {
                return Err(io::Error::other("a packet of gdb's protocol has no end"));
            }
        }
        self.byte()?;
        self.byte()?;
        self.owes_ack = self.acknowledges;
        Ok(())
    }
}

/// Bytes from hexadecimal digits; what is unavailable (`xx`) is zero. `None` for anything else.
pub(crate) fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'x' => Some(0),
        _ => char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok()),
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each packet with what is given, and keeps what it was sent.
    fn answer(answers: &'static [&'static [u8]]) -> (Connection, std::thread::JoinHandle<Vec<u8>>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stub = std::thread::spawn(move || {
            let mut all = Vec::new();
            for answer in answers {
                let mut packet = [0; 64];
                let len = theirs.read(&mut packet).unwrap();
                all.extend_from_slice(&packet[..len]);
                theirs.write_all(answer).unwrap();
            }
            all
        });
        (Connection::on(Box::new(ours)), stub)
    }

    #[test]
    fn packets_are_sealed_and_acknowledged_with_the_next() {
        let (mut connection, stub) = answer(&[b"+$OK#9a", b"+$0* 1#00", b"+$a}\x03#00"]);
        assert_eq!(connection.ask(b"?").unwrap(), b"OK");
        assert_eq!(connection.ask(b"g").unwrap(), b"00001");
        assert_eq!(connection.ask(b"s").unwrap(), b"a#");
        assert_eq!(stub.join().unwrap(), b"$?#3f+$g#67+$s#73");
    }

    #[test]
    fn a_stub_that_goes_away_is_an_error() {
        let (mut connection, stub) = answer(&[b"+$T05"]);
        stub_ends(&mut connection);
        stub.join().unwrap();
    }

    fn stub_ends(connection: &mut Connection) {
        assert_eq!(connection.ask(b"s").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn digits_are_bytes() {
        assert_eq!(from_hex(b"0aFFxx"), Some(vec![10, 255, 0]));
        assert_eq!((from_hex(b"0"), from_hex(b"0g")), (None, None));
        assert_eq!(to_hex(&[1, 0xab]), "01ab");
    }
}
