//! x86-64: every instruction of x87, and those of MMX and vectors that compute with, compare, move or convert floating-point numbers; in
//! every rounding mode, precision and mode of denormals, with masked and unmasked exceptions, from registers and from
//! memory. The processor itself is the judge.

use std::collections::{BTreeMap, BTreeSet};

use arch::x86_64::mxcsr;
use base::float::{Env, F32, F64, Format, RawBits, Round, Rules, soft};
use base::rng::Rng;
use fuzz::guest::x86_64::host_lacks;
use fuzz::program::x86_64::{encodings, extended};
use iced_x86::{
    Code, CpuidFeature, Encoder, Instruction, MemorySize, Mnemonic, OpCodeOperandKind as Kind,
    OpKind, Register,
};

use super::{Job, Judge, Subject};

/// Operands of an encoding in a mode.
const SAMPLE: usize = 4;
/// Words of an operand: the beginning of FXSAVE's area, ymm0 to ymm2, memory, rax, rcx, rflags.
const WORDS: usize = 40;
/// Bytes of a result: the beginning of FXSAVE's area, ymm0, memory, rax, rflags, the signal.
const RESULT: usize = 256;
/// Words: the first x87 register, ymm0, memory, rax, rflags.
const ST: usize = 4;
const VECTOR: usize = 20;
const MEMORY: usize = 32;
const RAX: usize = 36;
const RFLAGS: usize = 38;
/// CF, PF, AF, ZF, SF, OF.
const ARITHMETIC_FLAGS: u64 = 0x8d5;
/// What the guest program itself needs of a processor: vmovups ymm0, [rbx].
pub(super) const OF_THE_PROGRAM: &[u8] = &[0xc5, 0xfc, 0x10, 0x03];
/// Most bytes of an instruction.
const CODE: usize = 15;

pub(super) fn subject() -> Subject {
    let mut chapters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for code in tried() {
        chapters.entry(chapter_of(code)).or_default().insert(name_of(code));
    }
    Subject {
        guest: "x86_64",
        judge: Judge::Processor,
        times_in_full_runs: 10,
        result: RESULT,
        cases: chapters
            .into_iter()
            .map(|(chapter, names)| (chapter, names.into_iter().collect()))
            .collect(),
        jobs,
    }
}

fn tried() -> impl Iterator<Item = Code> {
    // These say where the last instruction was, which depends on the processor; here there was none.
    let environment =
        [Code::Fnstenv_m14byte, Code::Fnstenv_m28byte, Code::Fldenv_m14byte, Code::Fldenv_m28byte];
    // Which NaN such a sum is, is the processor's choice.
    let is_open = |code| is_sum_of_products(code) && !base::host::is_intel();
    let all = encodings().into_iter().filter(|&code| is_x87(code) || computes(code));
    let all = all.filter(move |&code| !is_open(code));
    all.chain(environment)
}

/// The features that an encoding needs.
fn chapter_of(code: Code) -> String {
    let features = code.cpuid_features().iter();
    features.map(|feature| format!("{feature:?}").to_lowercase()).collect::<Vec<_>>().join("-")
}

fn name_of(code: Code) -> String {
    format!("{:?}", code.mnemonic()).to_lowercase()
}

fn is_x87(code: Code) -> bool {
    use CpuidFeature::{FPU, FPU287, FPU387};
    code.cpuid_features().iter().any(|feature| matches!(feature, FPU | FPU287 | FPU387))
        || matches!(code.mnemonic(), Mnemonic::Fisttp | Mnemonic::Wait)
}

/// Whether it is about vectors of floating-point numbers, or scalars in their registers.
fn computes(code: Code) -> bool {
    use CpuidFeature::{AVX, F16C, FMA, SSE, SSE2, SSE3, SSE4_1};
    let of_vectors = code
        .cpuid_features()
        .iter()
        .any(|feature| matches!(feature, SSE | SSE2 | SSE3 | SSE4_1 | AVX | FMA | F16C));
    let name = name_of(code);
    let is_float = ["ps", "pd", "ss", "sd"].iter().any(|suffix| name.ends_with(suffix));
    let is_string = matches!(code, Code::Movsd_m32_m32 | Code::Cmpsd_m32_m32);
    of_vectors && !is_string && (is_float || name.contains("cvt"))
}

/// What lanes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Half,
    Single,
    Double,
    Int,
}

impl Lane {
    /// Those of an instruction's sources, by its name.
    fn of(name: &str) -> Self {
        let name = name.trim_start_matches('v');
        let source = match name.strip_prefix("cvt") {
            Some(rest) => rest.trim_start_matches('t').split('2').next().unwrap_or_default(),
            None => name,
        };
        match source {
            "ph" => Self::Half,
            "dq" | "pi" | "si" => Self::Int,
            _ if source.ends_with("ps") || source.ends_with("ss") => Self::Single,
            _ => Self::Double,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::Half => 16,
            Self::Single | Self::Int => 32,
            Self::Double => 64,
        }
    }

