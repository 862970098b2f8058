//! RISC-V 64. Words: x0 to x31, f0 to f31, fcsr.

use arch::riscv64::{CpuModel, fcsr, set_fcsr, slot};
use base::{CpuFrame, RegSlot};
use decoders::riscv64::{ExtensionSet, INSTRUCTIONS, disassemble, identify, length};
use translator::riscv64;

use super::{Compiler, Ferry, Guest, Holds, Judge, Misaligned, Narrow, Register};
use crate::machine::{End, WORDS};
use crate::program;
use crate::shape::{File, Zero};

/// The word of `fcsr`.
const FCSR: usize = 64;

/// RISC-V, 64-bit.
pub static RISCV64: Guest = Guest {
    name: "riscv64",
    words: FCSR + 1,
    registers,
    register_named,
    initial,
    shortest: 2,
    // c.ebreak
    breakpoint: &[0x02, 0x90],
    narrow: Narrow::Boxed,
    forget: |_, _| {},
    forget_interrupted: |_, _, _| {},
    holds_here: |_| Holds::EVERYWHERE,
    judge: Judge::Emulator,
    compiler: Compiler { command: "riscv64-linux-gnu-gcc", package: "gcc-riscv64-linux-gnu" },
    oracle_source: include_str!("../../oracle/riscv64.c"),
    oracle_flags: &["-mno-relax", "-mcmodel=medany"],
    ferry: Some(Ferry {
        ir: &riscv64::GUEST,
        frontend: || Box::new(riscv64::Frontend::new(CpuModel::default())),
        load,
        save,
        translated_otherwise: |_, _| false,
        misaligned: |_, _, _| Misaligned::Fault,
        system: End::Illegal,
        pending: &[],
        disassemble: |pc, code| (disassemble(word(code), pc), length(word(code) as u16) as usize),
        instructions: || INSTRUCTIONS.iter().map(|info| info.name).collect(),
        identify: |code| identify(word(code), ExtensionSet::ALL).map(|op| op.name()),
        random: &program::riscv64::GUEST,
    }),
};

const FLAGS: &[(&str, u64)] = &[("nx", 1), ("uf", 2), ("of", 4), ("dz", 8), ("nv", 16)];

fn registers() -> Vec<Register> {
    let name = |index: usize| slot::name(RegSlot(index as u16)).unwrap_or_default();
    let mut all: Vec<_> = (1..FCSR).map(|index| Register::word(name(index), index)).collect();
    let field = |name: &str, shift, bits, reported| Register {
        name: name.to_owned(),
        word: FCSR,
        shift,
        bits,
        values: FLAGS,
        reported,
    };
    all.extend([field("fflags", 0, 5, true), field("frm", 5, 3, true), field("fcsr", 0, 8, false)]);
    all
}

fn register_named(name: &str) -> Option<(File, u8, Zero)> {
    if name == "zero" {
        return Some((File::Integer, 0, Zero::Always));
    }
    let slot = (1..64_u16).find(|&n| slot::name(RegSlot(n)).is_some_and(|known| known == name))?;
    let file = if slot < 32 { File::Integer } else { File::Float };
    Some((file, slot as u8 & 31, Zero::No))
}

/// Registers that tell each other apart, floating-point ones NaN-boxed.
fn initial(words: &mut [u64; WORDS]) {
    for n in 1..32_u8 {
        words[usize::from(n)] = 0xfeed_0000_0000_0000 + u64::from(n) * 0x1_0001;
    }
    for n in 0..32_u8 {
        words[32 + usize::from(n)] = 0xffff_ffff_3f80_0000 | u64::from(n);
    }
}

fn load(words: &[u64; WORDS], frame: &mut CpuFrame) {
    frame.slots[..FCSR].copy_from_slice(&words[..FCSR]);
    frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    frame.set(slot::RESERVATION_VALUE, 0);
    set_fcsr(frame, words[FCSR]);
}

fn save(frame: &CpuFrame, words: &mut [u64; WORDS]) {
    words[..FCSR].copy_from_slice(&frame.slots[..FCSR]);
    words[0] = 0;
    words[FCSR] = fcsr(frame);
}

fn word(code: &[u8]) -> u32 {
    let byte = |index: usize| code.get(index).copied().unwrap_or(0);
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}
