//! One mistake a case: the line that is blamed and what is said about it.

use ferry_decodetree::Table;

/// What every case begins with; its own lines are counted from 1 in a second file.
const BEFORE: &str = "extension X \"one\"\nextension Y \"other\"\n";

/// The beginning of a chapter, for cases that are about patterns.
const CHAPTER: &str = "extension X \"one\"\nextension Y \"other\"\nchapter Ch \"Chapter\"\n";

#[track_caller]
fn reject(before: &str, text: &str, expected: &str) {
    match Table::parse([("before", before), ("t", text)]) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error.to_string(), expected, "for:\n{text}"),
    }
}

/// For patterns: a section stands on line 1, so that the case itself begins on line 2.
#[track_caller]
fn pattern(text: &str, expected: &str) {
    reject(CHAPTER, &format!("section X\n{text}"), expected);
}

const Z16: &str = "0000000000000000";

#[test]
fn bits() {
    pattern("op 0000", "t:2: 4 bits given; an instruction has 16 or 32");
    pattern("op", "t:2: 0 bits given; an instruction has 16 or 32");
    pattern(&format!("op {Z16} 0"), "t:2: 17 bits given; an instruction has 16 or 32");
    pattern(
        "op 000000000000000.",
        "t:2: bit 0 is neither fixed, nor part of a field, nor ignored (`-`)",
    );
    pattern("op 0000000000000000 rd:0", "t:2: `rd:0` needs a length");
    pattern("op 0000000000000002", "t:2: 0 bits given; an instruction has 16 or 32");
}

#[test]
fn fields() {
    pattern("%f", "t:2: a field needs segments that do not overlap");
    pattern("%f 0:4 2:4", "t:2: a field needs segments that do not overlap");
    pattern("%f 30:4", "t:2: `30:4` is no part of a field");
    pattern("%f 0:0", "t:2: `0:0` is no part of a field");
    pattern("%f 4:2 0:s2", "t:2: `0:s2` is no part of a field");
    pattern("%f 4", "t:2: `4` is no part of a field");
    pattern("%f 0:4 <<x", "t:2: `<<x` is no part of a field");
    pattern("%f 0:4", "t:2: field `f` is never used");
    pattern("%f 0:4\n%f 0:4", "t:3: field `f` is already defined at t:2");
    pattern("&a f\nop 000000000000000. &a f=%g", "t:3: unknown field `g`");
    pattern(
        "&a f\n%f 14:4\nop 0000............ &a %f",
        "t:4: field `f` reaches past the 16 bits of the instruction",
    );
    pattern("&a f\n%f 0:4\nop 0000000000000000 &a %f", "t:4: bit 0 is fixed and also part of `f`");
    pattern(
        "&a f\n%f 0:4\nop 000000000000-... &a %f",
        "t:4: bit 3 is ignored (`-`) and also part of `f`",
    );
}

#[test]
fn arguments() {
    pattern("&a", "t:2: an argument set needs arguments");
    pattern("&a f f", "t:2: argument `f` is already defined at t:2");
    pattern("&a f:u9", "t:2: unknown type `u9`");
    pattern("&a f", "t:2: argument set `a` is never used");
    pattern("op 0000000000000000 &a", "t:2: unknown argument set `a`");
    pattern("&a f g\nop 000000000000 f:4 &a", "t:3: argument `g` gets no value");
    pattern("&a f\nop 000000000000 f:2 g:2 &a", "t:3: `g` is no argument of this instruction");
    pattern("op 000000000000 f:4", "t:2: `f` is no argument of this instruction");
    pattern(
        "&a f\nop 000000000000 f:2 f:2 &a",
        "t:3: value of argument `f` is already defined at t:3",
    );
    pattern("&a f\nop 0000000 f:9 &a", "t:3: the values of `f` do not fit its type u8");
    pattern("&a f\nop 000000000000 f:s4 &a", "t:3: the values of `f` do not fit its type u8");
    pattern(
        "&a f:bool\nop 00000000000000 f:2 &a",
        "t:3: the values of `f` do not fit its type bool",
    );
    pattern("&a f\nop 0000000000000000 &a f=256", "t:3: the values of `f` do not fit its type u8");
    pattern("&a f\nop 0000000000000000 &a f=z", "t:3: `z` is no number");
    pattern("&a f\nop 0000000000000000 &a z", "t:3: `z` is not understood here");
}