    fn any(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Half => rng.float_of(5, 10),
            Self::Single if rng.one_in(8) => near_integers(rng, 8, 23),
            Self::Single => rng.float_of(8, 23),
            Self::Double if rng.one_in(8) => near_integers(rng, 11, 52),
            Self::Double => rng.float_of(11, 52),
            Self::Int => rng.integer(),
        }
    }

    /// a × b, cut, with its sign turned: a sum with it all but vanishes.
    fn against_product(self, a: u64, b: u64) -> u64 {
        fn product<F: Format>(a: u64, b: u64) -> u64 {
            let mut env = Env { round: Round::TowardZero, ..Env::new(Rules::X86) };
            let narrow = |value| F::Bits::from_u64(value);
            soft::mul::<F>(narrow(a), narrow(b), &mut env).to_u64() ^ F::SIGN
        }
        match self {
            Self::Single => product::<F32>(a & 0xffff_ffff, b & 0xffff_ffff),
            Self::Double => product::<F64>(a, b),
            _ => a,
        }
    }
}

/// Where integers of 32 and 64 bits end.
fn near_integers(rng: &mut Rng, exponent_bits: u32, fraction_bits: u32) -> u64 {
    let bias = (1_u64 << (exponent_bits - 1)) - 1;
    let exponent = bias + [30, 31, 32, 62, 63, 64][rng.below(6)];
    let fraction = [0, 1, u64::MAX, u64::MAX - 1, rng.bits()][rng.below(5)];
    let sign = rng.bits() & 1;
    sign << (exponent_bits + fraction_bits)
        | exponent << fraction_bits
        | fraction & ((1 << fraction_bits) - 1)
}

/// Every encoding of a name, with operands in registers and in memory, in every mode.
fn jobs(name: &str, rng: &mut Rng, times: usize) -> Vec<Job> {
    let mut all = Vec::new();
    for code in tried().filter(|&code| name_of(code) == name) {
        for place in [Place::Register, Place::Memory] {
            let make = if is_x87(code) { x87_jobs } else { vector_jobs };
            all.extend(make(code, place, rng, times));
        }
    }
    all
}

/// Where an operand is that may be in either.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Register,
    Memory,
}

/// x87 has its modes in each operand.
fn x87_jobs(code: Code, place: Place, rng: &mut Rng, times: usize) -> Vec<Job> {
    let count = SAMPLE * times;
    let make = |_| {
        let (bytes, insn) = encode(code, place, rng)?;
        let operands = (0..count).map(|_| x87_operands(&insn, rng)).collect();
        Some(job(&bytes, operands, format!("{insn}")))
    };
    (0..20).filter_map(make).collect()
}

/// A mode of MXCSR each, of which translations depend: a third of them in plain runs.
fn vector_jobs(code: Code, place: Place, rng: &mut Rng, times: usize) -> Vec<Job> {
    let lane = Lane::of(&name_of(code));
    let flushing = [0, mxcsr::DAZ, mxcsr::FTZ, mxcsr::DAZ | mxcsr::FTZ];
    let modes = (0..4).flat_map(|round| flushing.map(|flush| round << mxcsr::RC_SHIFT | flush));
    let mut modes: Vec<u32> = modes.map(|mode| mode | mxcsr::MASKS).collect();
    // Which other flags come with an unmasked exception of a sum of products depends on the processor's stages.
    if !is_sum_of_products(code) {
        modes.extend((0..4).map(|_| rng.bits() as u32 & mxcsr::WRITABLE & !mxcsr::STICKY));
    }
    let make = |mode| {
        if times == 1 && !rng.one_in(3) {
            return None;
        }
        let (bytes, insn) = encode(code, place, rng)?;
        let lane = if rng.one_in(12) { Lane::Int } else { lane };
        let operands = (0..SAMPLE * times).map(|_| vector_operands(lane, mode, rng)).collect();
        Some(job(&bytes, operands, format!("{insn} with mxcsr {mode:#x}")))
    };
    modes.into_iter().filter_map(make).collect()
}

fn is_sum_of_products(code: Code) -> bool {
    matches!(code.mnemonic(), Mnemonic::Dpps | Mnemonic::Dppd | Mnemonic::Vdpps | Mnemonic::Vdppd)
}

fn job(bytes: &[u8], operands: Vec<Vec<u64>>, what: String) -> Job {
    let mut header = bytes.to_vec();
    header.resize(CODE, 0);
    header.push(bytes.len() as u8);
    let lacking = host_lacks(bytes);
    Job { header, operands, what, lacking }
}

