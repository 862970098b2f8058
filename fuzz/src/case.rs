//! The text form of cases. A line is one case:
//!
//! ```text
//! 20c5a533  "sh1add a0,a1,a2"  a1=2 a2=0x10  =>  a0=0x14
//! ```
//!
//! Instruction words in hexadecimal (4 digits for compressed ones) and their assembly text, one for
//! each; registers before; after `=>`, registers after. Registers that are not named start from
//! [`State::new`] and must not change. A wide register is one number, or has its lanes named from the
//! lowest on: `v1.4s=1,-2,s:1.5,0x7fffffff`, with as many values as the register has lanes, or fewer: the
//! others are 0. Memory is `[data+8].d=5`, with `b`, `h`, `w`, `d` or `q` for
//! its size. Values are described in `value.rs`; status registers are sums of names, `fpsr=ioc+ixc`.
//! After `=>` may also stand how it ends, if it does
//! not run to its end: `arithmetic=intdiv` (SIGFPE, by Linux's names), `illegal`, `breakpoint`, `syscall`, `misaligned`, `fault=data+0x1000`; and
//! `pc=code+8`, by default the pc after the code, or the code's start if it does not run to its end.
//! A case that qemu-user is known to get wrong ends with `not-qemu`, for a reason that a comment gives.
//! `#` outside of quotes starts a comment.

use base::GuestVirt;

use crate::guest::{Guest, Register};
use crate::machine::{CODE, End, State};
use crate::value;

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
pub fn parse_file(guest: &'static Guest, name: &str, text: &str) -> Result<Vec<Case>, String> {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let line = without_comment(line).trim();
        (format!("{name}:{}", index + 1), line)
    });
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(name, line)| {
            parse(guest, &name, line).map_err(|message| format!("{name}: {message}"))
        })
        .collect()
}

/// A `#` within quotes belongs to an instruction.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.char_indices().find(|&(_, c)| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    end.map_or(line, |(at, _)| &line[..at])
}

/// Parses one line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(guest: &'static Guest, name: &str, line: &str) -> Result<Case, String> {
    let (left, right) = line.split_once("=>").ok_or("no '=>'")?;
    let mut quoted = left.split('"');
    let words = quoted.next().unwrap_or_default();
    let code =
        words.split_whitespace().map(|text| word(guest, text)).collect::<Result<Vec<_>, _>>()?;
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
    let mut before = State::new(guest);
    for setting in settings.split_whitespace() {
        set(&mut before, setting)?;
    }
    let mut after = before.clone();
    let mut ending = Ending::default();
    for setting in right.split_whitespace() {
        if !ending.take(guest, setting)? {
            set(&mut after, setting)?;
        }
    }
    let oracle = !ending.not_qemu;
    let end = ending.end(code.len());
    Ok(Case { name: name.to_owned(), code, assembly, before, after, end, oracle })
}

