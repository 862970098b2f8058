//! What the generator knows of x86-64's assembly language, in Intel's syntax.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::assembler::{Assembled, explain, failed, run};
use super::list::Template;
use super::operands::{Kind, Operand, Role};
use super::{GenerateError, Syntax};
use crate::cache;
use decoders::x86_64::{Decoded, Options, decode};
use fuzz::guest::Guest;
use fuzz::guest::x86_64::GPR_NAMES;
use fuzz::machine::CODE;

pub(super) static SYNTAX: Syntax = Syntax {
    assembler_flags: &["-msyntax=intel", "-mnaked-reg", "-O0"],
    mode_register: "mxcsr",
    modes: &["masked+rd", "masked+ru", "masked+rz", "masked+daz", "masked+ftz", "masked+daz+ftz"],
    operands_of,
};

/// Assembles all templates: each instruction, and in a section of their own their lengths.
pub(super) fn assemble(
    guest: &Guest,
    templates: &[&Template],
) -> Result<Vec<Assembled>, GenerateError> {
    static UNIQUE: AtomicU32 = AtomicU32::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let directory = cache::subdirectory("generated").map_err(failed("the test cache"))?;
    let stem = directory.join(format!("{}-{}-{unique}", guest.name, std::process::id()));
    let path = |extension: &str| stem.with_extension(extension);
    let tool = |name: &str| guest.compiler.command.replace("gcc", name);
    let count = templates.iter().map(|template| template.instructions.len()).sum::<usize>();
    fs::write(path("s"), source(templates)).map_err(failed("the source"))?;
    let mut command = Command::new(tool("as"));
    command.args(SYNTAX.assembler_flags).arg("-o").arg(path("o")).arg(path("s"));
    run(&mut command, |message| explain(message, templates))?;
    let section = |name: &str| {
        let mut command = Command::new(tool("objcopy"));
        command.args(["-O", "binary", "-j", name]).arg(path("o")).arg(path("bin"));
        run(&mut command, str::to_owned)?;
        fs::read(path("bin")).map_err(failed("the test cache"))
    };
    let (code, lengths) = (section(".text")?, section("lengths")?);
    assert_eq!(lengths.len(), count, "a length for each instruction");
    for extension in ["s", "o", "bin"] {
        fs::remove_file(path(extension)).map_err(failed("the test cache"))?;
    }
    let (mut at, mut lengths) = (0, lengths.into_iter());
    let mut one = |(_, length): (&String, u8)| {
        at += usize::from(length);
        let bytes = code[at - usize::from(length)..at].to_vec();
        let text = text_of(&bytes);
        (bytes, text)
    };
    let all = templates.iter().map(|template| {
        let lengths = lengths.by_ref().take(template.instructions.len()).collect::<Vec<_>>();
        Assembled { words: template.instructions.iter().zip(lengths).map(&mut one).collect() }
    });
    Ok(all.collect())
}

/// One line an instruction, so that line numbers say which it was.
fn source(templates: &[&Template]) -> String {
    let mut text = String::new();
    for (n, line) in templates.iter().flat_map(|template| &template.instructions).enumerate() {
        // `+` and `-` after the dot are relative to the instruction.
        let line = line.replace("rel:", "");
        text.push_str(&format!(
            "1: {line}; 2: .pushsection lengths, \"a\"; .byte 2b - 1b; .popsection # {n}\n"
        ));
    }
    text
}

/// In the decoder's words.
fn text_of(bytes: &[u8]) -> String {
    match decode(CODE, bytes, Options::default()) {
        Decoded::Instruction(insn) => decoders::x86_64::text(&insn),
        _ => "(bad)".to_owned(),
    }
}

/// The registers in one instruction's text, in its order, then those that it uses without naming them.
fn operands_of(text: &str) -> Vec<Operand> {
    let mut words = text.split_whitespace();
    let mut mnemonic = words.next().unwrap_or_default();
    while matches!(mnemonic, "lock" | "rep" | "repe" | "repne" | "repz" | "repnz" | "{vex}") {
        mnemonic = words.next().unwrap_or_default();
    }
    let rest = text.split_once(mnemonic).map_or("", |(_, rest)| rest);
    let mut found: Vec<Operand> = Vec::new();
    let mut depth = 0;
    let mut first = true;
    let mut name = String::new();
    for c in rest.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            name.push(c);
            continue;
        }
        let role = match depth {
            0 if first && writes_only(mnemonic) => Role::Destination,
            0 => Role::Source,
            _ => Role::Base,
        };
        operand(mnemonic, &std::mem::take(&mut name), role, &mut found);
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => first = false,
            _ => {}
        }
    }
    if mnemonic.starts_with('f') && !mnemonic.starts_with("fx") {
        for n in 0..8 {
            let register = format!("fpr{n}");
            let (kind, role) = (Kind::Float, Role::Source);
            found.push(Operand { register, kind, lane: 80, bits: 80, role });
        }
    }
    found
}

