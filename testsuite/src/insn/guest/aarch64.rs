//! AArch64. Words: x0 to x30, sp, nzcv, fpsr, fpcr, one that is not used, the halves of v0 to v31.

use super::{Guest, Narrow, Register};
use crate::insn::machine::{DATA, PAGE, WORDS};
use crate::toolchain::Compiler;

pub(crate) const SP: usize = 31;
const NZCV: usize = 32;
const FPSR: usize = 33;
const FPCR: usize = 34;
/// The lower half of v0.
pub(crate) const V0: usize = 36;

/// AArch64.
pub static AARCH64: Guest = Guest {
    name: "aarch64",
    words: V0 + 64,
    registers,
    initial,
    shortest: 4,
    narrow: Narrow::ZeroExtended,
    compiler: Compiler::Aarch64,
    oracle_flags: &["-mgeneral-regs-only", "-mno-outline-atomics"],
    ferry: None,
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

/// Registers that tell each other apart; in vector registers a double and a float near 1.
fn initial(words: &mut [u64; WORDS]) {
    for n in 0..31 {
        words[n] = 0xfeed_0000_0000_0000 + (n as u64 + 1) * 0x1_0001;
    }
    words[SP] = DATA.0 + PAGE as u64 / 2;
    for n in 0..32 {
        words[V0 + 2 * n] = 0x3ff0_0000_3f80_0000 | n as u64;
        words[V0 + 2 * n + 1] = 0xfeed_0000_0000_0000 + (n as u64 + 1) * 0x1_0001;
    }
}
