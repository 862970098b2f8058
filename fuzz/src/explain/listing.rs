//! The IR and host code of instructions.

use backend::baseline::{self, BaselineOptions};
use backend::{CompileOptions, Compiler, Region};
use base::{CpuFrame, GuestVirt};
use iced_x86::{Decoder, DecoderOptions, Formatter as _, IntelFormatter};
use ir::interp::Lowerer;
use ir::opt::{Optimiser, Options, Passes};
use ir::{Block, BlockKey, Builder, Precision};
use translator::{Limits, Translation};

use super::Seen;
use super::apart::set_all;
use crate::guest::Guest;
use crate::machine::State;

/// What instructions become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The IR.
    pub ir: String,
    /// The IR after the passes.
    pub optimised: String,
    /// The host's code, or why there is none.
    pub host: String,
}

/// What makes host code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The baseline compiler.
    Baseline,
    /// The optimiser with these passes, and the back end.
    Region(Passes),
}

/// Of instructions, translated as one block; `None` if that is not possible.
#[must_use]
pub fn listing(seen: &Seen, by: By) -> Option<Listing> {
    let ferry = seen.guest.ferry.as_ref()?;
    let mut state = State::new(seen.guest);
    set_all(&mut state, &seen.before);
    let mut frame = CpuFrame::new();
    (ferry.load)(&state.words, &mut frame);
    let insns = seen.code.len() as u32;
    let mut block = block(seen.guest, key(seen.pc, &frame), &seen.code.concat(), insns)?;
    let ir = block.display(ferry.ir).to_string();
    let By::Region(passes) = by else {
        return Some(Listing { optimised: ir.clone(), ir, host: of_baseline(ferry.ir, &block) });
    };
    let options = Options { passes, precision: Precision::Replay };
    Optimiser::new().optimise(&mut block, ferry.ir, options);
    let optimised = block.display(ferry.ir).to_string();
    let options = CompileOptions { listing: true, ..CompileOptions::for_host() };
    let compiled = Compiler::new(ferry.ir, options)
        .and_then(|mut compiler| compiler.compile(&Region::new(vec![block], vec![0])));
    let host = match compiled {
        Ok(compiled) => compiled.listing.map(|texts| texts.assembly).unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    Some(Listing { ir, optimised, host })
}

/// The baseline compiler's code of a block.
fn of_baseline(guest: &ir::Guest, block: &Block) -> String {
    let lowered = match Lowerer::new().lower(guest, block, i32::MAX) {
        Ok(lowered) => lowered,
        Err(error) => return error.to_string(),
    };
    let options = BaselineOptions { executions: u32::MAX, count_instructions: false };
    let code = baseline::instructions(&lowered, options);
    let mut formatter = IntelFormatter::new();
    let mut text = String::new();
    for insn in Decoder::with_ip(64, &code, 0, DecoderOptions::NONE).iter() {
        text.push_str(&format!("{:4x}: ", insn.ip()));
        formatter.format(&insn, &mut text);
        text.push('\n');
    }
    text
}

/// The instructions as one block.
pub(super) fn block(guest: &Guest, key: BlockKey, code: &[u8], insns: u32) -> Option<Block> {
    let ferry = guest.ferry.as_ref()?;
    let builder = Builder::new();
    let frontend = (ferry.frontend)();
    let limits = Limits { max_insns: insns };
    match frontend.translate(&builder, key, code, limits) {
        Translation::Done { next } => Some(builder.finish(next)),
        Translation::Unfetchable(_) => None,
    }
}

/// The key of a block at `pc` as the frame has it.
pub(super) fn key(pc: GuestVirt, frame: &CpuFrame) -> BlockKey {
    BlockKey::new(pc, frame.key_flags)
}
