//! AArch64. Words: x0 to x30, sp, nzcv, fpsr, fpcr, one that is not used, the halves of v0 to v31.

use arch::aarch64::fpcr::{fpcr, fpsr, set_fpcr, set_fpsr};
use arch::aarch64::{CpuModel, key, slot};
use base::{CpuFrame, GuestVirt};
use decoders::aarch64::{ExtensionSet, INSTRUCTIONS, disassemble, identify};
use translator::aarch64;

use super::{Compiler, Ferry, Guest, Holds, Judge, Misaligned, Narrow, Register};
use crate::machine::{DATA, End, PAGE, WORDS};
use crate::program;
use crate::shape::{File, Zero};

pub(crate) const SP: usize = 31;
pub(crate) const NZCV: usize = 32;
pub(crate) const FPSR: usize = 33;
pub(crate) const FPCR: usize = 34;
/// The lower half of v0.
pub(crate) const V0: usize = 36;

/// AArch64.
pub static AARCH64: Guest = Guest {
    name: "aarch64",
    words: V0 + 64,
    registers,
    register_named,
    initial,
    shortest: 4,
    // brk #0
    breakpoint: &[0x00, 0x00, 0x20, 0xd4],
    narrow: Narrow::ZeroExtended,
    forget: |_, _| {},
    forget_interrupted: |_, _, _| {},
    holds_here: |_| Holds::EVERYWHERE,
    judge: Judge::Emulator,
    compiler: Compiler { command: "aarch64-linux-gnu-gcc", package: "gcc-aarch64-linux-gnu" },
    oracle_source: include_str!("../../oracle/aarch64.c"),
    oracle_flags: &["-mgeneral-regs-only", "-mno-outline-atomics"],
    ferry: Some(Ferry {
        ir: &aarch64::GUEST,
        frontend: || Box::new(aarch64::Frontend::new(CpuModel::default())),
        load,
        save,
        translated_otherwise,
        misaligned,
        system: End::Illegal,
        pending: &[],
        disassemble: |pc, code| (disassemble(word(code), pc), 4),
        instructions: || INSTRUCTIONS.iter().map(|info| info.name).collect(),
        identify: |code| identify(word(code), ExtensionSet::ALL).map(|op| op.name()),
        random: &program::aarch64::GUEST,
    }),
};

const CONDITIONS: &[(&str, u64)] =
    &[("n", 1 << 31), ("z", 1 << 30), ("c", 1 << 29), ("v", 1 << 28)];
const STATUS: &[(&str, u64)] =
    &[("ioc", 1), ("dzc", 2), ("ofc", 4), ("ufc", 8), ("ixc", 16), ("idc", 128), ("qc", 1 << 27)];
/// `rp`, `rm` and `rz` are the values of RMode.
const CONTROL: &[(&str, u64)] = &[
    ("rp", 1 << 22),
    ("rm", 2 << 22),
    ("rz", 3 << 22),
    ("fz16", 1 << 19),
    ("fz", 1 << 24),
    ("dn", 1 << 25),
];

fn registers() -> Vec<Register> {
    let mut all: Vec<_> = (0..31).map(|n| Register::word(format!("x{n}"), n)).collect();
    all.push(Register::word("sp", SP));
    for (name, word, values) in
        [("nzcv", NZCV, CONDITIONS), ("fpsr", FPSR, STATUS), ("fpcr", FPCR, CONTROL)]
    {
        all.push(Register { values, ..Register::word(name, word) });
    }
    all.extend(
        (0..32).map(|n| Register { bits: 128, ..Register::word(format!("v{n}"), V0 + 2 * n) }),
    );
    all
}

fn register_named(name: &str) -> Option<(File, u8, Zero)> {
    match name {
        "xzr" | "wzr" => return Some((File::Integer, 31, Zero::Always)),
        "sp" | "wsp" => return Some((File::Integer, 31, Zero::No)),
        _ => {}
    }
    let (letter, number) = name.split_at_checked(1)?;
    let file = match letter {
        "x" | "w" => File::Integer,
        "b" | "h" | "s" | "d" | "q" | "v" => File::Float,
        _ => return None,
    };
    let number = number.parse().ok().filter(|&number| number < 32)?;
    Some((file, number, Zero::No))
}

/// Registers that tell each other apart; in vector registers a double and a float near 1.
fn initial(words: &mut [u64; WORDS]) {
    for (n, word) in words.iter_mut().enumerate().take(31) {
        *word = 0xfeed_0000_0000_0000 + (n as u64 + 1) * 0x1_0001;
    }
    words[SP] = DATA.0 + PAGE as u64 / 2;
    for n in 0..32 {
        words[V0 + 2 * n] = 0x3ff0_0000_3f80_0000 | n as u64;
        words[V0 + 2 * n + 1] = 0xfeed_0000_0000_0000 + (n as u64 + 1) * 0x1_0001;
    }
}

/// The keys of pointer authentication are any.
fn load(words: &[u64; WORDS], frame: &mut CpuFrame) {
    frame.slots[..=NZCV].copy_from_slice(&words[..=NZCV]);
    let v0 = slot::v(0).index();
    frame.slots[v0..v0 + 64].copy_from_slice(&words[V0..V0 + 64]);
    frame.key_flags &= !(key::TAGGED | key::STACK_CHECKED);
    key::set_sp(frame, words[SP]);
    set_fpcr(frame, words[FPCR]);
    set_fpsr(frame, words[FPSR]);
    frame.set(slot::EXCLUSIVE_ADDR, slot::NO_EXCLUSIVE);
    for (index, slot) in (slot::APIAKEY_LO.0..=slot::APGAKEY_HI.0).enumerate() {
        frame.slots[usize::from(slot)] = 0x0123_4567_89ab_cdef * (2 * index as u64 + 1);
    }
    for slot in [slot::TPIDR_EL0, slot::TPIDRRO_EL0, slot::DIT, slot::SSBS, slot::TCO] {
        frame.set(slot, 0);
    }
}

fn save(frame: &CpuFrame, words: &mut [u64; WORDS]) {
    words[..=NZCV].copy_from_slice(&frame.slots[..=NZCV]);
    words[FPCR] = fpcr(frame);
    words[FPSR] = fpsr(frame);
    let v0 = slot::v(0).index();
    words[V0..V0 + 64].copy_from_slice(&frame.slots[v0..v0 + 64]);
}

/// At the first fault of an address with a tag, from then on without tags. The host does not say what such an
/// address was.
fn translated_otherwise(frame: &mut CpuFrame, addr: GuestVirt) -> bool {
    let first = frame.key_flags & key::TAGGED == 0 && (addr.0 == 0 || addr.0 >> 56 != 0);
    if first {
        frame.key_flags |= key::TAGGED;
    }
    first
}

/// The instruction may have been about to misalign the stack; if not, it is a pointer that fails its authentication
/// which is left so at address 1.
fn misaligned(frame: &mut CpuFrame, _: &[u8], addr: GuestVirt) -> Misaligned {
    match addr {
        _ if key::check_stack(frame) => Misaligned::Again,
        GuestVirt(1) if frame.get(slot::SP) != 1 => Misaligned::Illegal,
        _ => Misaligned::Fault,
    }
}

fn word(code: &[u8]) -> u32 {
    let byte = |index: usize| code.get(index).copied().unwrap_or(0);
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}
