//! Which format a trace is in.

use super::text::Scan;
use super::{Format, rvfi, tarmac};

/// A trace may begin with what a program or a simulator says.
const MOST_LINES: usize = 256;

/// The format of a trace that begins with these bytes, of which there should be some thousands.
#[must_use]
pub fn detect(beginning: &[u8]) -> Option<Format> {
    if rvfi::is_beginning(beginning) {
        return Some(Format::Rvfi);
    }
    let mut lines =
        beginning.split(|byte| *byte == b'\n').take(MOST_LINES).map(<[u8]>::trim_ascii_end);
    lines.find_map(of_line)
}

type Check = fn(&[u8]) -> bool;

/// The format that a line can be of.
fn of_line(line: &[u8]) -> Option<Format> {
    let checks: [(Format, Check); 5] = [
        (Format::Spike, is_spike),
        (Format::Execlog, is_execlog),
        (Format::Qemu, is_qemu),
        (Format::Rvvi, is_rvvi),
        (Format::Tarmac, tarmac::is_first_line),
    ];
    checks.into_iter().find(|check| check.1(line)).map(|check| check.0)
}

fn is_spike(line: &[u8]) -> bool {
    let mut scan = Scan::new(line);
    let mut core = || {
        scan.eat(b"core")?;
        scan.blanks();
        scan.decimal()?;
        scan.eat(b": ")
    };
    core().is_some()
}

fn is_execlog(line: &[u8]) -> bool {
    let mut scan = Scan::new(line);
    let mut event = || {
        scan.decimal()?;
        scan.eat(b", ")?;
        scan.prefixed_hex()?;
        scan.eat(b", ")?;
        scan.prefixed_hex()?;
        scan.eat(b", \"")
    };
    event().is_some()
}

fn is_qemu(line: &[u8]) -> bool {
    let mut scan = Scan::new(line);
    let mut trace = || {
        scan.eat(b"Trace ")?;
        scan.decimal()?;
        scan.eat(b": 0x")
    };
    line.starts_with(b"IN:") || trace().is_some()
}

fn is_rvvi(line: &[u8]) -> bool {
    let mut scan = Scan::new(line);
    let key = scan.word();
    let value = scan.word();
    let is_number = value.first().is_some_and(u8::is_ascii_hexdigit);
    match key {
        b"VENDOR" => !value.is_empty(),
        b"VERSION" | b"PARAMS" | b"HART" | b"ISSUE" | b"ORDER" | b"RET" | b"TRAP" => is_number,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_a_line() {
        let cases = [
            (
                "core   0: 3 0x0000000080000000 (0x00000297) x5  0x0000000080000000",
                Some(Format::Spike),
            ),
            ("core   0: >>>>  _start", Some(Format::Spike)),
            ("0, 0x1000, 0x297, \"auipc\"", Some(Format::Execlog)),
            ("----------------\r\nIN: \r\n0x00010144:  00092537", Some(Format::Qemu)),
            (
                "Trace 0: 0x7f09f4000100 [00000000/0000000000010144/0202c078/00000201]",
                Some(Format::Qemu),
            ),
            ("\nHART 0 RET 80000b20 40000213", Some(Format::Rvvi)),
            ("VENDOR x 1 2", Some(Format::Rvvi)),
            ("Tarmac Text Rev 3t", Some(Format::Tarmac)),
            ("0 clk R cpsr 000003cd", Some(Format::Tarmac)),
            ("1 clk IT (1) 002105d4 d2a00200 O EL3h_s : MOV", Some(Format::Tarmac)),
            ("bbl loader\ncore   0: 0x0000000000001000 (0x00000297) auipc", Some(Format::Spike)),
            ("RET to the shop", None),
            ("", None),
            ("int main() { return 0; }", None),
        ];
        for (text, format) in cases {
            assert_eq!(detect(text.as_bytes()), format, "{text}");
        }
    }
}
