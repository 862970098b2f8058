//! Random programs for RISC-V 64.

use decoders::riscv64::{ExtensionSet, INSTRUCTIONS, InstructionInfo, Op, identify, length};

use super::words::{Traits, Words};
use super::{Encoded, Guest, Jump, Outcome, Pattern, Program, address};
use crate::coverage;
use crate::guest::RISCV64;
use crate::machine::{End, State};
use base::rng::Rng;

/// Registers that hold addresses, if nothing has changed them.
const POINTERS: [u8; 8] = [2, 8, 9, 14, 15, 18, 19, 20];

/// RISC-V 64.
pub static GUEST: Guest = Guest {
    encodings,
    is_choice,
    maker: |guest, ferry, choices| Box::new(Words::new(guest, ferry, choices, &TRAITS)),
    reserved: [1, 5, 31],
    state,
    jump,
    back,
    length: |code| if let [first, ..] = code { length(u16::from(*first)) as usize } else { 2 },
    no_operation: |bytes| Encoded::low(if bytes == 2 { 0x0001 } else { 0x0000_0013 }, bytes),
    patchers: [6, 7],
    // sw t2,0(t1); fence.i
    patch: &[Encoded::word(0x0073_2023), Encoded::word(0x0000_100f)],
    // addi a0..a7,a0..a7,imm
    harmless: |rng| {
        let bits = rng.bits() as u32;
        let registers = (10 + (bits & 7)) << 7 | (10 + (bits >> 3 & 7)) << 15;
        Encoded::word(0x13 | registers | bits & 0xfff0_0000)
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
        bytes: usize::from(info.width) / 8,
    };
    INSTRUCTIONS.iter().map(pattern).collect()
}

/// Jumps are made apart; system calls would be real; counters differ from run to run; the
/// others do not behave under qemu-user as under Linux.
fn is_choice(info: &Pattern) -> bool {
    let name = info.name.trim_start_matches("c.");
    let is_jump = matches!(name, "j" | "jal" | "jr" | "jalr")
        || name.starts_with('b') && {
            matches!(name, "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu" | "beqz" | "bnez")
        };
    !is_jump && !matches!(name, "ecall" | "cbo.inval") && !info.chapter.starts_with("Privileged")
}

/// Mostly the floating-point CSRs, which all may access.
fn adjust(pattern: &Pattern, word: u32, rng: &mut Rng) -> u32 {
    if pattern.name.starts_with("csr") && !rng.one_in(16) {
        return word & 0x000f_ffff | (1 + rng.below(3) as u32) << 20;
    }
    word
}

fn suits(pattern: &Pattern, word: u32) -> bool {
    let Some(op) = identify(word, ExtensionSet::ALL).filter(|op| op.name() == pattern.name) else {
        return false;
    };
    let reads_counter = op.name().starts_with("csr") && (0xc00..0xca0).contains(&(word >> 20));
    // These name the first of two registers; the second may be a reserved one.
    let hidden = op == Op::AmocasQ && {
        let pair = |at: u32| (word >> at & 31) as u8;
        [pair(7), pair(20)].iter().any(|&low| [4, 30].contains(&low))
    };
    // qemu-user 10.0.2 spoils its constant 0 by AMOCAS with x0 as destination.
    let spoils = op.name().starts_with("amocas") && word >> 7 & 31 == 0;
    !reads_counter && !hidden && !spoils
}

fn state(rng: &mut Rng, _: &[u8]) -> State {
    let mut state = State::new(&RISCV64);
    for n in 1..32 {
        let value = if POINTERS.contains(&n) { address(rng) } else { rng.integer() };
        state.words[usize::from(n)] = value;
    }
    for n in 0..32 {
        state.words[32 + n] = rng.float();
    }
    let flags = rng.bits() & if rng.one_in(2) { 31 } else { 1 };
    let mode = if rng.one_in(40) { 5 } else { rng.below(5) as u64 };
    state.words[64] = mode << 5 | flags;
    for byte in &mut state.memory {
        *byte = rng.bits() as u8;
    }
    state
}

