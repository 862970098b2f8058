//! Of a block that was executed as a whole: which of its instructions it takes to make the difference, and where that enters.
//!
//! What is before and after each of its instructions, the reference has shown. So any stretch of them can be executed by
//! itself: the shortest one that still differs is what the report is about.

use std::collections::BTreeMap;
use std::ops::Range;

use ::diff::report::Explanation;
use ::diff::{Guilty, guest as outside};
use base::GuestVirt;
use fuzz::explain::{self, Apart, Ended, ExplainError, Known, Seen};
use fuzz::guest::Guest;
use linux_user::ReplicaTier;
use trace::{AccessKind, Architecture, Event};

use super::{end, sections, tell, values, whole};
use crate::diff::DiffArgs;
use crate::diff::input::Input;
use crate::diff::side::Side;

/// The block.
pub(super) struct Of<'a> {
    pub(super) args: &'a DiffArgs,
    pub(super) guest: &'static Guest,
    pub(super) architecture: Architecture,
    pub(super) guilty: &'a Guilty<'a>,
    pub(super) hart: u32,
    /// How many instructions the sides agree on, this block not counted if it is the one that differs.
    pub(super) differs: u64,
}

/// The reference, as far as its memory can be looked at.
struct References {
    /// After the block.
    after: Side,
    /// A second one, before a stretch of it; `None` if there can be none.
    before: Option<Side>,
}

/// What there is to look at of memory around a stretch.
struct Around<'a> {
    references: &'a mut References,
    /// Whether the reference tells all accesses.
    tells: bool,
    /// What the whole block accesses, as Ferry evaluates it.
    all: Option<&'a Apart>,
    loaded: BTreeMap<u64, u8>,
    stored: BTreeMap<u64, u8>,
    /// Whether the stretch goes to the block's end, after which the reference is.
    is_last: bool,
}

fn byte(side: &mut Side, addr: u64) -> Option<u8> {
    let mut byte = [0];
    side.execution.state()?.read(addr, &mut byte).is_ok().then_some(byte[0])
}

impl Around<'_> {
    fn overwrites(&self, addr: u64) -> bool {
        self.all.is_some_and(|all| all.writes(addr))
    }
}

