//! From encodings to semantics: the one table. Each chapter has its part of it.

use std::sync::{LazyLock, OnceLock};

use decoders::x86_64::{Code, EncodingKind};

use super::{
    Flow, Insn, arithmetic, avx, bit, control, data, mmx, shift, sse_convert, sse_crypto,
    sse_float, sse_integer, sse_move, state, string, system, x87,
};

/// What an instruction means.
pub(super) type Semantics = for<'i, 'b> fn(&'i Insn<'b>) -> Flow;

/// The chapters' parts of the table: where one has no entry, the next is asked.
const CHAPTERS: &[fn(Code) -> Option<Semantics>] = &[
    data::table,
    arithmetic::table,
    shift::table,
    bit::table,
    control::table,
    string::table,
    system::table,
    state::table,
    x87::table,
    mmx::table,
    sse_move::table,
    sse_integer::table,
    sse_float::table,
    sse_convert::table,
    sse_crypto::table,
    avx::table,
];

/// What was found so far, by encoding. A program has few of them: all at once would be a part of its start.
static FOUND: LazyLock<Vec<OnceLock<Option<Semantics>>>> =
    LazyLock::new(|| Code::values().map(|_| OnceLock::new()).collect());

/// What an encoding means; `None` if it is undefined, or not implemented.
pub(super) fn semantics(code: Code) -> Option<Semantics> {
    *FOUND[code as usize].get_or_init(|| find(code))
}

fn find(code: Code) -> Option<Semantics> {
    // The chapters ask for mnemonics, which AVX-512 and others share.
    let is_known = matches!(code.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    is_known.then(|| CHAPTERS.iter().find_map(|chapter| chapter(code))).flatten()
}

/// Whether an encoding means something, on CPUs that have its features.
#[must_use]
pub fn is_implemented(code: Code) -> bool {
    semantics(code).is_some()
}
