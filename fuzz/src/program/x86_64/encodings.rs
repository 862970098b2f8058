//! Which encodings there are, and which of them programs may have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic,
    OpCodeOperandKind as Kind,
};

use crate::machine::CODE;
use crate::program::Pattern;

/// What the guest has, as iced calls it.
const FEATURES: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::FPU,
    CpuidFeature::FPU287,
    CpuidFeature::FPU387,
    CpuidFeature::CMOV,
    CpuidFeature::CX8,
    CpuidFeature::CMPXCHG16B,
    CpuidFeature::MMX,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::SSE4_1,
    CpuidFeature::SSE4_2,
    CpuidFeature::POPCNT,
    CpuidFeature::AVX,
    CpuidFeature::AVX2,
    CpuidFeature::FMA,
    CpuidFeature::F16C,
    CpuidFeature::BMI1,
    CpuidFeature::BMI2,
    CpuidFeature::LZCNT,
    CpuidFeature::MOVBE,
    CpuidFeature::ADX,
    CpuidFeature::AES,
    CpuidFeature::VAES,
    CpuidFeature::PCLMULQDQ,
    CpuidFeature::VPCLMULQDQ,
    CpuidFeature::SHA,
    CpuidFeature::GFNI,
    CpuidFeature::PREFETCHW,
    CpuidFeature::CLFSH,
    CpuidFeature::CLFLUSHOPT,
    CpuidFeature::CLWB,
    CpuidFeature::PAUSE,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::FXSR,
    CpuidFeature::XSAVE,
    CpuidFeature::FSGSBASE,
    CpuidFeature::CET_IBT,
];
/// What depends on the world, on the kernel's tables, or on what has been executed before.
const EXCLUDED: &[Mnemonic] = &[
    Mnemonic::Syscall,
    Mnemonic::Sysenter,
    Mnemonic::Sysexit,
    Mnemonic::Sysexitq,
    Mnemonic::Sysretq,
    Mnemonic::Sysret,
    Mnemonic::Int,
    Mnemonic::Int1,
    Mnemonic::Int3,
    Mnemonic::Into,
    Mnemonic::Iret,
    Mnemonic::Iretd,
    Mnemonic::Iretq,
    Mnemonic::Cpuid,
    Mnemonic::Rdtsc,
    Mnemonic::Rdtscp,
    Mnemonic::Rdpmc,
    Mnemonic::Rdpid,
    Mnemonic::Rdrand,
    Mnemonic::Rdseed,
    Mnemonic::Xgetbv,
    Mnemonic::Sgdt,
    Mnemonic::Sidt,
    Mnemonic::Sldt,
    Mnemonic::Str,
    Mnemonic::Smsw,
    // Of one segment it is the processor's number.
    Mnemonic::Lsl,
    Mnemonic::Lfs,
    Mnemonic::Lgs,
    Mnemonic::Lss,
    Mnemonic::Retf,
    // What they store of the last x87 instruction depends on the processor.
    Mnemonic::Fnstenv,
    Mnemonic::Fstenv,
    Mnemonic::Fnsave,
    Mnemonic::Fsave,
    Mnemonic::Fldenv,
    Mnemonic::Frstor,
    Mnemonic::Fxsave,
    Mnemonic::Fxsave64,
    Mnemonic::Fxrstor,
    Mnemonic::Fxrstor64,
    Mnemonic::Xsave,
    Mnemonic::Xsave64,
    Mnemonic::Xrstor,
    Mnemonic::Xrstor64,
];

/// Every encoding of the guest's.
/// Every encoding that the guest has.
fn all() -> impl Iterator<Item = Code> {
    let wanted = |code: &Code| {
        let info = code.op_code();
        let known = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
        info.is_instruction()
            && known
            && info.mode64()
            && !code.is_privileged()
            && code.cpuid_features().iter().all(|feature| FEATURES.contains(feature))
            && !info.is_reserved_nop()
    };
    Code::values().filter(wanted)
}

/// Every encoding that programs are made of, but for their jumps.
#[must_use]
pub fn encodings() -> Vec<Code> {
    all().filter(|&code| is_choice(code)).collect()
}

