//! What holds for every word.

use base::GuestVirt;
use base::rng::Rng;
use ferry_decoders::riscv64::{
    Disassembly, Extension, ExtensionSet, INSTRUCTIONS, Op, disassemble, identify, length,
};
use proptest::prelude::*;

use crate::Random;
use crate::recorder::decoded;

proptest! {
    #[test]
    fn any_word_decodes_or_does_not(word: u32, pc: u64) {
        let op = identify(word, ExtensionSet::ALL);
        prop_assert_eq!(decoded(word).is_some(), op.is_some());
        let text = disassemble(word, GuestVirt(pc));
        prop_assert_eq!(text.starts_with('.'), op.is_none());
    }

    #[test]
    fn an_instruction_matches_its_own_bits(word: u32) {
        if let Some(op) = identify(word, ExtensionSet::ALL) {
            let info = op.info();
            prop_assert_eq!(word & info.mask, info.value);
            prop_assert_eq!(u64::from(info.width), 8 * length(word as u16));
        }
    }

    #[test]
    fn the_upper_half_of_a_compressed_word_does_not_matter(low: u16, high: u16) {
        prop_assume!(low & 3 != 3);
        let word = u32::from(low) | u32::from(high) << 16;
        prop_assert_eq!(decoded(word), decoded(u32::from(low)));
    }

    #[test]
    fn more_extensions_never_take_words_away(word: u32, picks: u64) {
        let some: ExtensionSet =
            Extension::ALL.into_iter().filter(|&e| picks >> (e as u32 % 64) & 1 != 0).collect();
        if let Some(op) = identify(word, some) {
            prop_assert!(op.is_enabled(some));
            prop_assert!(identify(word, ExtensionSet::ALL).is_some());
        }
    }
}

/// Compressed and 32-bit words are rare among random ones, so each instruction gets its own.
#[test]
fn each_instruction_is_found_by_its_bits() {
    let mut random = Random(Rng::new(3));
    for info in INSTRUCTIONS {
        let width = if info.width == 16 { 0xffff } else { u32::MAX };
        let found = (0..2000)
            .map(|_| random.next() & width & !info.mask | info.value)
            .filter(|&word| identify(word, ExtensionSet::ALL) == Some(info.op))
            .count();
        assert!(found > 500, "{} was found in {found} of 2000 words", info.name);
    }
}

#[test]
fn no_instruction_without_its_extension() {
    let mut random = Random(Rng::new(4));
    for info in INSTRUCTIONS {
        let word = random.next() & !info.mask | info.value;
        if identify(word, ExtensionSet::ALL) != Some(info.op) {
            continue;
        }
        assert!(!info.op.is_enabled(ExtensionSet::EMPTY), "{}", info.name);
        let without = ExtensionSet::ALL.without(info.extension);
        if let Some(op) = identify(word, without) {
            assert!(op.is_enabled(without), "{}", info.name);
        }
        for &needed in info.requires {
            assert_eq!(identify(word, needed), Some(info.op), "{} with {needed:?}", info.name);
        }
    }
}

#[test]
fn operations_index_their_list() {
    for (index, info) in INSTRUCTIONS.iter().enumerate() {
        assert_eq!(info.op as usize, index);
        assert_eq!(info.op.to_string(), info.name);
    }
}

#[test]
fn extension_sets_are_closed() {
    use Extension::*;
    let g = ExtensionSet::of(&[G]);
    for implied in [I, M, A, F, D, Zicsr, Zifencei, Zaamo, Zalrsc, Zmmul] {
        assert!(g.contains(implied), "{implied}");
        assert!(!g.without(implied).contains(G), "{implied}");
    }
    assert!(!g.contains(C));
    assert_eq!(g.with(C).without(C).without(Zca), g);
    assert_eq!(
        ExtensionSet::from_names(["zba", "Zbb", "ZBS"]),
        Ok(ExtensionSet::of(&[Zba, Zbb, Zbs]))
    );
    assert_eq!(ExtensionSet::from_names(["zba", "zbz"]), Err("zbz"));
    assert_eq!(ExtensionSet::of(&[Zba, Zbs]).iter().collect::<Vec<_>>(), [Zba, Zbs]);
    assert_eq!(format!("{:?}", ExtensionSet::of(&[Zba])), "{Zba}");
}

#[test]
fn illegal_words_print_as_data() {
    let none = |word| Disassembly::new(word, GuestVirt(0), ExtensionSet::EMPTY).to_string();
    assert_eq!(none(0x00c5_8533), ".4byte 0xc58533");
    assert_eq!(none(0xffff_0001), ".2byte 0x1");
    assert_eq!(Op::Add.width(), 32);
}
