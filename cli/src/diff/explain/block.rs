//! Of a block that was executed as a whole: which of its instructions it takes to make the difference, and where that enters.
//!
//! What is before and after each of its instructions, the reference has shown. So any stretch of them can be executed by
//! itself: the shortest one that still differs is what the report is about.

use std::collections::BTreeMap;
use std::ops::Range;

use ::diff::report::Explanation;
use ::diff::{Guilty, Registers, guest as outside};
use base::GuestVirt;
use fuzz::explain::{self, Apart, Ended, ExplainError, Known, Seen, Value};
use fuzz::guest::Guest;
use linux_user::ReplicaTier;
use trace::{AccessKind, Architecture, Event, Register};

use super::{end, sections, tell, whole};
use crate::diff::side::Side;

/// The block.
pub(super) struct Of<'a> {
    pub(super) guest: &'static Guest,
    pub(super) architecture: Architecture,
    pub(super) guilty: &'a Guilty<'a>,
    pub(super) hart: u32,
}

/// What there is to look at of its memory.
struct Around<'a> {
    reference: &'a mut Side,
    /// Whether the reference tells all accesses.
    tells: bool,
    /// What the whole block accesses, as Ferry evaluates it.
    all: Option<&'a Apart>,
    loaded: BTreeMap<u64, u8>,
    stored: BTreeMap<u64, u8>,
    /// Whether the stretch goes to the block's end, after which the reference is.
    is_last: bool,
}

impl Around<'_> {
    fn now(&mut self, addr: u64) -> Option<u8> {
        let mut byte = [0];
        let state = self.reference.execution.state()?;
        state.read(addr, &mut byte).is_ok().then_some(byte[0])
    }

    fn overwrites(&self, addr: u64) -> bool {
        self.all.is_some_and(|all| all.writes(addr))
    }
}

impl Known for Around<'_> {
    fn before(&mut self, addr: u64) -> Option<u8> {
        match self.loaded.get(&addr) {
            Some(&byte) => Some(byte),
            // What the reference has there now, it may have had before.
            None if !self.tells && !self.overwrites(addr) => self.now(addr),
            None => None,
        }
    }

    fn after(&mut self, addr: u64) -> Option<u8> {
        let told = self.stored.get(&addr).or_else(|| self.loaded.get(&addr)).copied();
        match told {
            Some(byte) => Some(byte),
            None if !self.tells && (self.is_last || !self.overwrites(addr)) => self.now(addr),
            None => None,
        }
    }
}

