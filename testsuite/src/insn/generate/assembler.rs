//! Assembly text to words, and to the text that the disassembler of the same tools gives for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io, process};

use super::GenerateError;
use super::list::Template;
use crate::cache;
use fuzz::guest::Guest;
use fuzz::line::Instruction;
use fuzz::machine::CODE;

/// A template's instructions.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Bytes and text of each.
    pub words: Vec<(Vec<u8>, String)>,
}

impl Assembled {
    /// As they stand in a case.
    #[must_use]
    pub fn instructions(&self) -> Vec<Instruction> {
        let instruction = |(bytes, text): &(Vec<u8>, String)| Instruction {
            code: bytes.clone(),
            text: text.clone(),
        };
        self.words.iter().map(instruction).collect()
    }

    /// The bytes.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        self.words.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect()
    }
}

/// Assembles all templates. Each lies at [`CODE`].
///
/// # Errors
/// When the tools are absent, or refuse a template.
pub fn assemble(guest: &Guest, templates: &[&Template]) -> Result<Vec<Assembled>, GenerateError> {
    if guest.shortest == 1 {
        return super::x86_64::assemble(guest, templates);
    }
    let directory = cache::subdirectory("generated").map_err(failed("the test cache"))?;
    // Several tests of a process assemble at once.
    static UNIQUE: AtomicU32 = AtomicU32::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let stem = directory.join(format!("{}-{}-{unique}", guest.name, process::id()));
    let (source, object) = (stem.with_extension("s"), stem.with_extension("o"));
    fs::write(&source, text(templates)).map_err(failed("the source"))?;
    let tool = |name: &str| guest.compiler.command.replace("gcc", name);
    let mut command = Command::new(tool("as"));
    command
        .args(super::syntax(guest, "the list")?.assembler_flags)
        .arg("-o")
        .arg(&object)
        .arg(&source);
    run(&mut command, |message| explain(message, templates))?;
    let mut command = Command::new(tool("objdump"));
    command.args(["-d", "-M", "no-aliases", "--insn-width=4"]).arg(&object);
    let listing = run(&mut command, str::to_owned)?;
    let mut rest = parse(&listing).into_iter();
    let mut all = Vec::new();
    for template in templates {
        let words = template.instructions.iter().map_while(|_| rest.next()).collect();
        let mut assembled = Assembled { words };
        if relative(template, &assembled) {
            assembled.words = at_code(guest, &stem, &tool("objdump"), &assembled)?;
        }
        all.push(assembled);
    }
    for path in [source, object] {
        fs::remove_file(path).map_err(failed("the test cache"))?;
    }
    Ok(all)
}

/// Whether it names places relative to its own.
fn relative(template: &Template, assembled: &Assembled) -> bool {
    let by_text =
        template.instructions.iter().any(|text| text.contains(".+") || text.contains(".-"));
    by_text || assembled.words.iter().any(|(_, text)| text.starts_with("adr"))
}

/// One line an instruction, so that line numbers say which it was.
fn text(templates: &[&Template]) -> String {
    let mut text = String::new();
    for instruction in templates.iter().flat_map(|template| &template.instructions) {
        text.push_str(instruction);
        text.push('\n');
    }
    text
}

/// `FILE:LINE: Error: …`, with the template in place of the file.
pub(super) fn explain(message: &str, templates: &[&Template]) -> String {
    let all: Vec<(&str, &str)> = templates
        .iter()
        .flat_map(|t| t.instructions.iter().map(|text| (t.place.as_str(), text.as_str())))
        .collect();
    let explained = message.lines().filter(|line| line.contains("Error:")).map(|line| {
        let number = line.split(':').nth(1).and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| all.get(number.checked_sub(1)?)) {
            Some((place, text)) => format!("{place}: {text}: {line}"),
            None => line.to_owned(),
        }
    });
    explained.collect::<Vec<_>>().join("\n")
}

/// Lines `   0: 91000420  add x0, x1, #0x1 // comment`.
fn parse(listing: &str) -> Vec<(Vec<u8>, String)> {
    let line = |line: &str| {
        let (_, rest) = line.split_once(":\t")?;
        let (word, text) = rest.split_once('\t')?;
        let word = u32::from_str_radix(&word.trim().replace(' ', ""), 16).ok()?;
        let text = text.split([';', '/']).next().unwrap_or_default().trim();
        let text = text.split(" <").next().unwrap_or_default().trim();
        Some((word.to_le_bytes().to_vec(), text.replace('\t', " ")))
    };
    listing.lines().filter_map(line).collect()
}

/// The texts of instructions that name places, where they lie.
fn at_code(
    guest: &Guest,
    stem: &Path,
    objdump: &str,
    assembled: &Assembled,
) -> Result<Vec<(Vec<u8>, String)>, GenerateError> {
    let path: PathBuf = stem.with_extension("bin");
    fs::write(&path, assembled.code()).map_err(failed("the test cache"))?;
    let mut command = Command::new(objdump);
    command.args(["-D", "-b", "binary", "-M", "no-aliases", "-m", guest.name]);
    command.arg(format!("--adjust-vma={:#x}", CODE.0)).arg(&path);
    let listing = run(&mut command, str::to_owned)?;
    fs::remove_file(&path).map_err(failed("the test cache"))?;
    Ok(parse(&listing).into_iter().map(|(bytes, text)| (bytes, with_prefix(&text))).collect())
}

/// Addresses are shown as numbers that nobody takes for decimal ones.
fn with_prefix(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((rest, target)) if target.len() >= 7 && u64::from_str_radix(target, 16).is_ok() => {
            format!("{rest} {:#x}", u64::from_str_radix(target, 16).unwrap_or(0))
        }
        _ => text.to_owned(),
    }
}

pub(super) fn run(
    command: &mut Command,
    explain: impl FnOnce(&str) -> String,
) -> Result<String, GenerateError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(failed(&program))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(GenerateError::Assembler(explain(&String::from_utf8_lossy(&output.stderr))))
}

pub(super) fn failed(program: &str) -> impl FnOnce(io::Error) -> GenerateError + '_ {
    move |source| GenerateError::Io { program: program.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn listings_are_read() {
        let listing = "\nx.o:     file format elf64\n\n0000 <.text>:\n   \
                       0:\t91000420 \tadd\tx0, x1, #0x1\n   4:\t54000040 \tb.eq\tc <x+0xc>  // b.none\n";
        let expected = [(0x9100_0420_u32, "add x0, x1, #0x1"), (0x5400_0040, "b.eq c")];
        assert_eq!(
            parse(listing),
            expected.map(|(word, text)| (word.to_le_bytes().to_vec(), text.to_owned()))
        );
    }
}