impl Known for Around<'_> {
    fn before(&mut self, addr: u64) -> Option<u8> {
        if let Some(&byte) = self.loaded.get(&addr) {
            return Some(byte);
        }
        if self.tells {
            return None;
        }
        let overwrites = self.overwrites(addr);
        match &mut self.references.before {
            Some(before) => byte(before, addr),
            // What the reference has there now, it may have had before.
            None if !overwrites => byte(&mut self.references.after, addr),
            None => None,
        }
    }

    fn after(&mut self, addr: u64) -> Option<u8> {
        let told = self.stored.get(&addr).or_else(|| self.loaded.get(&addr)).copied();
        match told {
            Some(byte) => Some(byte),
            None if !self.tells
                && (self.is_last || self.all.is_some() && !self.overwrites(addr)) =>
            {
                byte(&mut self.references.after, addr)
            }
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
        match self.shortest(&mut References { after: reference, before: None }, end) {
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

    /// The reference once more, before the block's instruction `start`.
    fn again(&self, start: usize) -> Option<Side> {
        let first = self.guilty.block.get(start)?;
        let is_earlier = self.guilty.pair.index != self.differs;
        let block = self.guilty.block.len() as u64;
        let count = if is_earlier { self.differs.checked_sub(block)? } else { self.differs };
        if !self.args.program.is_empty() {
            // What it reads, it has to read again.
            let _ = Input::new().ok()?.again();
        }
        let mut side = Side::reference(self.args).ok()?;
        let mut event = Event::default();
        for _ in 0..count + start as u64 {
            event.clear();
            side.execution.next(&mut event).ok().filter(|is_there| *is_there)?;
        }
        let pc = side.execution.state()?.pc();
        (pc == Some(first.pc)).then_some(side)
    }

    fn examine(
        &self,
        references: &mut References,
        range: Range<usize>,
        end: Ended,
        all: Option<&Apart>,
    ) -> Result<(Seen, Apart), ExplainError> {
        let seen = self.seen(range.clone(), end).ok_or(ExplainError::Code)?;
        let tells = tells(&references.after);
        let (mut loaded, mut stored) = (BTreeMap::new(), BTreeMap::new());
        let accesses = self.guilty.block[range.clone()].iter().flat_map(|event| &event.accesses);
        for access in accesses.filter(|_| tells) {
            for (at, byte) in access.bytes() {
                match access.kind {
                    AccessKind::Load if stored.contains_key(&at) => {}
                    AccessKind::Load => _ = loaded.entry(at).or_insert(byte),
                    AccessKind::Store => _ = stored.insert(at, byte),
                }
            }
        }
        let is_last = range.end == self.guilty.block.len();
        let mut around = Around { references, tells, all, loaded, stored, is_last };
        let apart = explain::examine(&seen, &mut around)?;
        // What is there now is what the block has written, and not what it has read.
        let is_stale = !tells && references.before.is_none();
        let stale = apart.read().find(|addr| is_stale && apart.writes(*addr));
        stale.map_or(Ok((seen, apart)), |addr| Err(ExplainError::Memory(addr)))
    }

    /// The shortest stretch that differs, with what is to be said of it; the whole block if none does.
    fn shortest(
        &self,
        references: &mut References,
        end: Ended,
    ) -> Result<(Range<usize>, explain::Explanation), ExplainError> {
        let count = self.last(end);
        self.begin(references, 0);
        let whole = self.examine(references, 0..count, end, None);
        let all = whole.as_ref().ok().map(|(_, apart)| apart.clone());
        let to_end = self.each(references, (count, end), all.as_ref(), |start| start..count);
        // The longest one that can be executed elsewhere, and differs: of a whole block that is itself.
        let longest = to_end
            .iter()
            .find_map(|(_, (seen, apart))| explain::explain(seen, apart).ok()?.first_different());
        let Some(setup) = longest else {
            self.begin(references, 0);
            let each = self.each(references, (count, end), all.as_ref(), |at| at..at + 1);
            let alone = each.into_iter().find_map(|(range, (seen, apart))| {
                let found = explain::explain(&seen, &apart).ok()?;
                found.first_different().map(|_| (range, found))
            });
            return alone.map_or_else(
                || whole.and_then(|(seen, apart)| Ok((0..count, explain::explain(&seen, &apart)?))),
                Ok,
            );
        };
        let differs = |(seen, apart): &(Seen, Apart)| {
            explain::differs(seen, apart, &setup).unwrap_or_default()
        };
        let last = to_end.into_iter().rev().find(|(_, examined)| differs(examined));
        let (mut range, mut shortest) = last.ok_or(ExplainError::Code)?;
        self.begin(references, range.start);
        for stop in range.start + 1..count {
            let stretch = range.start..stop;
            if let Ok(examined) = self.examine(references, stretch.clone(), end, all.as_ref())
                && differs(&examined)
            {
                (range, shortest) = (stretch, examined);
                break;
            }
        }
        Ok((range, explain::explain(&shortest.0, &shortest.1)?))
    }

    /// Has a reference before this instruction of the block, if that is needed and there can be one.
    fn begin(&self, references: &mut References, start: usize) {
        references.before = None;
        if !tells(&references.after) {
            references.before = self.again(start);
        }
    }

    /// Examines a stretch from each of the first instructions on, with the reference before it. Those of which something is not known
    /// are left out.
    fn each(
        &self,
        references: &mut References,
        (count, end): (usize, Ended),
        all: Option<&Apart>,
        stretch: impl Fn(usize) -> Range<usize>,
    ) -> Vec<(Range<usize>, (Seen, Apart))> {
        let mut found = Vec::new();
        let mut event = Event::default();
        for start in 0..count {
            let range = stretch(start);
            if let Ok(examined) = self.examine(references, range.clone(), end, all) {
                found.push((range, examined));
            }
            event.clear();
            if let Some(before) = &mut references.before
                && !before.execution.next(&mut event).unwrap_or_default()
            {
                references.before = None;
            }
        }
        found
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
                before = Some(values(self.guest, self.architecture, &state, open));
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
            after: values(self.guest, self.architecture, &state, open),
            end,
        })
    }
}

/// Whether the reference tells all accesses to memory.
fn tells(reference: &Side) -> bool {
    let carries = reference.execution.header().carries;
    carries.loads && carries.load_values && carries.stores && carries.store_values
}
