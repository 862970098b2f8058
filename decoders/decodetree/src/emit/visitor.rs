//! Argument structures, the visitor traits, and the call of the right method.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::operations::syntax;
use super::{doc, value};
use crate::Table;
use crate::model::{Pattern, camel_case};

pub(super) fn emit(table: &Table, guest: &str, out: &mut String) {
    argument_structures(table, out);
    let first_uses = first_uses(table);
    out.push_str(
        "/// What every visitor says about itself.\n\
         pub trait Visit {\n    \
         /// What visiting an instruction gives.\n    type Output;\n\n    \
         /// The extensions of the processor. Instructions of others do not decode.\n    \
         fn extensions(&self) -> ExtensionSet;\n}\n\n",
    );
    for index in 0..table.chapters.len() {
        chapter_trait(table, index, &first_uses, out);
    }
    let names: Vec<&str> = chapters_in_use(table, &first_uses);
    let bounds = names.join(" + ");
    let _ = write!(
        out,
        "/// One method for each instruction, chapter by chapter. There are no default methods, so\n\
         /// that a missing instruction does not compile.\n\
         pub trait Visitor: {bounds} {{}}\n\n\
         impl<T: {bounds}> Visitor for T {{}}\n\n"
    );
    visit(table, out);
    method_list(table, guest, &first_uses, out);
}

/// A macro that hands all methods to another one, for visitors that treat them alike.
fn method_list(table: &Table, guest: &str, methods: &[&Pattern], out: &mut String) {
    let mut text = String::new();
    for (index, chapter) in table.chapters.iter().enumerate() {
        let here: String = methods
            .iter()
            .filter(|pattern| pattern.chapter == index)
            .map(|pattern| {
                let set = pattern.arguments.map(|set| camel_case(&table.sets[set].name));
                format!("            {}({})\n", pattern.method, set.unwrap_or_default())
            })
            .collect();
        if !here.is_empty() {
            let _ = write!(text, "        {} {{\n{here}        }}\n", chapter.name);
        }
    }
    let _ = write!(
        out,
        "/// Calls the macro `$callback` with all methods of the visitor, for visitors that treat\n\
         /// them alike: `Chapter {{ method(Arguments) … }} …`.\n\
         #[macro_export]\n\
         macro_rules! for_each_{guest}_method {{\n    ($callback:ident) => {{\n        \
         $callback! {{\n{text}        }}\n    }};\n}}\n\n"
    );
}

fn argument_structures(table: &Table, out: &mut String) {
    for set in &table.sets {
        let users = table
            .patterns
            .iter()
            .filter(|p| p.arguments.is_some_and(|index| table.sets[index].name == set.name))
            .map(|p| p.method.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .take(6)
            .collect::<Vec<_>>()
            .join("`, `");
        let _ = writeln!(out, "/// Arguments of `{users}` and their like.");
        out.push_str("#[derive(Clone, Copy, PartialEq, Eq, Debug)]\n");
        let _ = writeln!(out, "pub struct {} {{", camel_case(&set.name));
        for (name, ty) in &set.arguments {
            let _ = writeln!(out, "    /// `{name}`.\n    pub {name}: {},", ty.name());
        }
        out.push_str("}\n\n");
    }
}

/// Of the patterns that share a method, the first: it says where the method is declared.
fn first_uses(table: &Table) -> Vec<&Pattern> {
    let mut seen = BTreeSet::new();
    table.patterns.iter().filter(|pattern| seen.insert(&pattern.method)).collect()
}

fn chapters_in_use<'a>(table: &'a Table, methods: &[&Pattern]) -> Vec<&'a str> {
    let used: BTreeSet<usize> = methods.iter().map(|pattern| pattern.chapter).collect();
    used.into_iter().map(|index| table.chapters[index].name.as_str()).collect()
}

fn chapter_trait(table: &Table, chapter: usize, methods: &[&Pattern], out: &mut String) {
    let mut here = methods.iter().filter(|pattern| pattern.chapter == chapter).peekable();
    if here.peek().is_none() {
        return;
    }
    let info = &table.chapters[chapter];
    out.push_str(&doc("", &format!("{}.", info.title)));
    let _ = writeln!(out, "pub trait {}: Visit {{", info.name);
    for pattern in here {
        let extension = &table.extensions[pattern.extension].name;
        out.push_str(&doc("    ", &format!("`{}` ({extension})", syntax(pattern))));
        if !pattern.doc.is_empty() {
            out.push_str("    ///\n");
            out.push_str(&doc("    ", &pattern.doc));
        }
        let arguments = match pattern.arguments {
            Some(set) => format!(", args: {}", camel_case(&table.sets[set].name)),
            None => String::new(),
        };
        let _ = writeln!(out, "    fn {}(&self{arguments}) -> Self::Output;", pattern.method);
    }
    out.push_str("}\n\n");
}

/// `visit`: from an `Op` and its word to the method.
fn visit(table: &Table, out: &mut String) {
    let arms: String = table
        .patterns
        .iter()
        .map(|pattern| {
            let arguments = structure(table, pattern).unwrap_or_default();
            format!("        Op::{} => v.{}({arguments}),\n", pattern.variant(), pattern.method)
        })
        .collect();
    let _ = write!(
        out,
        "/// Calls the method for `op` with the arguments in `word`, which must be such an \
         instruction\n/// (otherwise the arguments mean nothing).\n\
         #[inline]\n\
         pub fn visit<V: Visitor>(op: Op, word: u32, v: &V) -> V::Output {{\n    \
         match op {{\n{arms}    }}\n}}\n\n"
    );
}

/// The structure expression for a pattern's arguments.
pub(super) fn structure(table: &Table, pattern: &Pattern) -> Option<String> {
    let set = &table.sets[pattern.arguments?];
    let fields: Vec<String> = set
        .arguments
        .iter()
        .zip(&pattern.sources)
        .map(|((name, ty), source)| format!("{name}: {}", value(source, *ty)))
        .collect();
    Some(format!("{} {{ {} }}", camel_case(&set.name), fields.join(", ")))
}
