//! Each pass on its own: blocks before and after, as text.

mod dead;
mod liveness;
mod passes;
mod simplify;

use super::{Options, Passes, optimise};
use crate::Precision;
use crate::testing::GUEST;
use crate::text::parse_block;

/// Optimises a body, with the mark of one instruction before it, and gives what became of it,
/// operations and terminator on a line each.
fn optimised(body: &str, passes: Passes, precision: Precision) -> Vec<String> {
    let mut block = parse_block(&format!("block 0x1000 {{ insn 0 4 {body} }}"), &GUEST)
        .unwrap_or_else(|error| panic!("{error}\n{body}"));
    crate::verify(&block, &GUEST).unwrap_or_else(|error| panic!("{error}\n{body}"));
    optimise(&mut block, &GUEST, Options { passes, precision });
    let text = block.display(&GUEST).to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.ends_with(['{', '}']));
    lines.skip(1).map(str::to_owned).collect()
}

/// Checks what becomes of a body by some passes. Operations stand apart by `;`.
#[track_caller]
fn check_by(passes: Passes, precision: Precision, before: &str, after: &str) {
    let before = before.replace(';', "\n");
    let expected: Vec<_> = after.split(';').map(str::trim).filter(|op| !op.is_empty()).collect();
    let mut lines = optimised(&format!("{before} lookup 0x0"), passes, precision);
    assert_eq!(lines.pop().as_deref(), Some("lookup 0x0"));
    assert_eq!(lines, expected, "{before}");
}
