//! The vdso: a small shared library that the kernel gives to every program. Ours is made at start
//! from the functions that the guest's ABI names; each is a few instructions around the system
//! call of the same meaning.

use std::ops::Range;

use base::addr::PAGE_SIZE;

/// A guest's vdso.
pub(crate) struct VdsoSpec {
    /// `e_machine`
    pub(crate) machine: u16,
    /// `e_flags`
    pub(crate) flags: u32,
    /// The version of its symbols, such as `LINUX_4.15`.
    pub(crate) version: &'static str,
    /// Its functions, by name, as machine code.
    pub(crate) functions: &'static [(&'static str, &'static [u32])],
    /// How unwinders leave them.
    pub(crate) unwinding: Unwinding,
}

/// What unwinders are told of functions that are leaves and keep their stack pointer (DWARF 5, 6.4): one rule holds
/// from the first instruction of each to the last.
pub(crate) struct Unwinding {
    /// The column of the return address.
    pub(crate) return_column: u8,
    /// Call frame instructions.
    pub(crate) rules: &'static [u8],
    /// The function that is not told of: unwinders know by its code that it returns from a handler.
    pub(crate) handler_return: Option<&'static str>,
}

/// `DW_CFA_def_cfa`: a register and an offset from it follow.
pub(crate) const DEF_CFA: u8 = 0x0c;
/// `DW_CFA_offset`, with a register: in how many times -8 bytes from the frame address it lies follows.
pub(crate) const OFFSET: u8 = 0x80;

/// A finished vdso.
pub(crate) struct Vdso {
    /// The file, at most one page; all of it is mapped readable and executable.
    pub(crate) bytes: Vec<u8>,
    /// Each function's offset.
    pub(crate) offsets: Vec<(&'static str, u64)>,
}

const SONAME: &str = "linux-vdso.so.1";
const EHDR_LEN: usize = 64;
const PHDR_LEN: usize = 56;
const PHDR_COUNT: usize = 3;
const SYM_LEN: usize = 24;

// Dynamic tags (System V ABI, chapter 5, and the GNU version sections).
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SYMENT: u64 = 11;
const DT_SONAME: u64 = 14;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;

/// The System V hash of a symbol's name.
fn elf_hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn align(&mut self, to: usize) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self.bytes.len() as u64
    }

    fn u16s(&mut self, values: &[u16]) {
        values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
    }

    fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
    }

    /// A record of `.eh_frame`: its length, what it belongs to, and its contents, filled up with `DW_CFA_nop`.
    fn frame_record(&mut self, owner: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        self.u32s(&[padded as u32 + 4, owner]);
        self.bytes.extend_from_slice(body);
        self.align(4);
    }

    fn u64s(&mut self, values: &[u64]) {
        values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
    }
}

/// Names and where they start in the string table.
#[derive(Default)]
struct StringTable {
    bytes: Vec<u8>,
}

impl StringTable {
    fn add(&mut self, name: &str) -> u32 {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        at
    }
}

/// Makes the file.
pub(crate) fn build(spec: &VdsoSpec) -> Vdso {
    let mut image = Image { bytes: vec![0; EHDR_LEN + PHDR_LEN * PHDR_COUNT] };
    let mut strings = StringTable::default();
    strings.add("");
    let soname = strings.add(SONAME);
    let version = strings.add(spec.version);
    let names: Vec<u32> = spec.functions.iter().map(|(name, _)| strings.add(name)).collect();

    let offsets = write_code(&mut image, spec);
    let unwinding = write_unwinding(&mut image, spec, &offsets);
    let symbols = write_symbols(&mut image, spec, &names, &offsets);
    let hash = write_hash(&mut image, spec);
    let versions = write_versions(&mut image, spec, soname, version);
    let string_table = image.align(1);
    image.bytes.extend_from_slice(&strings.bytes);
    let dynamic = image.align(8);
    image.u64s(&[DT_SONAME, u64::from(soname), DT_HASH, hash, DT_STRTAB, string_table]);
    image.u64s(&[DT_SYMTAB, symbols, DT_STRSZ, strings.bytes.len() as u64]);
    image.u64s(&[DT_SYMENT, SYM_LEN as u64, DT_VERSYM, versions.symbols]);
    image.u64s(&[DT_VERDEF, versions.definitions, DT_VERDEFNUM, 2, 0, 0]);
    let end = image.align(8);
    write_headers(&mut image.bytes, spec, (dynamic, unwinding), end);
    debug_assert!(end <= PAGE_SIZE);
    let names = spec.functions.iter().map(|(name, _)| *name);
    Vdso { bytes: image.bytes, offsets: names.zip(offsets).collect() }
}