fn is_choice(code: Code) -> bool {
    !EXCLUDED.contains(&code.mnemonic()) && !is_jump(code) && !names_a_segment(code)
}

/// An encoding and what it is called: `add_rm64_r64`.
struct Named {
    code: Code,
    name: String,
    mnemonic: String,
    features: String,
}

fn named() -> &'static BTreeMap<String, Named> {
    static NAMED: OnceLock<BTreeMap<String, Named>> = OnceLock::new();
    NAMED.get_or_init(|| {
        let named = |code: Code| {
            let features = code.cpuid_features().iter();
            let features: Vec<String> = features.map(|f| format!("{f:?}").to_lowercase()).collect();
            let [name, mnemonic] = [format!("{code:?}"), format!("{:?}", code.mnemonic())];
            let [name, mnemonic] = [name, mnemonic].map(|name| name.to_lowercase());
            (name.clone(), Named { code, name, mnemonic, features: features.join("+") })
        };
        all().map(named).collect()
    })
}

/// All encodings, as lists have them.
pub(super) fn patterns() -> Vec<Pattern> {
    let pattern = |named: &'static Named| Pattern {
        name: &named.name,
        extension: &named.features,
        chapter: &named.mnemonic,
        mask: 0,
        value: 0,
        bytes: 0,
    };
    named().values().map(pattern).collect()
}

/// The encoding of that pattern.
#[must_use]
pub fn code_of(pattern: &Pattern) -> Option<Code> {
    named().get(pattern.name).map(|named| named.code)
}

/// The name of the encoding that code begins with, if it is one of the guest's.
#[must_use]
pub fn name_of(code: &[u8]) -> Option<&'static str> {
    let name = format!("{:?}", decode(code)?.code()).to_lowercase();
    named().get(&name).map(|named| named.name.as_str())
}

/// Whether programs may have it.
pub(super) fn is_choice_of(pattern: &Pattern) -> bool {
    code_of(pattern).is_some_and(is_choice)
}

pub(super) fn is_jump(code: Code) -> bool {
    use iced_x86::FlowControl;
    !matches!(code.flow_control(), FlowControl::Next | FlowControl::Exception)
}

/// `MOV Sreg` and `POP Sreg`.
fn names_a_segment(code: Code) -> bool {
    let info = code.op_code();
    info.op_count() > 0
        && matches!(info.op_kind(0), Kind::seg_reg | Kind::fs | Kind::gs)
        && code.mnemonic() != Mnemonic::Push
}

/// The first instruction.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Instruction> {
    let insn = Decoder::with_ip(64, bytes, CODE.0, DecoderOptions::NONE).decode();
    (!insn.is_invalid()).then_some(insn)
}

/// Whether there is no instruction among these that is excluded, or that the guest does not have and the host might.
pub(super) fn is_safe(code: &[u8]) -> bool {
    let allowed: BTreeSet<_> = FEATURES.iter().map(|&feature| feature as u32).collect();
    // Breakpoints come behind it, and belong to its last instruction if that is not whole.
    let padded = [code, &[0xcc; 15]].concat();
    let end = CODE.0 + code.len() as u64;
    let insns = Decoder::with_ip(64, &padded, CODE.0, DecoderOptions::NONE).into_iter();
    insns.take_while(|insn| insn.ip() < end).all(|insn| {
        let known =
            insn.cpuid_features().iter().all(|&feature| allowed.contains(&(feature as u32)));
        insn.is_invalid()
            || insn.mnemonic() == Mnemonic::Int3 && insn.next_ip() > end
            || known
                && !EXCLUDED.contains(&insn.mnemonic())
                && !insn.is_privileged()
                && !names_a_segment(insn.code())
    })
}

/// Whether it is one instruction, which goes nowhere else, or an invalid one; with what comes behind it, too.
pub(super) fn is_alone(code: &[u8]) -> bool {
    decode(&[code, &[0xcc; 15]].concat()).is_none_or(|insn| match insn.mnemonic() {
        Mnemonic::Int3 => insn.len() > code.len(),
        _ => insn.len() >= code.len() && !is_jump(insn.code()),
    })
}
