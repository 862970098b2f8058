//! What `--cpu x86-64-v1`, `-v2`, `-v3` and the default CPU execute is what their CPUID tells: each encoding that the decoder
//! knows is translated for each of them, and is undefined exactly if CPUID lacks a feature that it needs. Which encoding needs
//! what, iced's tables say; where CPUID shows it, the SDM (vol. 2, CPUID).

use arch::x86_64::{CpuModel, cpuid};
use base::GuestVirt;
use base::rng::Rng;
use fuzz::program::x86_64::instruction;
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Encoder, EncodingKind, Instruction, Mnemonic,
    Register,
};
use ir::{BlockKey, Builder, Terminator, Trap};
use translator::x86_64::{Frontend, is_implemented};
use translator::{Frontend as _, Limits, Translation};

const START: GuestVirt = GuestVirt(0x1_0000);
const LEVELS: [&str; 4] = ["x86-64-v1", "x86-64-v2", "x86-64-v3", "max"];

/// A register that CPUID writes: leaf, sub-leaf, and its place among EAX, EBX, ECX and EDX.
type Place = (u32, u32, usize);
const L1_ECX: Place = (1, 0, 2);
const L1_EDX: Place = (1, 0, 3);
const L7_EBX: Place = (7, 0, 1);
const L7_ECX: Place = (7, 0, 2);
const L7_EDX: Place = (7, 0, 3);
const D1_EAX: Place = (0xd, 1, 0);
const E1_ECX: Place = (0x8000_0001, 0, 2);
const E1_EDX: Place = (0x8000_0001, 0, 3);

/// Where CPUID shows a feature.
enum Shown {
    /// Nowhere: every CPU in 64-bit mode has it, or does nothing instead.
    Nowhere,
    At(Place, u32),
    /// It is none of ours.
    Unknown,
}

fn shown(feature: CpuidFeature) -> Shown {
    use CpuidFeature as C;
    let (place, bit) = match feature {
        C::INTEL8086 | C::INTEL186 | C::INTEL286 | C::INTEL386 | C::INTEL486 | C::X64 => {
            return Shown::Nowhere;
        }
        C::CPUID | C::PAUSE | C::MULTIBYTENOP | C::RDPMC | C::SMM | C::WBNOINVD => {
            return Shown::Nowhere;
        }
        // Hints and landing pads have the encodings of instructions that do nothing.
        C::CET_IBT | C::CET_SS | C::PREFETCHW | C::PREFETCHWT1 | C::PREFETCHITI | C::CLDEMOTE => {
            return Shown::Nowhere;
        }
        C::FPU | C::FPU287 | C::FPU387 => (L1_EDX, 0),
        C::TSC => (L1_EDX, 4),
        C::MSR => (L1_EDX, 5),
        C::CX8 => (L1_EDX, 8),
        C::SEP => (L1_EDX, 11),
        C::CMOV => (L1_EDX, 15),
        C::CLFSH => (L1_EDX, 19),
        C::MMX => (L1_EDX, 23),
        C::FXSR => (L1_EDX, 24),
        C::SSE => (L1_EDX, 25),
        C::SSE2 => (L1_EDX, 26),
        C::SSE3 => (L1_ECX, 0),
        C::PCLMULQDQ => (L1_ECX, 1),
        C::SSSE3 => (L1_ECX, 9),
        C::FMA => (L1_ECX, 12),
        C::CMPXCHG16B => (L1_ECX, 13),
        C::SSE4_1 => (L1_ECX, 19),
        C::SSE4_2 => (L1_ECX, 20),
        C::MOVBE => (L1_ECX, 22),
        C::POPCNT => (L1_ECX, 23),
        C::AES => (L1_ECX, 25),
        C::XSAVE => (L1_ECX, 26),
        C::AVX => (L1_ECX, 28),
        C::F16C => (L1_ECX, 29),
        C::RDRAND => (L1_ECX, 30),
        C::FSGSBASE => (L7_EBX, 0),
        C::BMI1 => (L7_EBX, 3),
        C::AVX2 => (L7_EBX, 5),
        C::BMI2 => (L7_EBX, 8),
        C::RDSEED => (L7_EBX, 18),
        C::ADX => (L7_EBX, 19),
        C::CLFLUSHOPT => (L7_EBX, 23),
        C::CLWB => (L7_EBX, 24),
        C::SHA => (L7_EBX, 29),
        C::GFNI => (L7_ECX, 8),
        C::VAES => (L7_ECX, 9),
        C::VPCLMULQDQ => (L7_ECX, 10),
        C::RDPID => (L7_ECX, 22),
        C::MOVDIRI => (L7_ECX, 27),
        C::MOVDIR64B => (L7_ECX, 28),
        C::SERIALIZE => (L7_EDX, 14),
        C::XSAVEOPT => (D1_EAX, 0),
        C::XSAVEC => (D1_EAX, 1),
        C::LZCNT => (E1_ECX, 5),
        C::SYSCALL => (E1_EDX, 11),
        C::RDTSCP => (E1_EDX, 27),
        _ => return Shown::Unknown,
    };
    Shown::At(place, bit)
}

