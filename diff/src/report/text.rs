//! A verdict for people.

use std::fmt::Write as _;

use trace::{Access, AccessKind, Event, Insn, Signal, Trap};

use super::Context;
use crate::compare::{Counts, Verdict};
use crate::divergence::{Difference, Divergence, Pair};

/// Several lines: what differs, both sides' registers with the differing ones marked, and the instructions before.
#[must_use]
pub fn text(verdict: &Verdict, context: &Context<'_>) -> String {
    let mut out = String::new();
    match verdict {
        Verdict::Same(counts) => same(&mut out, counts),
        Verdict::Different(counts, divergence) => different(&mut out, counts, divergence, context),
    }
    out
}

fn counts_line(out: &mut String, counts: &Counts) {
    let Counts { instructions, registers, .. } = counts;
    let _ = write!(out, "{instructions} instructions and {registers} values of registers agree");
    for (count, what) in [
        (counts.adopted, "results taken over from the reference"),
        (counts.unknown, "results from outside left out"),
        (counts.passed_over, "instructions of one side passed over"),
        (counts.calls, "system calls"),
        (counts.signals, "signals"),
        (counts.interrupts, "interrupts"),
        (counts.blocks, "blocks"),
        (counts.by_hash, "instructions by the hashes of the traces' parts"),
    ] {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
}

fn same(out: &mut String, counts: &Counts) {
    out.push_str("same: ");
    counts_line(out, counts);
    out.push('\n');
}

fn different(out: &mut String, counts: &Counts, d: &Divergence, context: &Context<'_>) {
    let [reference, subject] = context.names;
    let at = d.pair.reference.as_ref().or(d.pair.subject.as_ref());
    let place = at.map_or_else(String::new, |event| format!(" at {}", context.place(event.pc)));
    let _ = writeln!(out, "different: instruction {} of hart {}{place}", d.pair.index, d.hart);
    let _ = writeln!(out, "  reference: {reference}\n  subject:   {subject}\n");
    if let Some(event) = at {
        let _ = writeln!(out, "    {}", context.disassembly(event.pc, event.insn));
    }
    for difference in &d.differences {
        let _ = writeln!(out, "  {}", difference_line(difference, context));
    }
    block(out, d, context);
    registers(out, d, context);
    history(out, d, context);
    if let Some(explanation) = context.explanation {
        let _ = write!(out, "\n{explanation}");
    }
    out.push_str("\nbefore: ");
    counts_line(out, counts);
    out.push('\n');
}

/// One line on one difference.
pub(super) fn difference_line(difference: &Difference, context: &Context<'_>) -> String {
    let end = |pc: &Option<u64>| {
        pc.map_or_else(|| "ends".to_owned(), |pc| format!("goes on at {}", context.place(pc)))
    };
    match difference {
        Difference::End(a, b) => format!("the reference {}, the subject {}", end(a), end(b)),
        Difference::Pc(a, b) => format!(
            "goes on elsewhere: the reference at {}, the subject at {}",
            context.place(*a),
            context.place(*b)
        ),
        Difference::Insn(a, b) => format!("other code: the reference has {a:?}, the subject {b:?}"),
        Difference::Privilege(a, b) => {
            format!("privilege level: the reference has {}, the subject {}", a.0, b.0)
        }
        Difference::Register(register, a, b) => format!(
            "{}: the reference has {a:#x}, the subject {b:#x} (bits {:#x} differ)",
            register.shown(context.architecture),
            a ^ b
        ),
        Difference::Memory(a, b) => {
            format!("memory: the reference {}, the subject {}", accesses(a), accesses(b))
        }
        Difference::Trap(a, b) => {
            format!("the reference {}, the subject {}", trap(*a), trap(*b))
        }
    }
}

fn trap(trap: Option<Trap>) -> String {
    let Some(Trap { cause, value, signal }) = trap else { return "does not trap".to_owned() };
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| format!("{n:#x}"));
    let at = value.map_or_else(String::new, |value| format!(" at {value:#x}"));
    match signal {
        Some(signal @ Signal::Delivered(_)) => return format!("gets {signal}"),
        Some(signal @ Signal::Raised(_)) => return format!("raises {signal}{at}"),
        None => {}
    }
    format!("traps (cause {}, value {})", number(cause), number(value))
}

