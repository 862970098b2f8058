//! Writing a trace.

use std::io::{Error as IoError, Write};

use super::chunk::{Chunk, WHOLE_HEADER};
use super::encode::Encoder;
use super::hash::xxh64;
use super::{MAX_EVENTS, header, index, unsayable};
use crate::{Error, Event, Header, Sink};

/// How a trace is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The events of a chunk: what is decoded to reach one of them, and lost if the writer is killed. At least 1.
    pub chunk_events: u32,
    /// zstd's level: 1 is fast, 19 small.
    pub level: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { chunk_events: 1 << 18, level: 1 }
    }
}

/// Writes a trace. It is to be finished: otherwise its last chunk and its index are missing.
///
/// Whole chunks are written at once; the output needs no buffer.
pub struct Writer<W> {
    output: W,
    options: Options,
    encoder: Encoder,
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    packed: Vec<u8>,
    chunks: Vec<Chunk>,
    /// The bytes written so far.
    offset: u64,
    events: u32,
    pc: (u64, u64),
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    Failed,
}

impl<W: Write> Writer<W> {
    /// A trace with the default options, of which the header is written at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(output: W, header: &Header) -> Result<Self, Error> {
        Self::with_options(output, header, Options::default())
    }

    /// A trace, of which the header is written at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn with_options(mut output: W, header: &Header, options: Options) -> Result<Self, Error> {
        let chunk_events = options.chunk_events.clamp(1, MAX_EVENTS);
        let bytes = header::to_bytes(header::TRACE, header, chunk_events)?;
        output.write_all(&bytes)?;
        Ok(Self {
            output,
            options: Options { chunk_events, ..options },
            encoder: Encoder::default(),
            compressor: zstd::bulk::Compressor::new(options.level)?,
            raw: Vec::new(),
            packed: Vec::new(),
            chunks: Vec::new(),
            offset: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            events: 0,
            pc: (u64::MAX, 0),
            state: State::Open,
        })
    }

    /// What the trace was written to. What was not finished is cut short.
    pub fn into_inner(self) -> W {
        self.output
    }

    /// The bytes written so far, those of the unfinished chunk excepted.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.offset
    }

    fn check_open(&self) -> Result<(), Error> {
        match self.state {
            State::Open => Ok(()),
            State::Finished => Err(unsayable("an event after the end")),
            State::Failed => {
                Err(IoError::other("the trace could not be written before, and ends there").into())
            }
        }
    }

    /// Writes the chunk. If that fails, nothing can be written any more.
    #[inline(never)]
    fn end_chunk(&mut self) -> Result<(), Error> {
        self.state = State::Failed;
        self.encoder.end_chunk(&mut self.raw);
        self.packed.clear();
        let header = usize::try_from(WHOLE_HEADER).unwrap_or(0);
        let packed = pack(&mut self.compressor, &self.raw, &mut self.packed, header)?;
        let chunk = Chunk {
            offset: self.offset,
            packed,
            raw: u32::try_from(self.raw.len()).unwrap_or(u32::MAX),
            events: self.events,
            harts: u32::try_from(self.encoder.harts()).unwrap_or(u32::MAX),
            first: self.chunks.last().map_or(0, Chunk::next),
            hash: xxh64(&self.raw),
            pc: self.pc,
        };
        self.raw.clear();
        chunk.put(&mut self.raw);
        self.packed[..header].copy_from_slice(&self.raw);
        self.output.write_all(&self.packed)?;
        self.offset = chunk.end();
        self.chunks.push(chunk);
        (self.events, self.pc) = (0, (u64::MAX, 0));
        self.state = State::Open;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.events > 0 {
            self.end_chunk()?;
        }
        self.state = State::Failed;
        let index = index::to_bytes(&self.chunks, self.offset);
        self.output.write_all(&index)?;
        self.output.flush()?;
        self.offset += u64::try_from(index.len()).unwrap_or(0);
        self.state = State::Finished;
        Ok(())
    }
}

/// Compresses `raw` to `out`, behind so many bytes; gives the compressed length.
fn pack(
    compressor: &mut zstd::bulk::Compressor<'_>,
    raw: &[u8],
    out: &mut Vec<u8>,
    behind: usize,
) -> Result<u32, Error> {
    out.resize(behind + zstd::zstd_safe::compress_bound(raw.len()), 0);
    let len = compressor.compress_to_buffer(raw, &mut out[behind..])?;
    out.truncate(behind + len);
    Ok(u32::try_from(len).unwrap_or(u32::MAX))
}

impl<W: Write> Sink for Writer<W> {
    #[inline]
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        self.check_open()?;
        if self.events == 0 {
            self.encoder.begin_chunk();
        }
        self.encoder.write(event)?;
        self.events += 1;
        self.pc = (self.pc.0.min(event.pc), self.pc.1.max(event.pc));
        if self.events >= self.options.chunk_events || self.encoder.is_full() {
            self.end_chunk()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.state == State::Finished {
            return Ok(());
        }
        self.check_open()?;
        self.end()
    }
}
