//! Names of places, from a program's symbol table.

use std::path::Path;

use ::diff::report::Symbols;
use goblin::elf::Elf;

/// The functions of a program that is loaded where its file says.
#[derive(Debug)]
pub(super) struct ElfSymbols {
    /// Ascending.
    functions: Vec<(u64, String)>,
}

/// Beyond this distance from a symbol, a place is not part of it.
const REACH: u64 = 1 << 20;

impl ElfSymbols {
    /// Reads the symbol table of a file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        let elf = Elf::parse(&bytes).map_err(|error| failed(&error))?;
        let functions =
            elf.syms.iter().filter(|symbol| symbol.is_function() && symbol.st_shndx != 0);
        let named = functions.filter_map(|symbol| {
            Some((symbol.st_value, elf.strtab.get_at(symbol.st_name)?.to_owned()))
        });
        let mut functions: Vec<(u64, String)> = named.collect();
        functions.sort();
        Ok(Self { functions })
    }
}

impl Symbols for ElfSymbols {
    fn find(&self, addr: u64) -> Option<(String, u64)> {
        let after = self.functions.partition_point(|(start, _)| *start <= addr);
        let (start, name) = self.functions.get(after.checked_sub(1)?)?;
        Some((name.clone(), addr - start)).filter(|(_, offset)| *offset < REACH)
    }
}
