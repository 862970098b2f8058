//! Runs random programs, and makes findings of what differs.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::blame::{self, Kind};
use crate::coverage::{Class, Coverage};
use crate::finding::{Finding, Left};
use crate::guest::{self, Guest};
use crate::line;
use crate::machine::{CODE, End, PAGE};
use crate::minimise::{self, Judge};
use crate::oracle::{Oracle, OracleError};
use crate::paths::Paths;
use crate::program::{Generator, GeneratorError, Outcome, Program};
use crate::tier::{Engine, Runner, Tier};
use base::GuestVirt;

/// Programs that others are made of, at most.
const PROMISING: usize = 64;

/// Programs that go to the oracle together.
pub const BATCH: u64 = 200;

/// What Ferry's interpreter is compared with.
#[derive(Clone, Debug)]
pub enum Against {
    /// Another way of Ferry's.
    Tier(Tier),
    /// The evaluator of the IR.
    Evaluator,
    /// Another implementation.
    Oracle(Oracle),
}

impl Against {
    /// As the command line names it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Tier(tier) => format!("tier:{}", tier.name()),
            Self::Evaluator => "evaluator".to_owned(),
            Self::Oracle(oracle) => oracle.name().to_owned(),
        }
    }
}

/// Which of a campaign's programs are this one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// All programs.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// One of `count` parts, from 0 on; `None` if there is no such part.
    #[must_use]
    pub fn new(index: u64, count: u64) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// As its files are named.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}of{}", self.index, self.count)
    }
}

/// Why a campaign cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// No programs can be made.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// The oracle does not answer.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// The oracle does not answer about a smaller program.
    #[error("while a program was made smaller: {0}")]
    Shrinking(String),
}