/// The instruction with its operands where the program has them; `None` if it has none in that place.
fn encode(code: Code, place: Place, rng: &mut Rng) -> Option<(Vec<u8>, Instruction)> {
    let info = code.op_code();
    let mut insn = Instruction::default();
    insn.set_code(code);
    let mut has_memory = false;
    for n in 0..info.op_count() {
        has_memory |= operand(&mut insn, n, info.op_kind(n), place, rng)? == Place::Memory;
    }
    if has_memory != (place == Place::Memory) {
        return None;
    }
    let mut encoder = Encoder::new(64);
    encoder.encode(&insn, 0).ok()?;
    Some((encoder.take_buffer(), insn))
}

/// The first operand is register 0, and so are others now and then.
fn operand(
    insn: &mut Instruction,
    n: u32,
    kind: Kind,
    place: Place,
    rng: &mut Rng,
) -> Option<Place> {
    let number = if rng.one_in(8) { 0 } else { n.min(2) };
    let general = if n == 0 { 0 } else { 1 };
    let first = match kind {
        Kind::mem => None,
        _ if is_either(kind) && place == Place::Memory => None,
        Kind::xmm_or_mem | Kind::xmm_reg | Kind::xmm_rm | Kind::xmm_vvvv | Kind::xmm_is4 => {
            Some(Register::XMM0 + number)
        }
        Kind::ymm_or_mem | Kind::ymm_reg | Kind::ymm_rm | Kind::ymm_vvvv | Kind::ymm_is4 => {
            Some(Register::YMM0 + number)
        }
        Kind::mm_or_mem | Kind::mm_reg | Kind::mm_rm => Some(Register::MM0 + number),
        Kind::r32_or_mem | Kind::r32_reg | Kind::r32_rm => Some(Register::EAX + general),
        Kind::r64_or_mem | Kind::r64_reg | Kind::r64_rm => Some(Register::RAX + general),
        Kind::ax => Some(Register::AX),
        Kind::st0 => Some(Register::ST0),
        Kind::sti_opcode => Some(Register::ST0 + rng.below(8) as u32),
        Kind::imm8 => {
            insn.set_op_kind(n, OpKind::Immediate8);
            insn.set_immediate8(rng.bits() as u8);
            return Some(Place::Register);
        }
        _ => return None,
    };
    let Some(register) = first else {
        insn.set_op_kind(n, OpKind::Memory);
        insn.set_memory_base(Register::RBX);
        return Some(Place::Memory);
    };
    insn.set_op_kind(n, OpKind::Register);
    insn.set_op_register(n, register);
    Some(Place::Register)
}

fn is_either(kind: Kind) -> bool {
    use Kind::{mm_or_mem, r32_or_mem, r64_or_mem, xmm_or_mem, ymm_or_mem};
    matches!(kind, mm_or_mem | r32_or_mem | r64_or_mem | xmm_or_mem | ymm_or_mem)
}

/// An operand with everything else as programs have it.
fn plain_operands(rng: &mut Rng) -> Vec<u64> {
    let mut words = vec![0; WORDS];
    words[0] = 0x37f;
    words[3] = mxcsr::MASKS.into();
    words[RAX] = rng.integer();
    words[RAX + 1] = rng.integer();
    words[RFLAGS] = rng.bits() & ARITHMETIC_FLAGS;
    words
}

fn vector_operands(lane: Lane, mode: u32, rng: &mut Rng) -> Vec<u64> {
    let mut words = plain_operands(rng);
    // PE is what compiled code looks at.
    let sticky = [0, 1 << 5, 1 << 5, rng.bits() as u32][rng.below(4)] & mxcsr::STICKY;
    words[3] = (mode | sticky).into();
    // MMX registers are the physical ones.
    words[0] |= 0xff << 32;
    for n in 0..8 {
        words[ST + 2 * n] = if lane == Lane::Single { lanes(lane, rng) } else { rng.integer() };
        words[ST + 2 * n + 1] = 0xffff;
    }
    for word in &mut words[VECTOR..RAX] {
        *word = lanes(lane, rng);
    }
    for word in 0..4 {
        relate(lane, &mut words, word, rng);
    }
    words
}

fn lanes(lane: Lane, rng: &mut Rng) -> u64 {
    let width = lane.bits();
    let mask = u64::MAX >> (64 - width);
    (0..64 / width).fold(0, |all, n| all | (lane.any(rng) & mask) << (n * width))
}