fn accesses(accesses: &[Access]) -> String {
    if accesses.is_empty() {
        return "makes no access".to_owned();
    }
    let one = |access: &Access| {
        let verb = match access.kind {
            AccessKind::Load => "loads",
            AccessKind::Store => "stores",
        };
        let size = access.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let value = access.value.map_or_else(String::new, |value| format!(" = {value:#x}"));
        format!("{verb} {size} at {:#x}{value}", access.addr)
    };
    accesses.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// The block's instructions, and what they did by the reference.
fn block(out: &mut String, d: &Divergence, context: &Context<'_>) {
    if d.block.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  the block, instruction by instruction in the reference:");
    for (index, event) in (d.pair.index..).zip(&d.block) {
        let _ = writeln!(out, "  {}", event_line(index, event, context));
    }
}

/// The registers of both sides after the instruction or block, those that differ marked.
fn registers(out: &mut String, d: &Divergence, context: &Context<'_>) {
    out.push_str(
        "\n  registers after it (* differs)      reference           subject            before\n",
    );
    let mut all: Vec<_> = d.reference.iter().chain(d.subject.iter()).map(|(r, _)| r).collect();
    all.sort_unstable();
    all.dedup();
    let shown =
        |value: Option<u128>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:#x}"));
    let mut zeros = 0;
    for register in all {
        let (a, b) = (d.reference.get(register), d.subject.get(register));
        let before = d.before.get(register);
        if [a, b, before] == [Some(0); 3] {
            zeros += 1;
            continue;
        }
        let differs = a.is_some() && b.is_some() && a != b;
        let mark = if differs { '*' } else { ' ' };
        let changed = if a.or(b) == before { String::new() } else { shown(before) };
        let name = register.shown(context.architecture).to_string();
        let line = format!("  {mark} {name:<14} {:>28}  {:>18}  {changed}", shown(a), shown(b));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if zeros > 0 {
        let _ = writeln!(out, "    {zeros} others are zero on both sides, and were before");
    }
}

/// The instructions before, and what they did by the reference.
fn history(out: &mut String, d: &Divergence, context: &Context<'_>) {
    if d.history.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  the last {} instructions before it:", d.history.len());
    for pair in &d.history {
        let _ = writeln!(out, "  {}", history_line(pair, context));
    }
}

fn history_line(pair: &Pair, context: &Context<'_>) -> String {
    let Some(event) = &pair.reference else { return String::new() };
    let insn = event.insn.or(pair.subject.as_ref().and_then(|event| event.insn));
    line(pair.index, event, insn, context)
}

/// One line on one event: its number, its place, its instruction, and what it did.
#[must_use]
pub fn event_line(index: u64, event: &Event, context: &Context<'_>) -> String {
    line(index, event, event.insn, context)
}

fn line(index: u64, event: &Event, insn: Option<Insn>, context: &Context<'_>) -> String {
    let disassembly = context.disassembly(event.pc, insn);
    let (place, effects) = (context.place(event.pc), effects(event, context));
    format!("{index:>10} {place:<32} {disassembly:<36} {effects}").trim_end().to_owned()
}

fn effects(event: &Event, context: &Context<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for write in &event.writes {
        parts.push(format!("{}={:#x}", write.register.shown(context.architecture), write.value));
    }
    if !event.accesses.is_empty() {
        parts.push(accesses(&event.accesses));
    }
    if event.trap.is_some() {
        parts.push(trap(event.trap));
    }
    parts.join(" ")
}
