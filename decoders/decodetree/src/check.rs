//! What a table must satisfy before anything is generated from it.

use std::collections::HashMap;

use crate::Table;
use crate::error::{Error, ErrorKind};
use crate::model::{Pattern, Piece, Source, Type, low_bits};

/// Names that a method cannot have.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Checks one pattern by itself: bits accounted for, arguments that fit, known template operands.
pub(crate) fn pattern(table: &Table, pattern: &Pattern, ignored: u32) -> Result<(), Error> {
    let place = &pattern.place;
    let all = low_bits(pattern.width);
    let mut covered = pattern.mask | ignored;
    for ((name, ty), source) in arguments(table, pattern).iter().zip(&pattern.sources) {
        let (least, greatest) = match source {
            Source::Constant(value) => (*value, *value),
            Source::Field(field) => {
                let mask = field.mask();
                let bit = |bits: u32| bits.trailing_zeros() as u8;
                if mask & !all != 0 {
                    let (name, width) = (name.clone(), pattern.width);
                    return Err(place.error(ErrorKind::FieldTooWide { name, width }));
                }
                if mask & pattern.mask != 0 {
                    let (bit, name) = (bit(mask & pattern.mask), name.clone());
                    return Err(place.error(ErrorKind::FixedField { bit, name }));
                }
                if mask & ignored != 0 {
                    let (bit, name) = (bit(mask & ignored), name.clone());
                    return Err(place.error(ErrorKind::IgnoredField { bit, name }));
                }
                covered |= mask;
                field_range(field.is_signed(), field.length(), field.add)
            }
        };
        let named_function = matches!(source, Source::Field(f) if f.function.is_some());
        if !named_function && !fits(*ty, least, greatest) {
            let (name, ty) = (name.clone(), ty.name());
            return Err(place.error(ErrorKind::ArgumentType { name, ty }));
        }
    }
    if covered & all != all {
        return Err(place.error(ErrorKind::Unaccounted((!covered & all).trailing_zeros() as u8)));
    }
    if KEYWORDS.contains(&pattern.method.as_str()) {
        return Err(place.error(ErrorKind::Keyword(pattern.method.clone())));
    }
    template(table, pattern)
}

fn arguments<'a>(table: &'a Table, pattern: &Pattern) -> &'a [(String, Type)] {
    pattern.arguments.map_or(&[], |set| &table.sets[set].arguments)
}

fn field_range(signed: bool, length: u8, add: i64) -> (i64, i64) {
    let span = 1i64 << length.min(62);
    if signed { (-span / 2 + add, span / 2 - 1 + add) } else { (add, span - 1 + add) }
}

fn fits(ty: Type, least: i64, greatest: i64) -> bool {
    let (min, max) = ty.range();
    min <= least && greatest <= max
}

fn template(table: &Table, pattern: &Pattern) -> Result<(), Error> {
    for piece in &pattern.template {
        let Piece::Operand { arguments: names, .. } = piece else { continue };
        for name in names {
            let known = arguments(table, pattern).iter().any(|(argument, _)| argument == name);
            if !known && name != "pc" {
                return Err(pattern.place.error(ErrorKind::NoSuchArgument(name.clone())));
            }
        }
    }
    Ok(())
}

/// Checks the patterns against each other: unique names, shared methods, overlaps.
pub(crate) fn table(table: &Table) -> Result<(), Error> {
    let mut names: HashMap<String, &Pattern> = HashMap::new();
    let mut methods: HashMap<&str, &Pattern> = HashMap::new();
    for pattern in &table.patterns {
        if let Some(first) = names.insert(pattern.variant(), pattern) {
            return Err(pattern.place.error(ErrorKind::Duplicate {
                what: "instruction",
                name: pattern.name.clone(),
                first: first.place.clone(),
            }));
        }
        let first = *methods.entry(&pattern.method).or_insert(pattern);
        if first.arguments != pattern.arguments {
            let name = |p: &Pattern| p.arguments.map_or("none", |set| &table.sets[set].name).into();
            return Err(pattern.place.error(ErrorKind::MethodArguments {
                method: pattern.method.clone(),
                other: first.name.clone(),
                first: name(first),
                second: name(pattern),
            }));
        }
    }
    for deferred in &table.deferred {
        if let Some(pattern) = table.patterns.iter().find(|p| p.name == deferred.name) {
            return Err(deferred.place.error(ErrorKind::Duplicate {
                what: "instruction",
                name: deferred.name.clone(),
                first: pattern.place.clone(),
            }));
        }
    }
    for (index, pattern) in table.patterns.iter().enumerate() {
        for earlier in &table.patterns[..index] {
            pair(earlier, pattern)?;
        }
    }
    Ok(())
}

fn pair(earlier: &Pattern, later: &Pattern) -> Result<(), Error> {
    if !overlap(earlier, later) {
        return Ok(());
    }
    let (name, other) = (later.name.clone(), earlier.name.clone());
    let place = earlier.place.clone();
    if !may_overlap(earlier, later) {
        return Err(later.place.error(ErrorKind::Overlap { name, other, place }));
    }
    let always_first = earlier.mask & !later.mask == 0
        && earlier.conditions.is_empty()
        && earlier.requires == later.requires;
    if always_first {
        return Err(later.place.error(ErrorKind::Unreachable { name, other, place }));
    }
    Ok(())
}

/// Whether some word matches both, as far as conditions on wholly fixed fields can tell.
fn overlap(a: &Pattern, b: &Pattern) -> bool {
    if a.width != b.width || (a.value ^ b.value) & a.mask & b.mask != 0 {
        return false;
    }
    let (mask, word) = (a.mask | b.mask, a.value | b.value);
    let excluded =
        |p: &Pattern| p.conditions.iter().any(|c| c.mask() & !mask == 0 && !c.may_hold(word));
    !excluded(a) && !excluded(b)
}

/// The innermost group that holds both decides; outside all groups nothing may overlap.
fn may_overlap(a: &Pattern, b: &Pattern) -> bool {
    let common = a.groups.iter().zip(&b.groups).take_while(|(x, y)| x.id == y.id).last();
    common.is_some_and(|(group, _)| group.overlapping)
}
