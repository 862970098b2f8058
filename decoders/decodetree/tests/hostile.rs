//! Whatever the text, there is a table or an error, never a panic.

use ferry_decodetree::Table;
use proptest::prelude::*;

const GOOD: &str = include_str!("toy.decode");

fn read(text: &str) -> usize {
    Table::parse([("hostile", text)]).map_or(0, |table| table.generate("hostile").len())
}

/// Pieces of the language, so that random lines get past the first check.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(
            "chapter extension section require deferred implies where => { } [ ] % & @ %f &a @f \
             add 0000 1111 .... ---- f:4 f:s4 f:0 f:255 0:4 4:s4 31:1 0:32 <<1 <<255 +8 +65536 !t \
             f=%f f=1 f=-1 f=4294967296 f != 0 <= | X \" \"{op}\" \"{f:x}\" \\ # ##"
                .split(' ')
                .map(String::from)
                .collect::<Vec<_>>()
        ),
        "\\PC{0,4}",
    ]
}

proptest! {
    #[test]
    fn random_text(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn random_lines(lines in prop::collection::vec(prop::collection::vec(token(), 0..10), 0..8)) {
        let lines: Vec<String> = lines.iter().map(|line| line.join(" ")).collect();
        read(&format!("extension X \"x\"\nchapter C \"c\"\nsection X\n{}", lines.join("\n")));
    }

    #[test]
    fn a_good_table_with_a_token_replaced(index in 0usize..200, token in token()) {
        let position = GOOD.match_indices(' ').map(|(at, _)| at).nth(index);
        if let Some(at) = position {
            let end = GOOD[at + 1..].find([' ', '\n']).map_or(GOOD.len(), |end| at + 1 + end);
            read(&format!("{} {token}{}", &GOOD[..at], &GOOD[end..]));
        }
    }
}
