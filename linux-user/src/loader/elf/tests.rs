//! Valid, broken and hostile files.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::memory::AddressSpace;

/// A file with these bytes that has no name.
fn file_of(bytes: &[u8]) -> File {
    let dir = std::env::temp_dir();
    let path = dir.join(format!("ferry-elf-{}-{:p}", std::process::id(), bytes));
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    file.write_all(bytes).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// One program header.
fn program_header(kind: u32, flags: u32, words: [u64; 6]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes
}

/// A program of one segment of code and data with zeros after it, and an interpreter.
fn valid(kind: u16, vaddr: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(243_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    [vaddr + 0x100, 64, 0].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(5_u32.to_le_bytes());
    [64_u16, 56, 2, 0, 0, 0].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    let at = 64 + 2 * 56;
    bytes.extend(program_header(PT_INTERP, PF_R, [at, vaddr + at, vaddr + at, 9, 9, 1]));
    let words = [0, vaddr, vaddr, 0x200, 0x2000, 0x1000];
    bytes.extend(program_header(PT_LOAD, PF_R | PF_W | PF_X, words));
    bytes.extend(b"/lib/ld1\0");
    bytes.resize(0x200, 0xcc);
    bytes.extend([0xee; 0x100]);
    bytes
}

fn read(bytes: &[u8]) -> Result<Elf, ElfError> {
    Elf::read(&file_of(bytes))
}

#[test]
fn a_valid_program_is_understood_and_mapped() {
    base::sys::fault::install();
    let file = file_of(&valid(ET_DYN, 0));
    let elf = Elf::read(&file).unwrap();
    assert_eq!(elf.machine.to_string(), "a 64-bit RISC-V program");
    assert_eq!(elf.interpreter.as_deref(), Some(&b"/lib/ld1"[..]));
    let memory = AddressSpace::current();
    let at = GuestVirt(0x18_0000_0000);
    let loaded = elf.map(&file, memory, at, Prot::default()).unwrap();
    assert_eq!((loaded.bias, loaded.entry), (at.0, at.wrapping_add(0x100)));
    assert_eq!((loaded.headers, loaded.header_count), (at.wrapping_add(64), 2));
    assert_eq!(loaded.end, at.wrapping_add(0x2000));
    let byte = |offset| crate::user::UserPtr::<u8>::new(at.wrapping_add(offset)).read();
    assert_eq!((byte(0x1ff), byte(0x200)), (Ok(0xcc), Ok(0)), "zeros follow the file's part");
    assert_eq!((byte(0x1fff), byte(0x2000)), (Ok(0), Err(Errno::EFAULT)));
}

#[test]
fn fixed_addresses_are_kept_or_refused() {
    let at = 0x18_1000_0000;
    let file = file_of(&valid(ET_EXEC, at));
    let elf = Elf::read(&file).unwrap();
    let memory = AddressSpace::current();
    assert_eq!(elf.map(&file, memory, GuestVirt(0), Prot::default()).unwrap().bias, 0);
    let again = elf.map(&file, memory, GuestVirt(0), Prot::default());
    assert_eq!(again, Err(ElfError::NoRoom { addr: at, errno: Errno::EEXIST }));
    let low = Elf::read(&file_of(&valid(ET_EXEC, 0x1000))).unwrap();
    assert!(low.map(&file, memory, GuestVirt(0), Prot::default()).is_err());
}

#[test]
fn broken_headers_are_named() {
    let truncated = |len: usize| read(&valid(ET_DYN, 0)[..len]).unwrap_err().to_string();
    assert_eq!(read(b"hello, world"), Err(ElfError::NotElf));
    assert!(truncated(10).contains("its header needs 64 bytes"));
    assert!(truncated(100).contains("its program header table needs 176 bytes"));
    assert!(truncated(0x1ff).contains("a segment needs 512 bytes, the file has 511"));
    let with = |at: usize, value: u8| {
        let mut bytes = valid(ET_DYN, 0);
        bytes[at] = value;
        read(&bytes).unwrap_err().to_string()
    };
    assert_eq!(with(4, 1), "this is a 32-bit RISC-V program");
    assert!(with(5, 2).contains("machine number 62208"), "243 with its bytes swapped");
    assert_eq!(with(16, 1), "this is an object file, not a program");
    assert!(with(54, 1).contains("unknown size"));
    assert!(with(56, 0).contains("no program headers"));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(
        changes in prop::collection::vec((0..0x300_usize, any::<u8>()), 0..12),
        len in 0..0x300_usize,
        kind in 2..4_u16,
    ) {
        let mut bytes = valid(kind, 0x18_2000_0000);
        changes.iter().for_each(|(at, value)| bytes[*at] = *value);
        let _ = read(&bytes);
        let _ = read(&bytes[..len]);
    }

    #[test]
    fn no_program_header_makes_it_panic(words in prop::array::uniform6(any::<u64>())) {
        let mut bytes = valid(ET_DYN, 0);
        let header = program_header(PT_LOAD, 7, words);
        bytes[64 + 56..64 + 112].copy_from_slice(&header);
        let _ = read(&bytes);
    }
}
