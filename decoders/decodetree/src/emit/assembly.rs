//! `write_assembly`: the templates as calls of the including module's `operand` functions.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::visitor::structure;
use crate::Table;
use crate::model::{Pattern, Piece};

pub(super) fn emit(table: &Table, out: &mut String) {
    // Patterns that print alike share an arm: same template, same arguments, same bits.
    let mut arms: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for pattern in &table.patterns {
        let arguments = structure(table, pattern).unwrap_or_default();
        arms.entry((arguments, body(pattern))).or_default().push(pattern.variant());
    }
    let mut text = String::new();
    for ((arguments, body), variants) in &arms {
        let patterns: Vec<String> = variants.iter().map(|v| format!("Op::{v}")).collect();
        let _ = writeln!(text, "        {} => {{", patterns.join(" | "));
        if body.contains("args.") {
            let _ = writeln!(text, "            let args = {arguments};");
        }
        let _ = writeln!(text, "{body}            Ok(())\n        }}");
    }
    let _ = write!(
        out,
        "/// Writes the instruction `op` in `word` at address `pc` in assembly syntax.\n\
         fn write_assembly(\n    \
         op: Op,\n    word: u32,\n    pc: Pc,\n    f: &mut core::fmt::Formatter<'_>,\n\
         ) -> core::fmt::Result {{\n    \
         let _ = pc;\n    \
         match op {{\n{text}    }}\n}}\n"
    );
}

fn body(pattern: &Pattern) -> String {
    pattern.template.iter().map(|piece| format!("            {}\n", statement(piece))).collect()
}

fn statement(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => format!("f.write_str({text:?})?;"),
        Piece::Mnemonic => "f.write_str(op.mnemonic())?;".into(),
        Piece::Operand { arguments, kind } => {
            let values: Vec<String> = arguments
                .iter()
                .map(|name| if name == "pc" { name.clone() } else { format!("args.{name}") })
                .collect();
            match kind {
                Some(kind) => format!("operand::{kind}(f, {})?;", values.join(", ")),
                None => format!("write!(f, \"{{}}\", {})?;", values.join(", ")),
            }
        }
    }
}
