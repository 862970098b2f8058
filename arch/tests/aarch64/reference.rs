//! The guest program that executes an instruction on many operands, and how its answers are compared with a
//! helper's.

use base::rng::Rng;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use base::{CpuFrame, HelperId};
use ferry_arch::aarch64::helpers::{self, Arg};
use ferry_arch::aarch64::{fpcr, slot};

use super::operands::{self, Kind};

/// Operands of an instruction in every mode of FPCR; the second is used if FERRY_TEST_LONG is set.
const COUNTS: (usize, usize) = (1000, 100_000);
const RESULT: usize = 40;
const NZCV: u64 = 0xf000_0000;
/// QC and the cumulative flags.
const FPSR: u64 = 1 << 27 | 0x9f;

/// The registers that instructions and helpers use.
pub(super) struct Cpu {
    pub(super) v: [u128; 6],
    pub(super) x: [u64; 4],
    pub(super) nzcv: u64,
    frame: Box<CpuFrame>,
}

impl Cpu {
    fn run(&mut self, row: &Row, start: &Start) -> End {
        (self.v, self.x, self.nzcv) = (start.v, start.x, start.nzcv);
        fpcr::set_fpcr(&mut self.frame, start.fpcr);
        fpcr::set_fpsr(&mut self.frame, start.fpsr);
        self.frame.set(slot::NZCV, start.nzcv);
        (row.meaning)(self);
        (self.v[0], self.x[0], self.nzcv, fpcr::fpsr(&self.frame))
    }

    /// Calls a helper of vectors.
    pub(super) fn wide(&mut self, id: HelperId, arg: Arg, vectors: [u128; 3]) -> u128 {
        helpers::call_wide(&mut self.frame, id, arg, vectors).unwrap()
    }

    /// Calls a helper of numbers.
    pub(super) fn call(&mut self, id: HelperId, args: [u64; 4]) -> u64 {
        helpers::call(&mut self.frame, id, args).unwrap()
    }
}

/// How an instruction's effect is had by helpers.
type Meaning = Box<dyn Fn(&mut Cpu)>;

/// An instruction and what it should be.
pub(super) struct Row {
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) meaning: Meaning,
}

/// A test's instructions.
#[derive(Default)]
pub(super) struct Rows(pub(super) Vec<Row>);

impl Rows {
    pub(super) fn add(
        &mut self,
        text: impl Into<String>,
        kind: Kind,
        meaning: impl Fn(&mut Cpu) + 'static,
    ) {
        self.0.push(Row { text: text.into(), kind, meaning: Box::new(meaning) });
    }