fn has_bit(cpu: &CpuModel, (leaf, subleaf, register): Place, bit: u32) -> bool {
    cpuid::cpuid(cpu, leaf, subleaf, 0).registers()[register] >> bit & 1 != 0
}

/// Whether CPUID says that the CPU has an encoding.
fn is_told(cpu: &CpuModel, code: Code) -> bool {
    let has_all = code.cpuid_features().iter().all(|&feature| match shown(feature) {
        Shown::Nowhere => true,
        Shown::At(place, bit) => has_bit(cpu, place, bit),
        Shown::Unknown => false,
    });
    match code.mnemonic() {
        Mnemonic::Lahf | Mnemonic::Sahf => has_bit(cpu, E1_ECX, 0),
        // Without its feature they are BSF and BSR.
        Mnemonic::Tzcnt | Mnemonic::Lzcnt if code.encoding() == EncodingKind::Legacy => true,
        _ => has_all,
    }
}

/// Whether the CPU leaves undefined what is encoded so.
fn is_undefined(cpu: &CpuModel, insn: &Instruction) -> Option<bool> {
    let mut encoder = Encoder::new(64);
    encoder.encode(insn, START.0).ok()?;
    let bytes = encoder.take_buffer();
    // Of some, a prefix is ignored.
    if Decoder::with_ip(64, &bytes, START.0, DecoderOptions::NONE).decode().code() != insn.code() {
        return None;
    }
    let builder = Builder::new();
    let key = BlockKey::new(START, 0);
    match Frontend::new(*cpu).translate(&builder, key, &bytes, Limits::STEP) {
        Translation::Done { next } => {
            let trap = Terminator::Trap { trap: Trap::Illegal, pc: START };
            Some(builder.finish(next).terminator == trap)
        }
        Translation::Unfetchable(_) => None,
    }
}

/// Every encoding that 64-bit mode has, with operands.
fn instructions() -> Vec<Instruction> {
    let mut rng = Rng::new(1);
    let is_ours = |code: &Code| {
        let info = code.op_code();
        let encoding = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
        let has_semantics =
            !matches!(code.mnemonic(), Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2);
        info.is_instruction() && encoding && info.mode64() && has_semantics && !info.fwait()
    };
    // What operands make undefined is made again: CS as a destination, registers of a gather that are not distinct.
    let is_good = |insn: &Instruction| {
        let (a, b, index) = (insn.op0_register(), insn.op2_register(), insn.memory_index());
        let n = |register: Register| register.number();
        let collides = n(a) == n(b) || n(a) == n(index) || n(b) == n(index);
        a != Register::CS && !(insn.is_vsib() && collides)
    };
    let make = |code| (0..100).filter_map(|_| instruction(code, &mut rng)).find(is_good);
    Code::values().filter(is_ours).filter_map(make).collect()
}

#[test]
fn levels_execute_what_cpuid_tells() {
    let instructions = instructions();
    let mut wrong = Vec::new();
    let mut counts = Vec::new();
    for level in LEVELS {
        let cpu: CpuModel = level.parse().unwrap();
        let mut executed = 0;
        for insn in &instructions {
            let code = insn.code();
            let expected = is_told(&cpu, code) && is_implemented(code);
            match is_undefined(&cpu, insn) {
                Some(undefined) if undefined == expected => {
                    wrong.push(format!(
                        "{level}: {code:?} {:?}: told {expected}",
                        code.cpuid_features()
                    ));
                }
                Some(_) => executed += usize::from(expected),
                None => {}
            }
        }
        counts.push(executed);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts.is_sorted_by(|a, b| a < b) && counts[0] > 800, "{counts:?}");
}
