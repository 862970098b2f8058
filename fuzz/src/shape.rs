//! What the bits of an encoding are, found out by asking the disassembler what changes with them: so this holds for any guest
//! whose tables have an instruction.

use std::collections::BTreeSet;

use crate::guest::{Ferry, Guest};
use crate::machine::CODE;
use crate::program::Pattern;
use base::rng::Rng;

/// The operands of an encoding.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shape {
    /// Its registers, in the order of the assembly text.
    pub registers: Vec<Field>,
    /// A word of it, if the disassembler knows one.
    pub base: Option<u32>,
    /// Bits of immediates.
    pub immediate: u32,
    /// The least and the greatest immediate that it can have, if it has one.
    pub range: Option<(i64, i64)>,
}

/// A register that an encoding names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its bits.
    pub mask: u32,
    /// Of which file it is.
    pub file: File,
    /// Whether it can name the register that is always zero.
    pub zero: Zero,
}

/// A register file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum File {
    /// Integers.
    Integer,
    /// Floating point, vectors.
    Float,
}

/// What an operand of an instruction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// A register: its number, and whether it always is zero.
    Register(File, u8, Zero),
    /// A number.
    Number(i64),
}

/// Whether a register is the one that is always zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zero {
    /// It is.
    Always,
    /// It is one like others.
    No,
}

/// The operands of assembly text, in order.
pub fn tokens(guest: &Guest, text: &str) -> Vec<Token> {
    let operands = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
    let words = operands.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    words.filter(|word| !word.is_empty()).filter_map(|word| token(guest, word)).collect()
}

fn token(guest: &Guest, word: &str) -> Option<Token> {
    if let Some(number) = number(word) {
        return Some(Token::Number(number));
    }
    // An arrangement of lanes is no part of a register's name.
    let name = word.split_once('.').map_or(word, |(name, _)| name);
    let (file, number, zero) = (guest.register_named)(name)?;
    Some(Token::Register(file, number, zero))
}

fn number(word: &str) -> Option<i64> {
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some((magnitude as i64).wrapping_mul(sign))
}

impl Shape {
    /// That of an instruction.
    #[must_use]
    pub fn of(guest: &Guest, ferry: &Ferry, pattern: &Pattern) -> Self {
        let probe = Probe { guest, ferry, pattern };
        let Some(base) = probe.base() else { return Self::default() };
        let mut shape = Self { base: Some(base), ..Self::default() };
        let mut fields: Vec<(usize, Field)> = Vec::new();
        let before = probe.tokens(base).unwrap_or_default();
        for bit in (0..8 * pattern.bytes).map(|n| 1 << n).filter(|bit| pattern.mask & bit == 0) {
            let Some(after) = probe.tokens(base ^ bit).filter(|t| t.len() == before.len()) else {
                continue;
            };
            for (index, (old, new)) in before.iter().zip(&after).enumerate() {
                match (old, new) {
                    (Token::Register(file, a, _), Token::Register(_, b, _)) if a != b => {
                        match fields.iter_mut().find(|(at, _)| *at == index) {
                            Some((_, field)) => field.mask |= bit,
                            None => {
                                fields.push((
                                    index,
                                    Field { mask: bit, file: *file, zero: Zero::No },
                                ));
                            }
                        }
                    }
                    (Token::Number(a), Token::Number(b)) if a != b => shape.immediate |= bit,
                    _ => {}
                }
            }
        }
        fields.sort_by_key(|&(index, _)| index);
        for (index, field) in fields {
            let corners = [base & !field.mask, base | field.mask];
            let is_zero = |word| {
                let tokens = probe.tokens(word).unwrap_or_default();
                matches!(tokens.get(index), Some(Token::Register(_, _, Zero::Always)))
            };
            let zero = if corners.into_iter().any(is_zero) { Zero::Always } else { Zero::No };
            shape.registers.push(Field { zero, ..field });
        }
        shape.range = probe.range(base, shape.immediate);
        shape
    }
}

struct Probe<'a> {
    guest: &'a Guest,
    ferry: &'a Ferry,
    pattern: &'a Pattern,
}

impl Probe<'_> {
    /// A word of the instruction, with registers that tell each other apart where that is possible.
    fn base(&self) -> Option<u32> {
        let mut rng = Rng::new(0x5ee_d0f);
        let word = |bits: u32| self.pattern.value | bits & !self.pattern.mask;
        let fixed = [0x0421_8c43_u32, 0x0842_0c62, 0, u32::MAX].map(word);
        let random = std::iter::repeat_with(|| word(rng.bits() as u32)).take(64);
        fixed.into_iter().chain(random).find(|&word| self.tokens(word).is_some())
    }

    /// `None` if the word is another instruction, or none.
    fn tokens(&self, word: u32) -> Option<Vec<Token>> {
        let bytes = &word.to_le_bytes()[..self.pattern.bytes];
        if (self.ferry.identify)(bytes) != Some(self.pattern.name) {
            return None;
        }
        Some(tokens(self.guest, &(self.ferry.disassemble)(CODE, bytes).0))
    }

    /// The least and the greatest number among all corners of the immediate.
    fn range(&self, base: u32, immediate: u32) -> Option<(i64, i64)> {
        let bits: Vec<u32> = (0..32).map(|n| 1 << n).filter(|bit| immediate & bit != 0).collect();
        let single = bits.iter().copied();
        let others = bits.iter().map(|bit| immediate & !bit);
        let corners = [0, immediate].into_iter().chain(single).chain(others);
        let numbers: BTreeSet<i64> = corners
            .filter_map(|corner| self.tokens(base & !immediate | corner))
            .filter_map(|tokens| last_number(&tokens))
            .collect();
        let range = (*numbers.first()?, *numbers.last()?);
        (range.0 != range.1).then_some(range)
    }
}

/// The immediate among an instruction's operands.
#[must_use]
pub fn last_number(tokens: &[Token]) -> Option<i64> {
    tokens.iter().rev().find_map(|token| match token {
        Token::Number(number) => Some(*number),
        Token::Register(..) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{AARCH64, RISCV64};

    fn shape(guest: &'static Guest, name: &str) -> Shape {
        let ferry = guest.ferry.as_ref().unwrap();
        let all = (ferry.random.encodings)();
        let pattern = all.iter().find(|pattern| pattern.name == name).unwrap();
        Shape::of(guest, ferry, pattern)
    }

    #[test]
    fn fields_of_encodings_are_found() {
        let addi = shape(&RISCV64, "addi");
        let masks: Vec<u32> = addi.registers.iter().map(|field| field.mask).collect();
        assert_eq!(masks, [31 << 7, 31 << 15]);
        assert_eq!((addi.immediate, addi.range), (0xfff0_0000, Some((-2048, 2047))));
        let fadd = shape(&AARCH64, "fadd");
        assert!(fadd.registers.iter().all(|field| field.file == File::Float));
        assert_eq!(fadd.registers.len(), 3);
        let compressed = shape(&RISCV64, "c.and");
        let masks: Vec<u32> = compressed.registers.iter().map(|field| field.mask).collect();
        assert_eq!(masks.last(), Some(&(7 << 2)));
    }

    #[test]
    fn operands_are_told_apart() {
        let tokens = tokens(&AARCH64, "ldr w3, [sp, #-0x10]!");
        let [Token::Register(File::Integer, 3, Zero::No), _, Token::Number(-16)] = tokens[..]
        else {
            panic!("{tokens:?}");
        };
    }
}