fn jump(rng: &mut Rng) -> Jump {
    let bits = rng.bits() as u32;
    match rng.below(8) {
        // jal ra
        0 => {
            Jump::of_word::<4>(0xef, |word, offset| Encoded::word(aim_jal(word.as_word(), offset)))
        }
        // c.j
        1 => Jump::of_word::<2>(0xa001, |word, offset| {
            Encoded::low(aim_compressed(word.as_word(), offset), 2)
        }),
        // jalr zero,0(t0): where that leads is part of the state.
        2 => Jump { is_indirect: true, ..Jump::of_word::<4>(0x0002_8067, |word, _| word) },
        // c.beqz, c.bnez
        3 | 4 => Jump::of_word::<2>(0xc001 | (bits & 1) << 13 | bits & 0x380, |word, offset| {
            Encoded::low(aim_compressed_branch(word.as_word(), offset), 2)
        }),
        _ => {
            let condition = [0, 1, 4, 5, 6, 7][rng.below(6)];
            Jump::of_word::<4>(0x63 | condition << 12 | bits & 0x01ff_8000, |word, offset| {
                Encoded::word(aim_branch(word.as_word(), offset))
            })
        }
    }
}

/// `addi t6,t6,-1; bne t6,zero,<start>`
fn back(length: u32) -> [Encoded; 2] {
    let branch = aim_branch(0x63 | 1 << 12 | 31 << 15, (length + 4).wrapping_neg());
    [0xffff_8f93, branch].map(Encoded::word)
}

/// Bits high:low of the offset, moved to `to`.
fn field(offset: u32, high: u32, low: u32, to: u32) -> u32 {
    (offset >> low & ((1 << (high - low + 1)) - 1)) << to
}

fn aim_jal(word: u32, offset: u32) -> u32 {
    let field = |high, low, to| field(offset, high, low, to);
    word | field(20, 20, 31) | field(10, 1, 21) | field(11, 11, 20) | field(19, 12, 12)
}

fn aim_branch(word: u32, offset: u32) -> u32 {
    let field = |high, low, to| field(offset, high, low, to);
    word | field(12, 12, 31) | field(10, 5, 25) | field(4, 1, 8) | field(11, 11, 7)
}

fn aim_compressed(word: u32, offset: u32) -> u32 {
    let field = |high, low, to| field(offset, high, low, to);
    let high = field(11, 11, 12) | field(4, 4, 11) | field(9, 8, 9) | field(10, 10, 8);
    word | high | field(6, 6, 7) | field(7, 7, 6) | field(3, 1, 3) | field(5, 5, 2)
}

fn aim_compressed_branch(word: u32, offset: u32) -> u32 {
    let field = |high, low, to| field(offset, high, low, to);
    let high = field(8, 8, 12) | field(4, 3, 10);
    word | high | field(7, 6, 5) | field(2, 1, 3) | field(5, 5, 2)
}

fn excused(program: &Program, mine: &(State, End), theirs: &(State, End)) -> bool {
    is_excused(program, mine)
        || drops_flags(program, &mine.0, &theirs.0)
        || mixes_reservations(program)
}

/// qemu-user checks neither the alignment of AMOs nor, before it compares addresses, anything of a
/// store-conditional.
fn is_excused(program: &Program, (_, end): &(State, End)) -> bool {
    let pc = match *end {
        End::Misaligned { pc } | End::Fault { pc, .. } => pc,
        _ => return false,
    };
    let op = program.word_at(pc).and_then(|word| identify(word, ExtensionSet::ALL));
    op.is_some_and(|op| {
        let name = op.name();
        name.starts_with("sc.") || matches!(end, End::Misaligned { .. }) && name.starts_with("amo")
    })
}

/// qemu-user 10.0.2 leaves FROUND and FROUNDNX out, flags and all, where nobody wants the result:
/// the flags differ at the end, or where the program reads them.
fn drops_flags(program: &Program, mine: &State, theirs: &State) -> bool {
    let listing = program.listing();
    let reads_flags = || ["fflags", "fcsr"].iter().any(|name| listing.contains(name));
    listing.contains("  fround") && (mine.words[64] != theirs.words[64] || reads_flags())
}

/// A store-conditional of another size than the load-reserved may succeed or fail.
fn mixes_reservations(program: &Program) -> bool {
    let listing = program.listing();
    let has = |name| listing.contains(name);
    has("  lr.w") && has("  sc.d") || has("  lr.d") && has("  sc.w")
}
