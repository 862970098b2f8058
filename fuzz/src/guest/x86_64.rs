//! x86-64. Words: the general registers in their encoding's order, rflags, mxcsr, fs_base, gs_base, fcw, fsw, ftw (abridged),
//! fop, fip, fdp, the physical x87 registers of two words each, the vector registers of four.

use arch::x86_64::{CpuModel, flags, mxcsr, slot};
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{Decoded, Options, alignment, decode, text};
use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};
use translator::x86_64;

use super::{Compiler, Ferry, Guest, Judge, Misaligned, Narrow, Register};
use crate::machine::{CODE, DATA, End, WORDS};
use crate::shape::{File, Zero};

/// The word of RSP.
pub const RSP: usize = 4;
/// The word of RFLAGS.
pub const RFLAGS: usize = 16;
/// The word of MXCSR.
pub const MXCSR: usize = 17;
/// The word of the base of FS.
pub const FS_BASE: usize = 18;
/// The word of the base of GS.
pub const GS_BASE: usize = 19;
/// The word of the x87 control word.
pub const FCW: usize = 20;
/// The word of the x87 status word.
pub const FSW: usize = 21;
/// The word of the abridged x87 tag word.
pub const FTW: usize = 22;
/// The word of the last x87 opcode.
pub const FOP: usize = 23;
/// The word of the last x87 instruction's address.
pub const FIP: usize = 24;
/// The word of the last x87 operand's address.
pub const FDP: usize = 25;
/// The lower word of physical x87 register 0.
pub const FPR: usize = 26;
/// The lowest word of vector register 0.
pub const YMM: usize = 42;

/// x86-64.
pub static X86_64: Guest = Guest {
    name: "x86_64",
    words: YMM + 64,
    registers,
    register_named,
    initial,
    shortest: 1,
    // int3
    breakpoint: &[0xcc],
    narrow: Narrow::ZeroExtended,
    forget,
    forget_interrupted,
    holds_here: crate::program::x86_64::choice::holds_here,
    judge: Judge::Host,
    compiler: Compiler { command: "x86_64-linux-gnu-gcc", package: "gcc-x86-64-linux-gnu" },
    oracle_source: include_str!("../../oracle/x86_64.c"),
    oracle_flags: &[
        "-mgeneral-regs-only",
        "-mno-red-zone",
        "-fcf-protection=none",
        "-fPIE",
        "-Wl,--no-relax",
    ],
    ferry: Some(Ferry {
        ir: &x86_64::GUEST,
        frontend: || Box::new(x86_64::Frontend::new(CpuModel::default())),
        load,
        save,
        translated_otherwise: |_, _| false,
        misaligned,
        // #GP
        system: |pc| End::Fault { pc, addr: GuestVirt(0) },
        pending: &[],
        disassemble,
        instructions: || {
            let encodings = crate::program::x86_64::encodings().into_iter();
            // FINIT and the like are two instructions: a WAIT, and FNINIT.
            encodings.filter(|code| !code.op_code().fwait()).map(name_of).collect()
        },
        identify: |code| {
            instructions(code).next().filter(|i| !i.is_invalid()).map(|i| name_of(i.code()))
        },
        random: &crate::program::x86_64::GUEST,
    }),
};

const FLAGS: &[(&str, u64)] = &[
    ("cf", 1),
    ("pf", 1 << 2),
    ("af", 1 << 4),
    ("zf", 1 << 6),
    ("sf", 1 << 7),
    ("tf", 1 << 8),
    ("df", 1 << 10),
    ("of", 1 << 11),
    ("nt", 1 << 14),
    ("ac", 1 << 18),
    ("id", 1 << 21),
];
/// Exceptions, and what rounds down, up and toward zero.
const SSE: &[(&str, u64)] = &[
    ("ie", 1),
    ("de", 2),
    ("ze", 4),
    ("oe", 8),
    ("ue", 16),
    ("pe", 32),
    ("daz", 1 << 6),
    ("im", 1 << 7),
    ("dm", 1 << 8),
    ("zm", 1 << 9),
    ("om", 1 << 10),
    ("um", 1 << 11),
    ("pm", 1 << 12),
    ("masked", 0x1f80),
    ("rd", 1 << 13),
    ("ru", 2 << 13),
    ("rz", 3 << 13),
    ("ftz", 1 << 15),
];
/// Masks, precision of 53 and 64 bits, rounding.
const CONTROL: &[(&str, u64)] = &[
    ("im", 1),
    ("dm", 2),
    ("zm", 4),
    ("om", 8),
    ("um", 16),
    ("pm", 32),
    ("masked", 0x7f),
    ("pc53", 2 << 8),
    ("pc64", 3 << 8),
    ("rd", 1 << 10),
    ("ru", 2 << 10),
    ("rz", 3 << 10),
];
const STATUS: &[(&str, u64)] = &[
    ("ie", 1),
    ("de", 2),
    ("ze", 4),
    ("oe", 8),
    ("ue", 16),
    ("pe", 32),
    ("sf", 64),
    ("es", 128),
    ("c0", 1 << 8),
    ("c1", 1 << 9),
    ("c2", 1 << 10),
    ("top1", 1 << 11),
    ("top2", 2 << 11),
    ("top3", 3 << 11),
    ("top4", 4 << 11),
    ("top5", 5 << 11),
    ("top6", 6 << 11),
    ("top7", 7 << 11),
    ("c3", 1 << 14),
    ("b", 1 << 15),
];

