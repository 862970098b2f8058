//! ELF files (System V ABI, chapters 4 and 5): headers that cannot be trusted. [`map`] loads them.

mod map;
mod property;

use std::fs::File;
use std::os::unix::fs::FileExt;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_DYN, ET_EXEC, SIZEOF_IDENT,
};
use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_PROPERTY, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR,
};
use syscalls::Errno;

use crate::memory::vma::Prot;
use crate::user::PATH_MAX;
use crate::window;

pub(crate) use map::Loaded;
pub(crate) use property::{FEATURE_1_AND, Properties};

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
    #[error(
        "the file is truncated: {what} needs {needed} bytes, the file has {len}; copy it again"
    )]
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
    /// What `PT_GNU_PROPERTY` says: looked at where the kernel looks at it.
    pub(crate) properties: Result<Properties, ElfError>,
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
            properties: Ok(Properties::default()),
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
            PT_GNU_PROPERTY => {
                self.properties = Properties::read(row, file);
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
mod tests;
