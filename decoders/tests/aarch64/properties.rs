//! What holds for every word.

use base::GuestVirt;
use base::rng::Rng;
use ferry_decoders::aarch64::{
    DEFERRED, Disassembly, Extension, ExtensionSet, INSTRUCTIONS, Op, disassemble, identify,
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
            prop_assert_eq!(info.width, 32);
        }
    }

    #[test]
    fn more_features_never_take_words_away(word: u32, picks: u128) {
        let some: ExtensionSet =
            Extension::ALL.into_iter().filter(|&e| picks >> (e as u32) & 1 != 0).collect();
        if let Some(op) = identify(word, some) {
            prop_assert!(op.is_enabled(some));
            prop_assert!(identify(word, ExtensionSet::ALL).is_some());
        }
    }
}

/// Random words with an instruction's fixed bits are that instruction, or lie where a condition on
/// its operands or a more special instruction takes them.
#[test]
fn each_instruction_is_found_by_its_bits() {
    let mut random = Random(Rng::new(3));
    for info in INSTRUCTIONS {
        let found = (0..2000)
            .map(|_| random.next() & !info.mask | info.value)
            .filter(|&word| identify(word, ExtensionSet::ALL) == Some(info.op))
            .count();
        assert!(found > 100, "{} was found in {found} of 2000 words", info.name);
    }
}

#[test]
fn no_instruction_without_its_feature() {
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
        assert!(info.name.starts_with(info.mnemonic), "{}", info.name);
    }
}

#[test]
fn what_is_deferred_is_not_decoded() {
    for deferred in DEFERRED {
        assert!(INSTRUCTIONS.iter().all(|info| info.name != deferred.name), "{}", deferred.name);
    }
}

#[test]
fn undefined_words_print_as_data() {
    let none = |word| Disassembly::new(word, GuestVirt(0), ExtensionSet::EMPTY).to_string();
    assert_eq!(none(0x9100_4020), ".inst 0x91004020");
    assert_eq!(Op::AddImm.width(), 32);
}

#[test]
fn hints_of_absent_features_do_nothing() {
    let a64 = ExtensionSet::of(&[Extension::A64]);
    for (word, name) in
        [(0xd503_233f, Op::Paciasp), (0xd503_245f, Op::Bti), (0xd503_20ff, Op::Xpaclri)]
    {
        assert_eq!(identify(word, ExtensionSet::ALL), Some(name));
        assert_eq!(identify(word, a64), Some(Op::Hint));
    }
}
