//! Which encodings a set of runs executed, with which classes of operands, and with which outcomes.

pub mod words;
pub mod x86_64;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base::float::Flags;
use ir::ops::{SATURATED, Shape as Shapes, flag};
use ir::{Block, BlockKey, Builder, Opcode, Terminator};
use serde::{Deserialize, Serialize};
use trace::{Architecture, Event, Register};
use translator::{Limits, Translation};

use crate::guest::{Ferry, Guest};
use crate::machine::{CODE, End, State};
use crate::program::Pattern;
use crate::tier::Runner;

/// What one execution of an instruction may show.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It was executed at all.
    Executed,
    /// It names one register twice.
    SameRegister,
    /// It names the register that is always zero.
    ZeroRegister,
    /// The immediate is 0.
    ImmediateZero,
    /// The immediate is the least that there is.
    ImmediateLeast,
    /// The immediate is the greatest that there is.
    ImmediateGreatest,
    /// Its operand is in memory, where it might be a register.
    Memory,
    /// It has a LOCK prefix.
    Locked,
    /// It has a prefix that repeats it.
    Repeated,
    /// A branch that is taken.
    Taken,
    /// A branch that is not.
    NotTaken,
    /// It faults.
    Fault,
    /// It raises "inexact".
    Inexact,
    /// It raises "underflow".
    Underflow,
    /// It raises "overflow".
    Overflow,
    /// It raises "division by zero".
    DivisionByZero,
    /// It raises "invalid operation".
    Invalid,
    /// It saturates.
    Saturated,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Executed,
        Self::SameRegister,
        Self::ZeroRegister,
        Self::ImmediateZero,
        Self::ImmediateLeast,
        Self::ImmediateGreatest,
        Self::Memory,
        Self::Locked,
        Self::Repeated,
        Self::Taken,
        Self::NotTaken,
        Self::Fault,
        Self::Inexact,
        Self::Underflow,
        Self::Overflow,
        Self::DivisionByZero,
        Self::Invalid,
        Self::Saturated,
    ];

    /// As lists have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::SameRegister => "same-register",
            Self::ZeroRegister => "zero-register",
            Self::ImmediateZero => "immediate-zero",
            Self::ImmediateLeast => "immediate-least",
            Self::ImmediateGreatest => "immediate-greatest",
            Self::Memory => "memory",
            Self::Locked => "locked",
            Self::Repeated => "repeated",
            Self::Taken => "taken",
            Self::NotTaken => "not-taken",
            Self::Fault => "fault",
            Self::Inexact => "inexact",
            Self::Underflow => "underflow",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division-by-zero",
            Self::Invalid => "invalid",
            Self::Saturated => "saturated",
        }
    }
}

const RAISED: [(u64, Class); 6] = [
    (Flags::NX.0 as u64, Class::Inexact),
    (Flags::UF.0 as u64, Class::Underflow),
    (Flags::OF.0 as u64, Class::Overflow),
    (Flags::DZ.0 as u64, Class::DivisionByZero),
    (Flags::NV.0 as u64, Class::Invalid),
    (SATURATED, Class::Saturated),
];

/// How often each class of each encoding was seen, as it is written to files.
pub type Counts = BTreeMap<String, BTreeMap<Class, u64>>;

/// Counts executions.
pub struct Coverage {
    guest: &'static Guest,
    ferry: &'static Ferry,
    patterns: HashMap<&'static str, Possible>,
    counts: HashMap<&'static str, [u64; Class::ALL.len()]>,
    /// Instructions that are in no table.
    undefined: u64,
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coverage").field("guest", &self.guest).finish_non_exhaustive()
    }
}

/// What coverage knows of a guest's encodings.
#[derive(Debug)]
pub struct Encodings {
    /// The name of the encoding that code begins with.
    pub name: fn(&Ferry, &[u8]) -> Option<&'static str>,
    /// What one can show.
    pub possible: fn(&'static Guest, &'static Ferry, &Pattern) -> Possible,
    /// What an instruction's bytes show of that, beside that it was executed.
    pub shown: fn(&'static Guest, &Possible, &[u8]) -> Vec<Class>,
}

/// What an encoding can show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Possible {
    /// The least and the greatest immediate, if it has one.
    pub range: Option<(i64, i64)>,
    /// Whether it goes on at one of two places.
    pub is_branch: bool,
    /// All classes that it can show.
    pub classes: BTreeSet<Class>,
}

/// What an instruction did, beside what its bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Flags that were clear before it and set after it, as [`ir::Guest::fp_flags`] has them.
    pub raised: u64,
    /// It faulted.
    pub faults: Option<()>,
    /// Whether the next instruction executed was not the next one in memory; `None` if nothing is known of it.
    pub jumps: Option<bool>,
}

