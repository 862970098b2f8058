//! Lines of a text, of bounded length.

use std::io::{BufRead, Chain, Cursor, Read};

use crate::Error;

/// No format has lines of this length, and a file without line ends shall not fill the memory.
const LONGEST: usize = 64 * 1024;

/// How much of its beginning tells what a trace carries.
const PREFIX: u64 = 64 * 1024;

/// A reader whose beginning was looked at.
pub(in crate::formats) type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// The beginning of a text, and a reader that still yields all of it.
pub(in crate::formats) fn peek<R: BufRead>(mut reader: R) -> Result<(Vec<u8>, Peeked<R>), Error> {
    let mut prefix = Vec::new();
    reader.by_ref().take(PREFIX).read_to_end(&mut prefix)?;
    Ok((prefix.clone(), Cursor::new(prefix).chain(reader)))
}

/// Lines without their ends, `\n` or `\r\n`.
pub(in crate::formats) struct Lines<R> {
    reader: R,
    /// Of the line that was returned last.
    number: u64,
    /// Bytes of the reader's buffer that are that line, to be consumed before the next one.
    in_buffer: usize,
    /// A line that lies in several buffers.
    joined: Vec<u8>,
    /// The line that was returned last shall be returned again.
    again: bool,
    is_joined: bool,
}

impl<R: BufRead> Lines<R> {
    pub(in crate::formats) fn new(reader: R) -> Self {
        Self { reader, number: 0, in_buffer: 0, joined: Vec::new(), again: false, is_joined: false }
    }

    /// The next line, or `None` at the end.
    pub(in crate::formats) fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.again {
            self.again = false;
        } else {
            self.reader.consume(std::mem::take(&mut self.in_buffer));
            self.number += 1;
            if !self.find()? {
                return Ok(None);
            }
        }
        if self.is_joined {
            return Ok(Some(trimmed(&self.joined)));
        }
        let buffer = self.reader.fill_buf()?;
        Ok(Some(trimmed(&buffer[..self.in_buffer.min(buffer.len())])))
    }

    /// Returns the last line once more.
    pub(in crate::formats) fn again(&mut self) {
        self.again = true;
    }

    /// An error of the last line.
    pub(in crate::formats) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Line { line: self.number, reason: reason.into() }
    }

    /// Finds the end of a line: `in_buffer` or `joined` is then the line with its end.
    fn find(&mut self) -> Result<bool, Error> {
        self.joined.clear();
        self.is_joined = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            let (found, len) = match memchr::memchr(b'\n', buffer) {
                Some(end) => (true, end + 1),
                None => (buffer.is_empty(), buffer.len()),
            };
            if self.joined.len() + len > LONGEST {
                return Err(
                    self.error(format!("longer than {LONGEST} bytes: not a text of this format"))
                );
            }
            if found && self.joined.is_empty() {
                self.in_buffer = len;
                return Ok(len != 0);
            }
            self.is_joined = true;
            self.joined.extend_from_slice(&buffer[..len]);
            self.reader.consume(len);
            if found {
                return Ok(true);
            }
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(text: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(line.to_vec());
        }
        all
    }

    #[test]
    fn lines_do_not_depend_on_buffers_and_kinds_of_ends() {
        for buffer in 1..12 {
            let expected: [&[u8]; 5] = [b"one", b"", b"three", b"", b"end"];
            assert_eq!(lines(b"one\n\nthree\r\n\r\nend", buffer), expected);
            assert_eq!(lines(b"one\n", buffer), [b"one"]);
            assert_eq!(lines(b"", buffer), [b""; 0]);
        }
    }

    #[test]
    fn a_line_can_be_had_again() {
        for buffer in [1, 3, 100] {
            let mut lines = Lines::new(BufReader::with_capacity(buffer, &b"first\nsecond"[..]));
            assert_eq!(lines.next().unwrap(), Some(&b"first"[..]));
            lines.again();
            assert_eq!(lines.next().unwrap(), Some(&b"first"[..]));
            assert_eq!(lines.next().unwrap(), Some(&b"second"[..]));
            lines.again();
            assert_eq!(lines.next().unwrap(), Some(&b"second"[..]));
            assert_eq!(lines.next().unwrap(), None);
        }
    }

    #[test]
    fn long_lines_are_refused() {
        let mut long = Lines::new(BufReader::new(std::io::repeat(b'x')));
        assert!(long.next().unwrap_err().to_string().contains("line 1: longer"));
    }
}
