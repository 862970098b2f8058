//! What is in memory when the machine starts: firmware, kernel, RAM disk, device tree, boot code.

use std::path::{Path, PathBuf};

use base::GuestPhys;
use base::addr::PAGE_SIZE;
use goblin::elf::Elf;
use goblin::elf::header::ET_DYN;
use goblin::elf::program_header::PT_LOAD;
use softmmu::GuestMemory;
use vm_memory::{Bytes, GuestAddress};

use crate::riscv64::layout;

/// Why nothing can be booted.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is none of the formats that can be loaded.
    #[error("{}: {what}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A file does not fit into RAM.
    #[error("{}: {bytes:#x} bytes at {at} do not fit into the machine's memory; give it more with --memory", path.display())]
    Room {
        /// Which.
        path: PathBuf,
        /// Where it would lie.
        at: GuestPhys,
        /// How long it is.
        bytes: u64,
    },
    /// There is nothing to run.
    #[error("nothing to boot: give a kernel (--kernel) or firmware (--bios)")]
    Nothing,
}

/// A loaded file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// Where it is entered.
    pub entry: GuestPhys,
    /// The first byte after it.
    pub end: GuestPhys,
    /// Where the guest leaves messages for a tester, if the file says so ("HTIF").
    pub tohost: Option<GuestPhys>,
    /// Where it expects answers.
    pub fromhost: Option<GuestPhys>,
}

/// Linux's boot image header (Linux, Documentation/arch/riscv/boot-image-header.rst).
mod image {
    pub(super) const TEXT_OFFSET: usize = 8;
    pub(super) const IMAGE_SIZE: usize = 16;
    pub(super) const MAGIC: usize = 0x38;
    pub(super) const MAGIC_VALUE: &[u8] = b"RSC\x05";
}

/// Megapages: what kernels are aligned to.
const MEGAPAGE: u64 = 2 << 20;

/// Whether a file without any header is taken for code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RawCode {
    /// It is.
    Taken,
    /// It is a mistake.
    Refused,
}

/// Reads a file.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, BootError> {
    std::fs::read(path).map_err(|source| BootError::Read { path: path.to_owned(), source })
}

/// Puts a kernel or firmware into memory: an ELF file where it says, a Linux image at its offset from
/// the start of RAM, anything else, and ELF files that may lie anywhere, at `base`.
///
/// # Errors
/// It is for another machine, or does not fit.
pub fn load(
    memory: &GuestMemory,
    path: &Path,
    base: GuestPhys,
    raw: RawCode,
) -> Result<Loaded, BootError> {
    let bytes = read(path)?;
    let format = |what| BootError::Format { path: path.to_owned(), what };
    if bytes.starts_with(b"\x7fELF") {
        return load_elf(memory, path, &bytes, base);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(format("a gzip file; unpack it first"));
    }
    if bytes.starts_with(b"MZ") && bytes.get(4..8) == Some(b"zimg") {
        return Err(format("a compressed EFI image; give the plain Image"));
    }
    if bytes.is_empty() {
        return Err(format("an empty file"));
    }
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let is_image = bytes.get(image::MAGIC..image::MAGIC + 4) == Some(image::MAGIC_VALUE);
    let (base, offset, size) = match (is_image, word(image::TEXT_OFFSET), word(image::IMAGE_SIZE)) {
        (true, Some(offset), Some(size)) => (layout::DRAM, offset, size.max(bytes.len() as u64)),
        _ => (base, 0, bytes.len() as u64),
    };
    if !is_image && raw == RawCode::Refused {
        let what = "neither a Linux image nor an ELF file; raw code runs with --bios none, or after firmware";
        return Err(format(what));
    }
    let room = |at| BootError::Room { path: path.to_owned(), at, bytes: size };
    let at = base.checked_add(offset).ok_or_else(|| room(base))?;
    let end = at.0.checked_add(size).ok_or_else(|| room(at))?;
    put(memory, path, at, &bytes)?;
    Ok(Loaded { entry: at, end: GuestPhys(end), tohost: None, fromhost: None })
}

