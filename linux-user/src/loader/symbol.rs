//! Addresses of a program's symbols, for `--from`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use goblin::elf::Elf;

/// Files beyond this are not searched.
const FILE_MAX: u64 = 1 << 30;

/// The address of a symbol without the file's bias, from its symbol table or, if it was stripped, from its
/// dynamic one.
pub(crate) fn symbol(file: &File, name: &str) -> Option<u64> {
    let len = file.metadata().ok()?.len();
    let mut bytes = vec![0; usize::try_from(len).ok().filter(|_| len <= FILE_MAX)?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let elf = Elf::parse(&bytes).ok()?;
    let defined = |name_of: Option<&str>, section: usize| name_of == Some(name) && section != 0;
    let full = elf.syms.iter().find(|s| defined(elf.strtab.get_at(s.st_name), s.st_shndx));
    let dynamic =
        || elf.dynsyms.iter().find(|s| defined(elf.dynstrtab.get_at(s.st_name), s.st_shndx));
    full.or_else(dynamic).map(|symbol| symbol.st_value)
}
