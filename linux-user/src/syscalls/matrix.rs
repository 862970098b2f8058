//! The list of a guest's system calls with their support, for people.

use super::Support;
use super::table::FAMILIES;
use crate::abi;

/// One line of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// The guest's number.
    pub number: usize,
    /// The kernel's name.
    pub name: &'static str,
    /// The family, which is the source file that answers it.
    pub family: &'static str,
    /// `full`, `partial` or `ENOSYS`.
    pub support: &'static str,
    /// What is missing, or why; empty for full support.
    pub note: &'static str,
}

/// The system calls of a guest architecture by number, or `None` if Ferry does not know it.
#[must_use]
pub fn lines(arch: &str) -> Option<Vec<Line>> {
    let table = (abi::by_name(arch)?.syscalls)();
    Some(
        table
            .iter()
            .map(|(number, entry)| {
                let (support, note) = match entry.row.support {
                    Support::Full => ("full", ""),
                    Support::Partial(note) => ("partial", note),
                    Support::Enosys(note) => ("ENOSYS", note),
                };
                let name = entry.row.name;
                Line { number, name, family: family_of(name), support, note }
            })
            .collect(),
    )
}

fn family_of(name: &str) -> &'static str {
    FAMILIES
        .iter()
        .find(|(_, rows)| rows.iter().any(|row| row.name == name))
        .map_or("", |(family, _)| family)
}