/// Names of the general registers.
pub const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// Bits of rflags that no program changes, and that states leave out: the interrupt flag, and one that is always set.
const ALWAYS: u64 = 0x202;

fn registers() -> Vec<Register> {
    let mut all: Vec<_> =
        GPR_NAMES.iter().enumerate().map(|(n, name)| Register::word(*name, n)).collect();
    for (name, word, values) in [
        ("rflags", RFLAGS, FLAGS),
        ("mxcsr", MXCSR, SSE),
        ("fs_base", FS_BASE, &[]),
        ("gs_base", GS_BASE, &[]),
        ("fcw", FCW, CONTROL),
        ("fsw", FSW, STATUS),
        ("ftw", FTW, &[]),
        ("fop", FOP, &[]),
        ("fip", FIP, &[]),
        ("fdp", FDP, &[]),
    ] {
        // What the last instruction and its operand were is not compared: processors differ in when they say so.
        let reported = !matches!(word, FOP | FIP | FDP);
        all.push(Register { values, reported, ..Register::word(name, word) });
    }
    let wide = |name: String, word, bits| Register { bits, ..Register::word(name, word) };
    all.extend((0..8).map(|n| wide(format!("fpr{n}"), FPR + 2 * n, 80)));
    for n in 0..16 {
        all.push(wide(format!("xmm{n}"), YMM + 4 * n, 128));
        all.push(wide(format!("ymmh{n}"), YMM + 4 * n + 2, 128));
    }
    all
}

/// General registers by their number; vector and x87 registers of either half.
fn register_named(name: &str) -> Option<(File, u8, Zero)> {
    if let Some(n) = GPR_NAMES.iter().position(|known| *known == name) {
        return Some((File::Integer, n as u8, Zero::No));
    }
    let number = ["xmm", "ymmh", "fpr"].iter().find_map(|file| name.strip_prefix(file))?;
    Some((File::Float, number.parse().ok()?, Zero::No))
}

/// Registers that tell each other apart, in vectors a double and a float near 1; the x87 stack is empty.
fn initial(words: &mut [u64; WORDS]) {
    for (n, word) in words.iter_mut().enumerate().take(16) {
        *word = 0xfeed_0000_0000_0000 + (n as u64 + 1) * 0x1_0001;
    }
    words[RSP] = DATA.0 + 0x80;
    words[MXCSR] = 0x1f80;
    words[FCW] = 0x37f;
    for n in 0..16 {
        words[YMM + 4 * n] = 0x3ff0_0000_3f80_0000 | n as u64;
        for part in 1..4 {
            words[YMM + 4 * n + part] = 0xfeed_0000_0000_0000 + (n * 4 + part) as u64 * 0x1_0001;
        }
    }
}

fn load(words: &[u64; WORDS], frame: &mut CpuFrame) {
    frame.slots[..16].copy_from_slice(&words[..16]);
    flags::set_eflags(frame, words[RFLAGS] | ALWAYS);
    mxcsr::set(frame, words[MXCSR] as u32);
    let special = [
        slot::FS_BASE,
        slot::GS_BASE,
        slot::FCW,
        slot::FSW,
        slot::FTW,
        slot::FOP,
        slot::FIP,
        slot::FDP,
    ];
    for (slot, word) in special.into_iter().zip(FS_BASE..) {
        frame.set(slot, words[word]);
    }
    frame.set(slot::CS, slot::USER_CS);
    frame.set(slot::SS, slot::USER_SS);
    for slot in [slot::DS, slot::ES, slot::FS, slot::GS] {
        frame.set(slot, 0);
    }
    for (word, index) in wide_slots() {
        frame.slots[index] = words[word];
    }
}

