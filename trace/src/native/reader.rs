//! Reading a trace.

use std::io::{self, Read, Seek, SeekFrom};

use super::bytes::Malformed;
use super::chunk::{self, Chunk, part};
use super::decode::Decoder;
use super::hash::xxh64;
use super::header::{self, read_up_to};
use super::index::{self, Summary};
use crate::{Error, Event, Header, RegWrite, Register, Source};

/// Reads a trace, from its beginning to its end or, after [`Reader::seek`], from any event.
pub struct Reader<R> {
    input: R,
    header: Header,
    chunk_events: u32,
    /// Where the first chunk begins.
    start: u64,
    /// Where the input is.
    offset: u64,
    decoder: Decoder,
    decompressor: zstd::bulk::Decompressor<'static>,
    packed: Vec<u8>,
    /// Those that were read, or all.
    chunks: Vec<Chunk>,
    /// How many of them are before the input's place.
    passed: usize,
    /// How much is known of the end.
    end: End,
    state: State,
}

/// What is known of a trace's end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unknown,
    Whole,
    Cut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a trace, and then its events in order, without seeking.
    ///
    /// # Errors
    /// It is no trace, or cannot be read.
    pub fn new(mut input: R) -> Result<Self, Error> {
        let (header, chunk_events, start) = header::read(header::TRACE, &mut input)?;
        Ok(Self {
            input,
            header,
            chunk_events,
            start,
            offset: start,
            decoder: Decoder::default(),
            decompressor: zstd::bulk::Decompressor::new()?,
            packed: Vec::new(),
            chunks: Vec::new(),
            passed: 0,
            end: End::Unknown,
            state: State::Open,
        })
    }

    /// The events of a full chunk.
    #[must_use]
    pub const fn chunk_events(&self) -> u32 {
        self.chunk_events
    }

    /// The number of the next event, counted from 0.
    #[must_use]
    pub fn position(&self) -> u64 {
        let passed = self.passed.checked_sub(1).and_then(|last| self.chunks.get(last));
        let before = passed.map_or(0, Chunk::next);
        before.saturating_sub(self.decoder.left().into())
    }

    /// How many events there are, if that is known: with an index, or at the end. Of a trace that is cut short, those of its whole
    /// chunks.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        (self.end != End::Unknown).then(|| self.chunks.last().map_or(0, Chunk::next))
    }

    /// Whether there is no event, if that is known.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|len| len == 0)
    }

    /// Whether the trace is known to be cut short.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.end == End::Cut
    }

    /// The chunks: all, if [`Reader::len`] is known, otherwise those up to the next event.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The hash of each of [`Reader::chunks`]. As long as two traces' chunks have the same hashes, their events are the same.
    pub fn chunk_hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.iter().map(|chunk| chunk.hash)
    }

    /// What [`Reader::chunks`] say of the trace.
    #[must_use]
    pub fn stat(&self) -> Summary {
        index::summary(&self.chunks, self.is_cut_short())
    }

    /// A register's value before the next event, if it has been written since the trace's beginning.
    #[must_use]
    pub fn register(&self, hart: u32, register: Register) -> Option<u128> {
        let hart = self.decoder.hart(hart)?;
        let index = usize::try_from(hart.register(register)?).ok()?;
        hart.values.get(index).copied()
    }

    /// The registers of a hart that have been written since the trace's beginning, in order, with their values before the next
    /// event.
    #[must_use]
    pub fn state(&self, hart: u32) -> Vec<RegWrite> {
        let Some(hart) = self.decoder.hart(hart) else { return Vec::new() };
        let known = hart.names.iter().zip(&hart.values);
        let mut state: Vec<_> =
            known.map(|(&register, &value)| RegWrite { register, value }).collect();
        state.sort_unstable_by_key(|write| write.register);
        state
    }

    fn at(&self, offset: u64, reason: &str) -> Error {
        Error::Byte { offset, reason: reason.to_owned() }
    }

    fn cut_short(&mut self) -> Error {
        self.end = End::Cut;
        let events = self.chunks.last().map_or(0, Chunk::next);
        Error::CutShort(format!("its whole chunks have {events} events, and its end is missing"))
    }

    /// Whatever is behind the last chunk that was read: `true` if it is a chunk.
    fn next_block(&mut self) -> Result<bool, Error> {
        let offset = self.offset;
        let mut magic = Vec::new();
        read_up_to(&mut self.input, 4, &mut magic)?;
        let is_start_of = |whole: [u8; 4]| whole.starts_with(&magic);
        if magic.len() < 4 && (is_start_of(chunk::MAGIC) || is_start_of(index::MAGIC)) {
            return Err(self.cut_short());
        }
        if is_start_of(chunk::MAGIC) {
            return self.next_chunk(offset).map(|()| true);
        }
        if is_start_of(index::MAGIC) {
            return self.check_end(offset).map(|()| false);
        }
        Err(self.at(offset, "neither a chunk nor the index"))
    }

    fn next_chunk(&mut self, offset: u64) -> Result<(), Error> {
        let mut header = Vec::new();
        read_up_to(&mut self.input, chunk::HEADER, &mut header)?;
        let Some(header) = header.first_chunk() else { return Err(self.cut_short()) };
        let chunk = Chunk::from_header(header, offset).map_err(|reason| self.at(offset, reason))?;
        let before = self.passed.checked_sub(1).and_then(|last| self.chunks.get(last));
        if chunk.first != before.map_or(0, Chunk::next) {
            return Err(self.at(offset, "chunks are missing or repeated"));
        }
        match self.chunks.get(self.passed) {
            Some(&known) if known != chunk => {
                return Err(self.at(offset, "the chunk is another than the index says"));
            }
            None if self.end == End::Whole => {
                return Err(self.at(offset, "a chunk that the index does not know"));
            }
            _ => {}
        }
        let packed = usize::try_from(chunk.packed).unwrap_or(usize::MAX);
        self.packed.clear();
        read_up_to(&mut self.input, packed, &mut self.packed)?;
        if self.packed.len() < packed {
            return Err(self.cut_short());
        }
        self.unpack(&chunk)?;
        self.offset = chunk.end();
        if self.passed == self.chunks.len() {
            self.chunks.push(chunk);
        }
        self.passed += 1;
        Ok(())
    }

    fn unpack(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let offset = chunk.offset;
        let len = usize::try_from(chunk.raw).unwrap_or(usize::MAX);
        let raw = self.decoder.raw();
        raw.resize(len, 0);
        let unpacked = self.decompressor.decompress_to_buffer(&self.packed, &mut raw[..]);
        let is_whole = unpacked.is_ok_and(|unpacked| unpacked == len);
        if !is_whole || xxh64(raw) != chunk.hash {
            return Err(self.at(offset, "the chunk is damaged"));
        }
        self.decoder.begin_chunk(chunk.events).map_err(|malformed| malformed_at(offset, malformed))
    }

    /// The index must be that of the chunks, and the last thing in the trace.
    fn check_end(&mut self, offset: u64) -> Result<(), Error> {
        let chunks = &self.chunks[..self.passed];
        let expected = index::to_bytes(chunks, offset);
        let mut found = index::MAGIC.to_vec();
        read_up_to(&mut self.input, expected.len() - found.len() + 1, &mut found)?;
        if found.len() < expected.len() && expected.starts_with(&found) {
            return Err(self.cut_short());
        }
        if found != expected {
            return Err(self.at(offset, "the index is another than that of the chunks"));
        }
        self.end = End::Whole;
        Ok(())
    }

    /// Goes on to the next chunk. `false` at the end.
    #[inline(never)]
    fn advance(&mut self) -> Result<bool, Error> {
        match self.state {
            State::Ended => Ok(false),
            State::Failed if self.end == End::Cut => Err(self.cut_short()),
            State::Failed => Err(self.at(self.offset, "what is here could not be read before")),
            State::Open => {
                self.state = State::Failed;
                let is_chunk = self.next_block()?;
                self.state = if is_chunk { State::Open } else { State::Ended };
                Ok(is_chunk)
            }
        }
    }
}

