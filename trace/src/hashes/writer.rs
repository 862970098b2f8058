//! Writing hashes instead of a trace.

use std::io::Write;

use super::{END, Folder, KIND, RECORD, Window};
use crate::native::hash::{Words, xxh64};
use crate::native::header;
use crate::{Error, Event, Header, Sink};

/// Writes the hashes of the events that it is given. It is to be finished: otherwise windows that are not full, and the end, are missing.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    /// `None` after the end.
    folder: Option<Folder>,
    windows: u32,
    all: Words,
}

impl<W: Write> Writer<W> {
    /// Hashes of so many events each, 1 at least. The beginning is written at once, with a word on how the execution is recorded, of
    /// which 255 bytes are kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut output: W, header: &Header, every: u32, recorder: &str) -> Result<Self, Error> {
        let every = every.max(1);
        let header = Header {
            carries: Folder::covered(&header.carries),
            program: header.program.clone(),
            ..*header
        };
        output.write_all(&header::to_bytes(KIND, &header, every)?)?;
        let recorder = &recorder[..recorder.floor_char_boundary(u8::MAX.into())];
        output.write_all(&[u8::try_from(recorder.len()).unwrap_or(u8::MAX)])?;
        output.write_all(recorder.as_bytes())?;
        output.write_all(&xxh64(recorder.as_bytes()).to_le_bytes())?;
        let folder = Some(Folder::new(every, &header.carries));
        Ok(Self { output, folder, windows: 0, all: Words::NONE })
    }

    fn put(&mut self, window: Window) -> Result<(), Error> {
        self.windows = self.windows.wrapping_add(1);
        window.add_to(&mut self.all);
        Ok(self.output.write_all(&window.to_bytes())?)
    }
}

impl<W: Write> Sink for Writer<W> {
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        let folder = self.folder.as_mut().ok_or_else(|| Error::Unsayable {
            format: KIND.name,
            what: "an event after the end".to_owned(),
        })?;
        match folder.add(event)? {
            Some(window) => self.put(window),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let Some(folder) = self.folder.take() else { return Ok(()) };
        folder.finish().into_iter().try_for_each(|window| self.put(window))?;
        let end = Window { hart: END, events: self.windows, hash: self.all.hash() };
        let bytes: [u8; RECORD] = end.to_bytes();
        self.output.write_all(&bytes)?;
        Ok(self.output.flush()?)
    }
}
