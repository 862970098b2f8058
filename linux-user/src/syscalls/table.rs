//! A guest's system calls by number.

use std::collections::HashMap;
use std::str::FromStr;

use syscalls::{Errno, Sysno};

use super::{
    Row, aio, descriptor, exec, file, fs, ioctl, iovec, ipc, keys, legacy, memory, message, mount,
    notify, poll, process, signal, socket, system, thread, time, x86, xattr,
};

/// The families, in the order in which they are listed.
pub(crate) const FAMILIES: &[(&str, &[Row])] = &[
    ("file", file::ROWS),
    ("iovec", iovec::ROWS),
    ("descriptor", descriptor::ROWS),
    ("ioctl", ioctl::ROWS),
    ("fs", fs::ROWS),
    ("xattr", xattr::ROWS),
    ("mount", mount::ROWS),
    ("notify", notify::ROWS),
    ("memory", memory::ROWS),
    ("exec", exec::ROWS),
    ("process", process::ROWS),
    ("thread", thread::ROWS),
    ("signal", signal::ROWS),
    ("time", time::ROWS),
    ("socket", socket::ROWS),
    ("message", message::ROWS),
    ("poll", poll::ROWS),
    ("aio", aio::ROWS),
    ("ipc", ipc::ROWS),
    ("keys", keys::ROWS),
    ("system", system::ROWS),
    ("legacy", legacy::ROWS),
    ("x86", x86::ROWS),
];

/// A row under a guest's number.
pub(crate) struct Entry {
    /// The declaration.
    pub(crate) row: &'static Row,
    host: Option<Sysno>,
}

impl Entry {
    /// The number of the host's call of the same name.
    ///
    /// # Errors
    /// `ENOSYS`: the host architecture has no such call.
    pub(crate) fn host_number(&self) -> Result<u64, Errno> {
        self.host.map(|number| number as u64).ok_or(Errno::ENOSYS)
    }
}

/// The system calls of one guest architecture, by number.
pub(crate) struct Table {
    entries: Vec<Option<Entry>>,
}

impl Table {
    /// Resolves a guest's names, given by number. A name without a row has no entry; a test says
    /// that there is none.
    pub(crate) fn new(names: impl Iterator<Item = Option<&'static str>>) -> Self {
        let rows: HashMap<&str, &'static Row> =
            FAMILIES.iter().flat_map(|(_, rows)| rows.iter()).map(|row| (row.name, row)).collect();
        let resolve = |name: &'static str| {
            let row = rows.get(name)?;
            Some(Entry { row, host: Sysno::from_str(name).ok() })
        };
        Self { entries: names.map(|name| name.and_then(resolve)).collect() }
    }

    /// The call of that number.
    pub(crate) fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)?.as_ref()
    }

    /// Every call with its number, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().filter_map(|(n, entry)| Some((n, entry.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::syscalls::Action;

    #[test]
    fn no_name_has_two_rows() {
        let mut seen = HashSet::new();
        for row in FAMILIES.iter().flat_map(|(_, rows)| rows.iter()) {
            assert!(seen.insert(row.name), "{} has two rows", row.name);
            assert!(row.args.len() <= 6, "{}", row.name);
        }
    }

    #[test]
    fn what_is_passed_on_exists_on_the_host() {
        for row in FAMILIES.iter().flat_map(|(_, rows)| rows.iter()) {
            if matches!(row.action, Action::Pass | Action::PassBlocking) {
                assert!(Sysno::from_str(row.name).is_ok(), "{}", row.name);
            }
        }
    }
}
