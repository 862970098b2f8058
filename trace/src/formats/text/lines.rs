//! Lines of a text, of bounded length.

use std::io::{BufRead, Chain, Cursor, Read};
use std::ops::Range;

use crate::Error;

/// No format has lines of this length, and a file without line ends shall not fill the memory.
const LONGEST: usize = 64 * 1024;

/// What is read at once, and has room for the longest line.
const BUFFER: usize = 2 * LONGEST;

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
    buffer: Box<[u8]>,
    /// How much of the buffer is text.
    filled: usize,
    /// Where the line that was returned last is, with its end. The text behind it was not returned so far.
    line: Range<usize>,
    /// Its number, from 1.
    number: u64,
    /// It shall be returned again.
    again: bool,
}

impl<R: Read> Lines<R> {
    pub(in crate::formats) fn new(reader: R) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { reader, buffer, filled: 0, line: 0..0, number: 0, again: false }
    }

    /// The next line, or `None` at the end.
    #[inline]
    pub(in crate::formats) fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if !std::mem::take(&mut self.again) {
            self.number += 1;
            let start = self.line.end;
            self.line = match memchr::memchr(b'\n', &self.buffer[start..self.filled]) {
                Some(len) if len < LONGEST => start..start + len + 1,
                _ => self.find()?,
            };
        }
        let line = &self.buffer[self.line.clone()];
        Ok(if line.is_empty() { None } else { Some(trimmed(line)) })
    }

    /// Returns the last line once more.
    pub(in crate::formats) fn again(&mut self) {
        self.again = true;
    }

    /// An error of the last line.
    pub(in crate::formats) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Line { line: self.number, reason: reason.into() }
    }

    /// Reads on to the end of a line that is not in the buffer as a whole, or too long. Empty at the end of the text.
    #[cold]
    fn find(&mut self) -> Result<Range<usize>, Error> {
        self.buffer.copy_within(self.line.end..self.filled, 0);
        self.filled -= self.line.end;
        self.line = 0..0;
        let mut searched = 0;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[searched..self.filled]);
            let len = found.map_or(self.filled, |end| searched + end + 1);
            if len > LONGEST {
                return Err(
                    self.error(format!("longer than {LONGEST} bytes: not a text of this format"))
                );
            }
            searched = len;
            if found.is_some() || !self.read()? {
                return Ok(0..len);
            }
        }
    }

    /// Reads more into the buffer. `false` at the end of the text.
    fn read(&mut self) -> Result<bool, Error> {
        let read = self.reader.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read != 0)
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that comes in pieces of a size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let len = self.1.min(into.len());
            self.0.read(&mut into[..len])
        }
    }

    fn lines(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(Pieces(text, piece));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(line.to_vec());
        }
        assert_eq!(lines.next().unwrap(), None);
        all
    }

    #[test]
    fn lines_do_not_depend_on_pieces_and_kinds_of_ends() {
        for piece in 1..12 {
            let expected: [&[u8]; 5] = [b"one", b"", b"three", b"", b"end"];
            assert_eq!(lines(b"one\n\nthree\r\n\r\nend", piece), expected);
            assert_eq!(lines(b"one\n", piece), [b"one"]);
            assert_eq!(lines(b"one\r", piece), [b"one"]);
            assert_eq!(lines(b"", piece), [b""; 0]);
        }
    }

    #[test]
    fn lines_may_lie_across_the_buffers_end() {
        for len in [1, 2, 1000, LONGEST - 3, LONGEST - 2] {
            let expected: Vec<_> = (0..3 * BUFFER / len.max(100))
                .map(|n| vec![b'a' + n.to_le_bytes()[0] % 26; len - n % 2])
                .collect();
            let text: Vec<u8> =
                expected.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
            for piece in [1000, BUFFER, usize::MAX] {
                assert!(lines(&text, piece) == expected, "of {len} bytes");
            }
        }
    }

    #[test]
    fn a_line_can_be_had_again() {
        for piece in [1, 3, 100] {
            let mut lines = Lines::new(Pieces(b"first\nsecond", piece));
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
        let mut endless = Lines::new(std::io::repeat(b'x'));
        assert!(endless.next().unwrap_err().to_string().contains("line 1: longer"));
        for (len, is_line) in [(LONGEST - 1, true), (LONGEST, false)] {
            let text = [b"\n", &vec![b'x'; len][..], b"\n"].concat();
            for piece in [100, usize::MAX] {
                let mut lines = Lines::new(Pieces(&text, piece));
                assert!(lines.next().is_ok());
                assert_eq!(lines.next().is_ok(), is_line, "{len} bytes");
            }
        }
    }
}