fn load_elf(
    memory: &GuestMemory,
    path: &Path,
    bytes: &[u8],
    base: GuestPhys,
) -> Result<Loaded, BootError> {
    let format = |what| BootError::Format { path: path.to_owned(), what };
    let elf = Elf::parse(bytes).map_err(|_| format("a damaged ELF file"))?;
    if elf.header.e_machine != goblin::elf::header::EM_RISCV || !elf.is_64 {
        return Err(format("an ELF file, but not for RISC-V 64"));
    }
    // Code that may lie anywhere, and says 0: such as OpenSBI's.
    let lowest = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    let is_free =
        elf.header.e_type == ET_DYN && lowest.map(|header| header.p_paddr).min() == Some(0);
    let bias = if is_free { base.0 } else { 0 };
    let mut end = 0;
    let mut entry = elf.entry.wrapping_add(bias);
    for segment in elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD) {
        let file =
            usize::try_from(segment.p_offset).ok().zip(usize::try_from(segment.p_filesz).ok());
        let data = file.and_then(|(at, len)| bytes.get(at..at.checked_add(len)?));
        let data = data.ok_or_else(|| format("a truncated ELF file"))?;
        let at = GuestPhys(segment.p_paddr.wrapping_add(bias));
        put(memory, path, at, data)?;
        let rest = segment.p_memsz.saturating_sub(segment.p_filesz);
        zero(memory, path, at.wrapping_add(segment.p_filesz), rest)?;
        end = end.max(at.0.saturating_add(segment.p_memsz));
        // A kernel that is linked high is entered where it is loaded.
        if (segment.p_vaddr..segment.p_vaddr.saturating_add(segment.p_memsz)).contains(&elf.entry) {
            entry = (elf.entry - segment.p_vaddr).wrapping_add(at.0);
        }
    }
    if end == 0 {
        return Err(format("an ELF file with nothing to load"));
    }
    let symbol = |name: &str| {
        let found = elf.syms.iter().find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name));
        found.map(|symbol| GuestPhys(symbol.st_value.wrapping_add(bias)))
    };
    let (tohost, fromhost) = (symbol("tohost"), symbol("fromhost"));
    Ok(Loaded { entry: GuestPhys(entry), end: GuestPhys(end), tohost, fromhost })
}

/// Copies bytes into RAM.
///
/// # Errors
/// They do not fit.
pub fn put(
    memory: &GuestMemory,
    path: &Path,
    at: GuestPhys,
    bytes: &[u8],
) -> Result<(), BootError> {
    let len = bytes.len() as u64;
    let room = |_| BootError::Room { path: path.to_owned(), at, bytes: len };
    memory.write_slice(bytes, GuestAddress(at.0)).map_err(room)
}

fn zero(memory: &GuestMemory, path: &Path, at: GuestPhys, len: u64) -> Result<(), BootError> {
    let zeros = vec![0; PAGE_SIZE as usize];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(PAGE_SIZE);
        put(memory, path, at.wrapping_add(done), &zeros[..part as usize])?;
        done += part;
    }
    Ok(())
}

/// Where the RAM disk goes: above the kernel and whatever it clears, well below the device tree.
#[must_use]
pub fn initrd_base(kernel_end: GuestPhys, memory: u64) -> GuestPhys {
    let half = layout::DRAM.0 + (memory / 2).min(128 << 20);
    GuestPhys(kernel_end.0.max(half).next_multiple_of(MEGAPAGE))
}

/// Where the device tree goes: at the end of what every kernel can reach.
#[must_use]
pub fn tree_base(memory: u64, bytes: u64) -> GuestPhys {
    let end = layout::DRAM.0 + memory.min(1 << 30);
    GuestPhys((end - bytes) & !(MEGAPAGE - 1))
}

/// OpenSBI's dynamic information ("FW_DYNAMIC"): where the next stage is and at which level it runs.
#[must_use]
pub fn dynamic_info(next: GuestPhys) -> [u64; 6] {
    const MAGIC: u64 = 0x4942_534f;
    const VERSION: u64 = 2;
    const SUPERVISOR: u64 = 1;
    [MAGIC, VERSION, next.0, SUPERVISOR, 0, 0]
}

/// Boot code at the reset vector, and the data that it loads: a0 = hart, a1 = device tree, a2 =
/// dynamic information; then `entry`, at machine level.
#[must_use]
pub fn reset_code(entry: GuestPhys, tree: GuestPhys, next: GuestPhys) -> Vec<u8> {
    const CODE: [u32; 7] = [
        0x0000_0297, // auipc t0, 0
        0x0302_8613, // addi  a2, t0, 48
        0xf140_2573, // csrr  a0, mhartid
        0x0202_b583, // ld    a1, 32(t0)
        0x0282_b283, // ld    t0, 40(t0)
        0x0002_8067, // jr    t0
        0x0000_0013, // nop
    ];
    let mut bytes: Vec<u8> = CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(32, 0);
    bytes.extend([tree.0, entry.0].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(dynamic_info(next).iter().flat_map(|word| word.to_le_bytes()));
    bytes
}
