//! Where a difference comes from: what Ferry's tiers make of the guilty instruction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ::diff::report::{Explanation, Section, Tier};
use ::diff::{Divergence, Execution, Guilty, Registers, State, guest as outside};
use base::GuestVirt;
use fuzz::explain::{self, Apart, By, Ended, ExplainError, Seen, Value};
use fuzz::guest::{ALL, Guest};
use linux_user::ReplicaTier;
use runtime::Passes;
use trace::{AccessKind, Architecture, Event, Insn, Register};

use super::DiffArgs;
use super::side::Side;

mod block;

/// Events of other harts that may lie before the next one of the guilty instruction's.
const OTHERS: usize = 64;

/// What there is to say of a difference. The sides go, so that Ferry can execute the instruction by itself in this process.
pub(super) fn explanation(
    args: &DiffArgs,
    divergence: &Divergence,
    (mut reference, subject): (Side, Side),
    tier: Option<ReplicaTier>,
) -> Option<Explanation> {
    let guilty = divergence.guilty()?;
    let architecture = reference.execution.header().architecture;
    let guest = ALL.into_iter().find(|guest| guest.name == architecture.name())?;
    if !guilty.block.is_empty() {
        let (hart, differs) = (divergence.hart, divergence.pair.index);
        let what = block::Of { args, guest, architecture, guilty: &guilty, hart, differs };
        return what.explanation((reference, subject), tier);
    }
    let event = guilty.pair.reference.as_ref()?;
    let insn = whole(event.insn).or(whole(guilty.pair.subject.as_ref()?.insn))?;
    let instruction = text(guest, event.pc, insn);
    let mut explanation = Explanation { instruction, ..Explanation::default() };
    if outside::outside(architecture, &Event { insn: Some(insn), ..Event::default() }).is_some() {
        explanation.enters = "nowhere: its result comes from outside".to_owned();
        return Some(explanation);
    }
    let end = end(divergence.hart, &guilty, event, &mut *reference.execution);
    let seen = seen(guest, architecture, &guilty, (event, insn), end);
    let examined = examine(&seen, &guilty, &mut *reference.execution);
    drop((reference, subject));
    explanation.sections = sections(&seen, tier);
    match examined.and_then(|apart| explain::explain(&seen, &apart)) {
        Ok(found) => tell(&mut explanation, found),
        Err(error) => {
            "not known, as it cannot be executed by itself".clone_into(&mut explanation.enters);
            explanation.unknown.push(error.to_string());
        }
    }
    Some(explanation)
}

fn whole(insn: Option<Insn>) -> Option<Insn> {
    insn.filter(|insn| !insn.is_cut())
}

fn text(guest: &Guest, pc: u64, insn: Insn) -> String {
    let disassemble = guest.ferry.as_ref().map(|ferry| ferry.disassemble);
    let text = disassemble.map(|disassemble| disassemble(GuestVirt(pc), insn.bytes()).0);
    format!("{} at {pc:#x}", text.unwrap_or_default())
}

/// How the reference ended the instruction.
fn end(hart: u32, guilty: &Guilty<'_>, event: &Event, reference: &mut dyn Execution) -> Ended {
    if let Some(trap) = event.trap {
        return Ended::Trapped(trap.value.map(GuestVirt));
    }
    if let Some(next) = guilty.next {
        return Ended::At(GuestVirt(next));
    }
    if let Some(state) = reference.state() {
        return state.pc().map_or(Ended::Unknown, |pc| Ended::At(GuestVirt(pc)));
    }
    let mut next = Event::default();
    for _ in 0..OTHERS {
        next.clear();
        match reference.next(&mut next) {
            Ok(true) if next.hart == hart => return Ended::At(GuestVirt(next.pc)),
            Ok(true) => {}
            _ => break,
        }
    }
    Ended::Unknown
}

/// What was seen of the instruction, in the words of cases.
fn seen(
    guest: &'static Guest,
    architecture: Architecture,
    guilty: &Guilty<'_>,
    (event, insn): (&Event, Insn),
    end: Ended,
) -> Seen {
    let with_insn = Event { pc: event.pc, insn: Some(insn), ..Event::default() };
    let open = outside::open_flags(architecture, &with_insn, 0);
    Seen {
        guest,
        pc: GuestVirt(event.pc),
        code: vec![insn.bytes().to_vec()],
        before: values(guest, architecture, guilty.before, 0),
        after: values(guest, architecture, guilty.after, open),
        end,
    }
}

/// Registers in the words of cases, of whose flags these are open.
fn values(
    guest: &'static Guest,
    architecture: Architecture,
    registers: &Registers,
    open: u128,
) -> Vec<Value> {
    let value = |(register, value): (Register, u128)| {
        let name = explain::name_of(guest, register)?;
        let open = if register == Register::FLAGS { open } else { 0 };
        let mask = outside::defined(architecture, register) & !open;
        Some(Value { register: name, value, mask })
    };
    registers.iter().filter_map(value).collect()
}

/// Memory as the sides' events and a live reference show it.
struct Around<'a> {
    loaded: BTreeMap<u64, u8>,
    subject_loaded: BTreeMap<u64, u8>,
    stored: BTreeMap<u64, u8>,
    /// Whether the reference tells all that it stores.
    tells_stores: bool,
    state: Option<&'a mut dyn State>,
    /// Bytes that were read from the state after the instruction.
    from_after: BTreeSet<u64>,
}

