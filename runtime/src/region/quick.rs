//! Blocks that are compiled at once, by the baseline compiler, on the thread that runs into them.

use std::ops::Range;
use std::ptr::NonNull;
use std::time::Instant;

use backend::baseline::{self, BaselineOptions};
use base::GuestVirt;
use ir::interp::Code;

use crate::engine::Engine;
use crate::region::compile::{Patience, Shared, place};

/// Compiles and publishes a block. What goes wrong costs speed only.
pub(crate) fn compile(
    shared: &Shared,
    engine: &Engine,
    block: &Code,
    guest_code: &[Range<GuestVirt>],
) {
    let (stamp, start) = (engine.stamp(), Instant::now());
    let key = block.head().key();
    let known = shared.cache().baseline(key);
    if let Some((id, entry)) = known {
        if let Some(entry) = NonNull::new(entry.0 as *mut u8) {
            engine.enter_again(id, key, entry);
        }
        return;
    }
    // What costs more than others is called, and no faster than interpreted.
    let weight = block.head().weight().unsigned_abs();
    let executions = engine.config().baseline_executions() / (2 * weight - 1);
    let count_instructions = shared.config.options.count_instructions;
    let compiled = baseline::compile(block, BaselineOptions { executions, count_instructions });
    // Who places a region may wait for this very thread.
    let Ok(_placing) = shared.placing.try_lock() else { return };
    let placed = match place(shared, engine, (&compiled, &[key], None), Patience::Later) {
        Ok(placed) => placed,
        Err(error) => return tracing::debug!(?key, %error, "a block was not compiled"),
    };
    if let Some(map) = &shared.config.perf_map {
        map.add(placed.body.clone(), key);
    }
    let entries: Vec<_> = placed
        .entries
        .iter()
        .filter_map(|at| Some((key, NonNull::new(at.0 as *mut u8)?)))
        .collect();
    if engine.publish(placed.id, guest_code, &entries, stamp).is_err() {
        let epoch = engine.withdraw(&[]);
        shared.cache().discard(placed.id, epoch);
        return;
    }
    engine.count_baseline(compiled.code.len(), start.elapsed().as_nanos() as u64);
}