/// A campaign, as far as one process runs it.
pub struct Campaign {
    generator: Generator,
    runner: Runner,
    against: Vec<Against>,
    seed: u64,
    shard: Shard,
    /// The number of the next program, counted within the shard.
    next: u64,
    coverage: Option<Coverage>,
    paths: Paths,
    /// Programs that have shown new ways through the translator, the last ones: others are made of them.
    promising: VecDeque<Program>,
    findings: BTreeMap<String, Finding>,
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Campaign {
    /// The shard of the campaign that this seed makes.
    ///
    /// # Errors
    /// See [`CampaignError`].
    pub fn new(
        guest: &'static Guest,
        seed: u64,
        classes: &[String],
        against: Vec<Against>,
        shard: Shard,
    ) -> Result<Self, CampaignError> {
        let generator = Generator::new(guest, seed, classes)?;
        let runner = Runner::new(guest).ok_or(GeneratorError::NoGuest(guest.name))?;
        Ok(Self {
            generator,
            runner,
            against,
            seed,
            shard,
            next: 0,
            coverage: None,
            paths: Paths::default(),
            promising: VecDeque::new(),
            findings: BTreeMap::new(),
        })
    }

    /// Counts what programs execute and which ways translators go, has them execute more of what is missing, and makes more
    /// of those that show new ways.
    pub fn cover(&mut self) {
        self.coverage = Coverage::new(self.generator.guest());
        self.want();
    }

    /// Goes on where another process has stopped.
    pub fn resume(&mut self, left: Left) {
        self.next = left.progress.next;
        if let Some(mine) = &mut self.coverage {
            mine.add(&left.counts);
        }
        self.paths.merge(&left.paths);
        self.findings.extend(left.findings.into_iter().map(|finding| (finding.key(), finding)));
        self.want();
    }

    /// Forgets what was found, so that it is found again.
    pub fn forget(&mut self) {
        self.findings.clear();
    }

    /// The number of the next program of this shard.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What was executed, if that is counted.
    #[must_use]
    pub fn coverage(&self) -> Option<&Coverage> {
        self.coverage.as_ref()
    }

    /// The ways that translators have gone, if that is noted.
    #[must_use]
    pub fn paths(&self) -> Option<&Paths> {
        self.coverage.is_some().then_some(&self.paths)
    }

    /// Everything found so far, by its key.
    #[must_use]
    pub fn findings(&self) -> &BTreeMap<String, Finding> {
        &self.findings
    }

    /// Runs the next programs. Returns the keys of what is new.
    ///
    /// # Errors
    /// See [`CampaignError`].
    pub fn batch(&mut self, count: u64) -> Result<Vec<String>, CampaignError> {
        let Shard { index, count: shards } = self.shard;
        let numbers: Vec<u64> =
            (self.next..self.next + count).map(|n| n.wrapping_mul(shards) + index).collect();
        let programs: Vec<(u64, Program)> =
            numbers.into_iter().map(|number| (number, self.program(number))).collect();
        self.next += count;
        let mut cases = Vec::new();
        for (number, program) in programs {
            let code = program.code();
            let mine = meant(&mut self.runner, &program);
            if let Some(coverage) = &mut self.coverage {
                coverage.run(&mut self.runner, &code, &program.before);
                if self.paths.see_all(&mut self.runner, &code, &program.before) > 0 {
                    self.promising.truncate(PROMISING - 1);
                    self.promising.push_front(program.clone());
                }
            }
            cases.extend(mine.map(|mine| (number, program, mine)));
        }
        let mut new = Vec::new();
        for against in self.against.clone() {
            new.extend(self.compare(&against, &cases)?);
        }
        self.want();
        Ok(new)
    }

    /// Every other one is made of one that has shown something new.
    fn program(&mut self, number: u64) -> Program {
        let own = number / self.shard.count;
        if own % 2 == 1 && !self.promising.is_empty() {
            let model = &self.promising[own as usize / 2 % self.promising.len()];
            return self.generator.another(number, model);
        }
        self.generator.program(number)
    }

    fn want(&mut self) {
        let Some(coverage) = &self.coverage else { return };
        // What was never executed, else what has not shown all that it can.
        let missing = coverage.missing();
        let never = |classes: &Vec<Class>| classes.contains(&Class::Executed);
        let wanted: HashSet<&str> =
            missing.iter().filter(|(_, classes)| never(classes)).map(|(name, _)| *name).collect();
        let wanted = if wanted.len() > 8 { wanted } else { missing.into_keys().collect() };
        self.generator.want(&wanted);
    }

    fn compare(
        &mut self,
        against: &Against,
        cases: &[(u64, Program, Outcome)],
    ) -> Result<Vec<String>, CampaignError> {
        let programs: Vec<Program> = cases.iter().map(|(_, program, _)| program.clone()).collect();
        let theirs = answers(&mut self.runner, against, &programs)?;
        let mut new = Vec::new();
        for ((number, program, mine), theirs) in cases.iter().zip(&theirs) {
            if difference(against, program, mine, theirs).is_some() {
                new.extend(self.finding(against, *number, program)?);
            }
        }
        Ok(new)
    }

    /// Counts a difference. Returns its key if it is the first one of its root cause.
    fn finding(
        &mut self,
        against: &Against,
        number: u64,
        program: &Program,
    ) -> Result<Option<String>, CampaignError> {
        let runner = &mut self.runner;
        let mut judge = |programs: &[Program]| fails(runner, against, programs);
        let guilty = blame::guilty(program, &mut judge).map_err(CampaignError::Shrinking)?;
        let shorter = guilty.and_then(|index| program.prefix(index + 1));
        // What is shorter by far is made small faster, but its jumps are fixed.
        if let Some((name, index)) = guilty.map(|index| (program.names()[index], index)) {
            let key = self.known(name, against, program, index)?;
            if key.is_some() {
                return Ok(None);
            }
        }
        let start = match shorter {
            Some(shorter) if !program.changes_code() => shorter,
            _ => program.clone(),
        };
        let finding = self.minimised(against, number, &start)?;
        let key = finding.key();
        if let Some(known) = self.findings.get_mut(&key) {
            known.count += 1;
            return Ok(None);
        }
        self.findings.insert(key.clone(), finding);
        Ok(Some(key))
    }

    /// The key of a finding that this difference is another case of, which is counted.
    fn known(
        &mut self,
        name: &str,
        against: &Against,
        program: &Program,
        index: usize,
    ) -> Result<Option<String>, CampaignError> {
        let Some(prefix) = program.prefix(index + 1) else { return Ok(None) };
        let mine = self.runner.run(Tier::Interpreter, &prefix.code(), &prefix.before);
        let theirs = answers(&mut self.runner, against, std::slice::from_ref(&prefix))?;
        let kind = |theirs| difference(against, &prefix, &mine, theirs);
        let Some(kind) = theirs.first().and_then(kind) else { return Ok(None) };
        let found = self
            .findings
            .iter_mut()
            .find(|(_, finding)| finding.instruction == name && finding.kind == kind);
        Ok(found.map(|(key, finding)| {
            finding.count += 1;
            key.clone()
        }))
    }

    fn minimised(
        &mut self,
        against: &Against,
        number: u64,
        program: &Program,
    ) -> Result<Finding, CampaignError> {
        let runner = &mut self.runner;
        let mut judge = |programs: &[Program]| fails(runner, against, programs);
        let small = minimise::minimise(program, &mut judge).map_err(CampaignError::Shrinking)?;
        let guilty = blame::guilty(&small, &mut judge).map_err(CampaignError::Shrinking)?;
        let names = small.names();
        let instruction = match guilty {
            // Whatever is executed in place of the instruction that was changed: what should have fetched it is to blame.
            _ if small.changes_code() => names[small.len() - 2],
            Some(index) => names[index],
            None => names.last().copied().unwrap_or_default(),
        };
        let oracle = self.against.iter().find_map(|against| match against {
            Against::Oracle(oracle) => Some(oracle.clone()),
            Against::Tier(_) | Against::Evaluator => None,
        });
        let (code, before) = (small.code(), &small.before);
        let mine = self.runner.run(Tier::Interpreter, &code, before);
        let theirs = answers(&mut self.runner, against, std::slice::from_ref(&small))?.remove(0);
        let (truth, judge) = match &oracle {
            Some(oracle) => (oracle.run(&[(&code, before)])?.remove(0), oracle.name()),
            None => (
                self.runner.run_as(blame::plain(Engine::Evaluator), &code, before),
                "the evaluator",
            ),
        };
        let by = oracle.clone().map_or(Against::Evaluator, Against::Oracle);
        let wrong = |program: &Program, outcome: &Outcome| {
            difference(&by, program, outcome, &truth).is_some()
        };
        let culprit = blame::culprit(&mut self.runner, &small, &wrong);
        let guest = self.generator.guest();
        let judges = match guest.judge {
            guest::Judge::Emulator => "qemu",
            guest::Judge::Host => "native",
        };
        let marks: &[String] = if judge == judges { &[] } else { &["not-qemu".to_owned()] };
        let wrong_one = if wrong(&small, &mine) { &mine } else { &theirs };
        let words = |a: &Outcome, b: &Outcome, against: &Against| {
            compared(against, &small, a, b).and_then(|(a, b)| blame::difference(&a, &b))
        };
        Ok(Finding {
            guest: guest.name.to_owned(),
            instruction: instruction.to_owned(),
            kind: difference(against, &small, &mine, &theirs).unwrap_or(Kind::End),
            against: against.name(),
            culprit,
            difference: words(wrong_one, &truth, &by)
                .or_else(|| words(&mine, &theirs, against))
                .unwrap_or_default(),
            case: line::of(&small.instructions(), marks, before, &truth.0, truth.1),
            judge: judge.to_owned(),
            instructions: small.instructions().len(),
            seed: self.seed,
            program: number,
            count: 1,
        })
    }
}

/// What the interpreter makes of a program; `None` where that is no matter of instructions: the program does not end, or
/// changes code without a fence.
fn meant(runner: &mut Runner, program: &Program) -> Option<Outcome> {
    let outcome = runner.run(Tier::Interpreter, &program.code(), &program.before);
    let is_spoilt = runner.has_spoilt_code(&program.patched_bytes());
    (outcome.1 != End::Endless && !is_spoilt).then_some(outcome)
}

/// Which programs end otherwise under the interpreter.
fn fails(
    runner: &mut Runner,
    against: &Against,
    programs: &[Program],
) -> Result<Vec<bool>, String> {
    let mine: Vec<Option<Outcome>> =
        programs.iter().map(|program| meant(runner, program)).collect();
    let asked = programs.iter().zip(&mine).filter(|(_, mine)| mine.is_some());
    let asked: Vec<Program> = asked.map(|(program, _)| program.clone()).collect();
    let theirs = answers(runner, against, &asked).map_err(|error| error.to_string())?;
    let mut theirs = theirs.iter();
    let mut verdict = |(program, mine): (&Program, &Option<Outcome>)| {
        let (mine, theirs) = (mine.as_ref()?, theirs.next()?);
        // An oracle may be late only.
        let is_late = theirs.1 == End::Endless && matches!(against, Against::Oracle(_));
        Some(!is_late && difference(against, program, mine, theirs).is_some())
    };
    let verdicts = programs.iter().zip(&mine).map(&mut verdict);
    Ok(verdicts.map(|differs| differs == Some(true)).collect())
}

fn answers(
    runner: &mut Runner,
    against: &Against,
    programs: &[Program],
) -> Result<Vec<Outcome>, OracleError> {
    let codes: Vec<Vec<u8>> = programs.iter().map(Program::code).collect();
    let cases = codes.iter().zip(programs).map(|(code, p)| (code.as_slice(), &p.before));
    let setup = match against {
        Against::Tier(tier) => tier.setup(),
        Against::Evaluator => blame::plain(Engine::Evaluator),
        Against::Oracle(oracle) => return oracle.run(&cases.collect::<Vec<_>>()),
    };
    Ok(cases.map(|(code, before)| runner.run_as(setup, code, before)).collect())
}

/// In what they differ where they must not.
#[must_use]
pub fn difference(
    against: &Against,
    program: &Program,
    mine: &Outcome,
    theirs: &Outcome,
) -> Option<Kind> {
    let (mine, theirs) = compared(against, program, mine, theirs)?;
    Kind::of(&mine, &theirs)
}

/// What of two outcomes must be the same; `None` if nothing must.
#[must_use]
pub fn compared(
    against: &Against,
    program: &Program,
    mine: &Outcome,
    theirs: &Outcome,
) -> Option<(Outcome, Outcome)> {
    let Against::Oracle(oracle) = against else { return Some((mine.clone(), theirs.clone())) };
    let [mine, theirs] =
        [mine, theirs].map(|(state, end)| (state.clone(), without_unreachable_address(*end)));
    if meets_breakpoints(mine.1) {
        return None;
    }
    // Nothing is left open, and nothing excused, where they agree.
    let [mine, theirs] = [mine, theirs].map(|outcome| program.settled(&outcome));
    let same = Kind::of(&mine, &theirs).is_none();
    let excused = !same
        && (program.is_open(&mine, &theirs)
            || oracle.name() == "qemu" && program.excuses(&mine, &theirs));
    (!excused).then_some((mine, theirs))
}

/// The host does not report an address that no process can have mapped; nor does qemu-user, mostly. What begins in the page before
/// those may end there.
fn without_unreachable_address(end: End) -> End {
    match end {
        End::Fault { pc, addr } if addr.0 >= (1 << 47) - PAGE as u64 => {
            End::Fault { pc, addr: GuestVirt(0) }
        }
        end => end,
    }
}

/// Under the oracle the code is mapped, and breakpoints around it.
fn meets_breakpoints(end: End) -> bool {
    let near = |addr: GuestVirt| addr.0.abs_diff(CODE.0) < 1 << 16;
    matches!(end, End::Fault { addr, .. } if near(addr))
}

/// Makes a case as small as may be that a tier, or the oracle, judges otherwise than Ferry's interpreter.
///
/// # Errors
/// See [`CampaignError`].
pub fn shrink(
    runner: &mut Runner,
    against: &Against,
    program: &Program,
) -> Result<Program, CampaignError> {
    let mut judge = |programs: &[Program]| fails(runner, against, programs);
    minimise::minimise(program, &mut judge as &mut dyn Judge).map_err(CampaignError::Shrinking)
}