impl Coverage {
    /// Of a guest, nothing seen yet; `None` if Ferry does not run it.
    #[must_use]
    pub fn new(guest: &'static Guest) -> Option<Self> {
        let ferry = guest.ferry.as_ref()?;
        let possible = |pattern: &Pattern| (ferry.random.coverage.possible)(guest, ferry, pattern);
        let all = (ferry.random.encodings)();
        let patterns = all.iter().map(|pattern| (pattern.name, possible(pattern))).collect();
        Some(Self { guest, ferry, patterns, counts: HashMap::new(), undefined: 0 })
    }

    /// Of the guest that an architecture's traces are of.
    #[must_use]
    pub fn of_architecture(architecture: Architecture) -> Option<Self> {
        let guest = crate::guest::ALL.into_iter().find(|g| g.name == architecture.name())?;
        Self::new(guest)
    }

    /// Whose instructions are counted.
    #[must_use]
    pub fn guest(&self) -> &'static Guest {
        self.guest
    }

    /// Counts an instruction.
    pub fn see(&mut self, bytes: &[u8], seen: Seen) {
        let knows = &self.ferry.random.coverage;
        let Some(name) = (knows.name)(self.ferry, bytes) else {
            self.undefined += 1;
            return;
        };
        let Some(possible) = self.patterns.get(name) else { return };
        let counts = self.counts.entry(name).or_default();
        let mut count = |class: Class| counts[class as usize] += 1;
        count(Class::Executed);
        (knows.shown)(self.guest, possible, bytes).into_iter().for_each(&mut count);
        if seen.faults.is_some() {
            count(Class::Fault);
        }
        match seen.jumps.filter(|_| possible.is_branch) {
            Some(true) => count(Class::Taken),
            Some(false) => count(Class::NotTaken),
            None => {}
        }
        RAISED
            .iter()
            .filter(|(bit, _)| seen.raised & bit != 0)
            .for_each(|&(_, class)| count(class));
    }

    /// Runs code and counts what it executes.
    pub fn run(&mut self, runner: &mut Runner, code: &[u8], before: &State) {
        let slot = self.ferry.ir.fp_flags;
        let mut flags = runner.flags_of(before);
        runner.step(code, before, |pc, bytes, frame, next| {
            let after = frame.get(slot);
            let jumps = next.ok().map(|next| next != pc.wrapping_add(bytes.len() as u64));
            let faults = matches!(next, Err(End::Fault { .. } | End::Misaligned { .. }));
            let seen = Seen { raised: after & !flags, faults: faults.then_some(()), jumps };
            self.see(bytes, seen);
            flags = after;
        });
    }

    /// Counts an instruction of a trace, given the one after it.
    pub fn event(&mut self, event: &Event, before: u64, next: Option<&Event>) -> u64 {
        let after = raised_by(self.guest, event).unwrap_or(before);
        let Some(insn) = event.insn else { return after };
        let past = event.pc.wrapping_add(insn.bytes().len() as u64);
        let jumps = next.filter(|_| event.trap.is_none()).map(|next| next.pc != past);
        let faults = event.trap.map(|_| ());
        self.see(insn.bytes(), Seen { raised: after & !before, faults, jumps });
        after
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, counts: &Counts) {
        for (name, classes) in counts {
            let Some((&name, _)) = self.patterns.get_key_value(name.as_str()) else { continue };
            let mine = self.counts.entry(name).or_default();
            for (&class, &count) in classes {
                mine[class as usize] = mine[class as usize].saturating_add(count);
            }
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let classes = |counts: &[u64; Class::ALL.len()]| {
            let counted = Class::ALL.into_iter().map(|class| (class, counts[class as usize]));
            counted.filter(|(_, count)| *count > 0).collect()
        };
        self.counts.iter().map(|(name, counts)| ((*name).to_owned(), classes(counts))).collect()
    }

    /// What each encoding can show and has not: in the order of their names.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<&'static str, Vec<Class>> {
        let nothing = [0; Class::ALL.len()];
        let mut missing = BTreeMap::new();
        for (&name, possible) in &self.patterns {
            let counts = self.counts.get(name).unwrap_or(&nothing);
            let classes = possible.classes.iter().filter(|&&class| counts[class as usize] == 0);
            let classes: Vec<Class> = classes.copied().collect();
            if !classes.is_empty() {
                missing.insert(name, classes);
            }
        }
        missing
    }

    /// Encodings that were executed, all encodings, and likewise their classes.
    #[must_use]
    pub fn totals(&self) -> [usize; 4] {
        let missing = self.missing();
        let absent = missing.values().filter(|classes| classes.contains(&Class::Executed)).count();
        let classes: usize = self.patterns.values().map(|possible| possible.classes.len()).sum();
        let left: usize = missing.values().map(Vec::len).sum();
        [self.patterns.len() - absent, self.patterns.len(), classes - left, classes]
    }

    /// A summary, and what is missing: an encoding a line, alone if it was never executed.
    #[must_use]
    pub fn report(&self) -> String {
        let [executed, encodings, seen, classes] = self.totals();
        let mut text = format!(
            "{}: {executed} of {encodings} encodings, {seen} of {classes} classes of operands and outcomes\n",
            self.guest.name
        );
        if self.undefined > 0 {
            text += &format!("{} instructions that are in no table\n", self.undefined);
        }
        text + &self.list()
    }

    /// What is missing, an encoding a line.
    #[must_use]
    pub fn list(&self) -> String {
        let line = |(name, classes): (&str, Vec<Class>)| {
            if classes.contains(&Class::Executed) {
                return format!("{name} never\n");
            }
            let classes: Vec<&str> = classes.into_iter().map(Class::name).collect();
            format!("{name} {}\n", classes.join(" "))
        };
        self.missing().into_iter().map(line).collect()
    }
}

