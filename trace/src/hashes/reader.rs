//! Reading hashes.

use std::io::Read;

use super::{END, Folder, KIND, MAX_HARTS, RECORD, Window};
use crate::native::hash::{Words, xxh64};
use crate::native::header::{self, read_up_to};
use crate::{Error, Event, Header, Source};

/// The hashes of an execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hashes {
    /// Whose, and what they cover.
    pub header: Header,
    /// The events of a full window.
    pub every: u32,
    /// How it was recorded, if somebody has said so.
    pub recorder: String,
    /// All windows, in the order in which they ended.
    pub windows: Vec<Window>,
}

impl Hashes {
    /// Reads a file.
    ///
    /// # Errors
    /// It is none, is damaged, or its end is missing: with the place of what is wrong.
    pub fn read(mut input: impl Read) -> Result<Self, Error> {
        let (header, every, mut at) = header::read(KIND, &mut input)?;
        if every == 0 {
            return Err(wrong(at, "the hashes are of no instructions each"));
        }
        let recorder = recorder(&mut input, &mut at)?;
        let mut hashes = Self { header, every, recorder, windows: Vec::new() };
        let mut all = Words::NONE;
        let mut full = Vec::new();
        loop {
            let mut bytes = Vec::with_capacity(RECORD);
            read_up_to(&mut input, RECORD, &mut bytes)?;
            let Some(record) = bytes.first_chunk::<RECORD>().filter(|_| bytes.len() == RECORD)
            else {
                return Err(Error::CutShort(format!(
                    "it ends after {} windows, at byte {:#x}; what follows the last one is missing",
                    hashes.windows.len(),
                    at + bytes.len() as u64
                )));
            };
            let window = Window::from_bytes(record);
            if window.hart == END {
                hashes.check_end(window, all, at)?;
                break;
            }
            check_window(window, every, &mut full).map_err(|reason| wrong(at, reason))?;
            window.add_to(&mut all);
            hashes.windows.push(window);
            at += RECORD as u64;
        }
        match input.read(&mut [0])? {
            0 => Ok(hashes),
            _ => Err(wrong(at + RECORD as u64, "something follows the end")),
        }
    }

    fn check_end(&self, end: Window, all: Words, at: u64) -> Result<(), Error> {
        let windows = self.windows.len();
        if u32::try_from(windows).is_ok_and(|windows| windows != end.events) {
            let reason = format!("there are {windows} windows before the end, not {}", end.events);
            return Err(wrong(at, &reason));
        }
        if all.hash() != end.hash {
            return Err(wrong(at, "a window is damaged: the hash of all of them is another one"));
        }
        Ok(())
    }

    /// The hashes of what is left of an execution, as these ones' `every` and `header` say.
    ///
    /// # Errors
    /// The execution cannot be read, or does not carry what the hashes are of.
    pub fn of(
        source: &mut (impl Source + ?Sized),
        mut folder: Folder,
        every: u32,
    ) -> Result<Self, Error> {
        let carries = folder.carries();
        folder
            .check(&source.header().carries)
            .map_err(|lacking| Error::Unsayable { format: KIND.name, what: lacking.to_string() })?;
        let (mut windows, mut event) = (Vec::new(), Event::default());
        loop {
            event.clear();
            if !source.next(&mut event)? {
                break;
            }
            windows.extend(folder.add(&event)?);
        }
        windows.extend(folder.finish());
        let header = Header { carries, ..source.header().clone() };
        Ok(Self { header, every, recorder: String::new(), windows })
    }

    /// How many events they cover.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.windows.iter().map(|window| u64::from(window.events)).sum()
    }

    /// The windows of a hart, in order.
    pub fn of_hart(&self, hart: u32) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(move |window| window.hart == hart)
    }
}

fn recorder(input: &mut impl Read, at: &mut u64) -> Result<String, Error> {
    let mut bytes = Vec::new();
    read_up_to(input, 1, &mut bytes)?;
    let length = usize::from(bytes.first().copied().unwrap_or_default());
    read_up_to(input, length + 8, &mut bytes)?;
    if bytes.len() != length + 9 {
        return Err(Error::CutShort("it ends before the first window".to_owned()));
    }
    let (text, hash) = bytes[1..].split_at(length);
    if xxh64(text).to_le_bytes() != *hash {
        return Err(wrong(*at, "what says how it was recorded is damaged"));
    }
    let text = String::from_utf8(text.to_vec())
        .map_err(|_| wrong(*at, "what says how it was recorded is no text"))?;
    *at += bytes.len() as u64;
    Ok(text)
}

/// Whether a window may come here; `full` says of each hart whether all before were full.
fn check_window(window: Window, every: u32, full: &mut Vec<bool>) -> Result<(), &'static str> {
    let hart = usize::try_from(window.hart).unwrap_or(usize::MAX);
    if hart >= MAX_HARTS {
        return Err("a window is of an impossible hart");
    }
    if hart >= full.len() {
        full.resize(hart + 1, true);
    }
    if !full[hart] {
        return Err("a window follows the hart's last one");
    }
    if window.events == 0 || window.events > every {
        return Err("a window has an impossible number of instructions");
    }
    full[hart] = window.events == every;
    Ok(())
}

fn wrong(offset: u64, reason: &str) -> Error {
    Error::Byte { offset, reason: reason.to_owned() }
}