#[test]
fn formats() {
    pattern("@f 0000000000000000", "t:2: format `f` is never used");
    pattern("op 0000000000000000 @f", "t:2: unknown format `f`");
    pattern(
        "@f 0000000000000000\n@f 0000000000000000",
        "t:3: format `f` is already defined at t:2",
    );
    pattern(
        "@f 0000000000000000\nop 00000000000000000000000000000000 @f",
        "t:3: the pattern has 32 bits but format `@f` has 16",
    );
    pattern(
        "@f 0100000000000000\nop 0000000000000000 @f",
        "t:3: bit 14 is fixed to different values by the pattern and its format",
    );
}

#[test]
fn templates() {
    pattern("op 0000000000000000 \"{op\"", "t:2: unclosed `{` in the template");
    pattern("op 0000000000000000 \"{op}", "t:2: unclosed string");
    pattern("op 0000000000000000 \"{f}\"", "t:2: `f` is no argument of this instruction");
}

#[test]
fn conditions() {
    pattern("&a f\nop 000000000000 f:4 &a where f", "t:3: `f` is no condition");
    pattern(
        "&a f\nop 000000000000 f:4 &a where g != 0",
        "t:3: `g` is no argument of this instruction",
    );
    pattern("&a f\nop 000000000000 f:4 &a where %g != 0", "t:3: unknown field `g`");
    pattern("&a f\nop 000000000000 f:4 &a where f != 0x", "t:3: `0x` is no number");
    pattern(
        "&a f\nop 000000000000 f:4 &a where f != x",
        "t:3: `x` is no argument of this instruction",
    );
    pattern("&a f\nop 000000000000 f:4 &a where f == 1 |", "t:3: `` is no condition");
    pattern(
        "&a f\nop 0000000000000000 &a f=1 where f != 0",
        "t:3: `f` is no argument of this instruction",
    );
}

#[test]
fn names() {
    pattern(
        "op 0000000000000000\nop 0000000000000001",
        "t:3: instruction `op` is already defined at t:2",
    );
    pattern("op 0000000000000000\ndeferred op", "t:3: instruction `op` is already defined at t:2");
    pattern(
        "yield 0000000000000000",
        "t:2: `yield` is a keyword of Rust: name the method with `=> other_name`",
    );
    pattern(
        "&a f\nop 000000000000 f:4 &a\nc.op => op 1000000000000000",
        "t:4: method `op` takes `a` in `op` but `none` here",
    );
}

#[test]
fn overlaps() {
    let both = "a 000000000000000-\nb 0000000000000000";
    let message = "`b` overlaps `a` (t:2): put both into a group `{ }`";
    pattern(both, &format!("t:3: {message}"));
    pattern(
        &format!("{{\n[\n{both}\n]\n}}"),
        "t:5: `b` overlaps `a` (t:4): put both into a group `{ }`",
    );
    pattern(
        "{\na 000000000000000-\n}\n{\nb 0000000000000000\n}",
        "t:6: `b` overlaps `a` (t:3): put both into a group `{ }`",
    );
    pattern(
        &format!("{{\n{both}\n}}"),
        "t:4: `b` can never match: `a` (t:3) takes every word first",
    );
    // The condition on a leaves f = 1, which b takes.
    pattern(
        "&a f\na 000000000000 f:4 &a where f != 0\nb 0000000000000001",
        "t:4: `b` overlaps `a` (t:3): put both into a group `{ }`",
    );
}

#[test]
fn brackets() {
    pattern("{", "t:2: unbalanced `{`");
    pattern("[", "t:2: unbalanced `[`");
    pattern("}", "t:2: unbalanced `}`");
    pattern("{\n]", "t:3: unbalanced `]`");
}

#[test]
fn structure() {
    reject(BEFORE, "section Q", "t:1: unknown extension `Q`");
    reject(BEFORE, "section", "t:1: a section is `section Extension`");
    reject(BEFORE, "chapter Q", "t:1: a chapter is `chapter TraitName \"Title\"`");
    reject(BEFORE, "extension X \"x\"", "t:1: extension `X` is already defined at before:1");
    reject(BEFORE, "extension Z \"z\" implies Q", "t:1: unknown extension `Q`");
    reject(BEFORE, "extension Z", "t:1: an extension is `extension Name \"Title\" [implies …]`");
    reject(
        BEFORE,
        "section X\nop 0000000000000000",
        "t:2: no `chapter` line stands before this pattern",
    );
    reject(CHAPTER, "op 0000000000000000", "t:1: no `section` line stands before this pattern");
    reject(CHAPTER, "deferred op", "t:1: no `section` line stands before this pattern");
    let many: String = (0..127).map(|n| format!("extension Z{n} \"z\"\n")).collect();
    reject(BEFORE, &many, "t:127: more than 128 extensions");
    pattern("require X & Q", "t:2: unknown extension `Q`");
    pattern("op 0000 \\\n0000", "t:2: 8 bits given; an instruction has 16 or 32");
}