fn write_code(image: &mut Image, spec: &VdsoSpec) -> Vec<u64> {
    let mut offsets = Vec::new();
    for (_, code) in spec.functions {
        offsets.push(image.align(16));
        image.u32s(code);
    }
    offsets
}

/// `.eh_frame` and its sorted index `.eh_frame_hdr` (Linux Standard Base, Core, 10.6). Returns where the index is.
fn write_unwinding(image: &mut Image, spec: &VdsoSpec, offsets: &[u64]) -> Range<u64> {
    /// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, `DW_EH_PE_udata4`, and `DW_EH_PE_datarel | DW_EH_PE_sdata4`.
    const RELATIVE: u8 = 0x1b;
    const COUNT: u8 = 0x03;
    const TO_INDEX: u8 = 0x3b;
    let relative = |to: u64, from: u64| to.wrapping_sub(from) as u32;
    let covered = spec.functions.iter().zip(offsets);
    let covered = covered.filter(|((name, _), _)| Some(*name) != spec.unwinding.handler_return);
    let common = image.align(8);
    // Version, augmentation, alignment of code and data (-8).
    let mut head = vec![1, b'z', b'R', 0, 1, 0x78, spec.unwinding.return_column, 1, RELATIVE];
    head.extend_from_slice(spec.unwinding.rules);
    image.frame_record(0, &head);
    let mut index = Vec::new();
    for ((_, code), &function) in covered {
        let record = image.align(4);
        let place = record + 8;
        let mut body = relative(function, place).to_le_bytes().to_vec();
        body.extend_from_slice(&(code.len() as u32 * 4).to_le_bytes());
        body.push(0);
        image.frame_record(relative(record + 4, common), &body);
        index.push((function, record));
    }
    image.u32s(&[0]);
    let header = image.align(8);
    image.bytes.extend_from_slice(&[1, RELATIVE, COUNT, TO_INDEX]);
    image.u32s(&[relative(common, header + 4), index.len() as u32]);
    for (function, record) in index {
        image.u32s(&[relative(function, header), relative(record, header)]);
    }
    header..image.bytes.len() as u64
}

fn write_symbols(image: &mut Image, spec: &VdsoSpec, names: &[u32], offsets: &[u64]) -> u64 {
    // STB_GLOBAL, STT_FUNC; any section index but zero, since there are no section headers.
    const GLOBAL_FUNCTION: u16 = 0x12;
    const DEFINED: u16 = 1;
    let at = image.align(8);
    image.u64s(&[0; SYM_LEN / 8]);
    for ((name, offset), (_, code)) in names.iter().zip(offsets).zip(spec.functions) {
        image.u32s(&[*name]);
        image.u16s(&[GLOBAL_FUNCTION, DEFINED]);
        image.u64s(&[*offset, code.len() as u64 * 4]);
    }
    at
}

/// One bucket: the chain visits the symbols in order.
fn write_hash(image: &mut Image, spec: &VdsoSpec) -> u64 {
    let at = image.align(8);
    let count = spec.functions.len() as u32 + 1;
    let first = u32::from(count > 1);
    image.u32s(&[1, count, first, 0]);
    let next = (1..count).map(|n| if n + 1 < count { n + 1 } else { 0 });
    image.u32s(&next.collect::<Vec<_>>());
    at
}

struct Versions {
    symbols: u64,
    definitions: u64,
}

fn write_versions(image: &mut Image, spec: &VdsoSpec, soname: u32, version: u32) -> Versions {
    const BASE: u16 = 1;
    let symbols = image.align(2);
    image.u16s(&[0]);
    image.u16s(&vec![2; spec.functions.len()]);
    // vd_version vd_flags vd_ndx vd_cnt, vd_hash vd_aux vd_next, then vda_name vda_next.
    let definitions = image.align(4);
    image.u16s(&[1, BASE, 1, 1]);
    image.u32s(&[elf_hash(SONAME), 20, 28, soname, 0]);
    image.u16s(&[1, 0, 2, 1]);
    image.u32s(&[elf_hash(spec.version), 20, 0, version, 0]);
    Versions { symbols, definitions }
}

