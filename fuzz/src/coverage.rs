//! Which encodings a set of runs executed, with which classes of operands, and with which outcomes.

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
use crate::shape::{Shape, Token, Zero, last_number, tokens};
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
    pub const ALL: [Self; 15] = [
        Self::Executed,
        Self::SameRegister,
        Self::ZeroRegister,
        Self::ImmediateZero,
        Self::ImmediateLeast,
        Self::ImmediateGreatest,
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

/// What an encoding can show.
struct Possible {
    range: Option<(i64, i64)>,
    is_branch: bool,
    classes: BTreeSet<Class>,
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
        let builder = Builder::new();
        let frontend = (ferry.frontend)();
        let mut patterns = HashMap::new();
        for pattern in (ferry.random?.encodings)() {
            let shape = Shape::of(guest, ferry, &pattern);
            let block = shape.base.and_then(|word| {
                let (key, code) = (BlockKey::new(CODE, 0), word.to_le_bytes());
                match frontend.translate(&builder, key, &code, Limits::STEP) {
                    Translation::Done { next } => Some(builder.finish(next)),
                    Translation::Unfetchable(_) => None,
                }
            });
            patterns.insert(pattern.name, Possible::of(ferry, &pattern, &shape, block.as_ref()));
        }
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
        let Some(name) = (self.ferry.identify)(bytes) else {
            self.undefined += 1;
            return;
        };
        let Some(possible) = self.patterns.get(name) else { return };
        let (text, _) = (self.ferry.disassemble)(CODE, bytes);
        let tokens = tokens(self.guest, &text);
        let counts = self.counts.entry(name).or_default();
        let mut count = |class: Class| counts[class as usize] += 1;
        count(Class::Executed);
        let registers: Vec<_> = tokens
            .iter()
            .filter_map(|token| match token {
                Token::Register(file, number, zero) => Some((*file, *number, *zero)),
                Token::Number(_) => None,
            })
            .collect();
        let repeats = |index: usize| registers[..index].contains(&registers[index]);
        if (1..registers.len()).any(repeats) {
            count(Class::SameRegister);
        }
        if registers.iter().any(|register| register.2 == Zero::Always) {
            count(Class::ZeroRegister);
        }
        if let (Some((least, greatest)), Some(number)) = (possible.range, last_number(&tokens)) {
            let corners = [
                (0, Class::ImmediateZero),
                (least, Class::ImmediateLeast),
                (greatest, Class::ImmediateGreatest),
            ];
            corners
                .iter()
                .filter(|(value, _)| *value == number)
                .for_each(|&(_, class)| count(class));
        }
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
    fn of(ferry: &Ferry, pattern: &Pattern, shape: &Shape, block: Option<&Block>) -> Self {
        let mut classes = BTreeSet::from([Class::Executed]);
        let files: Vec<_> = shape.registers.iter().map(|field| field.file).collect();
        if (1..files.len()).any(|index| files[..index].contains(&files[index])) {
            classes.insert(Class::SameRegister);
        }
        if shape.registers.iter().any(|field| field.zero == Zero::Always) {
            classes.insert(Class::ZeroRegister);
        }
        if let Some((least, greatest)) = shape.range {
            classes.extend([Class::ImmediateLeast, Class::ImmediateGreatest]);
            if least < 0 && greatest > 0 {
                classes.insert(Class::ImmediateZero);
            }
        }
        let is_branch = block.is_some_and(|b| matches!(b.terminator, Terminator::Branch { .. }));
        if is_branch {
            classes.extend([Class::Taken, Class::NotTaken]);
        }
        // What the table's own instruction cannot show, no run does: one that programs must not have is only to be executed.
        if ferry.random.is_some_and(|random| (random.is_choice)(pattern))
            && let Some(block) = block
        {
            block.insts.iter().for_each(|inst| outcomes(inst, &mut classes));
        }
        Self { range: shape.range, is_branch, classes }
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