/// Whether the first operand is written without being read.
fn writes_only(mnemonic: &str) -> bool {
    const NAMES: [&str; 12] = [
        "lea", "bsf", "bsr", "tzcnt", "lzcnt", "popcnt", "pop", "andn", "bextr", "pdep", "pext",
        "mulx",
    ];
    NAMES.contains(&mnemonic)
        || mnemonic.starts_with("mov")
        || mnemonic.starts_with("cvt")
        || mnemonic.starts_with("set")
        || (mnemonic.starts_with('v') && !mnemonic.starts_with("vf") && !mnemonic.contains("test"))
}

fn operand(mnemonic: &str, name: &str, role: Role, found: &mut Vec<Operand>) {
    if let Some((register, bits)) = general(name) {
        let register = register.to_owned();
        found.push(Operand { register, kind: Kind::Int, lane: bits, bits: 64, role });
        return;
    }
    let number = |prefix: &str| {
        let digits = name.strip_prefix(prefix)?;
        digits.parse::<u32>().ok().filter(|&n| n < 16)
    };
    let (kind, lane) = lanes(mnemonic);
    let role = if role == Role::Base { Role::Source } else { role };
    let mut push =
        |register: String, bits| found.push(Operand { register, kind, lane, bits, role });
    if let Some(n) = number("xmm") {
        push(format!("xmm{n}"), 128);
    } else if let Some(n) = number("ymm") {
        push(format!("xmm{n}"), 128);
        push(format!("ymmh{n}"), 128);
    } else if let Some(n) = number("mm") {
        push(format!("fpr{n}"), 80);
    }
}

/// The 64-bit register that a name is part of, and how wide the part is.
fn general(name: &str) -> Option<(&'static str, u32)> {
    if let Some(&whole) = GPR_NAMES.iter().find(|&&whole| whole == name) {
        return Some((whole, 64));
    }
    let width = |suffix: Option<char>| match suffix {
        Some('d') => Some(32),
        Some('w') => Some(16),
        Some('b') => Some(8),
        _ => None,
    };
    if let Some(&whole) =
        GPR_NAMES[8..].iter().find(|&&whole| name.strip_suffix(['d', 'w', 'b']) == Some(whole))
    {
        return Some((whole, width(name.chars().next_back())?));
    }
    let whole = |rest: &str| GPR_NAMES[..8].iter().find(|whole| &whole[1..] == rest).copied();
    if let Some(found) = name.strip_prefix('e').and_then(whole) {
        return Some((found, 32));
    }
    if let Some(found) = whole(name) {
        return Some((found, 16));
    }
    let byte = match name {
        "al" | "ah" => "rax",
        "cl" | "ch" => "rcx",
        "dl" | "dh" => "rdx",
        "bl" | "bh" => "rbx",
        "spl" => "rsp",
        "bpl" => "rbp",
        "sil" => "rsi",
        "dil" => "rdi",
        _ => return None,
    };
    Some((byte, 8))
}

/// What lanes of vectors an instruction works on, by its name.
fn lanes(mnemonic: &str) -> (Kind, u32) {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| mnemonic.ends_with(suffix));
    match mnemonic {
        "cvtpi2ps" | "cvtpi2pd" | "cvtdq2ps" | "cvtdq2pd" | "vcvtdq2ps" | "vcvtdq2pd" => {
            (Kind::Int, 32)
        }
        "vcvtph2ps" => (Kind::Float, 16),
        _ if mnemonic.starts_with("cvtps") || mnemonic.starts_with("vcvtps") => (Kind::Float, 32),
        _ if mnemonic.starts_with("cvtpd") || mnemonic.starts_with("vcvtpd") => (Kind::Float, 64),
        _ if mnemonic.contains("cvtss")
            || mnemonic.contains("cvttss")
            || mnemonic.contains("ttps") =>
        {
            (Kind::Float, 32)
        }
        _ if mnemonic.contains("cvtsd")
            || mnemonic.contains("cvttsd")
            || mnemonic.contains("ttpd") =>
        {
            (Kind::Float, 64)
        }
        _ if mnemonic.contains("gather") => {
            (Kind::Small, if mnemonic.contains("rq") { 64 } else { 32 })
        }
        _ if ends(&["ps", "ss"]) => (Kind::Float, 32),
        _ if ends(&["pd", "sd"]) => (Kind::Float, 64),
        _ if mnemonic.contains("shuf") && ends(&["b"]) => (Kind::Int, 8),
        _ if ends(&["wd", "w"]) => (Kind::Int, 16),
        _ if ends(&["b", "bw"]) => (Kind::Int, 8),
        _ if ends(&["dq", "d"]) => (Kind::Int, 32),
        _ => (Kind::Int, 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_found() {
        let summary = |text| {
            let show = |o: Operand| format!("{} {:?}x{} {:?}", o.register, o.kind, o.lane, o.role);
            operands_of(text).into_iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(summary("add eax, ch"), ["rax Intx32 Source", "rcx Intx8 Source"]);
        assert_eq!(summary("lock add [rsi+8*rcx], r9w")[2], "r9 Intx16 Source");
        assert_eq!(
            summary("vaddps ymm0, ymm1, [rsi]"),
            [
                "xmm0 Floatx32 Destination",
                "ymmh0 Floatx32 Destination",
                "xmm1 Floatx32 Source",
                "ymmh1 Floatx32 Source",
                "rsi Intx64 Base"
            ]
        );
        assert_eq!(summary("fadd st, st(1)").len(), 8);
    }
}