/// The flags after an event that writes them.
fn raised_by(guest: &Guest, event: &Event) -> Option<u64> {
    let find = |register: Register| {
        event.writes.iter().find(|write| write.register == register).map(|write| write.value as u64)
    };
    match guest.name {
        // fflags; fcsr
        "riscv64" => {
            find(Register::control(1)).or_else(|| find(Register::control(3))).map(|v| v & 31)
        }
        // FPSR
        "aarch64" => find(Register::control(0xda21)).map(arch::aarch64::fpcr::fp_flags_of),
        _ => None,
    }
}

impl Possible {
    /// Which corners of its immediates this is.
    fn corners(&self, number: i64) -> impl Iterator<Item = Class> {
        let corners = self.range.map(|(least, greatest)| {
            [
                (0, Class::ImmediateZero),
                (least, Class::ImmediateLeast),
                (greatest, Class::ImmediateGreatest),
            ]
        });
        let corners = corners.into_iter().flatten();
        corners.filter(move |(value, _)| *value == number).map(|(_, class)| class)
    }

    /// Adds what executing this translation of it can show.
    fn add_outcomes(&mut self, ferry: &Ferry, pattern: &Pattern, block: &Block) {
        if matches!(block.terminator, Terminator::Branch { .. }) {
            self.is_branch = true;
            self.classes.extend([Class::Taken, Class::NotTaken]);
        }
        // What the table's own instruction cannot show, no run does: one that programs must not have is only to be executed.
        if (ferry.random.is_choice)(pattern) {
            block.insts.iter().for_each(|inst| outcomes(inst, &mut self.classes));
        }
    }
}

/// The translation of an instruction, if it is whole.
fn translate(ferry: &Ferry, code: &[u8]) -> Option<Block> {
    let (builder, key) = (Builder::new(), BlockKey::new(CODE, 0));
    match (ferry.frontend)().translate(&builder, key, code, Limits::STEP) {
        Translation::Done { next } => Some(builder.finish(next)),
        Translation::Unfetchable(_) => None,
    }
}

/// What an operation can raise.
fn outcomes(inst: &ir::Inst, classes: &mut BTreeSet<Class>) {
    use Class::{DivisionByZero, Fault, Inexact, Invalid, Overflow, Saturated, Underflow};
    let info = inst.op.info();
    if info.has(flag::FAULTS) {
        classes.insert(Fault);
    }
    if info.has(flag::SATURATES) {
        classes.insert(Saturated);
    }
    if !info.has(flag::FP_FLAGS) {
        return;
    }
    match (inst.op, info.shape) {
        (Opcode::FAdd | Opcode::FSub, _) => classes.extend([Invalid, Overflow, Inexact]),
        (Opcode::FMul | Opcode::FMulAdd, _) => {
            classes.extend([Invalid, Overflow, Underflow, Inexact]);
        }
        (Opcode::FDiv, _) => {
            classes.extend([Invalid, DivisionByZero, Overflow, Underflow, Inexact]);
        }
        (Opcode::FSqrt | Opcode::FRoundX, _) => classes.extend([Invalid, Inexact]),
        (_, Shapes::FpToInt) => classes.extend([Invalid, Inexact]),
        (_, Shapes::FpCompare | Shapes::FpFlags) => {
            classes.insert(Invalid);
        }
        _ => {}
    }
}
