//! Dumps of registers, kept as texts: most lines are the same in the next dump, and need not be read.

use crate::formats::text::Scan;
use crate::names::register_by_name;
use crate::{Architecture, Privilege, RegClass, RegWrite, Register};

/// A dump of one CPU's registers.
#[derive(Default)]
pub(super) struct Dump {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

/// A register's value.
type Value = (Register, u128);

/// No dump has more lines.
const MOST_LINES: usize = 1024;

/// Whether a line can belong to a dump: ` x0/zero  0…`, ` PC=0…`, `R8 =0…`.
pub(super) fn is_line(text: &[u8]) -> bool {
    match text {
        [b' ', rest @ ..] => rest.trim_ascii_start().first().is_some_and(u8::is_ascii_alphabetic),
        [b'A'..=b'Z', ..] => text.iter().take(10).any(|byte| *byte == b'='),
        _ => false,
    }
}

impl Dump {
    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Whether the line begins another dump, as its first four bytes are those of this one's first line.
    pub(super) fn is_begun_by(&self, line: &[u8]) -> bool {
        self.text.first_chunk::<4>().is_some_and(|first| line.starts_with(first))
    }

    pub(super) fn push(&mut self, line: &[u8]) -> Result<(), String> {
        if self.ends.len() >= MOST_LINES {
            return Err(format!("a dump of registers has more than {MOST_LINES} lines"));
        }
        self.text.extend_from_slice(line);
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Whether the other dump has less, as one that is cut has. Lines in between have words of different lengths.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        let last = |dump: &Self| dump.lines().last().map_or(0, <[u8]>::len);
        let (lines, others) = (self.ends.len(), other.ends.len());
        lines > others || (lines == others && last(self) > last(other))
    }

    /// The CPU's number, which RISC-V has in a register.
    pub(super) fn hart(&self) -> Option<u64> {
        let mut scan = Scan::new(self.starting(b" mhartid ")?);
        scan.word();
        scan.blanks();
        scan.hex().map(|hart| hart.value)
    }

