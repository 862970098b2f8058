//! AArch64: scalar floating point, Advanced SIMD and cryptography. The fields of an encoding that are not fixed are
//! random, so that what is UNDEFINED is compared, too.

use arch::aarch64::fpcr;
use decoders::aarch64::{INSTRUCTIONS, InstructionInfo, disassemble};

use super::{Job, Judge, Subject, word_and_mode};
use base::rng::Rng;

/// Encodings of an instruction, each in a mode of its own.
const ENCODINGS: usize = 60;
/// Operands of an encoding.
const SAMPLE: usize = 20;
/// QC and the cumulative flags of FPSR.
const FPSR: u64 = 1 << 27 | 0x9f;

pub(super) fn subject() -> Subject {
    let instructions = INSTRUCTIONS.iter().filter(|info| computes(info));
    Subject {
        guest: "aarch64",
        judge: Judge::Qemu,
        times_in_full_runs: 1,
        // v0, x0, FPSR, NZCV.
        result: 40,
        cases: instructions
            .map(|info| (info.name.to_owned(), vec![info.name.to_owned()]))
            .collect(),
        jobs,
    }
}

fn computes(info: &InstructionInfo) -> bool {
    ["scalar floating point", "Advanced SIMD", "ryptograph"]
        .iter()
        .any(|name| info.chapter.contains(name))
        && !info.chapter.contains("load")
}

fn jobs(name: &str, rng: &mut Rng, times: usize) -> Vec<Job> {
    let Some(info) = INSTRUCTIONS.iter().find(|info| info.name == name) else { return vec![] };
    (0..ENCODINGS).map(|_| job(info, rng, times)).collect()
}

fn job(info: &InstructionInfo, rng: &mut Rng, times: usize) -> Job {
    // The destination is register 0, the first source 1, or 0 as well.
    let first = if rng.one_in(8) { 0 } else { 1 << 5 };
    let fields = rng.bits() as u32 & !0x3ff | first;
    let word = info.value | fields & !info.mask;
    let mode = mode(rng);
    let kind = rng.below(12);
    Job {
        header: word_and_mode(word, mode as u32),
        operands: (0..SAMPLE * times).map(|_| operands(kind, rng)).collect(),
        what: format!("{} ({word:#010x}) fpcr {mode:#x}", disassemble(word, base::GuestVirt(0))),
        lacking: None,
    }
}

/// FPCR: half of the time as programs have it, otherwise anything.
fn mode(rng: &mut Rng) -> u64 {
    let bits = [fpcr::AHP, fpcr::DN, fpcr::FZ, fpcr::FZ16];
    let round = fpcr::RMODE_MASK << fpcr::RMODE_SHIFT;
    match rng.below(4) {
        0 | 1 => 0,
        2 => [bits[rng.below(4)], rng.bits() & round][rng.below(2)],
        _ => rng.bits() & (bits.into_iter().sum::<u64>() | round),
    }
}

/// v0 to v5, x0, x1, FPSR, NZCV.
fn operands(kind: usize, rng: &mut Rng) -> Vec<u64> {
    let mut words: Vec<u64> = (0..12).map(|_| lanes(kind, rng)).collect();
    for at in 2..12 {
        // Equal lanes, or such as differ in the sign alone, are rare otherwise.
        match rng.below(16) {
            0 => words[at] = words[at - 2],
            1 => words[at] = words[at - 2] ^ 0x8000_0000_8000_8000,
            _ => {}
        }
    }
    words.extend([rng.integer(), rng.integer()]);
    words.push([0, 1 << 4, rng.bits()][rng.below(3)] & FPSR);
    words.push(rng.bits() & 0xf << 28);
    words
}

/// 64 bits of lanes of a format.
fn lanes(kind: usize, rng: &mut Rng) -> u64 {
    let repeated = |width: u32, lane: &mut dyn FnMut() -> u64| {
        (0..64 / width).fold(0, |all, i| all | (lane() & (u64::MAX >> (64 - width))) << (i * width))
    };
    match kind {
        0 | 1 => repeated(16, &mut || rng.float_of(5, 10)),
        2 => repeated(16, &mut || rng.float_of(8, 7)),
        3..=5 => repeated(32, &mut || rng.float_of(8, 23)),
        6 | 7 => rng.float_of(11, 52),
        8 => repeated(8, &mut || rng.integer()),
        9 => repeated(16, &mut || rng.integer()),
        10 => repeated(32, &mut || rng.integer()),
        _ => rng.integer(),
    }
}