fn write_headers(
    bytes: &mut [u8],
    spec: &VdsoSpec,
    (dynamic, unwinding): (u64, Range<u64>),
    end: u64,
) {
    use goblin::elf::program_header::{PF_R, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_LOAD};
    let mut head = Image::default();
    head.bytes.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    head.u16s(&[goblin::elf::header::ET_DYN, spec.machine]);
    head.u32s(&[1]);
    head.u64s(&[0, EHDR_LEN as u64, 0]);
    head.u32s(&[spec.flags]);
    head.u16s(&[EHDR_LEN as u16, PHDR_LEN as u16, PHDR_COUNT as u16, 0, 0, 0]);
    head.u32s(&[PT_LOAD, PF_R | PF_X]);
    head.u64s(&[0, 0, 0, end, end, PAGE_SIZE]);
    head.u32s(&[PT_DYNAMIC, PF_R]);
    let size = end - dynamic;
    head.u64s(&[dynamic, dynamic, dynamic, size, size, 8]);
    head.u32s(&[PT_GNU_EH_FRAME, PF_R]);
    let (start, size) = (unwinding.start, unwinding.end - unwinding.start);
    head.u64s(&[start, start, start, size, size, 4]);
    bytes[..head.bytes.len()].copy_from_slice(&head.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_hash_is_the_one_that_go_and_glibc_look_for() {
        assert_eq!(elf_hash("LINUX_4.15"), 0x0ae7_7f75);
        assert_eq!(elf_hash("LINUX_2.6"), 0x03ae_75f6);
    }

    #[test]
    fn a_linker_finds_every_function() {
        static SPEC: VdsoSpec = VdsoSpec {
            machine: goblin::elf::header::EM_RISCV,
            flags: 5,
            version: "LINUX_4.15",
            functions: &[("__vdso_a", &[1, 2]), ("__vdso_b", &[3])],
            unwinding: Unwinding { return_column: 1, rules: &[0x0c, 2, 0], handler_return: None },
        };
        let vdso = build(&SPEC);
        let elf = goblin::elf::Elf::parse(&vdso.bytes).unwrap();
        assert_eq!(elf.soname, Some(SONAME));
        let found: Vec<_> = elf
            .dynsyms
            .iter()
            .skip(1)
            .map(|sym| (elf.dynstrtab.get_at(sym.st_name).unwrap(), sym.st_value, sym.st_size))
            .collect();
        let at = |n: usize| vdso.offsets[n].1;
        assert_eq!(found, [("__vdso_a", at(0), 8), ("__vdso_b", at(1), 4)]);
        let tag = |tag| {
            let dynamic = elf.dynamic.as_ref().unwrap();
            dynamic.dyns.iter().find(|entry| entry.d_tag == tag).unwrap().d_val as usize
        };
        assert_eq!(vdso.bytes[tag(DT_VERSYM)..][..6], [0, 0, 2, 0, 2, 0]);
        let definition = &vdso.bytes[tag(DT_VERDEF) + 28..];
        assert_eq!(definition[..8], [1, 0, 0, 0, 2, 0, 1, 0], "index 2, after the file's own");
        assert_eq!(definition[8..12], elf_hash("LINUX_4.15").to_le_bytes());
        let name = u32::from_le_bytes(definition[20..24].try_into().unwrap()) as usize;
        assert_eq!(elf.dynstrtab.get_at(name), Some("LINUX_4.15"));
        let index = elf
            .program_headers
            .iter()
            .find(|header| header.p_type == goblin::elf::program_header::PT_GNU_EH_FRAME);
        let index = index.unwrap().p_offset as usize;
        let word = |at: usize| i32::from_le_bytes(vdso.bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(index), word(index + 8)), (0x3b03_1b01, 2));
        for (n, length) in [8, 4].into_iter().enumerate() {
            let entry = |k: usize| (index as i32 + word(index + 12 + 8 * n + 4 * k)) as usize;
            let (function, record) = (entry(0), entry(1));
            assert_eq!(function as u64, at(n));
            assert_eq!(record as i32 + 8 + word(record + 8), function as i32);
            assert_eq!(word(record + 12), length);
            let common = record + 4 - word(record + 4) as usize;
            assert_eq!(vdso.bytes[common + 8..][..5], [1, b'z', b'R', 0, 1]);
        }
        let code = at(0) as usize;
        assert_eq!(vdso.bytes[code..code + 8], [1, 0, 0, 0, 2, 0, 0, 0]);
    }
}
