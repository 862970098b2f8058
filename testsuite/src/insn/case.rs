//! The text form of cases. A line is one case:
//!
//! ```text
//! 20c5a533  "sh1add a0,a1,a2"  a1=2 a2=0x10  =>  a0=0x14
//! ```
//!
//! Instruction words in hexadecimal (4 digits for compressed ones) and their assembly text, one for
//! each; registers before; after `=>`, registers after. Registers that are not named start from
//! [`State::default`] and must not change. Memory is `[data+8].d=5`, with `b`, `h`, `w` or `d` for
//! its size. Values are described in `value.rs`. After `=>` may also stand how it ends, if it does
//! not run to its end: `illegal`, `breakpoint`, `syscall`, `misaligned`, `fault=data+0x1000`; and
//! `pc=code+8`, by default the pc after the code, or the code's start if it does not run to its end.
//! A case that qemu-user is known to get wrong ends with `not-qemu`, for a reason that a comment gives.
//! `#` starts a comment.

use base::{GuestVirt, RegSlot};

use super::machine::{CODE, End, SLOTS, State};
use super::value;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// File and line, or the fuzzer's name for it.
    pub name: String,
    /// The instructions' bytes.
    pub code: Vec<u8>,
    /// Their assembly text; empty if it is not checked.
    pub assembly: Vec<String>,
    /// Before.
    pub before: State,
    /// After.
    pub after: State,
    /// How it ends.
    pub end: End,
    /// Whether qemu-user is asked, too.
    pub oracle: bool,
}

/// All cases of a file.
///
/// # Errors
/// A message with the file's name and the line.
pub fn parse_file(name: &str, text: &str) -> Result<Vec<Case>, String> {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (format!("{name}:{}", index + 1), line)
    });
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(name, line)| parse(&name, line).map_err(|message| format!("{name}: {message}")))
        .collect()
}

/// Parses one line.
fn parse(name: &str, line: &str) -> Result<Case, String> {
    let (left, right) = line.split_once("=>").ok_or("no '=>'")?;
    let mut quoted = left.split('"');
    let words = quoted.next().unwrap_or_default();
    let code = words.split_whitespace().map(word).collect::<Result<Vec<_>, _>>()?;
    let mut assembly = Vec::new();
    let mut settings = "";
    // Alternately within quotes and outside.
    while let Some(text) = quoted.next() {
        assembly.push(text.to_owned());
        settings = quoted.next().ok_or("a quote is not closed")?;
    }
    if code.is_empty() || assembly.len() != code.len() {
        return Err("as many assembly texts as instructions are wanted".to_owned());
    }
    let code = code.concat();
    let mut before = State::default();
    for setting in settings.split_whitespace() {
        set(&mut before, setting)?;
    }
    let mut after = before.clone();
    let mut ending = Ending::default();
    for setting in right.split_whitespace() {
        if !ending.take(setting)? {
            set(&mut after, setting)?;
        }
    }
    let oracle = !ending.not_qemu;
    let end = ending.end(code.len());
    Ok(Case { name: name.to_owned(), code, assembly, before, after, end, oracle })
}

fn word(text: &str) -> Result<Vec<u8>, String> {
    let value = u32::from_str_radix(text, 16).map_err(|_| format!("'{text}' is no word"))?;
    match text.len() {
        8 => Ok(value.to_le_bytes().to_vec()),
        4 => Ok(value.to_le_bytes()[..2].to_vec()),
        _ => Err(format!("'{text}' has neither 4 nor 8 digits")),
    }
}

/// How it ends, as far as read.
#[derive(Default)]
struct Ending {
    kind: Option<String>,
    addr: u64,
    pc: Option<u64>,
    not_qemu: bool,
}

