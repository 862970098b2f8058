//! The generated source: one function for each part of it.

mod assembly;
mod extensions;
mod operations;
mod selection;
mod visitor;

use crate::Table;
use crate::model::{Field, Source, Type};

/// How the generated functions take fields from a word.
const BITS: &str = include_str!("emit/bits.rs.in");

/// Everything, in the order in which a reader wants it.
pub(crate) fn source(table: &Table, guest: &str) -> String {
    let mut out = String::from(BITS);
    extensions::emit(table, &mut out);
    operations::emit(table, &mut out);
    visitor::emit(table, guest, &mut out);
    selection::emit(table, &mut out);
    assembly::emit(table, &mut out);
    out
}

/// `text` as the lines of a doc comment.
fn doc(indent: &str, text: &str) -> String {
    let escape = |line: &str| line.replace('[', "\\[").replace(']', "\\]");
    text.lines().map(|line| format!("{indent}/// {}\n", escape(line))).collect()
}

/// The set of extensions with these indices, as bits.
fn set_bits(extensions: &[usize]) -> u128 {
    extensions.iter().fold(0, |bits, &index| bits | 1 << index)
}

/// An expression of type `ty` for the value of `source` in the variable `word`.
fn value(source: &Source, ty: Type) -> String {
    match source {
        Source::Constant(value) if ty == Type::Bool => format!("{}", *value != 0),
        Source::Constant(value) => format!("{value}"),
        Source::Field(field) => cast(field, ty),
    }
}

fn cast(field: &Field, ty: Type) -> String {
    let narrow = field.add == 0 && field.function.is_none() && !field.is_signed();
    match ty {
        Type::I64 => wide(field),
        Type::Bool if narrow => format!("word & {:#x} != 0", field.mask()),
        Type::Bool => format!("{} != 0", wide(field)),
        Type::U32 if narrow => segments(field, "bits"),
        _ if narrow => format!("{} as {}", parenthesised(segments(field, "bits")), ty.name()),
        _ => format!("{} as {}", parenthesised(wide(field)), ty.name()),
    }
}

/// The field's value as `i64`.
fn wide(field: &Field) -> String {
    let mut text = segments(field, "wide_bits");
    if field.add != 0 {
        text = format!("{} + {}", parenthesised(text), field.add);
    }
    match &field.function {
        Some(function) => format!("transform::{function}({text})"),
        None => text,
    }
}

/// The segments in their places, each through the generated function `unsigned`, or through
/// `signed_bits` if it has the sign.
fn segments(field: &Field, unsigned: &str) -> String {
    let mut below = field.length();
    let parts: Vec<String> = field
        .segments
        .iter()
        .map(|segment| {
            below -= segment.length;
            let function = if segment.signed { "signed_bits" } else { unsigned };
            let bits = format!("{function}(word, {}, {})", segment.position, segment.length);
            if below == 0 { bits } else { format!("({bits} << {below})") }
        })
        .collect();
    parts.join(" | ")
}

fn parenthesised(text: String) -> String {
    if text.contains(['|', '+']) { format!("({text})") } else { text }
}
