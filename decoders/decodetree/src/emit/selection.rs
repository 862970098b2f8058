//! `identify`: the decision tree as nested matches.

use std::fmt::Write;

use super::{set_bits, wide};
use crate::Table;
use crate::model::{Condition, Pattern, Source, Test};
use crate::tree::{Node, build};

pub(super) fn emit(table: &Table, out: &mut String) {
    for width in [16, 32] {
        if !table.patterns.iter().any(|pattern| pattern.width == width) {
            continue;
        }
        let _ = write!(
            out,
            "/// The {width}-bit instruction in `word`, if there is one with these extensions.\n\
             #[must_use]\n\
             pub fn identify{width}(word: u{width}, extensions: ExtensionSet) -> Option<Op> {{\n"
        );
        if width == 16 {
            out.push_str("    let word = u32::from(word);\n");
        }
        node(table, &build(&table.patterns, width), 1, out);
        let widen = if width == 16 { "u32::from(word)" } else { "word" };
        let _ = write!(
            out,
            "}}\n\n\
             /// Decodes a {width}-bit instruction and visits it. `None` if it is none of the\n\
             /// processor's.\n\
             #[inline]\n\
             pub fn decode{width}<V: Visitor>(word: u{width}, v: &V) -> Option<V::Output> {{\n    \
             Some(visit(identify{width}(word, v.extensions())?, {widen}, v))\n}}\n\n"
        );
    }
}

fn node(table: &Table, tree: &Node, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    match tree {
        Node::Fail => {
            let _ = writeln!(out, "{indent}None");
        }
        Node::Leaf { candidates, tested } => {
            for &index in candidates {
                candidate(&table.patterns[index], *tested, &indent, out);
            }
            let _ = writeln!(out, "{indent}None");
        }
        Node::Guard { mask, value, inside } => {
            let _ = writeln!(
                out,
                "{indent}if word & {mask:#x} != {value:#x} {{\n{indent}    return None;\n{indent}}}"
            );
            node(table, inside, depth, out);
        }
        Node::Switch { run, arms, otherwise } => {
            let (position, length) = (run.position, run.length);
            let _ = writeln!(out, "{indent}match bits(word, {position}, {length}) {{");
            for (value, inside) in arms {
                let _ = writeln!(out, "{indent}    {value:#x} => {{");
                node(table, inside, depth + 2, out);
                let _ = writeln!(out, "{indent}    }}");
            }
            let _ = writeln!(out, "{indent}    _ => {{");
            node(table, otherwise, depth + 2, out);
            let _ = writeln!(out, "{indent}    }}\n{indent}}}");
        }
    }
}

/// Tests what the way to here has not, the extension at least, and returns the instruction.
fn candidate(pattern: &Pattern, tested: u32, indent: &str, out: &mut String) {
    let mut tests = Vec::new();
    let mask = pattern.mask & !tested;
    if mask != 0 {
        tests.push(format!("word & {mask:#x} == {:#x}", pattern.value & mask));
    }
    tests.extend(pattern.conditions.iter().map(condition));
    match requirement(pattern) {
        alternatives if alternatives.contains("||") && !tests.is_empty() => {
            tests.push(format!("({alternatives})"));
        }
        alternatives => tests.push(alternatives),
    }
    let _ = writeln!(
        out,
        "{indent}if {} {{\n{indent}    return Some(Op::{});\n{indent}}}",
        tests.join(" && "),
        pattern.variant()
    );
}

/// The test that one of a condition's alternatives holds.
fn condition(condition: &Condition) -> String {
    let test = |test: &Test| {
        let with = match &test.with {
            Source::Constant(value) => value.to_string(),
            Source::Field(field) => wide(field),
        };
        format!("{} {} {with}", wide(&test.field), test.relation.symbol())
    };
    let alternatives: Vec<String> = condition.alternatives.iter().map(test).collect();
    match alternatives.as_slice() {
        [single] => single.clone(),
        several => format!("({})", several.join(" || ")),
    }
}

/// The test that one of the alternatives is enabled.
fn requirement(pattern: &Pattern) -> String {
    let alternatives: Vec<String> = pattern
        .requires
        .iter()
        .map(|all| format!("extensions.contains_all(ExtensionSet({:#x}))", set_bits(all)))
        .collect();
    alternatives.join(" || ")
}