/// Makes lanes of one word of the registers and memory close to each other, or such that a product and a sum cancel.
fn relate(lane: Lane, words: &mut [u64], word: usize, rng: &mut Rng) {
    let near = |rng: &mut Rng, value: u64| value.wrapping_add(rng.bits() % 5).wrapping_sub(2);
    let at = |register: usize| VECTOR + 4 * (register % 3) + word;
    let (width, order) = (lane.bits(), rng.below(3));
    let mask = u64::MAX >> (64 - width);
    for shift in (0..64).step_by(width as usize) {
        let [a, b] = [0, 1].map(|n| words[at(order + n)] >> shift & mask);
        let value = match rng.below(6) {
            0 => near(rng, a) ^ (rng.bits() & 1) << (width - 1),
            1 | 2 => near(rng, lane.against_product(a, b)),
            _ => continue,
        };
        for to in [at(order + 2), MEMORY + word] {
            words[to] = words[to] & !(mask << shift) | (value & mask) << shift;
        }
    }
}

fn x87_operands(insn: &Instruction, rng: &mut Rng) -> Vec<u64> {
    let mut words = plain_operands(rng);
    words[0] = control_and_status(rng);
    let mut registers = [0_u128; 8];
    for n in 0..8 {
        registers[n] = x87_register(&registers, n, rng);
        words[ST + 2 * n] = registers[n] as u64;
        words[ST + 2 * n + 1] = (registers[n] >> 64) as u64;
    }
    for word in &mut words[VECTOR..MEMORY] {
        *word = rng.bits();
    }
    let value = memory_operand(insn.memory_size(), registers[0], rng);
    words[MEMORY] = value as u64;
    words[MEMORY + 1] = (value >> 64) as u64;
    words
}

/// FCW, FSW and FTW: exceptions that are pending only now and then, all registers there mostly.
fn control_and_status(rng: &mut Rng) -> u64 {
    const MASKS: u64 = 0x3f;
    let precision = [0, 2, 3, 3][rng.below(4)];
    let masks = if rng.one_in(6) { rng.bits() & MASKS } else { MASKS };
    let control = 0x40 | masks | precision << 8 | (rng.bits() & 3) << 10;
    let mut sticky = rng.bits() & 0x7f;
    if !rng.one_in(8) {
        sticky &= masks | 0x40;
    }
    let pending = if sticky & !masks & MASKS == 0 { 0 } else { 0x8080 };
    let status = sticky | pending | (rng.bits() & 7) << 11 | rng.bits() & 0x4700;
    let tags = if rng.one_in(6) { rng.bits() & 0xff } else { 0xff };
    control | status << 16 | tags << 32
}

/// Any number; or close to the first, in value or exponent; or a small one, as what scales.
fn x87_register(before: &[u128; 8], n: usize, rng: &mut Rng) -> u128 {
    let sign = u128::from(rng.bits() & 1) << 79;
    match rng.below(8) {
        0 if n > 0 => before[0].wrapping_add(u128::from(rng.bits() % 5)).wrapping_sub(2) ^ sign,
        1 if n > 0 => before[0] ^ sign ^ u128::from(rng.bits() & 0x7f) << 64,
        2 => {
            let small = rng.bits() >> 48 | 1;
            let up = small.leading_zeros();
            sign | u128::from(0x3fff + 63 - up - rng.below(3) as u32) << 64
                | u128::from(small << up)
        }
        // Where the transcendental instructions are defined, and multiples of π/4.
        3 => sign | 0x3ffe << 64 | u128::from(rng.bits() | 1 << 63),
        4 => sign | u128::from(0x3ffe + rng.bits() % 64) << 64 | 0xc90f_daa2_2168_c235,
        _ => extended(rng),
    }
}

/// What an instruction finds in memory of its size.
fn memory_operand(size: MemorySize, near: u128, rng: &mut Rng) -> u128 {
    let digits = |rng: &mut Rng| (0..18).fold(0, |all, _| all << 4 | u128::from(rng.bits() % 10));
    match size {
        MemorySize::Float32 => Lane::Single.any(rng).into(),
        MemorySize::Float64 => Lane::Double.any(rng).into(),
        MemorySize::Bcd if !rng.one_in(8) => digits(rng) | u128::from(rng.bits() & 1) << 79,
        MemorySize::Float80 if rng.one_in(4) => near,
        MemorySize::Float80 => extended(rng),
        // Control, status and tags, and the bits that they do not have.
        MemorySize::FpuEnv28 => {
            let [control, status, tags] = [0; 3].map(|_: u8| u128::from(rng.bits() as u32));
            let masks = if rng.one_in(3) { 0 } else { 0x3f };
            control | masks | status << 32 | tags << 64
        }
        _ => u128::from(rng.integer()) | u128::from(rng.integer()) << 64,
    }
}