impl Of<'_> {
    /// What there is to say. The sides go, as they have Ferry's addresses.
    pub(super) fn explanation(
        &self,
        (mut reference, subject): (Side, Side),
        tier: Option<ReplicaTier>,
    ) -> Option<Explanation> {
        let events = self.guilty.block;
        let end = match events.last()? {
            Event { trap: Some(trap), .. } => Ended::Trapped(trap.value.map(GuestVirt)),
            last => end(self.hart, self.guilty, last, &mut *reference.execution),
        };
        let all = self.seen(0..events.len(), end)?;
        let mut explanation = Explanation {
            instruction: self.text(0..events.len())?,
            enters: "not known, as it cannot be executed by itself".to_owned(),
            ..Explanation::default()
        };
        // The subject has the addresses at which tiers execute cases.
        drop(subject);
        explanation.sections = sections(&all, tier);
        match self.shortest(&mut reference, end) {
            Ok((range, found)) => {
                if range != (0..events.len()) {
                    let takes = self.text(range)?;
                    explanation.instruction += &format!("\n  it takes {takes}");
                }
                tell(&mut explanation, found);
            }
            Err(error) => explanation.unknown.push(error.to_string()),
        }
        Some(explanation)
    }

    /// How many of the instructions can be executed by themselves: what a block gets from outside, or goes back to itself by, is left out.
    fn last(&self, end: Ended) -> usize {
        let events = self.guilty.block;
        let Some(last) = events.last() else { return 0 };
        let goes_back = matches!(end, Ended::At(pc)
            if events.iter().any(|event| event.pc == pc.0));
        let is_open = outside::outside(self.architecture, last).is_some();
        let is_left_out = goes_back || is_open || last.trap.is_some();
        events.len() - usize::from(is_left_out && events.len() > 1)
    }

    fn examine(
        &self,
        reference: &mut Side,
        range: Range<usize>,
        end: Ended,
        all: Option<&Apart>,
    ) -> Result<(Seen, Apart), ExplainError> {
        let seen = self.seen(range.clone(), end).ok_or(ExplainError::Code)?;
        let carries = reference.execution.header().carries;
        let tells = carries.loads && carries.load_values && carries.stores && carries.store_values;
        let (mut loaded, mut stored) = (BTreeMap::new(), BTreeMap::new());
        let accesses = self.guilty.block[range.clone()].iter().flat_map(|event| &event.accesses);
        for access in accesses.filter(|_| tells) {
            let (Some(size), Some(value)) = (access.size, access.value) else { continue };
            for n in 0..size.min(16) {
                let (at, byte) = (access.addr.wrapping_add(n.into()), (value >> (8 * n)) as u8);
                match access.kind {
                    AccessKind::Load if stored.contains_key(&at) => {}
                    AccessKind::Load => _ = loaded.entry(at).or_insert(byte),
                    AccessKind::Store => _ = stored.insert(at, byte),
                }
            }
        }
        let is_last = range.end == self.guilty.block.len();
        let mut around = Around { reference, tells, all, loaded, stored, is_last };
        let apart = explain::examine(&seen, &mut around)?;
        // What is there now is what the block has written, and not what it has read.
        let stale = |addr: &u64| !tells && apart.writes(*addr);
        if all.is_none()
            && let Some(addr) = apart.read().find(stale)
        {
            return Err(ExplainError::Memory(addr));
        }
        Ok((seen, apart))
    }

    /// The shortest stretch that differs, with what is to be said of it; the whole block if none does.
    fn shortest(
        &self,
        reference: &mut Side,
        end: Ended,
    ) -> Result<(Range<usize>, explain::Explanation), ExplainError> {
        let count = self.last(end);
        let examined = self.examine(reference, 0..count, end, None);
        let all = examined.as_ref().ok().map(|(_, apart)| apart.clone());
        let whole = examined.and_then(|(seen, apart)| explain::explain(&seen, &apart));
        let mut explained = |range: Range<usize>| {
            let (seen, apart) = self.examine(reference, range, end, all.as_ref())?;
            explain::explain(&seen, &apart)
        };
        let setup = whole.as_ref().ok().and_then(explain::Explanation::first_different);
        let Some(setup) = setup else {
            // One of them may differ by itself, though they cannot all be executed together.
            let alone = (0..count).find_map(|at| {
                let found = explained(at..at + 1).ok()?;
                found.first_different().map(|_| (at..at + 1, found))
            });
            return alone.map_or_else(|| whole.map(|found| (0..count, found)), Ok);
        };
        let mut differs = |range: Range<usize>| {
            let examined = self.examine(reference, range, end, all.as_ref());
            examined.is_ok_and(|(seen, apart)| {
                explain::differs(&seen, &apart, &setup).unwrap_or_default()
            })
        };
        let stop = (1..count).find(|&stop| differs(0..stop)).unwrap_or(count);
        let start = (0..stop).rev().find(|&start| differs(start..stop)).unwrap_or(0);
        let (seen, apart) = self.examine(reference, start..stop, end, all.as_ref())?;
        match explain::explain(&seen, &apart) {
            Ok(found) => Ok((start..stop, found)),
            Err(_) => whole.map(|found| (0..count, found)),
        }
    }

    fn text(&self, range: Range<usize>) -> Option<String> {
        let events = &self.guilty.block[range];
        let lines: Option<Vec<String>> = events
            .iter()
            .map(|event| {
                Some(format!("\n    {}", super::text(self.guest, event.pc, whole(event.insn)?)))
            })
            .collect();
        Some(match &lines?[..] {
            [one] => one.trim().to_owned(),
            several => format!("{} instructions:{}", several.len(), several.concat()),
        })
    }

    /// A stretch of it, in the words of cases.
    fn seen(&self, range: Range<usize>, end: Ended) -> Option<Seen> {
        let events = self.guilty.block;
        let mut state = self.guilty.before.clone();
        let mut open = 0;
        let mut code = Vec::new();
        let mut before = None;
        for (at, event) in events[..range.end].iter().enumerate() {
            if at == range.start {
                before = Some(self.values(&state, open));
            }
            let insn = whole(event.insn)?;
            open = outside::open_flags(self.architecture, event, open);
            state.apply(&event.writes);
            if at >= range.start {
                code.push(insn.bytes().to_vec());
            }
        }
        let end = match events.get(range.end) {
            Some(next) => Ended::At(GuestVirt(next.pc)),
            None => end,
        };
        Some(Seen {
            guest: self.guest,
            pc: GuestVirt(events.get(range.start)?.pc),
            code,
            before: before?,
            after: self.values(&state, open),
            end,
        })
    }

    fn values(&self, registers: &Registers, open: u128) -> Vec<Value> {
        let value = |(register, value): (Register, u128)| {
            let name = explain::name_of(self.guest, register)?;
            let open = if register == Register::FLAGS { open } else { 0 };
            let mask = outside::defined(self.architecture, register) & !open;
            Some(Value { register: name, value, mask })
        };
        registers.iter().filter_map(value).collect()
    }
}