    /// Compares every instruction, if there is something to compare with.
    pub(super) fn check(self, test: &str) {
        let reference = match Reference::find() {
            Ok(reference) => reference,
            Err(why) => return say(&format!("skipped: {test}: {why}")),
        };
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&directory).unwrap();
        let program = reference.build(&directory);
        let words = reference.assemble(&directory, &self.0);
        let mut wrong = String::new();
        for (row, word) in self.0.iter().zip(words) {
            wrong += &compare(row, word, &reference, &program);
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn say(message: &str) {
    eprintln!("{message}");
}

/// The cross compiler and qemu-user.
struct Reference {
    qemu: String,
}

impl Reference {
    fn find() -> Result<Self, String> {
        let qemu =
            env::var("FERRY_TEST_QEMU_AARCH64").unwrap_or_else(|_| "qemu-aarch64".to_owned());
        let answer = Command::new(&qemu).arg("--version").output();
        let version = answer.map_err(|_| format!("{qemu} is not installed"))?.stdout;
        let text = String::from_utf8_lossy(&version).into_owned();
        let major =
            text.split("version ").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
        if major.is_none_or(|major: u32| major < 10) {
            return Err(format!("{qemu} is older than 10.0"));
        }
        let compiler = Command::new("aarch64-linux-gnu-gcc").arg("--version").output();
        compiler.map_err(|_| "aarch64-linux-gnu-gcc is not installed".to_owned())?;
        Ok(Self { qemu })
    }

    fn build(&self, directory: &Path) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aarch64/compute.c");
        let program = directory.join("compute");
        let mut gcc = Command::new("aarch64-linux-gnu-gcc");
        gcc.args(["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source);
        assert!(gcc.status().unwrap().success());
        program
    }

    /// The words of the instructions.
    fn assemble(&self, directory: &Path, rows: &[Row]) -> Vec<u32> {
        let (source, object, binary) =
            (directory.join("rows.s"), directory.join("rows.o"), directory.join("rows.bin"));
        let extensions = "armv8.6-a+fp16+fp16fml+crypto+sha3+sm4+sha2+aes+i8mm+bf16+dotprod";
        let lines: String = rows.iter().map(|row| format!("{}\n", row.text)).collect();
        fs::write(&source, format!(".arch {extensions}\n{lines}")).unwrap();
        let mut assembler = Command::new("aarch64-linux-gnu-as");
        assert!(assembler.arg("-o").args([&object, &source]).status().unwrap().success());
        let mut copy = Command::new("aarch64-linux-gnu-objcopy");
        copy.args(["-O", "binary", "-j", ".text"]).args([&object, &binary]);
        assert!(copy.status().unwrap().success());
        let bytes = fs::read(&binary).unwrap();
        assert_eq!(bytes.len(), 4 * rows.len());
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn run(&self, program: &Path, input: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut qemu = Command::new(&self.qemu);
        qemu.args(["-cpu", "max"]).arg(program);
        let mut child = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
        let writer = thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| io::Error::other("the writer panicked"))??;
        if output.status.success() { Ok(output.stdout) } else { Err(io::Error::other("it failed")) }
    }
}

/// The values of FPCR in which a kind of instruction is tried.
fn modes(kind: Kind) -> Vec<u64> {
    let round = |mode: u64| mode << fpcr::RMODE_SHIFT;
    let all = fpcr::FZ | fpcr::FZ16 | fpcr::DN;
    match kind {
        Kind::Float(_) => vec![
            0,
            round(1),
            round(2),
            round(3),
            fpcr::FZ,
            fpcr::FZ16,
            fpcr::DN,
            all | round(1),
            all | round(2),
            fpcr::AHP,
            fpcr::AHP | fpcr::FZ | fpcr::FZ16 | round(3),
        ],
        Kind::Integer => vec![0],
    }
}

/// What an instruction starts from.
#[derive(Clone, Copy, Debug)]
struct Start {
    v: [u128; 6],
    x: [u64; 4],
    nzcv: u64,
    fpcr: u64,
    fpsr: u64,
}

/// What it leaves: v0, x0, NZCV, FPSR.
type End = (u128, u64, u64, u64);

impl Start {
    fn random(kind: Kind, fpcr: u64, rng: &mut Rng) -> Self {
        Self {
            v: kind.vectors(rng),
            x: std::array::from_fn(|_| kind.number(rng)),
            nzcv: rng.bits() & NZCV,
            fpcr,
            fpsr: [0, 0, 1 << 4, rng.bits()][rng.below(4)] & FPSR,
        }
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        let vectors = self.v.into_iter().flat_map(u128::to_le_bytes);
        let rest = self.x.into_iter().chain([self.fpsr, self.nzcv]).flat_map(u64::to_le_bytes);
        vectors.chain(rest)
    }
}

fn compare(row: &Row, word: u32, reference: &Reference, program: &Path) -> String {
    let long = env::var_os("FERRY_TEST_LONG").is_some();
    let mut rng = operands::of_text(&row.text);
    let modes = modes(row.kind);
    let count = if long { COUNTS.1 } else { COUNTS.0 } / modes.len();
    let (mut input, mut starts) = (Vec::new(), Vec::new());
    for mode in modes {
        input.extend(word.to_le_bytes());
        input.extend((mode as u32).to_le_bytes());
        input.extend((count as u64).to_le_bytes());
        for _ in 0..count {
            let start = Start::random(row.kind, mode, &mut rng);
            input.extend(start.bytes());
            starts.push(start);
        }
    }
    let output = reference.run(program, input).unwrap_or_else(|why| panic!("{}: {why}", row.text));
    assert_eq!(output.len(), starts.len() * RESULT, "{}", row.text);
    let mut cpu = Cpu { v: [0; 6], x: [0; 4], nzcv: 0, frame: CpuFrame::new() };
    let (mut message, mut wrong) = (String::new(), 0);
    for (start, right) in starts.iter().zip(output.chunks_exact(RESULT)) {
        let (got, right) = (cpu.run(row, start), answer(right));
        wrong += u32::from(got != right);
        if got != right && wrong <= 3 {
            let _ = writeln!(
                message,
                "{} of {start:#x?}:\n   helper {got:#x?}\nreference {right:#x?}",
                row.text
            );
        }
    }
    if wrong > 3 {
        let _ = writeln!(message, "{}: {wrong} are wrong", row.text);
    }
    message
}

fn answer(bytes: &[u8]) -> End {
    let word = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().unwrap());
    (u128::from(word(0)) | u128::from(word(1)) << 64, word(2), word(4), word(3))
}