fn save(frame: &CpuFrame, words: &mut [u64; WORDS]) {
    words[..16].copy_from_slice(&frame.slots[..16]);
    words[RFLAGS] = flags::eflags(frame) & !ALWAYS;
    words[MXCSR] = mxcsr::get(frame).into();
    let special = [
        slot::FS_BASE,
        slot::GS_BASE,
        slot::FCW,
        slot::FSW,
        slot::FTW,
        slot::FOP,
        slot::FIP,
        slot::FDP,
    ];
    for (slot, word) in special.into_iter().zip(FS_BASE..) {
        words[word] = frame.get(slot);
    }
    for (word, index) in wide_slots() {
        words[word] = frame.slots[index];
    }
}

/// Words of wide registers, and the slots that they are.
fn wide_slots() -> impl Iterator<Item = (usize, usize)> {
    let x87 = (0..16).map(|n| (FPR + n, slot::fpr(0).index() + n));
    let vector = (0..16_usize).flat_map(|n| {
        let (low, high) = (slot::xmm(n as u8).index(), slot::ymm_high(n as u8).index());
        let word = YMM + 4 * n;
        [(word, low), (word + 1, low + 1), (word + 2, high), (word + 3, high + 1)]
    });
    x87.chain(vector)
}

/// Which exception an instruction raised: as Linux tells it, #GP as a fault at 0.
fn misaligned(frame: &mut CpuFrame, code: &[u8], _: GuestVirt) -> Misaligned {
    let pc = CODE;
    let protection = Misaligned::Other(End::Fault { pc, addr: GuestVirt(0) });
    let Some(insn) = instructions(code).next() else { return protection };
    let arithmetic = |code| Misaligned::Other(End::Arithmetic { pc, code });
    let x87 = (frame.get(slot::FSW) & !frame.get(slot::FCW)) as u32 & 0x3f;
    let mxcsr = mxcsr::get(frame);
    let sse = mxcsr & !(mxcsr >> 7) & 0x3f;
    let features = insn.cpuid_features();
    let is_x87 = features.iter().any(|feature| {
        matches!(feature, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387)
    }) || (0..insn.op_count()).any(|n| insn.op_register(n).is_mm())
        || insn.mnemonic() == Mnemonic::Emms;
    match insn.mnemonic() {
        Mnemonic::Div | Mnemonic::Idiv => arithmetic(1),
        _ if x87 != 0 && (is_x87 || insn.mnemonic() == Mnemonic::Wait) => arithmetic(si_code(x87)),
        _ if sse != 0 && !is_misaligned(frame, &insn) => arithmetic(si_code(sse)),
        _ => protection,
    }
}

/// Whether the instruction's memory operand is not aligned as it demands.
fn is_misaligned(frame: &CpuFrame, insn: &Instruction) -> bool {
    use iced_x86::Register;
    let value = |register: Register, _: usize, _: usize| {
        Some(match register {
            Register::FS => frame.get(slot::FS_BASE),
            Register::GS => frame.get(slot::GS_BASE),
            register if register.is_segment_register() => 0,
            register => {
                let value = frame.get(slot::gpr(register.full_register().number() as u8));
                if register.size() == 4 { value & 0xffff_ffff } else { value }
            }
        })
    };
    let op = (0..insn.op_count()).find(|&op| insn.op_kind(op) == OpKind::Memory);
    let addr = op.and_then(|op| insn.virtual_address(op, 0, value));
    addr.is_some_and(|addr| !addr.is_multiple_of(alignment(insn)))
}

/// What Linux says of floating-point exceptions.
fn si_code(exceptions: u32) -> i32 {
    match exceptions {
        e if e & 1 != 0 => 7,
        e if e & 4 != 0 => 3,
        e if e & 8 != 0 => 4,
        e if e & 0x12 != 0 => 5,
        _ => 6,
    }
}

fn disassemble(pc: GuestVirt, code: &[u8]) -> (String, usize) {
    match decode(pc, code, Options::default()) {
        Decoded::Instruction(insn) => (text(&insn), insn.len()),
        _ => ("(bad)".to_owned(), code.len()),
    }
}

/// The name of what an encoding computes.
fn name_of(code: Code) -> &'static str {
    static NAMES: std::sync::OnceLock<std::collections::BTreeMap<String, ()>> =
        std::sync::OnceLock::new();
    let names = NAMES.get_or_init(|| {
        Code::values().map(|code| (format!("{:?}", code.mnemonic()).to_lowercase(), ())).collect()
    });
    let name = format!("{:?}", code.mnemonic()).to_lowercase();
    names.get_key_value(&name).map_or("", |(name, ())| name.as_str())
}

