//! RISC-V: F, D, Zfh and Zfa, in every rounding mode, static and dynamic.

use base::float::{Env, F16, F32, F64, Format, RawBits, Round, Rules, soft};
use decoders::riscv64::{INSTRUCTIONS, InstructionInfo};

use super::{Job, Judge, Subject, word_and_mode};
use base::rng::Rng;

/// Operands of an instruction in a mode.
const SAMPLE: usize = 1000;
/// `rm` of an instruction that takes its mode from `frm`.
const DYNAMIC: u32 = 7;

pub(super) fn subject() -> Subject {
    let instructions = INSTRUCTIONS.iter().filter(|info| computes(info));
    Subject {
        guest: "riscv64",
        judge: Judge::Qemu,
        times_in_full_runs: 100,
        // f, x, fflags.
        result: 24,
        cases: instructions
            .map(|info| (info.name.to_owned(), vec![info.name.to_owned()]))
            .collect(),
        jobs,
    }
}

/// Instructions of F, D, Zfh and Zfa but for loads, stores and constants.
fn computes(info: &InstructionInfo) -> bool {
    let is_float = ["(F)", "(D)", "(Zfh", "(Zfa)"].iter().any(|name| info.chapter.contains(name));
    let moves = matches!(info.name, "flw" | "fsw" | "fld" | "fsd" | "flh" | "fsh");
    info.width == 32 && is_float && !moves && !info.name.starts_with("fli.")
}

/// The modes in which an instruction is tried: its `rm` field, and `frm`.
fn modes(info: &InstructionInfo) -> Vec<(u32, u32)> {
    if info.mask >> 12 & 7 != 0 {
        return vec![(0, 0)];
    }
    (0..5).flat_map(|mode| [(mode, (mode + 1) % 5), (DYNAMIC, mode)]).collect()
}

/// A dynamic mode takes the same way as a static one but for where the mode comes from, and so
/// fewer operands.
fn jobs(name: &str, rng: &mut Rng, times: usize) -> Vec<Job> {
    let Some(info) = INSTRUCTIONS.iter().find(|info| info.name == name) else { return vec![] };
    let job = |(rm, frm): (u32, u32)| {
        let count = if rm == DYNAMIC { SAMPLE / 10 } else { SAMPLE } * times;
        // One word has all registers in their places; the fields that it does not have are fixed.
        let fields = 13 << 27 | 12 << 20 | 11 << 15 | rm << 12 | 10 << 7;
        Job {
            header: word_and_mode(info.value | fields & !info.mask, frm),
            operands: (0..count).map(|_| operands(info.name, rng).to_vec()).collect(),
            what: format!("{} rm {rm} frm {frm}", info.name),
            lacking: None,
        }
    };
    modes(info).into_iter().map(job).collect()
}

/// f[0..3], x, fflags. The format is that of the mnemonic's last part, but for its first word.
fn operands(name: &str, rng: &mut Rng) -> [u64; 5] {
    let suffix = name.rsplit('.').next().unwrap_or_default();
    let [a, b, c] = match suffix {
        "h" => floats::<F16>(rng),
        "s" => floats::<F32>(rng),
        "d" => floats::<F64>(rng),
        _ => [rng.float(), rng.float(), rng.float()],
    };
    let flags = [0, 1, 1, 31][rng.below(4)];
    [a, b, c, rng.integer(), flags]
}

/// Three registers: independent, close to each other, or such that a × b + c all but vanishes. Now
/// and then not of the format, and so not NaN-boxed.
fn floats<F: Format>(rng: &mut Rng) -> [u64; 3] {
    let any = |rng: &mut Rng| rng.float_of(F::EXP_BITS, F::FRAC_BITS);
    let near = |rng: &mut Rng, value: u64| value.wrapping_add(rng.bits() % 5).wrapping_sub(2);
    let a = any(rng);
    let b = if rng.one_in(4) { near(rng, a) ^ (rng.bits() & F::SIGN) } else { any(rng) };
    let mut env = Env { round: Round::TowardZero, ..Env::new(Rules::RISCV) };
    let narrow = |value| F::Bits::from_u64(value);
    let product = soft::mul::<F>(narrow(a), narrow(b), &mut env).to_u64();
    let c = if rng.one_in(3) { near(rng, product ^ F::SIGN) } else { any(rng) };
    let mask = F::SIGN | (F::SIGN - 1);
    [a, b, c].map(|value| if rng.one_in(64) { rng.float() } else { value & mask | !mask })
}
