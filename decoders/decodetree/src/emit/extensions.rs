//! `enum Extension` and `ExtensionSet`.

use std::fmt::Write;

use super::{doc, set_bits};
use crate::Table;
use crate::model::camel_case;

/// What does not depend on the table.
const FIXED: &str = include_str!("extension_set.rs.in");

pub(super) fn emit(table: &Table, out: &mut String) {
    let mut variants = String::new();
    let mut names = String::new();
    let mut titles = String::new();
    let mut all = String::new();
    for extension in &table.extensions {
        let variant = camel_case(&extension.name);
        variants += &doc("    ", &format!("{}.", extension.title));
        let _ = writeln!(variants, "    {variant},");
        let _ = writeln!(names, "    {:?},", extension.name);
        let _ = writeln!(titles, "    {:?},", extension.title);
        let _ = write!(all, "Extension::{variant}, ");
    }
    let closures: String = closures(table).iter().map(|bits| format!("    {bits:#x},\n")).collect();
    let count = table.extensions.len();
    let _ = write!(
        out,
        "/// An extension of the architecture, or a name for several of them. The order of the\n\
         /// variants is the table's.\n\
         #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n\
         #[repr(u8)]\n\
         pub enum Extension {{\n{variants}}}\n\n\
         const EXTENSION_NAMES: [&str; {count}] = [\n{names}];\n\
         const EXTENSION_TITLES: [&str; {count}] = [\n{titles}];\n\
         /// Each extension with all that it implies, as bits.\n\
         const EXTENSION_CLOSURES: [u128; {count}] = [\n{closures}];\n\n\
         impl Extension {{\n    /// Every extension, in the table's order.\n    \
         pub const ALL: [Extension; {count}] = [{all}];\n}}\n\n{FIXED}\n"
    );
}

/// For each extension itself and all that it implies. What is implied is declared earlier.
fn closures(table: &Table) -> Vec<u128> {
    let mut closures: Vec<u128> = Vec::new();
    for (index, extension) in table.extensions.iter().enumerate() {
        let implied = extension.implies.iter().fold(0, |bits, &other| bits | closures[other]);
        closures.push(set_bits(&[index]) | implied);
    }
    closures
}
