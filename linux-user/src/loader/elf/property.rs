//! Program properties (Linux Extensions to gABI, 2.1 "Program Property"), as the kernel's `fs/binfmt_elf.c` reads them.

use std::fs::File;

use super::{ElfError, read_up_to, u32_at, u64_at};

/// The kernel reads no more of the note.
const NOTE_MAX: u64 = 1024;
/// Sizes of name and description, type.
const NOTE_HEADER: usize = 12;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const NAME: &[u8] = b"GNU\0";
/// `GNU_PROPERTY_AARCH64_FEATURE_1_AND`, of which arm64's kernel demands that it be a word.
pub(crate) const FEATURE_1_AND: u32 = 0xc000_0000;
/// What properties are aligned to.
const ALIGNMENT: usize = 8;

/// The properties of an ELF file that are words, by their types.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Properties(Vec<(u32, u32)>);

impl Properties {
    /// The word of a type.
    pub(crate) fn word(&self, of: u32) -> Option<u32> {
        self.0.iter().find(|(kind, _)| *kind == of).map(|(_, word)| *word)
    }

    /// Reads the note that a `PT_GNU_PROPERTY` names.
    ///
    /// # Errors
    /// The file cannot be read, or the note is not as it should be.
    pub(super) fn read(row: &[u8], file: &File) -> Result<Self, ElfError> {
        let (offset, size) = (u64_at(row, 8), u64_at(row, 32));
        if size > NOTE_MAX {
            return Err(ElfError::Invalid("the note of its properties is too long"));
        }
        let mut note = vec![0; size as usize];
        // An offset that no file has is as if the file ended before.
        let offset = offset.min(i64::MAX as u64 - NOTE_MAX);
        let got = read_up_to(file, &mut note, offset)?;
        Self::parse(&note[..got])
            .ok_or(ElfError::Invalid("the note of its properties is malformed"))
    }

    fn parse(note: &[u8]) -> Option<Self> {
        let start = NOTE_HEADER + NAME.len();
        let [name_len, len, kind] = [0, 4, 8].map(|at| Some(u32_at(note.get(at..at + 4)?, 0)));
        let is_property = name_len? as usize == NAME.len() && kind? == NT_GNU_PROPERTY_TYPE_0;
        let description = note.get(start..)?.get(..len? as usize)?;
        let mut words = Self::default();
        let mut rest =
            Some(description).filter(|_| is_property && &note[NOTE_HEADER..start] == NAME)?;
        let mut last = None;
        while !rest.is_empty() {
            let (kind, data);
            (kind, data, rest) = split_first(rest)?;
            if last.replace(kind).is_some_and(|last| kind <= last) {
                return None;
            }
            match data.try_into() {
                Ok(word) => words.0.push((kind, u32::from_le_bytes(word))),
                Err(_) if kind == FEATURE_1_AND => return None,
                Err(_) => {}
            }
        }
        Some(words)
    }
}

/// The first property of some: its type, its data, and what comes after it.
fn split_first(properties: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (head, rest) = properties.split_at_checked(8)?;
    let len = u32_at(head, 4) as usize;
    let padded = len.checked_next_multiple_of(ALIGNMENT)?;
    Some((u32_at(head, 0), rest.get(..len)?, rest.get(padded..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn note(description: &[u32]) -> Vec<u8> {
        let head = [4, 4 * description.len() as u32, 5, u32::from_le_bytes(*b"GNU\0")];
        head.iter().chain(description).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn words_are_found_by_type() {
        let note = note(&[1, 8, 7, 7, 2, 4, 9, 0, 0xc000_0000, 4, 3, 0]);
        let properties = Properties::parse(&note).unwrap();
        assert_eq!(properties.word(0xc000_0000), Some(3));
        assert_eq!((properties.word(2), properties.word(1)), (Some(9), None));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let whole = note(&[0xc000_0000, 4, 3, 0]);
        assert!(Properties::parse(&whole).is_some());
        assert_eq!(Properties::parse(&note(&[])), Some(Properties::default()));
        for len in 0..whole.len() {
            assert_eq!(Properties::parse(&whole[..len]), None, "cut after {len} bytes");
        }
        for (at, what) in [(0, "length of the name"), (8, "type of the note"), (12, "name")] {
            let mut other = whole.clone();
            other[at] += 1;
            assert_eq!(Properties::parse(&other), None, "{what}");
        }
        let unsorted = [2, 4, 9, 0, 1, 4, 9, 0];
        let twice = [2, 4, 9, 0, 2, 4, 9, 0];
        let unpadded = [0xc000_0000, 4, 3];
        let too_long = [0xc000_0000, 9, 3, 0];
        let no_word = [0xc000_0000, 8, 3, 0];
        for description in [&unsorted[..], &twice, &unpadded, &too_long, &no_word] {
            assert_eq!(Properties::parse(&note(description)), None, "{description:x?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_notes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let head = note(&[]);
            let _ = Properties::parse(&[head.clone(), bytes.clone()].concat());
            let mut long = [head, bytes].concat();
            long[4..8].fill(0xff);
            let _ = Properties::parse(&long);
        }
    }
}