fn word(guest: &Guest, text: &str) -> Result<Vec<u8>, String> {
    if guest.shortest == 1 {
        return bytes(text).ok_or_else(|| format!("'{text}' is no sequence of bytes"));
    }
    let value = u32::from_str_radix(text, 16).map_err(|_| format!("'{text}' is no word"))?;
    match text.len() {
        8 if guest.shortest > 1 => Ok(value.to_le_bytes().to_vec()),
        4 if guest.shortest == 2 => Ok(value.to_le_bytes()[..2].to_vec()),
        _ => Err(format!("'{text}' does not have as many digits as an instruction")),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// What `si_code` of SIGFPE says, by Linux's names.
pub(super) const ARITHMETIC: &[(&str, i32)] = &[
    ("intdiv", 1),
    ("intovf", 2),
    ("fltdiv", 3),
    ("fltovf", 4),
    ("fltund", 5),
    ("fltres", 6),
    ("fltinv", 7),
    ("fltunk", 14),
];

/// How it ends, as far as read.
#[derive(Default)]
struct Ending {
    kind: Option<String>,
    addr: u64,
    code: i32,
    pc: Option<u64>,
    not_qemu: bool,
}

impl Ending {
    /// Whether the setting is about the end.
    fn take(&mut self, guest: &Guest, setting: &str) -> Result<bool, String> {
        let (name, text) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "pc" => self.pc = Some(address(guest, text)?),
            "not-qemu" => self.not_qemu = true,
            "illegal" | "breakpoint" | "syscall" | "misaligned" => {
                self.kind = Some(name.to_owned())
            }
            "arithmetic" => {
                self.kind = Some(name.to_owned());
                let code = ARITHMETIC.iter().find(|(name, _)| *name == text);
                self.code = code.ok_or_else(|| format!("what is '{setting}'?"))?.1;
            }
            "fault" => {
                self.kind = Some(name.to_owned());
                self.addr = address(guest, text)?;
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
            Some("arithmetic") => End::Arithmetic { pc: pc.unwrap_or(CODE), code: self.code },
            Some("misaligned") => End::Misaligned { pc: pc.unwrap_or(CODE) },
            _ => End::Fault { pc: pc.unwrap_or(CODE), addr: GuestVirt(self.addr) },
        }
    }
}

/// Changes a state as `register=value` or `[place].size=value` says.
///
/// # Errors
/// What is wrong with the text.
pub fn set(state: &mut State, setting: &str) -> Result<(), String> {
    let (name, text) = setting.split_once('=').ok_or_else(|| format!("what is '{setting}'?"))?;
    if let Some(rest) = name.strip_prefix('[') {
        return set_memory(state, rest, text);
    }
    let guest = state.guest;
    let (name, lanes) = name.split_once('.').unwrap_or((name, ""));
    let register = guest.register(name).ok_or_else(|| format!("there is no register '{name}'"))?;
    let value = if lanes.is_empty() {
        sum(guest, &register, text)?
    } else {
        join(guest, &register, lanes, text)?
    };
    register.set(&mut state.words, value);
    Ok(())
}

fn address(guest: &Guest, text: &str) -> Result<u64, String> {
    value::parse_bits(text, 64, guest.narrow).map(|value| value as u64)
}

/// `nv+nx`, `0`, `0x11`.
fn sum(guest: &Guest, register: &Register, text: &str) -> Result<u128, String> {
    if register.values.is_empty() {
        return value::parse_bits(text, register.bits, guest.narrow);
    }
    let named = |name: &str| register.values.iter().find(|(known, _)| *known == name);
    text.split('+').try_fold(0, |sum, name| match named(name) {
        Some(&(_, value)) => Ok(sum | u128::from(value)),
        None => Ok(sum | value::parse_bits(name, register.bits, guest.narrow)?),
    })
}

/// `4s` and `1,2,3,4`.
fn join(guest: &Guest, register: &Register, lanes: &str, text: &str) -> Result<u128, String> {
    let wrong = || format!("'{lanes}' is no arrangement of {}", register.name);
    let (count, size) = lanes.split_at_checked(lanes.len() - 1).ok_or_else(wrong)?;
    let bits = 8 * size_of(size).ok_or_else(wrong)? as u32;
    let values: Vec<&str> = text.split(',').collect();
    if count.parse() != Ok(register.bits / bits) || values.len() as u32 > register.bits / bits {
        return Err(wrong());
    }
    let mut all = 0;
    for (index, text) in values.iter().enumerate() {
        all |= value::parse_bits(text, bits, guest.narrow)? << (bits * index as u32);
    }
    Ok(all)
}

/// Bytes of a lane or of a place in memory.
fn size_of(name: &str) -> Option<u64> {
    match name {
        "b" => Some(1),
        "h" => Some(2),
        "w" | "s" => Some(4),
        "d" => Some(8),
        "q" => Some(16),
        _ => None,
    }
}

/// `data+8].d`, `5`.
fn set_memory(state: &mut State, place: &str, text: &str) -> Result<(), String> {
    let (addr, size) = place.split_once("].").ok_or("a place is '[data+8].w'")?;
    let bytes = size_of(size).ok_or_else(|| format!("'{size}' is no size"))?;
    let addr = address(state.guest, addr)?;
    let value = value::parse_bits(text, 8 * bytes as u32, state.guest.narrow)?;
    for index in 0..bytes {
        let offset = State::offset(GuestVirt(addr + index)).ok_or("beyond the data's edges")?;
        state.memory[offset] = (value >> (8 * index)) as u8;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{AARCH64, RISCV64};

    #[test]
    fn a_line_is_a_case() {
        let line = r#"0145b503 9002 "ld a0,20(a1)" "c.ebreak" a1=data [data+20].h=0x201 => a0=0x201 breakpoint pc=code+4"#;
        let case = parse(&RISCV64, "x", line).unwrap();
        assert_eq!(case.code, [0x03, 0xb5, 0x45, 0x01, 0x02, 0x90]);
        assert_eq!(case.before.memory[20..22], [1, 2]);
        assert_eq!((case.after.words[10], case.after.words[11]), (0x201, 0x2000_0000));
        assert_eq!(case.end, End::Breakpoint(GuestVirt(0x1000_0004)));
    }

    #[test]
    fn mistakes_are_reported() {
        let error = |line| parse(&RISCV64, "x", line).unwrap_err();
        assert!(error("00000013 \"nop\" a9=1 =>").contains("a9"));
        assert!(error("00000013 0001 \"nop\" =>").contains("texts"));
        assert!(error("0000013 \"nop\" =>").contains("digits"));
        assert!(error("00000013 \"nop\"").contains("=>"));
        assert!(parse(&AARCH64, "x", "0001 \"nop\" =>").unwrap_err().contains("digits"));
    }

    #[test]
    fn fields_and_lanes_have_names() {
        let line = r#"91000420 "add x0, x1, #0x1" fpcr=rz+fz nzcv=n+v v1.8h=1,-1,h:1 => fpsr=ioc+qc # more"#;
        let case = parse_file(&AARCH64, "x", line).unwrap().remove(0);
        let get = |state: &State, name: &str| AARCH64.register(name).unwrap().get(&state.words);
        assert_eq!(case.assembly, ["add x0, x1, #0x1"]);
        assert_eq!(get(&case.before, "fpcr"), 0x1c0_0000);
        assert_eq!(get(&case.before, "nzcv"), 0x9000_0000);
        assert_eq!(get(&case.before, "v1"), 0x3c00_ffff_0001);
        assert_eq!((get(&case.before, "fpsr"), get(&case.after, "fpsr")), (0, 0x800_0001));
        let riscv = parse(&RISCV64, "x", "0001 \"c.nop\" fcsr=0x61 fflags=of =>").unwrap();
        assert_eq!(riscv.before.words[64], 0x64);
    }
}
