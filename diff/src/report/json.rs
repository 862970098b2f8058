//! A verdict as JSON: one object. Values that may exceed 53 bits are strings in hexadecimal.

use serde::Serialize;
use trace::{Access, AccessKind, Event};

use super::text::difference_line;
use super::{Context, Explanation};
use crate::compare::{Counts, Verdict};
use crate::divergence::{Divergence, Pair};
use crate::state::Registers;

#[derive(Serialize)]
struct Root<'a> {
    verdict: &'static str,
    architecture: &'static str,
    reference: &'a str,
    subject: &'a str,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    divergence: Option<Where>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

#[derive(Serialize)]
struct Where {
    hart: u32,
    index: u64,
    differences: Vec<String>,
    at: Both,
    /// By the reference, if the subject has executed a block as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    block: Vec<Step>,
    history: Vec<Both>,
    reference: Vec<Value>,
    subject: Vec<Value>,
    before: Vec<Value>,
}

#[derive(Serialize)]
struct Both {
    index: u64,
    reference: Option<Step>,
    subject: Option<Step>,
}

#[derive(Serialize)]
struct Step {
    pc: String,
    symbol: Option<String>,
    insn: Option<String>,
    disassembly: String,
    privilege: Option<u8>,
    writes: Vec<Value>,
    accesses: Vec<Memory>,
    trap: Option<Trap>,
}

#[derive(Serialize)]
struct Value {
    register: String,
    value: String,
}

#[derive(Serialize)]
struct Memory {
    kind: &'static str,
    addr: String,
    size: Option<u8>,
    value: Option<String>,
}

#[derive(Serialize)]
struct Trap {
    cause: Option<String>,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// Whether its handler is entered, in the instruction's place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_delivered: bool,
}

/// One line, without its end.
#[must_use]
pub fn json(verdict: &Verdict, context: &Context<'_>) -> String {
    let (name, counts, divergence) = match verdict {
        Verdict::Same(counts) => ("same", counts, None),
        Verdict::Different(counts, divergence) => ("different", counts, Some(divergence)),
    };
    let root = Root {
        verdict: name,
        architecture: context.architecture.name(),
        reference: context.names[0],
        subject: context.names[1],
        counts: *counts,
        divergence: divergence.map(|divergence| place(divergence, context)),
        explanation: context.explanation,
    };
    // Strings and numbers under plain names: nothing in it can fail to be written.
    serde_json::to_string(&root).unwrap_or_default()
}

fn place(d: &Divergence, context: &Context<'_>) -> Where {
    Where {
        hart: d.hart,
        index: d.pair.index,
        differences: d.differences.iter().map(|one| difference_line(one, context)).collect(),
        at: both(&d.pair, context),
        block: d.block.iter().map(|event| step(event, context)).collect(),
        history: d.history.iter().map(|pair| both(pair, context)).collect(),
        reference: registers(&d.reference, context),
        subject: registers(&d.subject, context),
        before: registers(&d.before, context),
    }
}

fn both(pair: &Pair, context: &Context<'_>) -> Both {
    let step = |event: &Option<Event>| event.as_ref().map(|event| step(event, context));
    Both { index: pair.index, reference: step(&pair.reference), subject: step(&pair.subject) }
}

fn hex(value: impl std::fmt::LowerHex) -> String {
    format!("{value:#x}")
}

fn step(event: &Event, context: &Context<'_>) -> Step {
    let value = |write: &trace::RegWrite| Value {
        register: write.register.shown(context.architecture).to_string(),
        value: hex(write.value),
    };
    Step {
        pc: hex(event.pc),
        symbol: context.symbol.find(event.pc).map(|(name, offset)| format!("{name}+{offset:#x}")),
        insn: event.insn.map(|insn| format!("{insn:?}")),
        disassembly: context.disassembly(event.pc, event.insn),
        privilege: event.privilege.map(|privilege| privilege.0),
        writes: event.writes.iter().map(value).collect(),
        accesses: event.accesses.iter().map(memory).collect(),
        trap: event.trap.map(|trap| Trap {
            cause: trap.cause.map(hex),
            value: trap.value.map(hex),
            signal: trap.signal.map(|signal| signal.to_string()),
            is_delivered: event.delivered().is_some(),
        }),
    }
}

fn memory(access: &Access) -> Memory {
    Memory {
        kind: match access.kind {
            AccessKind::Load => "load",
            AccessKind::Store => "store",
        },
        addr: hex(access.addr),
        size: access.size,
        value: access.value.map(hex),
    }
}

fn registers(registers: &Registers, context: &Context<'_>) -> Vec<Value> {
    let value = |(register, value): (trace::Register, u128)| Value {
        register: register.shown(context.architecture).to_string(),
        value: hex(value),
    };
    registers.iter().map(value).collect()
}