fn malformed_at(offset: u64, Malformed(reason): Malformed) -> Error {
    Error::Byte { offset, reason: format!("in the chunk that begins here: {reason}") }
}

impl<R: Read> Source for Reader<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    #[inline]
    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            match self.decoder.next(event) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(malformed) => return Err(self.malformed(malformed)),
            }
            if !self.advance()? {
                return Ok(false);
            }
        }
    }
}

impl<R: Read> Reader<R> {
    #[cold]
    fn malformed(&mut self, malformed: Malformed) -> Error {
        self.state = State::Failed;
        let chunk = self.passed.checked_sub(1).and_then(|last| self.chunks.get(last));
        let offset = chunk.map_or(self.offset, |chunk| chunk.offset);
        self.decoder.raw().clear();
        malformed_at(offset, malformed)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the header and the index of a trace. If the index is missing, the chunks are looked for.
    ///
    /// # Errors
    /// It is no trace, or cannot be read.
    pub fn indexed(mut input: R) -> Result<Self, Error> {
        input.seek(SeekFrom::Start(0))?;
        let mut reader = Self::new(input)?;
        reader.find_chunks()?;
        reader.go_to(0)?;
        Ok(reader)
    }

    /// Goes to the `n`-th event, counted from 0: it is the next one. [`Reader::len`] is allowed, too.
    ///
    /// # Errors
    /// There are fewer events, or the trace is malformed or cannot be read.
    pub fn seek(&mut self, n: u64) -> Result<(), Error> {
        if self.end == End::Unknown {
            self.find_chunks()?;
        }
        let events = self.chunks.last().map_or(0, Chunk::next);
        if n > events {
            let reason = format!("there is no event {n} in a trace of {events} events");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason).into());
        }
        // The end of the last chunk, so that the registers' values are known there.
        let at = self
            .chunks
            .partition_point(|chunk| chunk.next() < n || chunk.next() == n && n < events);
        self.go_to(at)?;
        let Some(first) = self.chunks.get(at).map(|chunk| chunk.first) else { return Ok(()) };
        self.advance()?;
        let mut event = Event::default();
        for _ in first..n {
            self.next(&mut event)?;
        }
        Ok(())
    }

    /// To the beginning of a chunk.
    fn go_to(&mut self, chunk: usize) -> Result<(), Error> {
        let before = chunk.checked_sub(1).and_then(|before| self.chunks.get(before));
        let offset = before.map_or(self.start, Chunk::end);
        self.decoder.raw().clear();
        self.state = State::Failed;
        self.input.seek(SeekFrom::Start(offset))?;
        (self.offset, self.passed, self.state) = (offset, chunk, State::Open);
        Ok(())
    }

    fn find_chunks(&mut self) -> Result<(), Error> {
        self.state = State::Failed;
        let len = self.input.seek(SeekFrom::End(0))?;
        if let Some(chunks) = self.read_index(len)? {
            (self.chunks, self.end) = (chunks, End::Whole);
        } else {
            (self.chunks, self.end) = (self.scan(len)?, End::Cut);
        }
        Ok(())
    }

    /// The chunks as the end of the trace lists them, if it does.
    fn read_index(&mut self, len: u64) -> Result<Option<Vec<Chunk>>, Error> {
        let Some(trailer) = len.checked_sub(16).filter(|&at| at >= self.start) else {
            return Ok(None);
        };
        self.input.seek(SeekFrom::Start(trailer))?;
        let mut bytes = Vec::new();
        read_up_to(&mut self.input, index::TRAILER, &mut bytes)?;
        let Some(offset) = index::from_trailer(&part(&bytes, 0)) else { return Ok(None) };
        if !(self.start..trailer).contains(&offset) {
            return Err(self.at(trailer, "the end says that the index is where it cannot be"));
        }
        self.input.seek(SeekFrom::Start(offset))?;
        let index_len = usize::try_from(len - offset).unwrap_or(usize::MAX);
        bytes.clear();
        read_up_to(&mut self.input, index_len, &mut bytes)?;
        if bytes.len() < index_len {
            return Ok(None);
        }
        let chunks = index::from_bytes(&bytes, offset).map_err(|reason| self.at(offset, reason))?;
        if !index::is_consistent(&chunks, self.start, offset) {
            return Err(self.at(offset, "the index does not fit the trace"));
        }
        Ok(Some(chunks))
    }

    /// The whole chunks of a trace without an index, by their headers.
    fn scan(&mut self, len: u64) -> Result<Vec<Chunk>, Error> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut place = (self.start, 0);
        loop {
            self.input.seek(SeekFrom::Start(place.0))?;
            let mut bytes = Vec::new();
            read_up_to(&mut self.input, chunk::HEADER + 4, &mut bytes)?;
            let header = bytes.strip_prefix(&chunk::MAGIC).and_then(|rest| rest.first_chunk());
            let chunk = header.and_then(|header| Chunk::from_header(header, place.0).ok());
            let next = chunk.filter(|chunk| chunk.end() <= len && chunk.first == place.1);
            let Some(chunk) = next else { return Ok(chunks) };
            place = (chunk.end(), chunk.next());
            chunks.push(chunk);
        }
    }
}
