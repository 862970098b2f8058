//! ELF files (System V ABI, chapters 4 and 5): headers that cannot be trusted, and segments mapped
//! as `binfmt_elf` maps them.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_DYN, ET_EXEC, SIZEOF_IDENT,
};
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR};
use syscalls::Errno;

use crate::memory::vma::Prot;
use crate::memory::{AddressSpace, MapRequest, page_align};
use crate::user::{PATH_MAX, UserSlice};
use crate::window;

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
/// The kernel reads at most this many bytes of program headers.
const PROGRAM_HEADERS_MAX: usize = 65536;

/// What is wrong with an ELF file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ElfError {
    /// It does not start as ELF files do.
    #[error("not an ELF file")]
    NotElf,
    /// For another kind of machine.
    #[error("this is {0}")]
    OtherMachine(Machine),
    /// It ends before what its headers promise.
    #[error("the file is truncated: {what} needs {needed} bytes, the file has {len}")]
    Truncated {
        /// What does not fit.
        what: &'static str,
        /// How long the file would have to be.
        needed: u64,
        /// How long it is.
        len: u64,
    },
    /// An object file, a core dump, …
    #[error("this is {0}, not a program")]
    NotAProgram(&'static str),
    /// Headers that contradict themselves.
    #[error("its headers are invalid: {0}")]
    Invalid(&'static str),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It does not fit in the guest's address space.
    #[error("its segments cannot be mapped at {addr:#x}: {errno}")]
    NoRoom {
        /// Where.
        addr: u64,
        /// Why.
        errno: Errno,
    },
}

/// What kind of machine an ELF file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Machine {
    /// `e_machine`
    pub(crate) number: u16,
    /// 32 or 64.
    pub(crate) bits: u8,
    /// Least significant byte first.
    pub(crate) little_endian: bool,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use goblin::elf::header as eh;
        let name = match self.number {
            eh::EM_386 => "x86",
            eh::EM_X86_64 => "x86-64",
            eh::EM_ARM => "Arm",
            eh::EM_AARCH64 => "AArch64",
            eh::EM_RISCV => "RISC-V",
            eh::EM_PPC => "PowerPC",
            eh::EM_PPC64 => "PowerPC64",
            eh::EM_MIPS => "MIPS",
            eh::EM_S390 => "S/390",
            eh::EM_SPARC | eh::EM_SPARCV9 => "SPARC",
            258 => "LoongArch",
            other => return write!(f, "a program for ELF machine number {other}"),
        };
        let order = if self.little_endian { "" } else { "big-endian " };
        write!(f, "a {}-bit {order}{name} program", self.bits)
    }
}

/// A loadable segment, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    vaddr: u64,
    file_len: u64,
    mem_len: u64,
    offset: u64,
    prot: Prot,
}

impl Segment {
    /// The whole pages that it covers, without bias.
    fn pages(&self) -> Range<u64> {
        let start = self.vaddr & !(PAGE_SIZE - 1);
        // Checked when it was read: vaddr + mem_len is far below 2^63.
        start..(self.vaddr + self.mem_len).next_multiple_of(PAGE_SIZE)
    }
}

/// The headers of an ELF program, checked against each other and against the file's length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Elf {
    /// What it is for.
    pub(crate) machine: Machine,
    /// The path in its `PT_INTERP`.
    pub(crate) interpreter: Option<Vec<u8>>,
    /// Whether it may be loaded anywhere (`ET_DYN`).
    pub(crate) relocatable: bool,
    entry: u64,
    header_count: u16,
    /// Program headers' address without bias.
    headers_at: u64,
    segments: Vec<Segment>,
    /// Whether its stack must be executable.
    pub(crate) executable_stack: bool,
}