/// The instructions of some code. The last one's last bytes may be breakpoints behind it.
pub fn instructions(code: &[u8]) -> impl Iterator<Item = Instruction> {
    let padded = [code, &[0xcc; 15]].concat();
    let end = CODE.0 + code.len() as u64;
    let mut at = 0;
    std::iter::from_fn(move || {
        let ip = CODE.0 + at as u64;
        let rest = padded.get(at..).filter(|_| ip < end)?;
        let insn = Decoder::with_ip(64, rest, ip, DecoderOptions::NONE).decode();
        at += insn.len();
        Some(insn)
    })
}

/// The flags that iced's bits stand for.
pub fn flags_of(bits: u32) -> u64 {
    use iced_x86::RflagsBits;
    let of = |bit, flag| if bits & bit == 0 { 0 } else { flag };
    of(RflagsBits::CF, 1)
        | of(RflagsBits::PF, 1 << 2)
        | of(RflagsBits::AF, 1 << 4)
        | of(RflagsBits::ZF, 1 << 6)
        | of(RflagsBits::SF, 1 << 7)
        | of(RflagsBits::OF, 1 << 11)
}

/// Clears the flags that processors do not agree on.
fn forget(code: &[u8], words: &mut [u64; WORDS]) {
    let mut open = 0;
    for insn in instructions(code) {
        let given = insn.rflags_written() | insn.rflags_cleared() | insn.rflags_set();
        open = open & !flags_of(given) | flags_of(insn.rflags_undefined());
    }
    words[RFLAGS] &= !open;
}

/// Where an instruction of MMX raised an exception, processors may have begun: TOP is 0 then, and no register empty.
fn forget_interrupted(code: &[u8], end: &End, words: &mut [u64; WORDS]) {
    let (End::Fault { pc, .. } | End::Arithmetic { pc, .. }) = *end else { return };
    let raised = instructions(code).find(|insn| insn.ip() == pc.0);
    if raised.is_some_and(|i| (0..i.op_count()).any(|n| i.op_register(n).is_mm())) {
        words[FSW] &= !(7 << 11);
        words[FTW] = 0;
    }
}

/// A feature that the host does not have and the code needs.
#[must_use]
pub fn host_lacks(code: &[u8]) -> Option<String> {
    let needed = instructions(code).flat_map(|insn| insn.cpuid_features().iter().copied());
    needed.filter(|&feature| !host_has(feature)).map(|feature| format!("{feature:?}")).next()
}

#[cfg(target_arch = "x86_64")]
fn host_has(feature: CpuidFeature) -> bool {
    use std::arch::is_x86_feature_detected as has;
    match feature {
        CpuidFeature::SSE3 => has!("sse3"),
        CpuidFeature::SSSE3 => has!("ssse3"),
        CpuidFeature::SSE4_1 => has!("sse4.1"),
        CpuidFeature::SSE4_2 => has!("sse4.2"),
        CpuidFeature::POPCNT => has!("popcnt"),
        CpuidFeature::AVX => has!("avx"),
        CpuidFeature::AVX2 => has!("avx2"),
        CpuidFeature::FMA => has!("fma"),
        CpuidFeature::F16C => has!("f16c"),
        CpuidFeature::BMI1 => has!("bmi1"),
        CpuidFeature::BMI2 => has!("bmi2"),
        CpuidFeature::LZCNT => has!("lzcnt"),
        CpuidFeature::MOVBE => has!("movbe"),
        CpuidFeature::ADX => has!("adx"),
        CpuidFeature::AES => has!("aes"),
        CpuidFeature::VAES => has!("vaes"),
        CpuidFeature::PCLMULQDQ => has!("pclmulqdq"),
        CpuidFeature::VPCLMULQDQ => has!("vpclmulqdq"),
        CpuidFeature::SHA => has!("sha"),
        CpuidFeature::GFNI => has!("gfni"),
        CpuidFeature::RDRAND => has!("rdrand"),
        CpuidFeature::RDSEED => has!("rdseed"),
        CpuidFeature::XSAVE => has!("xsave"),
        CpuidFeature::XSAVEC => has!("xsavec"),
        CpuidFeature::XSAVEOPT => has!("xsaveopt"),
        CpuidFeature::CMPXCHG16B => has!("cmpxchg16b"),
        _ => true,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn host_has(_: CpuidFeature) -> bool {
    true
}
