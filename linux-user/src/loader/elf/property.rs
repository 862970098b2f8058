//! Program properties (Linux Extensions to gABI, 2.1 "Program Property"), as the kernel's `fs/binfmt_elf.c` reads them.

use std::fs::File;

use super::{ElfError, read_up_to, u32_at, u64_at};

/// The kernel reads no more of the note.
const NOTE_MAX: u64 = 1024;
/// Sizes of name and description, type.
const NOTE_HEADER: usize = 12;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const NAME: &[u8] = b"GNU\0";
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

    /// Reads the note that a `PT_GNU_PROPERTY` names. What is not as it should be has no properties from there on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(row: &[u8], file: &File) -> Result<Self, ElfError> {
        let (offset, size) = (u64_at(row, 8), u64_at(row, 32).min(NOTE_MAX));
        let mut note = vec![0; size as usize];
        // An offset that no file has is as if the file ended before.
        let offset = offset.min(i64::MAX as u64 - NOTE_MAX);
        let got = read_up_to(file, &mut note, offset)?;
        Ok(Self::parse(&note[..got]))
    }

    fn parse(note: &[u8]) -> Self {
        let start = NOTE_HEADER + NAME.len();
        if note.len() < start || &note[NOTE_HEADER..start] != NAME {
            return Self::default();
        }
        let [name_len, len, kind] = [0, 4, 8].map(|at| u32_at(note, at));
        if name_len as usize != NAME.len() || kind != NT_GNU_PROPERTY_TYPE_0 {
            return Self::default();
        }
        let end = start.saturating_add(len as usize).min(note.len());
        let mut rest = &note[start..end];
        let mut words = Vec::new();
        while rest.len() >= 8 {
            let (kind, len) = (u32_at(rest, 0), u32_at(rest, 4) as usize);
            if len == 4 && rest.len() >= 12 {
                words.push((kind, u32_at(rest, 8)));
            }
            let next = len.saturating_add(8).checked_next_multiple_of(ALIGNMENT);
            rest = next.and_then(|next| rest.get(next..)).unwrap_or(&[]);
        }
        Self(words)
    }
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
        let properties = Properties::parse(&note(&[1, 8, 7, 7, 0xc000_0000, 4, 3, 0, 2, 4, 9, 0]));
        assert_eq!(properties.word(0xc000_0000), Some(3));
        assert_eq!((properties.word(2), properties.word(1)), (Some(9), None));
    }

    #[test]
    fn what_is_cut_off_is_not_there() {
        let whole = note(&[0xc000_0000, 4, 3, 0]);
        assert_eq!(Properties::parse(&whole[..28]).word(0xc000_0000), Some(3));
        for len in 0..28 {
            assert_eq!(Properties::parse(&whole[..len]), Properties::default());
        }
        let mut other = whole;
        other[8] = 1;
        assert_eq!(Properties::parse(&other), Properties::default());
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