/// Where a file was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loaded {
    /// What was added to every address of the file.
    pub(crate) bias: u64,
    /// Its first instruction.
    pub(crate) entry: GuestVirt,
    /// Its program headers: `AT_PHDR`.
    pub(crate) headers: GuestVirt,
    /// How many: `AT_PHNUM`.
    pub(crate) header_count: u16,
    /// One past its last byte, where the heap may start.
    pub(crate) end: GuestVirt,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl Elf {
    /// Reads and checks the headers of a little-endian 64-bit program.
    ///
    /// # Errors
    /// It is not one, or its headers cannot be right.
    pub(crate) fn read(file: &File) -> Result<Self, ElfError> {
        let len = file.metadata().map_err(unreadable)?.len();
        let mut header = [0; HEADER_LEN];
        let got = read_up_to(file, &mut header, 0)?;
        let machine = check_ident(&header[..got])?;
        if got < HEADER_LEN {
            return Err(truncated("its header", HEADER_LEN as u64, len));
        }
        if machine.bits != 64 || !machine.little_endian {
            return Err(ElfError::OtherMachine(machine));
        }
        let relocatable = check_type(u16_at(&header, 16))?;
        let table = read_program_headers(file, &header, len)?;
        let mut elf = Self {
            machine,
            interpreter: None,
            relocatable,
            entry: u64_at(&header, 24),
            header_count: (table.len() / PROGRAM_HEADER_LEN) as u16,
            headers_at: 0,
            segments: Vec::new(),
            executable_stack: false,
        };
        for row in table.chunks_exact(PROGRAM_HEADER_LEN) {
            elf.add_program_header(row, file, len)?;
        }
        elf.locate_headers(u64_at(&header, 32));
        if elf.segments.is_empty() {
            return Err(ElfError::Invalid("no loadable segment"));
        }
        Ok(elf)
    }

    fn add_program_header(&mut self, row: &[u8], file: &File, len: u64) -> Result<(), ElfError> {
        match u32_at(row, 0) {
            PT_LOAD => self.add_segment(row, len),
            PT_INTERP => {
                self.interpreter = Some(read_interpreter(row, file, len)?);
                Ok(())
            }
            PT_PHDR => {
                self.headers_at = u64_at(row, 16);
                Ok(())
            }
            PT_GNU_STACK => {
                self.executable_stack = u32_at(row, 4) & PF_X != 0;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_segment(&mut self, row: &[u8], len: u64) -> Result<(), ElfError> {
        let (flags, offset, vaddr) = (u32_at(row, 4), u64_at(row, 8), u64_at(row, 16));
        let (file_len, mem_len) = (u64_at(row, 32), u64_at(row, 40));
        if mem_len == 0 {
            return Ok(());
        }
        if file_len > mem_len {
            return Err(ElfError::Invalid("a segment is longer in the file than in memory"));
        }
        if offset % PAGE_SIZE != vaddr % PAGE_SIZE {
            return Err(ElfError::Invalid("a segment is not aligned to pages"));
        }
        let file_end = offset.checked_add(file_len);
        let file_end = file_end.ok_or(ElfError::Invalid("a segment's offset is out of range"))?;
        if file_len != 0 && file_end > len {
            return Err(truncated("a segment", file_end, len));
        }
        if window::check_range(GuestVirt(vaddr), mem_len).is_err() {
            return Err(ElfError::Invalid("a segment's address is out of range"));
        }
        let bit = |flag, prot| if flags & flag != 0 { prot } else { 0 };
        let prot = Prot(bit(PF_R, Prot::READ) | bit(PF_W, Prot::WRITE) | bit(PF_X, Prot::EXEC));
        let segment = Segment { vaddr, file_len, mem_len, offset, prot };
        if self.segments.last().is_some_and(|last| segment.vaddr < last.vaddr + last.mem_len) {
            return Err(ElfError::Invalid("its segments overlap or are out of order"));
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Without `PT_PHDR`, the headers are where the segment that holds their file offset puts them.
    fn locate_headers(&mut self, offset: u64) {
        let holder = self
            .segments
            .iter()
            .find(|s| (s.offset..s.offset.saturating_add(s.file_len)).contains(&offset));
        if self.headers_at == 0
            && let Some(segment) = holder
        {
            self.headers_at = segment.vaddr + (offset - segment.offset);
        }
    }

    /// All pages from the first to the last segment, without bias.
    fn span(&self) -> Range<u64> {
        let first = self.segments.first().map_or(0, |s| s.pages().start);
        let last = self.segments.last().map_or(0, |s| s.pages().end);
        first..last
    }

    /// Maps the segments: where the file says, or from about `wish` on if it may lie anywhere (null
    /// for "with the other mappings").
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn map(
        &self,
        file: &File,
        memory: &AddressSpace,
        wish: GuestVirt,
    ) -> Result<Loaded, ElfError> {
        let span = self.span();
        let fixed = if self.relocatable { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let at = if self.relocatable { wish } else { GuestVirt(span.start) };
        // One reservation for all, so that nothing else comes between the segments.
        let whole = MapRequest::anonymous(at, span.end - span.start);
        let flags = whole.flags | libc::MAP_NORESERVE | fixed;
        let base = memory
            .map(&MapRequest { prot: Prot::default(), flags, ..whole })
            .map_err(|errno| ElfError::NoRoom { addr: at.0, errno })?;
        let bias = base.0.wrapping_sub(span.start);
        let mut end = span.start;
        for segment in &self.segments {
            self.give_back_gap(memory, bias, end..segment.pages().start);
            segment
                .map(file, memory, bias)
                .map_err(|errno| ElfError::NoRoom { addr: segment.vaddr + bias, errno })?;
            end = segment.pages().end;
        }
        let last = self.segments.last().map_or(0, |s| s.vaddr + s.mem_len);
        Ok(Loaded {
            bias,
            entry: GuestVirt(self.entry.wrapping_add(bias)),
            headers: GuestVirt(self.headers_at.wrapping_add(bias)),
            header_count: self.header_count,
            end: GuestVirt(last.wrapping_add(bias)),
        })
    }

    /// Gaps between segments of a program with fixed addresses are the program's to use.
    fn give_back_gap(&self, memory: &AddressSpace, bias: u64, gap: Range<u64>) {
        if !self.relocatable && gap.start < gap.end {
            let _ = memory.unmap(GuestVirt(gap.start + bias), gap.end - gap.start);
        }
    }
}

impl Segment {
    fn map(&self, file: &File, memory: &AddressSpace, bias: u64) -> Result<(), Errno> {
        let pages = self.pages();
        let start = pages.start + bias;
        let from_file = if self.file_len == 0 {
            0
        } else {
            page_align(self.vaddr - pages.start + self.file_len).ok_or(Errno::ENOMEM)?
        };
        if from_file != 0 {
            memory.map(&MapRequest {
                addr: GuestVirt(start),
                len: from_file,
                prot: self.prot,
                flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
                fd: file.as_raw_fd(),
                offset: self.offset - (self.vaddr - pages.start),
                name: None,
            })?;
            self.clear_after_file(start + from_file, bias);
        }
        let zeros = pages.end - pages.start - from_file;
        if zeros != 0 {
            let request = MapRequest::anonymous(GuestVirt(start + from_file), zeros);
            let flags = request.flags | libc::MAP_FIXED;
            memory.map(&MapRequest { prot: self.prot, flags, ..request })?;
        }
        Ok(())
    }

    /// Zeroes the rest of the last page that comes from the file, which holds the file's next
    /// bytes. As in the kernel, a segment that cannot be written keeps them.
    fn clear_after_file(&self, page_end: u64, bias: u64) {
        let end = self.vaddr + self.file_len + bias;
        let len = page_end - end;
        if self.mem_len > self.file_len && len != 0 && self.prot.may_write() {
            let zeros = [0; PAGE_SIZE as usize];
            let _ = UserSlice { addr: GuestVirt(end), len }.write(&zeros[..len as usize]);
        }
    }
}

fn unreadable(error: std::io::Error) -> ElfError {
    ElfError::Unreadable(error.to_string())
}

fn truncated(what: &'static str, needed: u64, len: u64) -> ElfError {
    ElfError::Truncated { what, needed, len }
}

/// Reads as much as there is; a short file is not an error here.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, ElfError> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(got)
}

fn check_ident(header: &[u8]) -> Result<Machine, ElfError> {
    if header.len() < ELFMAG.len() || header[..ELFMAG.len()] != ELFMAG[..] {
        return Err(ElfError::NotElf);
    }
    if header.len() < SIZEOF_IDENT + 4 {
        return Err(truncated("its header", HEADER_LEN as u64, header.len() as u64));
    }
    let bits = match header[EI_CLASS] {
        ELFCLASS32 => 32,
        ELFCLASS64 => 64,
        _ => return Err(ElfError::Invalid("neither 32 nor 64 bits")),
    };
    let little_endian = header[EI_DATA] == ELFDATA2LSB;
    let number = u16_at(header, 18);
    let number = if little_endian { number } else { number.swap_bytes() };
    Ok(Machine { number, bits, little_endian })
}

/// Whether the file may be loaded anywhere.
fn check_type(kind: u16) -> Result<bool, ElfError> {
    match kind {
        ET_EXEC => Ok(false),
        ET_DYN => Ok(true),
        1 => Err(ElfError::NotAProgram("an object file")),
        4 => Err(ElfError::NotAProgram("a core dump")),
        _ => Err(ElfError::NotAProgram("an ELF file of unknown type")),
    }
}

fn read_program_headers(file: &File, header: &[u8], len: u64) -> Result<Vec<u8>, ElfError> {
    let offset = u64_at(header, 32);
    if u16_at(header, 54) as usize != PROGRAM_HEADER_LEN {
        return Err(ElfError::Invalid("program headers of an unknown size"));
    }
    let size = u16_at(header, 56) as usize * PROGRAM_HEADER_LEN;
    if size == 0 || size > PROGRAM_HEADERS_MAX {
        return Err(ElfError::Invalid("no program headers, or too many"));
    }
    let end = offset.checked_add(size as u64);
    let end = end.ok_or(ElfError::Invalid("the program headers' offset is out of range"))?;
    if end > len {
        return Err(truncated("its program header table", end, len));
    }
    let mut table = vec![0; size];
    match read_up_to(file, &mut table, offset)? {
        got if got == size => Ok(table),
        _ => Err(truncated("its program header table", end, len)),
    }
}

fn read_interpreter(row: &[u8], file: &File, len: u64) -> Result<Vec<u8>, ElfError> {
    let (offset, size) = (u64_at(row, 8), u64_at(row, 32));
    if !(2..=PATH_MAX as u64).contains(&size) {
        return Err(ElfError::Invalid("its interpreter's path is empty or too long"));
    }
    let end = offset.checked_add(size).filter(|&end| end <= len);
    if end.is_none() {
        return Err(truncated("its interpreter's path", offset.saturating_add(size), len));
    }
    let mut path = vec![0; size as usize];
    read_up_to(file, &mut path, offset)?;
    match path.pop() {
        Some(0) if !path.contains(&0) => Ok(path),
        _ => Err(ElfError::Invalid("its interpreter's path does not end")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

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
        let loaded = elf.map(&file, memory, at).unwrap();
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
        assert_eq!(elf.map(&file, memory, GuestVirt(0)).unwrap().bias, 0);
        let again = elf.map(&file, memory, GuestVirt(0));
        assert_eq!(again, Err(ElfError::NoRoom { addr: at, errno: Errno::EEXIST }));
        let low = Elf::read(&file_of(&valid(ET_EXEC, 0x1000))).unwrap();
        assert!(low.map(&file, memory, GuestVirt(0)).is_err());
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
}
