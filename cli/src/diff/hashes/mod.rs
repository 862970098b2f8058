//! Executions that are compared by hashes of many instructions each, before anything is compared instruction by instruction:
//! `chunks` of two traces of Ferry's own format, or `windows` of hashes, which may be all that was recorded of an execution.

mod chunks;
mod windows;

use ::diff::{Counts, Verdict};
use trace::Architecture;

use super::side::name;
use super::{DiffArgs, SAME, print_verdict};

/// Compares by hashes what can be compared so, and what differs by instructions; `None` if there are none.
pub(super) fn compare(args: &DiffArgs) -> Result<Option<u8>, String> {
    match chunks::compare(args)? {
        Some(status) => Ok(Some(status)),
        None => windows::compare(args),
    }
}

/// So many instructions agree, and these are all.
fn same(args: &DiffArgs, architecture: Architecture, instructions: u64) -> Result<u8, String> {
    let counts = Counts { instructions, by_hash: instructions, ..Counts::default() };
    let names = [&args.reference, &args.subject].map(|side| name(args, side));
    let verdict = (&Verdict::Same(counts), None);
    print_verdict(args, architecture, [&names[0], &names[1]], verdict)?;
    Ok(SAME)
}
