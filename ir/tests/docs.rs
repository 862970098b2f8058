//! `docs/ir.md` is written from the table of operations. This test fails where it is not what the
//! table says; with `FERRY_BLESS=1` in the environment it writes the file instead.

use std::fmt::Write as _;
use std::path::Path;

use ferry_ir::ops::{OpInfo, Shape, flag};
use ferry_ir::{Condition, FpMode, FpRound, MemOrder, Opcode, Type};

const INTRODUCTION: &str = "\
# Operations of Ferry's IR

Written by `ir/tests/docs.rs` from the table in `ir/src/ops.rs`: change the table, then run
`FERRY_BLESS=1 cargo test -p ferry-ir --test docs`.

A value is a container of 64 bits, or of 128 (\"wide\") if it comes from a vector operation or a wide slot. An operation reads as many low bits of its operands as its type has; the bits of its result above its
type are unspecified, and nothing reads them. Operands are temporaries (`%0`), guest register slots by their names, and constants; results
go to temporaries or, where they have as many bits as a slot, to slots. A wide temporary takes two numbers, of which the first names it. The text form is described in `ir/src/text/mod.rs`, the rules for valid blocks in
`ir/src/verify.rs`.

In the signatures, `ty` is the type that follows the operation's name, `other` the second type of a conversion, and `bool` an i64 that is
0 or 1; `wide` is any vector. Packed flags are N, Z, C and V in bits 31 to 28. Effects: **faults** may leave the block at a guest address; **reads** and **writes** guest memory; **flags** accumulates into the
guest's floating-point flags; **rounds** by a mode that follows the types. Operations without effects may be merged, moved and dropped;
those that **commute** may exchange their operands.
";

const SECTIONS: [(&str, &[Shape]); 7] = [
    (
        "Integers and bits",
        &[Shape::Unary, Shape::Binary, Shape::Compare, Shape::Select, Shape::Extend],
    ),
    (
        "Memory",
        &[
            Shape::Load,
            Shape::Store,
            Shape::AtomicRmw,
            Shape::AtomicCas,
            Shape::AlignCheck,
            Shape::Fence,
        ],
    ),
    (
        "Floating point",
        &[
            Shape::FpUnary,
            Shape::FpBinary,
            Shape::FpTernary,
            Shape::FpCompare,
            Shape::FpToInt,
            Shape::IntToFp,
            Shape::FpToFp,
        ],
    ),
    ("Packed flags", &[Shape::Flags, Shape::Condition, Shape::FpFlags]),
    ("Status flags", &[Shape::Status]),
    (
        "Vectors",
        &[
            Shape::ZextWide,
            Shape::Splat,
            Shape::GetLane,
            Shape::SetLane,
            Shape::Shuffle,
            Shape::ShiftLanes,
            Shape::Ternary,
            Shape::Lengthen,
            Shape::Narrow,
        ],
    ),
    ("Helpers and boundaries", &[Shape::Call, Shape::CallWide, Shape::Mark]),
];

const TERMINATORS: &str = "
## Ends of blocks

| End | Meaning |
|---|---|
| `jump PC` | goes on at a known pc |
| `branch OPERAND, TAKEN, OTHER` | goes on at `TAKEN` if the operand is not zero, else at `OTHER` |
| `indirect OPERAND` | goes on at a computed pc |
| `trap NAME, PC` | leaves with `illegal`, `breakpoint`, `syscall`, `misaligned` or `system`; the guest's pc is then `PC` |
| `lookup PC` | goes on at a pc, by a fresh look-up of the key: something changed that translations depend on |

`jump` and `indirect` may say what they are for: `call PC` (it will return to that pc) or `return`.
";

fn rendered() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (title, shapes) in SECTIONS {
        write!(
            text,
            "\n## {title}\n\n| Operation | Operands → result | Types | Effects | Meaning |\n"
        )
        .and_then(|()| writeln!(text, "|---|---|---|---|---|"))
        .unwrap();
        for op in Opcode::ALL.iter().filter(|op| shapes.contains(&op.info().shape)) {
            writeln!(text, "{}", row(*op)).unwrap();
        }
    }
    text += TERMINATORS;
    let rounds: Vec<_> = FpRound::ALL.iter().map(|round| format!("`{}`", round.name())).collect();
    let orders = MemOrder::ALL[1..].iter().map(|order| format!("`{}`", order.name()));
    let orders: Vec<_> = orders.collect();
    write!(
        text,
        "\nRounding modes: {}. Memory orderings: {}, or none. Floating-point modes: {}, or none. \
         Conditions: {}.\n",
        rounds.join(", "),
        orders.join(", "),
        FpMode::NAMED.map(|(_, name)| format!("`{name}`")).join(", "),
        Condition::ALL.map(|condition| format!("`{}`", condition.name())).join(", ")
    )
    .unwrap();
    text
}

fn row(op: Opcode) -> String {
    let info = op.info();
    let meaning = info.doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    format!(
        "| `{}` | {} | {} | {} | {meaning} |",
        info.name,
        signature(op),
        types(op),
        effects(info),
    )
}

fn signature(op: Opcode) -> &'static str {
    match op {
        Opcode::NanBox => "ty → 64 bits",
        Opcode::NanUnbox => "64 bits → ty",
        _ => op.info().shape.signature(),
    }
}

fn types(op: Opcode) -> String {
    let names = |types: &[Type]| types.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(" ");
    let mut others: Vec<Type> = Vec::new();
    for other in op.types().iter().flat_map(|&ty| op.other_types(ty)) {
        if !others.contains(other) {
            others.push(*other);
        }
    }
    match (op.types(), &others[..]) {
        ([Type::I64], _) => String::new(),
        (types, []) => names(types),
        (types, other) => format!("{}; other: {}", names(types), names(other)),
    }
}

fn effects(info: &OpInfo) -> String {
    let named = [
        (flag::FAULTS, "faults"),
        (flag::READS, "reads"),
        (flag::WRITES, "writes"),
        (flag::FP_FLAGS, "flags"),
        (flag::ROUNDS, "rounds"),
        (flag::COMMUTES, "commutes"),
        (flag::SPECIAL, "as declared"),
    ];
    let set = named.iter().filter(|(flag, _)| info.has(*flag)).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_operations_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ir.md");
    let rendered = rendered();
    if std::env::var_os("FERRY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        std::fs::write(&path, &rendered).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == rendered,
        "docs/ir.md is not what the table of operations says: run \
         `FERRY_BLESS=1 cargo test -p ferry-ir --test docs`"
    );
}

#[test]
fn every_operation_has_a_section() {
    for op in Opcode::ALL {
        let sections = SECTIONS.iter().filter(|(_, shapes)| shapes.contains(&op.info().shape));
        assert_eq!(sections.count(), 1, "{op:?}");
    }
}
