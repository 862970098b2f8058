//! Cases as text.

use std::fmt::Write as _;

use crate::case::ARITHMETIC;
use crate::guest::{Guest, Register};
use crate::machine::{CODE, DATA, EDGE, End, PAGE, State};

/// An instruction of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Its bytes.
    pub code: Vec<u8>,
    /// Its assembly text.
    pub text: String,
}

/// The line of a case.
#[must_use]
pub fn of(
    instructions: &[Instruction],
    marks: &[String],
    before: &State,
    after: &State,
    end: End,
) -> String {
    let mut line = String::new();
    for Instruction { code, .. } in instructions {
        let _ = write!(line, "{} ", digits(before.guest, code));
    }
    for Instruction { text, .. } in instructions {
        let _ = write!(line, " \"{text}\"");
    }
    let length: usize = instructions.iter().map(|instruction| instruction.code.len()).sum();
    line.push_str(&changes(&State::new(before.guest), before));
    line.push_str("  =>");
    line.push_str(&changes(before, after));
    line.push_str(&ending(end, length as u64));
    for mark in marks {
        let _ = write!(line, " {mark}");
    }
    line
}

/// An instruction as the guest's manual has it: a word, or bytes in the order of their addresses.
#[must_use]
pub fn digits(guest: &Guest, bytes: &[u8]) -> String {
    match guest.shortest {
        1 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// ` x1=2 [data+8].d=5` for what is otherwise in `to` than in `from`.
fn changes(from: &State, to: &State) -> String {
    let mut text = String::new();
    for register in (to.guest.registers)().iter().filter(|register| register.reported) {
        let value = register.get(&to.words);
        if register.get(&from.words) != value {
            let _ = write!(text, " {}={}", register.name, value_text(register, value));
        }
    }
    for at in (0..2 * EDGE).step_by(16) {
        let piece = at..at + 16;
        if from.memory[piece.clone()] != to.memory[piece.clone()] {
            text.push_str(&memory_text(&from.memory[piece.clone()], &to.memory[piece], at));
        }
    }
    text
}

fn value_text(register: &Register, value: u128) -> String {
    if !register.values.is_empty() {
        return sum_text(register, value as u64);
    }
    match place(value as u64) {
        Some(place) if register.bits == 64 => place,
        _ => format!("{value:#x}"),
    }
}

/// Names whose values make it up exactly, or a number.
fn sum_text(register: &Register, value: u64) -> String {
    let mut names = Vec::new();
    let mut left = value;
    // Larger values first: those of several bits come after their parts in the tables.
    for (name, bits) in register.values.iter().rev() {
        if left & bits == *bits {
            names.push(*name);
            left &= !bits;
        }
    }
    names.reverse();
    match (left, names.is_empty()) {
        (0, false) => names.join("+"),
        _ => format!("{value:#x}"),
    }
}

/// `data+0x40`, `code+4`, for addresses within a page of them.
fn place(addr: u64) -> Option<String> {
    [("data", DATA.0), ("code", CODE.0)].into_iter().find_map(|(name, base)| {
        let offset = addr.wrapping_sub(base) as i64;
        match offset {
            0 => Some(name.to_owned()),
            _ if offset.unsigned_abs() > PAGE as u64 => None,
            _ if offset > 0 => Some(format!("{name}+{offset:#x}")),
            _ => Some(format!("{name}-{:#x}", -offset)),
        }
    })
}

/// The smallest aligned piece that holds all differences in these 16 bytes.
fn memory_text(from: &[u8], to: &[u8], at: usize) -> String {
    let differs = |range: std::ops::Range<usize>| from[range.clone()] != to[range];
    let (mut start, mut size) = (0, 16);
    while size > 1 {
        let middle = start + size / 2;
        match (differs(start..middle), differs(middle..start + size)) {
            (true, true) => break,
            (false, _) => start = middle,
            (true, false) => {}
        }
        size /= 2;
    }
    let bytes = to[start..start + size].iter().rev();
    let value = bytes.fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    let name = match size {
        1 => "b",
        2 => "h",
        4 => "w",
        8 => "d",
        _ => "q",
    };
    let at = at + start;
    let at = if at < EDGE { at } else { at + PAGE - 2 * EDGE };
    format!(" [data+{at:#x}].{name}={value:#x}")
}

fn ending(end: End, length: u64) -> String {
    let past = CODE.wrapping_add(length);
    let text = |addr: u64| place(addr).unwrap_or_else(|| format!("{addr:#x}"));
    let (kind, pc, usual) = match end {
        End::Stopped(pc) => (String::new(), pc, past),
        End::Illegal(pc) => (" illegal".to_owned(), pc, CODE),
        End::Breakpoint(pc) => (" breakpoint".to_owned(), pc, CODE),
        End::Syscall(pc) => (" syscall".to_owned(), pc, past),
        End::Misaligned { pc } => (" misaligned".to_owned(), pc, CODE),
        End::Fault { pc, addr } => (format!(" fault={}", text(addr.0)), pc, CODE),
        End::Arithmetic { pc, code } => {
            let name = ARITHMETIC.iter().find(|(_, value)| *value == code);
            (format!(" arithmetic={}", name.map_or("fltunk", |(name, _)| name)), pc, CODE)
        }
        End::Endless => (" endless".to_owned(), CODE, CODE),
    };
    if pc == usual { kind } else { format!("{kind} pc={}", text(pc.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;
    use crate::guest::AARCH64;

    #[test]
    fn what_is_written_is_read() {
        let text = "ldr x0, [x1]".to_owned();
        let instructions = [Instruction { code: vec![0x20, 0, 0x40, 0xf9], text }];
        let mut before = AARCH64.state();
        for setting in ["x1=data+0x40", "v3=0x123456789abcdef0fedcba9876543210", "fpcr=rz+dn"] {
            case::set(&mut before, setting).expect("a good setting");
        }
        let mut after = before.clone();
        for setting in ["x0=5", "nzcv=n+c", "fpsr=ioc", "[data+0xfe0].h=0x102"] {
            case::set(&mut after, setting).expect("a good setting");
        }
        let end = End::Fault { pc: CODE, addr: DATA };
        let line = of(&instructions, &[], &before, &after, end);
        assert_eq!(
            line,
            "f9400020  \"ldr x0, [x1]\" x1=data+0x40 fpcr=rz+dn v3=0x123456789abcdef0fedcba9876543210  \
             => x0=0x5 nzcv=n+c fpsr=ioc [data+0xfe0].h=0x102 fault=data"
        );
        let cases = case::parse_file(&AARCH64, "x", &line).expect("a good line");
        assert_eq!((&cases[0].before, &cases[0].after, cases[0].end), (&before, &after, end));
    }
}