impl Ending {
    /// Whether the setting is about the end.
    fn take(&mut self, setting: &str) -> Result<bool, String> {
        let (name, text) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "pc" => self.pc = Some(value::parse(text)?),
            "not-qemu" => self.not_qemu = true,
            "illegal" | "breakpoint" | "syscall" | "misaligned" => {
                self.kind = Some(name.to_owned())
            }
            "fault" => {
                self.kind = Some(name.to_owned());
                self.addr = value::parse(text)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn end(self, code_len: usize) -> End {
        let past = CODE.wrapping_add(code_len as u64);
        let pc = self.pc.map(GuestVirt);
        match self.kind.as_deref() {
            None => End::Stopped(pc.unwrap_or(past)),
            Some("illegal") => End::Illegal(pc.unwrap_or(CODE)),
            Some("breakpoint") => End::Breakpoint(pc.unwrap_or(CODE)),
            Some("syscall") => End::Syscall(pc.unwrap_or(past)),
            Some("misaligned") => End::Misaligned { pc: pc.unwrap_or(CODE) },
            _ => End::Fault { pc: pc.unwrap_or(CODE), addr: GuestVirt(self.addr) },
        }
    }
}

fn set(state: &mut State, setting: &str) -> Result<(), String> {
    let (name, text) = setting.split_once('=').ok_or_else(|| format!("what is '{setting}'?"))?;
    if let Some(rest) = name.strip_prefix('[') {
        return set_memory(state, rest, text);
    }
    if name == "fcsr" {
        let value = value::parse(text)?;
        set(state, &format!("fflags={}", value & 0x1f))?;
        return set(state, &format!("frm={}", value >> 5));
    }
    let slot = slot(name).ok_or_else(|| format!("there is no register '{name}'"))?;
    state.slots[slot.index()] = if name == "fflags" { flags(text)? } else { value::parse(text)? };
    Ok(())
}

fn slot(name: &str) -> Option<RegSlot> {
    (1..SLOTS).map(RegSlot).find(|&slot| arch::riscv64::slot::name(slot) == Some(name))
}

/// `nv+nx`, `0`, `0x11`.
fn flags(text: &str) -> Result<u64, String> {
    let flag = |name| match name {
        "nx" => Ok(1),
        "uf" => Ok(2),
        "of" => Ok(4),
        "dz" => Ok(8),
        "nv" => Ok(16),
        other => value::parse(other),
    };
    text.split('+').try_fold(0, |sum, name| Ok(sum | flag(name)?))
}

/// `data+8].d`, `5`.
fn set_memory(state: &mut State, place: &str, text: &str) -> Result<(), String> {
    let (addr, size) = place.split_once("].").ok_or("a place is '[data+8].w'")?;
    let bytes = match size {
        "b" => 1,
        "h" => 2,
        "w" => 4,
        "d" => 8,
        _ => return Err(format!("'{size}' is no size")),
    };
    let addr = value::parse(addr)?;
    let value = value::parse(text)?;
    for index in 0..bytes {
        let offset = State::offset(GuestVirt(addr + index)).ok_or("beyond the data's edges")?;
        state.memory[offset] = (value >> (8 * index)) as u8;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_case() {
        let line = r#"0145b503 9002 "ld a0,20(a1)" "c.ebreak" a1=data [data+20].h=0x201 => a0=0x201 breakpoint pc=code+4"#;
        let case = parse("x", line).unwrap();
        assert_eq!(case.code, [0x03, 0xb5, 0x45, 0x01, 0x02, 0x90]);
        assert_eq!(case.before.memory[20..22], [1, 2]);
        assert_eq!((case.after.slots[10], case.after.slots[11]), (0x201, 0x2000_0000));
        assert_eq!(case.end, End::Breakpoint(GuestVirt(0x1000_0004)));
    }

    #[test]
    fn mistakes_are_reported() {
        let error = |line| parse("x", line).unwrap_err();
        assert!(error("00000013 \"nop\" a9=1 =>").contains("a9"));
        assert!(error("00000013 0001 \"nop\" =>").contains("texts"));
        assert!(error("0000013 \"nop\" =>").contains("digits"));
        assert!(error("00000013 \"nop\"").contains("=>"));
    }
}
