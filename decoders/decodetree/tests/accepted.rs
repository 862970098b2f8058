//! What the language allows: one table a case, and a piece of what comes of it.

use ferry_decodetree::Table;

const BEFORE: &str =
    "extension X \"one\"\nextension Y \"other\"\nchapter Ch \"Chapter\"\nsection X\n";

#[track_caller]
fn accept(text: &str, expected: &str) {
    match Table::parse([("t", format!("{BEFORE}{text}").as_str())]) {
        Err(error) => panic!("{error}, for:\n{text}"),
        Ok(table) => {
            let source = table.generate("test");
            assert!(source.contains(expected), "no `{expected}` in:\n{source}");
        }
    }
}

#[test]
fn words_and_lines() {
    accept("", "pub enum Op");
    accept("# nothing\n\n  # more of it", "pub enum Op");
    accept("op 0000000000000000 # remark", "fn op(&self) -> Self::Output;");
    accept("op 00000000 \\\n 00000000", "Op::Op => v.op()");
    accept("a.b.c 0000000000000000", "fn a_b_c(&self)");
    accept("a.b.c => d 0000000000000000", "Op::ABC => v.d()");
    accept("add_imm 0000000000000000", "name: \"add_imm\", mnemonic: \"add\", syntax: \"add\"");
    accept("a.b_imm 0000000000000000", "Op::ABImm => v.a_b_imm()");
    accept("## What it does\nop 0000000000000000", "/// What it does");
    accept("op 0000000000000000 \"{op} # no comment\"", "# no comment");
    accept("deferred later", "name: \"later\", extension: Extension::X");
}

#[test]
fn values() {
    accept("&a f\nop 000000000000 f:4 &a", "v.op(A { f: bits(word, 0, 4) as u8 })");
    accept("&a f:i64\nop 000000000000 f:s4 &a", "f: signed_bits(word, 0, 4)");
    accept("&a f:bool\nop 000000000000000 f:1 &a", "f: word & 0x1 != 0");
    accept("&a f:u32\nop 000000000000 f:4 &a", "f: bits(word, 0, 4) }");
    accept(
        "&a f\n%f 0:2 4:2\nop 0000000000..00.. &a %f",
        "(bits(word, 0, 2) << 2) | bits(word, 4, 2)",
    );
    accept("&a f\n%f 0:4 <<2\nop 000000000000.... &a %f", "(bits(word, 0, 4) << 2)");
    accept("&a f\n%f 0:4 +8\nop 000000000000.... &a %f", "f: (wide_bits(word, 0, 4) + 8) as u8");
    accept(
        "&a f:i64\n%f 0:4 !t\nop 000000000000.... &a %f",
        "f: transform::t(wide_bits(word, 0, 4))",
    );
    accept("&a f:i64\nop 0000000000000000 &a f=-0x10", "f: -16");
}

#[test]
fn formats_give_what_the_pattern_leaves_open() {
    let format = "&a f\n@x .......- 0... f:4 &a \"{op}\"\n";
    accept(&format!("{format}op 0000000. .000 .... @x"), "mask: 0xfef0, value: 0x0");
    accept(&format!("{format}op 00000001 .001 .... @x"), "mask: 0xfff0, value: 0x110");
    accept(&format!("{format}op 00000001 .001 .... @x \"else\""), "f.write_str(\"else\")");
}

#[test]
fn patterns_that_conditions_keep_apart() {
    accept(
        "&a f\na 000000000000 f:4 &a where f != 0\nb 0000000000000000",
        "wide_bits(word, 0, 4) != 0",
    );
    accept(
        "&a f\na 000000000000 f:4 &a where f <= 3\nb 0000000000000100",
        "wide_bits(word, 0, 4) <= 3",
    );
    accept("a 0000000000000000\nb 00000000000000000000000000000000", "identify32");
    accept(
        "&a f g\na 000000000000 f:2 g:2 &a where f == 2 | g <= 1\nb 0000000000000110",
        "(wide_bits(word, 2, 2) == 2 || wide_bits(word, 0, 2) <= 1)",
    );
    accept(
        "&a f\n%g 2:2\na 000000000000 f:4 &a where %g != 0\nb 0000000000000010",
        "wide_bits(word, 2, 2) != 0",
    );
    accept(
        "&a f g\na 000000000000 f:2 g:2 &a where f != g\nb 0000000000001010",
        "wide_bits(word, 2, 2) != wide_bits(word, 0, 2)",
    );
    accept(
        "&a f:i64\n%f 0:4 !t\na 000000000000.... &a %f where f != 0",
        "transform::t(wide_bits(word, 0, 4)) != 0",
    );
}

#[test]
fn groups() {
    accept("{\na 0000000000000000\nb 000000000000000-\n}", "Op::B");
    accept("{\n[\na 0000000000000000\nb 0000000000000001\n]\nc 000000000000000-\n}", "Op::C");
    // The same bits for two extensions: the first that is enabled wins.
    accept("{\na 0000000000000000\nsection Y\nb 0000000000000000\n}", "Op::B");
}

#[test]
fn requirements() {
    accept("op 0000000000000000", "requires: &[ExtensionSet(0x1), ]");
    accept("require X & Y\nop 0000000000000000", "requires: &[ExtensionSet(0x3), ]");
    accept(
        "require X | Y\nop 0000000000000000",
        "requires: &[ExtensionSet(0x1), ExtensionSet(0x2), ]",
    );
}
