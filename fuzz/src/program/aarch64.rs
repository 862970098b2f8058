//! Random programs for AArch64.

use decoders::aarch64::{Extension, ExtensionSet, INSTRUCTIONS, InstructionInfo, identify};

use super::words::{Traits, Words};
use super::{Encoded, Guest, Jump, Outcome, Pattern, Program, address};
use crate::coverage;
use crate::guest::{AARCH64, aarch64};
use crate::machine::{End, State};
use base::rng::Rng;

/// Registers that hold addresses, if nothing has changed them.
const POINTERS: [u8; 8] = [19, 20, 21, 22, 23, 24, 25, 26];
/// A register that holds a small number, for offsets.
const INDEX: u32 = 12;
/// `msr` of NZCV, FPCR and FPSR, whose bits 19:5 name the register. The latter are only read: they have more bits
/// where there is AArch32, or FEAT_AFP.
const SYSTEM_REGISTERS: [u32; 3] = [0xd51b_4200, 0xd51b_4400, 0xd51b_4420];

/// AArch64.
pub static GUEST: Guest = Guest {
    encodings,
    is_choice,
    maker: |guest, ferry, choices| Box::new(Words::new(guest, ferry, choices, &TRAITS)),
    reserved: [30, 16, 28],
    state,
    jump,
    back,
    length: |_| 4,
    no_operation: |_| Encoded::word(0xd503_201f),
    patchers: [17, 18],
    // str w18, [x17]; dc cvau, x17; dsb ish; ic ivau, x17; dsb ish; isb
    patch: &[
        Encoded::word(0xb900_0232),
        Encoded::word(0xd50b_7b31),
        Encoded::word(0xd503_3b9f),
        Encoded::word(0xd50b_7531),
        Encoded::word(0xd503_3b9f),
        Encoded::word(0xd503_3fdf),
    ],
    // add x0..x7, x0..x7, #imm
    harmless: |rng| {
        let bits = rng.bits() as u32;
        Encoded::word(0x9100_0000 | bits & 7 | (bits >> 3 & 7) << 5 | bits & 0x003f_fc00)
    },
    excused,
    is_open: |_, _, _| false,
    settled: |_, outcome| Outcome::clone(outcome),
    coverage: coverage::words::ENCODINGS,
};

static TRAITS: Traits = Traits { adjust, suits, pointers: &POINTERS };

fn encodings() -> Vec<Pattern> {
    let pattern = |info: &'static InstructionInfo| Pattern {
        name: info.name,
        extension: info.extension.name(),
        chapter: info.chapter,
        mask: info.mask,
        value: info.value,
        bytes: 4,
    };
    INSTRUCTIONS.iter().map(pattern).collect()
}

/// Jumps are made apart, calls of the system would be real; keys and random numbers differ from run to
/// run, blocks of DC ZVA from CPU to CPU; the code that literals lie in is mapped for qemu-user only; copies of
/// memory make sense in threes; qemu-user 10.0.2 has no CSSC.
fn is_choice(info: &Pattern) -> bool {
    const JUMPS: [&str; 14] = [
        "b", "bl", "b_cond", "bc_cond", "cbz", "cbnz", "tbz", "tbnz", "br", "blr", "ret", "eret",
        "drps", "brk",
    ];
    const OTHERS: [&str; 13] = [
        "svc", "hvc", "smc", "hlt", "dcps1", "dcps2", "dcps3", "wfe", "wfi", "sys", "sysl", "adr",
        "adrp",
    ];
    let extensions = [
        Extension::PAuth.name(),
        Extension::RNG.name(),
        Extension::WFxT.name(),
        Extension::MOPS.name(),
        Extension::MTE.name(),
        Extension::CSSC.name(),
    ];
    let name = info.name;
    let literal = name.contains("_lit");
    let cache = name.starts_with("dc_") || name.starts_with("ic_") || name.ends_with("_rctx");
    let odd = JUMPS.contains(&name) || OTHERS.contains(&name) || literal || cache;
    !odd && !extensions.contains(&info.extension)
}

fn is_load_or_store(word: u32) -> bool {
    word & 0x0a00_0000 == 0x0800_0000
}

/// A pointer as base, and small offsets; one of the system registers that all may write; bits that should be
/// zeros or ones, which is for the processor to insist on, as they should be.
fn adjust(pattern: &Pattern, word: u32, rng: &mut Rng) -> u32 {
    match pattern.name {
        "mrs" => return word & !0x000f_ffe0 | SYSTEM_REGISTERS[rng.below(3)] & 0x000f_ffe0,
        "msr_reg" => return word & !0x000f_ffe0 | SYSTEM_REGISTERS[0] & 0x000f_ffe0,
        "smulh" | "umulh" => return word | 31 << 10,
        "fcmp_z" | "fcmpe_z" => return word & !(31 << 16),
        "cfinv" | "axflag" | "xaflag" | "sb" => return word & !(15 << 8),
        _ => {}
    }
    if !is_load_or_store(word) || rng.one_in(64) {
        return word;
    }
    let base = u32::from(POINTERS[rng.below(POINTERS.len())]);
    let word = word & !0x3e0 | base << 5;
    match (word >> 27 & 7, word >> 24 & 3, word >> 21 & 1, word >> 10 & 3) {
        // An unsigned offset.
        (0b111, 1, ..) => word & !(0xff8 << 10) | pattern.value & 0xff8 << 10,
        // A register as offset.
        (0b111, 0, 1, 2) => word & !(31 << 16) | INDEX << 16,
        _ => word,
    }
}

