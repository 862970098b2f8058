//! Encodings that are words: what the disassembler says of their operands.

use super::{Class, Encodings, Possible, translate};
use crate::guest::{Ferry, Guest};
use crate::machine::CODE;
use crate::program::Pattern;
use crate::shape::{Shape, Token, Zero, last_number, tokens};

/// Of any guest whose encodings are words.
pub const ENCODINGS: Encodings =
    Encodings { name: |ferry, code| (ferry.identify)(code), possible, shown };

fn possible(guest: &'static Guest, ferry: &'static Ferry, pattern: &Pattern) -> Possible {
    let shape = Shape::of(guest, ferry, pattern);
    let mut possible = Possible { range: shape.range, ..Possible::default() };
    let classes = &mut possible.classes;
    classes.insert(Class::Executed);
    let files: Vec<_> = shape.registers.iter().map(|field| field.file).collect();
    if (1..files.len()).any(|index| files[..index].contains(&files[index])) {
        classes.insert(Class::SameRegister);
    }
    if shape.registers.iter().any(|field| field.zero == Zero::Always) {
        classes.insert(Class::ZeroRegister);
    }
    if let Some((least, greatest)) = shape.range {
        classes.extend([Class::ImmediateLeast, Class::ImmediateGreatest]);
        if least < 0 && greatest > 0 {
            classes.insert(Class::ImmediateZero);
        }
    }
    if let Some(block) = shape.base.and_then(|word| translate(ferry, &word.to_le_bytes())) {
        possible.add_outcomes(ferry, pattern, &block);
    }
    possible
}

fn shown(guest: &'static Guest, possible: &Possible, code: &[u8]) -> Vec<Class> {
    let Some(ferry) = &guest.ferry else { return Vec::new() };
    let (text, _) = (ferry.disassemble)(CODE, code);
    let tokens = tokens(guest, &text);
    let mut classes = Vec::new();
    let registers: Vec<_> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Register(file, number, zero) => Some((*file, *number, *zero)),
            Token::Number(_) => None,
        })
        .collect();
    let repeats = |index: usize| registers[..index].contains(&registers[index]);
    if (1..registers.len()).any(repeats) {
        classes.push(Class::SameRegister);
    }
    if registers.iter().any(|register| register.2 == Zero::Always) {
        classes.push(Class::ZeroRegister);
    }
    if let Some(number) = last_number(&tokens) {
        classes.extend(possible.corners(number));
    }
    classes
}