    /// Whether it is of the 16- or 32-bit code of a 64-bit CPU.
    pub(super) fn is_of_32_bits(&self) -> bool {
        self.starting(b"EIP=").is_some()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    fn starting(&self, start: &[u8]) -> Option<&[u8]> {
        self.lines().find(|line| line.starts_with(start))
    }

    /// The program counter; on x86, within the code segment.
    pub(super) fn pc(&self, architecture: Architecture) -> Option<u64> {
        let name: &[u8] = match architecture {
            Architecture::Riscv64 => b" pc ",
            Architecture::Aarch64 => b" PC=",
            Architecture::X86_64 => b"RIP=",
        };
        let mut scan = Scan::new(self.starting(name)?);
        scan.eat(name)?;
        scan.blanks();
        scan.hex().filter(|pc| pc.digits == 16).map(|pc| pc.value)
    }

    pub(super) fn privilege(&self, architecture: Architecture) -> Option<Privilege> {
        match architecture {
            // The dump does not show it.
            Architecture::Riscv64 => None,
            Architecture::Aarch64 => {
                let mut scan = Scan::new(self.starting(b"PSTATE=")?);
                scan.eat(b"PSTATE=")?;
                u8::try_from(scan.hex()?.value >> 2 & 3).ok().map(Privilege)
            }
            Architecture::X86_64 => {
                let line = self.starting(b"RIP=")?;
                let level = line.get(memchr::memmem::find(line, b"CPL=")? + 4)?;
                level.is_ascii_digit().then(|| Privilege(level - b'0'))
            }
        }
    }

    /// The top of the x87 stack: `FCW=037f FSW=0000 [ST=0] …`.
    fn top(&self) -> u16 {
        let line = self.starting(b"FCW=");
        let place = line.and_then(|line| memchr::memmem::find(line, b"[ST=").map(|at| (line, at)));
        let digit = place.and_then(|(line, at)| line.get(at + 4).copied());
        digit.filter(u8::is_ascii_digit).map_or(0, |digit| u16::from(digit - b'0') & 7)
    }

    /// What is different from this dump in the next one. What only one of them shows is unknown.
    pub(super) fn changes(
        &self,
        next: &Self,
        architecture: Architecture,
        writes: &mut Vec<RegWrite>,
    ) {
        let (top, next_top) = match architecture {
            Architecture::X86_64 => (self.top(), next.top()),
            _ => (0, 0),
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (old, new) in self.lines().zip(next.lines()) {
            let is_stack = top != next_top && old.starts_with(b"FPR");
            if old != new || is_stack {
                values(architecture, old, top, &mut before);
                values(architecture, new, next_top, &mut after);
            }
        }
        for (place, &(register, value)) in after.iter().enumerate() {
            let same_place = before.get(place).filter(|old| old.0 == register);
            let old = same_place.or_else(|| before.iter().find(|old| old.0 == register));
            if old.is_some_and(|old| old.1 != value) {
                writes.push(RegWrite { register, value });
            }
        }
    }
}

/// The registers of a line.
fn values(architecture: Architecture, line: &[u8], top: u16, values: &mut Vec<Value>) {
    match architecture {
        Architecture::Riscv64 => riscv64(line, values),
        Architecture::Aarch64 => aarch64(line, values),
        Architecture::X86_64 => x86_64(line, top, values),
    }
}

/// ` x0/zero  <value> x1/ra    <value>`, ` mstatus  <value>`
fn riscv64(line: &[u8], values: &mut Vec<Value>) {
    let mut scan = Scan::new(line);
    while let name @ [_, ..] = scan.word() {
        let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
        scan.blanks();
        let Some(value) = scan.wide_hex() else { return };
        let register = register_by_name(Architecture::Riscv64, &name[..end]);
        let is_kept = |register: &Register| {
            !matches!(
                (register.class, register.number),
                (RegClass::Int, 0) | (RegClass::Control, 0x344)
            )
        };
        values.extend(register.filter(is_kept).map(|register| (register, value.value)));
    }
}

/// ` PC=<value> X00=<value>`, `PSTATE=<value> -Z-- EL0t`, `Q00=<high>:<low>`, `Z00=<high>:…:<low>`
fn aarch64(line: &[u8], values: &mut Vec<Value>) {
    let mut scan = Scan::new(line);
    while let word @ [_, ..] = scan.word() {
        let Some(equals) = word.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&word[..equals], &word[equals + 1..]);
        // Two digits, here.
        let register = match name {
            [file, b'0', digit] => register_by_name(Architecture::Aarch64, &[*file, *digit]),
            name => register_by_name(Architecture::Aarch64, name),
        };
        let Some(register) = register else { continue };
        let mut groups = value.rsplit(|byte| *byte == b':').map(|group| Scan::new(group).hex());
        let Some(Some(low)) = groups.next() else { continue };
        let value = match (register.class, groups.next()) {
            (RegClass::Flags, _) => u128::from(low.value) & 0xf000_0000,
            (RegClass::Vector, Some(Some(high))) => {
                u128::from(high.value) << 64 | u128::from(low.value)
            }
            (RegClass::Vector, _) => continue,
            _ => low.value.into(),
        };
        values.push((register, value));
    }
}

/// `RAX=<value> R8 =<value>`, `RIP=<value> RFL=<value> [-------] CPL=3`, `FS =<selector> <base> <limit> <flags>`,
/// `FCW=<value> FSW=<value> [ST=0] FTW=80 MXCSR=<value>`, `FPR0=<mantissa> <exponent>`, `XMM00=<high> <low>`,
/// `YMM00=<4 values>`
fn x86_64(line: &[u8], top: u16, values: &mut Vec<Value>) {
    let mut rest = line;
    while let Some(equals) = rest.iter().position(|byte| *byte == b'=') {
        let name = rest[..equals].trim_ascii_end();
        let start =
            name.iter().rposition(|byte| matches!(byte, b' ' | b'[')).map_or(0, |at| at + 1);
        let name = &name[start..];
        let mut scan = Scan::new(&rest[equals + 1..]);
        let mut numbers = [0_u64; 8];
        let mut count = 0;
        while count < 8 && !names_next(scan.rest) {
            scan.blanks();
            let Some(number) = scan.hex() else { break };
            numbers[count] = number.value;
            count += 1;
        }
        rest = scan.rest;
        x86_register(name, &numbers[..count], top, values);
    }
}

/// Whether a name with `=` is next rather than a number.
fn names_next(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'='));
    end.is_some_and(|end| rest[end..].trim_ascii_start().first() == Some(&b'='))
}

