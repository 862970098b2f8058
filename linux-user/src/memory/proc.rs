//! The memory map as /proc shows it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use super::AddressSpace;
use super::vma::{Backing, Sharing, Vma};
use crate::window;

/// One line of the host's /proc/self/maps.
struct HostLine<'a> {
    range: Range<u64>,
    /// `offset dev inode`, as they stand there.
    middle: &'a str,
    offset: u64,
    path: &'a str,
}

impl<'a> HostLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let (_, rest) = rest.split_once(' ')?;
        let mut fields = rest.splitn(4, ' ');
        let (offset, dev, inode) = (fields.next()?, fields.next()?, fields.next()?);
        let len = offset.len() + dev.len() + inode.len() + 2;
        Some(Self {
            range: u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?,
            middle: &rest[offset.len() + 1..len],
            offset: u64::from_str_radix(offset, 16).ok()?,
            path: fields.next().unwrap_or("").trim_start(),
        })
    }
}

/// The lines of a list of the host's mappings up to the end of the guest's window. The kernel may count the pages
/// of each mapping that is read, and with Ferry's own, which lie above, that takes longer than with a small program's.
fn host_lines(list: &str) -> impl Iterator<Item = String> {
    /// Some mappings: what was read too far is wasted.
    const AT_ONCE: usize = 2048;
    let lines = File::open(list).into_iter();
    let lines = lines.flat_map(|file| BufReader::with_capacity(AT_ONCE, file).split(b'\n'));
    // A file's name may be anything.
    let lines = lines.map_while(|line| Some(String::from_utf8_lossy(&line.ok()?).into_owned()));
    lines.take_while(|line| {
        HostLine::parse(line).is_none_or(|mapping| mapping.range.start < window::END.0)
    })
}

/// What the host has mapped inside the guest's window.
pub(super) fn host_mappings_in_window() -> Vec<Range<u64>> {
    host_lines("/proc/self/maps")
        .filter_map(|line| Some(HostLine::parse(&line)?.range))
        .filter(|range| range.end > window::START.0)
        .collect()
}

impl AddressSpace {
    /// The guest's /proc/self/maps: its own mappings with its own protections, and the files of
    /// which the host knows; `guest_path` says how the guest calls a host path.
    pub(crate) fn proc_maps(&self, guest_path: impl Fn(&str) -> String) -> String {
        let mut out = String::new();
        for line in host_lines("/proc/self/maps") {
            if let Some(line) = HostLine::parse(&line) {
                self.write_line(&mut out, &line, &guest_path);
            }
        }
        out
    }

    /// The guest's /proc/self/smaps, likewise.
    pub(crate) fn proc_smaps(&self, guest_path: impl Fn(&str) -> String) -> String {
        let mut out = String::new();
        let mut shown = false;
        for line in host_lines("/proc/self/smaps") {
            let is_header = line.as_bytes().first().is_some_and(u8::is_ascii_hexdigit)
                && line.split_once(' ').is_some_and(|(range, _)| range.contains('-'));
            if !is_header {
                if shown {
                    out.push_str(&line);
                    out.push('\n');
                }
                continue;
            }
            let before = out.len();
            if let Some(line) = HostLine::parse(&line) {
                self.write_line(&mut out, &line, &guest_path);
            }
            shown = out.len() > before;
        }
        out
    }

    fn write_line(&self, out: &mut String, line: &HostLine<'_>, path: &impl Fn(&str) -> String) {
        if line.range.start >= window::END.0 {
            return;
        }
        let parts = self.maps.lock().tree.parts(line.range.clone());
        for (range, vma) in parts {
            let name = match vma.backing {
                Backing::Foreign => continue,
                Backing::Special(name) => name.to_owned(),
                _ => path(line.path),
            };
            let offset = line.offset + (range.start - line.range.start);
            let offset = if line.offset == 0 && line.path.is_empty() { 0 } else { offset };
            let head = format!(
                "{:08x}-{:08x} {} {offset:08x} {} ",
                range.start,
                range.end,
                permissions(&vma),
                line.middle
            );
            let _ = if name.is_empty() {
                writeln!(out, "{head}")
            } else {
                writeln!(out, "{head:<72} {name}")
            };
        }
    }
}

fn permissions(vma: &Vma) -> String {
    let letter = |set, letter| if set { letter } else { '-' };
    let shared = if vma.sharing == Sharing::Shared { 's' } else { 'p' };
    let prot = vma.prot;
    [
        letter(prot.may_read(), 'r'),
        letter(prot.may_write(), 'w'),
        letter(prot.may_execute(), 'x'),
        shared,
    ]
    .iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_lines_are_taken_apart() {
        let text = "7f00-8f00 r-xp 00001000 fe:01 1234                       /lib/a b.so (deleted)";
        let line = HostLine::parse(text).unwrap();
        assert_eq!((line.range, line.offset), (0x7f00..0x8f00, 0x1000));
        assert_eq!((line.middle, line.path), ("fe:01 1234", "/lib/a b.so (deleted)"));
        assert_eq!(HostLine::parse("1000-2000 rw-p 00000000 00:00 0 ").unwrap().path, "");
        assert!(HostLine::parse("nonsense").is_none());
    }
}