/// Beside being that instruction, it must not be one that is unpredictable for naming a register twice.
fn suits(pattern: &Pattern, word: u32) -> bool {
    if identify(word, ExtensionSet::ALL).is_none_or(|op| op.name() != pattern.name) {
        return false;
    }
    let field = |at: u32| word >> at & 31;
    let (t, n, t2, m) = (field(0), field(5), field(10), field(16));
    // Their pairs are reached through a helper, where nothing sees that they are reserved registers.
    let hidden = pattern.name.starts_with("casp")
        && GUEST.reserved.iter().any(|&r| [t, m].iter().any(|&pair| pair | 1 == u32::from(r) | 1));
    let twice = t == n || t2 == t || t2 == n || m == t || m == n || m == t2;
    !hidden && (!is_load_or_store(word) || !twice)
}

fn state(rng: &mut Rng, _: &[u8]) -> State {
    let mut state = State::new(&AARCH64);
    for n in 0..31 {
        let value = if POINTERS.contains(&n) { address(rng) } else { rng.integer() };
        state.words[usize::from(n)] = value;
    }
    state.words[INDEX as usize] = rng.bits() % 5;
    state.words[aarch64::NZCV] = (rng.bits() & 15) << 28;
    state.words[aarch64::FPSR] = if rng.one_in(2) { rng.bits() & 0x0800_009f } else { 16 };
    state.words[aarch64::FPCR] = match rng.below(3) {
        0 => rng.bits() & 0x07c8_0000,
        1 => rng.bits() & 0x00c0_0000,
        _ => 0,
    };
    for n in 0..64 {
        state.words[aarch64::V0 + n] = half(rng);
    }
    for byte in &mut state.memory {
        *byte = rng.bits() as u8;
    }
    state
}

/// Half of a vector register, of one kind of lane.
fn half(rng: &mut Rng) -> u64 {
    let lanes = |rng: &mut Rng, bits: u32, lane: fn(&mut Rng) -> u64| {
        let mask = u64::MAX >> (64 - bits);
        (0..64).step_by(bits as usize).fold(0, |all, at| all | (lane(rng) & mask) << at)
    };
    match rng.below(7) {
        0 => lanes(rng, 16, |rng| rng.float_of(5, 10)),
        1 | 2 => lanes(rng, 32, |rng| rng.float_of(8, 23)),
        3 => rng.float_of(11, 52),
        4 => lanes(rng, 8, Rng::integer),
        5 => lanes(rng, 32, Rng::integer),
        _ => rng.integer(),
    }
}

fn jump(rng: &mut Rng) -> Jump {
    let bits = rng.bits() as u32;
    match rng.below(8) {
        0 => Jump::of_word::<4>(0x1400_0000, aim_26),
        1 => Jump::of_word::<4>(0x9400_0000, aim_26),
        // br x16: where that leads is part of the state.
        2 => Jump { is_indirect: true, ..Jump::of_word::<4>(0xd61f_0200, |word, _| word) },
        3 | 4 => Jump::of_word::<4>(0x5400_0000 | bits & 15, aim_19),
        5 | 6 => Jump::of_word::<4>(0x3400_0000 | bits & 0x8100_001f, aim_19),
        _ => Jump::of_word::<4>(0x3600_0000 | bits & 0x81f8_001f, aim_14),
    }
}

/// `sub x28, x28, #1; cbnz x28, <start>`
fn back(length: u32) -> [Encoded; 2] {
    let branch = aim_19(Encoded::word(0xb500_001c), (length + 4).wrapping_neg());
    [Encoded::word(0xd100_079c), branch]
}

fn aim_26(word: Encoded, offset: u32) -> Encoded {
    Encoded::word(word.as_word() | offset >> 2 & 0x03ff_ffff)
}

fn aim_19(word: Encoded, offset: u32) -> Encoded {
    Encoded::word(word.as_word() | (offset >> 2 & 0x7ffff) << 5)
}

fn aim_14(word: Encoded, offset: u32) -> Encoded {
    Encoded::word(word.as_word() | (offset >> 2 & 0x3fff) << 5)
}

fn excused(program: &Program, mine: &(State, End), _theirs: &(State, End)) -> bool {
    mixes_exclusives(program)
        || stops_at_an_access(program, mine.1)
        || misaligns_the_stack(program, mine)
}

/// qemu-user does not check the stack pointer where it is a base.
fn misaligns_the_stack(program: &Program, (state, end): &(State, End)) -> bool {
    let End::Misaligned { pc } = *end else { return false };
    let is_misaligned = !state.words[aarch64::SP].is_multiple_of(16);
    is_misaligned && program.word_at(pc).is_some_and(|word| word >> 5 & 31 == 31)
}

/// A store exclusive of another size than the load exclusive may succeed or fail.
fn mixes_exclusives(program: &Program) -> bool {
    // Bit 23 tells them from those that are merely ordered, bit 22 loads from stores.
    let exclusive = |word: &u32| word & 0x3f80_0000 == 0x0800_0000;
    let kind = |word: u32| (word >> 30, word >> 21 & 1);
    let mut kinds: Vec<(u32, u32)> = program.words().filter(exclusive).map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() > 1
}

/// Where one of several accesses of an instruction faults, those before may have been made or not. A store
/// exclusive that fails may fault first, or not at all.
fn stops_at_an_access(program: &Program, end: End) -> bool {
    let (End::Fault { pc, .. } | End::Misaligned { pc }) = end else { return false };
    let open = |word: u32| {
        let pair = word & 0x3a00_0000 == 0x2800_0000;
        let structures = word & 0xbe00_0000 == 0x0c00_0000;
        let store_exclusive = word & 0x3fc0_0000 == 0x0800_0000;
        let sixteen_bytes = word & 0xfec0_0000 == 0x3c80_0000;
        pair || structures || store_exclusive || sixteen_bytes
    };
    program.word_at(pc).is_some_and(open)
}