fn x86_register(name: &[u8], numbers: &[u64], top: u16, values: &mut Vec<Value>) {
    let pair = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
    let number = |digits: &[u8]| {
        let mut scan = Scan::new(digits);
        scan.decimal()
            .filter(|_| scan.is_empty())
            .and_then(|number| u16::try_from(number).ok())
            .filter(|n| *n < 32)
    };
    match (name, numbers) {
        (b"RFL", [value]) => values.push((Register::FLAGS, (*value).into())),
        (b"MXCSR", [value]) => values.push((Register::control(0), (*value).into())),
        (b"FS", [_, base, ..]) => values.push((Register::control(1), (*base).into())),
        (b"GS", [_, base, ..]) => values.push((Register::control(2), (*base).into())),
        (b"FCW", [value]) => values.push((Register::control(3), (*value).into())),
        (b"FSW", [value]) => values.push((Register::control(4), (*value).into())),
        // By its place in the register file; they are named by their distance from the top of the stack.
        ([b'F', b'P', b'R', digit @ b'0'..=b'7'], [mantissa, exponent]) => {
            let place = (u16::from(digit - b'0') + 8 - top) & 7;
            values.push((Register::float(place), pair(*exponent, *mantissa)));
        }
        ([b'X' | b'Y' | b'Z', b'M', b'M', digits @ ..], [upper @ .., high, low]) => {
            let Some(n) = number(digits) else { return };
            values.push((Register::vector(n), pair(*high, *low)));
            if let [.., high, low] = upper {
                values.push((Register::new(RegClass::VectorUpper, n), pair(*high, *low)));
            }
        }
        ([b'R', ..], [value]) => {
            let register = register_by_name(Architecture::X86_64, name);
            values.extend(register.map(|register| (register, u128::from(*value))));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(architecture: Architecture, line: &str) -> Vec<Value> {
        let mut all = Vec::new();
        values(architecture, line.as_bytes(), 6, &mut all);
        all
    }

    #[test]
    fn registers_of_each_architecture_are_found() {
        let line = " x0/zero  0000000000000001 x10/a0   00000000000000ff x11/a1   000000000000000a";
        assert_eq!(
            read(Architecture::Riscv64, line),
            [(Register::int(10), 0xff), (Register::int(11), 10)]
        );
        let line = "PSTATE=600003c5 -ZC- EL1h     FPCR=00000001 FPSR=00000000";
        let [flags, fpcr, _] = read(Architecture::Aarch64, line)[..] else { panic!("{line}") };
        assert_eq!((flags, fpcr.1), ((Register::FLAGS, 0x6000_0000), 1));
        let line = "X29=0000000000000001 X30=0000000000000002  SP=0000000000000003";
        assert_eq!(read(Architecture::Aarch64, line).last(), Some(&(Register::int(31), 3)));
        let vector = |value| vec![(Register::vector(1), value)];
        let line = "Q01=0000000000000001:0000000000000002";
        assert_eq!(read(Architecture::Aarch64, line), vector(1 << 64 | 2));
        let line = "Z01=ffffffffffffffff:ffffffffffffffff:0000000000000001:0000000000000002";
        assert_eq!(read(Architecture::Aarch64, line), vector(1 << 64 | 2));
    }

    #[test]
    fn registers_of_x86_are_found() {
        let x86 = |line| read(Architecture::X86_64, line);
        let line = "R8 =0000000000000001 R9 =0000000000000002";
        assert_eq!(x86(line), [(Register::int(8), 1), (Register::int(9), 2)]);
        let line = "RIP=0000000000401000 RFL=00000202 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=0";
        assert_eq!(x86(line), [(Register::FLAGS, 0x202)]);
        let line = "FS =0000 0000000000000007 00000000 00000000";
        assert_eq!(x86(line), [(Register::control(1), 7)]);
        let line = "FCW=037f FSW=3820 [ST=7] FTW=80 MXCSR=00001f80";
        let expected = [(3, 0x37f), (4, 0x3820), (0, 0x1f80)];
        assert_eq!(x86(line), expected.map(|(n, value)| (Register::control(n), value)));
        let line = "FPR6=c90fdaa22168c235 4000 FPR7=8487ed5110b4611a 4001";
        let st = [(0, 0x4000_c90f_daa2_2168_c235), (1, 0x4001_8487_ed51_10b4_611a)];
        assert_eq!(x86(line), st.map(|(n, value)| (Register::float(n), value)));
        let line = "YMM01=0000000000000004 0000000000000003 0000000000000002 0000000000000001";
        let upper = (Register::new(RegClass::VectorUpper, 1), 4 << 64 | 3);
        assert_eq!(x86(line), [(Register::vector(1), 2 << 64 | 1), upper]);
        let line =
            "XMM00=0000000000000002 0000000000000001 XMM01=0000000000000004 0000000000000003";
        assert_eq!(
            x86(line),
            [(Register::vector(0), 2 << 64 | 1), (Register::vector(1), 4 << 64 | 3)]
        );
        assert_eq!(x86("CR0=80010001 CR2=0000000000000000 CR3=0000000000000000 CR4=00050220"), []);
    }
}