/// The bytes of an event's accesses of a kind, as far as it tells them.
fn bytes(event: Option<&Event>, kind: AccessKind) -> BTreeMap<u64, u8> {
    let mut found = BTreeMap::new();
    let accesses = event.map(|event| &event.accesses[..]).unwrap_or_default();
    for access in accesses.iter().filter(|access| access.kind == kind) {
        for (at, byte) in access.bytes() {
            match kind {
                // What it stores itself, it may load again.
                AccessKind::Load => _ = found.entry(at).or_insert(byte),
                AccessKind::Store => _ = found.insert(at, byte),
            }
        }
    }
    found
}

impl explain::Known for Around<'_> {
    fn before(&mut self, addr: u64) -> Option<u8> {
        if let Some(&byte) = self.loaded.get(&addr) {
            return Some(byte);
        }
        if let Some(state) = &mut self.state {
            let mut byte = [0];
            if state.read(addr, &mut byte).is_ok() {
                self.from_after.insert(addr);
                return Some(byte[0]);
            }
        }
        self.subject_loaded.get(&addr).copied()
    }

    fn after(&mut self, addr: u64) -> Option<u8> {
        if let Some(&byte) = self.stored.get(&addr) {
            return Some(byte);
        }
        if self.tells_stores {
            return self.loaded.get(&addr).copied();
        }
        let mut byte = [0];
        let read = self.state.as_mut()?.read(addr, &mut byte);
        read.is_ok().then_some(byte[0])
    }
}

fn examine(
    seen: &Seen,
    guilty: &Guilty<'_>,
    reference: &mut dyn Execution,
) -> Result<Apart, ExplainError> {
    let pair = guilty.pair;
    let carries = reference.header().carries;
    let mut around = Around {
        loaded: bytes(pair.reference.as_ref(), AccessKind::Load),
        subject_loaded: bytes(pair.subject.as_ref(), AccessKind::Load),
        stored: bytes(pair.reference.as_ref(), AccessKind::Store),
        tells_stores: carries.stores && carries.store_values,
        state: reference.state(),
        from_after: BTreeSet::new(),
    };
    let apart = explain::examine(seen, &mut around)?;
    // What the reference has there now is what the instruction has written: the subject may know what was there.
    let overwritten: Vec<u64> =
        around.from_after.iter().copied().filter(|&addr| apart.writes(addr)).collect();
    if overwritten.is_empty() {
        return Ok(apart);
    }
    for addr in overwritten {
        let known = around.subject_loaded.get(&addr).ok_or(ExplainError::Memory(addr))?;
        around.loaded.insert(addr, *known);
    }
    explain::examine(seen, &mut around)
}

/// Says what was found.
fn tell(into: &mut Explanation, found: explain::Explanation) {
    let tiers = found.verdicts.into_iter();
    into.tiers =
        tiers.map(|verdict| Tier { name: verdict.setup, difference: verdict.difference }).collect();
    into.enters = found.culprit.map_or_else(
        || {
            "no tier by itself: executed alone from the reference's state, each agrees. The subject has read other \
             memory than the reference, or is no tier of this Ferry"
                .to_owned()
        },
        |culprit| culprit.to_string(),
    );
    into.unknown.extend(found.made_up.into_iter().map(|what| what + " (taken from Ferry)"));
    into.reproducer = Some(found.case);
}

/// The forms of the instruction's block.
fn sections(seen: &Seen, tier: Option<ReplicaTier>) -> Vec<Section> {
    let (by, passes) = match tier {
        Some(ReplicaTier::Baseline) => (By::Baseline, Passes::NONE),
        Some(ReplicaTier::Compiled { passes, .. }) => (By::Region(passes), passes),
        _ => (By::Region(Passes::ALL), Passes::ALL),
    };
    let Some(listing) = explain::listing(seen, by) else { return Vec::new() };
    let section = |title: &str, text: String| Section { title: title.to_owned(), text };
    let names = Passes::NAMED.into_iter().filter(|(pass, _)| passes.has(*pass));
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    let mut all = vec![section("IR", listing.ir.clone())];
    match (listing.optimised == listing.ir, names.join(", ")) {
        (true, names) => all.push(section(&format!("IR after {names}"), "the same".to_owned())),
        (false, names) => all.push(section(&format!("IR after {names}"), listing.optimised)),
    }
    if passes == Passes::NONE {
        all.pop();
    }
    all.push(section("host code", listing.host));
    all
}

/// Writes the case that shows it by itself.
pub(super) fn write_case(path: &Path, explanation: Option<&Explanation>) -> Result<(), String> {
    let Some(case) = explanation.and_then(|explanation| explanation.reproducer.as_ref()) else {
        let why = explanation.map(|explanation| explanation.unknown.join("; "));
        let why = why.filter(|why| !why.is_empty());
        return Err(format!(
            "no reproducer: {}",
            why.as_deref().unwrap_or("no instruction differs")
        ));
    };
    std::fs::write(path, format!("{case}\n"))
        .map_err(|error| format!("{}: {error}", path.display()))
}
