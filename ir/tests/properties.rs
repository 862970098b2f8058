//! What holds of every valid block.

use ferry_ir::testing::{Choices, GUEST, block, outcome};
use ferry_ir::text::parse_block;
use ferry_ir::verify;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn generated_blocks_are_valid(numbers in vec(any::<u32>(), 0..400)) {
        let block = block(&mut Choices::new(&numbers));
        prop_assert_eq!(verify(&block, &GUEST), Ok(()), "{}", block.display(&GUEST));
    }

    #[test]
    fn text_comes_back(numbers in vec(any::<u32>(), 0..400)) {
        let block = block(&mut Choices::new(&numbers));
        let text = block.display(&GUEST).to_string();
        match parse_block(&text, &GUEST) {
            Ok(parsed) => prop_assert_eq!(parsed, block, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }

    #[test]
    fn any_text_is_a_block_or_an_error(text in "\\PC{0,200}") {
        let _ = parse_block(&text, &GUEST);
    }

    #[test]
    fn unspecified_bits_do_not_matter(
        numbers in vec(any::<u32>(), 0..400),
        registers in vec(any::<u32>(), 80),
        garbage in any::<u64>(),
    ) {
        let block = block(&mut Choices::new(&numbers));
        let run = |garbage| outcome(&block, Choices::new(&registers), garbage);
        prop_assert_eq!(run(garbage), run(0), "{}", block.display(&GUEST));
    }
}
