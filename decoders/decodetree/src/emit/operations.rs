//! `enum Op`, the coverage list and the list of deferred instructions.

use std::fmt::Write;

use super::{doc, set_bits};
use crate::Table;
use crate::model::{Pattern, Piece, camel_case};

/// What does not depend on the table.
const FIXED: &str = include_str!("operations.rs.in");

pub(super) fn emit(table: &Table, out: &mut String) {
    let variants: String = table.patterns.iter().map(|p| variant(table, p)).collect();
    let instructions: String = table.patterns.iter().map(|p| instruction(table, p)).collect();
    let chapters: String = table.chapters.iter().map(|c| format!("    {:?},\n", c.title)).collect();
    let deferred: String = table
        .deferred
        .iter()
        .map(|d| {
            let extension = camel_case(&table.extensions[d.extension].name);
            format!(
                "    DeferredInfo {{ name: {:?}, extension: Extension::{extension} }},\n",
                d.name
            )
        })
        .collect();
    let count = table.patterns.len();
    let _ = write!(
        out,
        "/// An instruction, one variant for each entry of the table.\n\
         #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n\
         #[repr(u16)]\n\
         pub enum Op {{\n{variants}}}\n\n\
         /// The chapters of the manual that the table covers, in its order.\n\
         pub const CHAPTERS: &[&str] = &[\n{chapters}];\n\n\
         /// Every instruction that is decoded, in the manual's order: index it with an [`Op`].\n\
         pub const INSTRUCTIONS: &[InstructionInfo; {count}] = &[\n{instructions}];\n\n\
         /// Instructions that are known but not decoded: they are illegal for now.\n\
         pub const DEFERRED: &[DeferredInfo] = &[\n{deferred}];\n\n{FIXED}\n"
    );
}

/// The template as a reader of the manual would write it: `addi rd,rs1,imm`.
pub(super) fn syntax(pattern: &Pattern) -> String {
    pattern
        .template
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Mnemonic => pattern.mnemonic().into(),
            Piece::Operand { arguments, .. } => {
                let names: Vec<&str> =
                    arguments.iter().map(String::as_str).filter(|&name| name != "pc").collect();
                names.join(" ")
            }
        })
        .collect()
}

fn variant(table: &Table, pattern: &Pattern) -> String {
    let extension = &table.extensions[pattern.extension].name;
    let text = format!("`{}` ({extension})", syntax(pattern));
    format!("{}    {},\n", doc("    ", &text), pattern.variant())
}

fn instruction(table: &Table, pattern: &Pattern) -> String {
    let requires: String = pattern
        .requires
        .iter()
        .map(|all| format!("ExtensionSet({:#x}), ", set_bits(all)))
        .collect();
    format!(
        "    InstructionInfo {{ op: Op::{}, name: {:?}, mnemonic: {:?}, syntax: {:?}, doc: {:?}, \
         extension: Extension::{}, requires: &[{requires}], chapter: {:?}, width: {}, mask: {:#x}, value: \
         {:#x} }},\n",
        pattern.variant(),
        pattern.name,
        pattern.mnemonic(),
        syntax(pattern),
        pattern.doc,
        camel_case(&table.extensions[pattern.extension].name),
        table.chapters[pattern.chapter].title,
        pattern.width,
        pattern.mask,
        pattern.value,
    )
}
