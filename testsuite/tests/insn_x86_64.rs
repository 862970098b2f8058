//! Every encoding of x86-64's instructions on random operands and states, random programs of them, and random bytes: the
//! processor itself, the interpreter and compiled code must agree on every register, on memory, and on the signal.
//!
//! A few of each, many with `FERRY_TEST_LONG=1`, as many as `FERRY_FUZZ_CASES` says. The seed is another one each time;
//! `FERRY_FUZZ_SEED` repeats one.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask the processor")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use base::rng::Rng;
use ferry_testsuite as testsuite;
use fuzz::blame;
use fuzz::campaign::{self, Against};
use fuzz::guest::X86_64;
use fuzz::guest::x86_64::host_lacks;
use fuzz::machine::State;
use fuzz::program::x86_64::{case as random_case, encodings, garbage};
use fuzz::program::{Generator, Outcome, Program};
use fuzz::tier::{Runner, Tier};
use iced_x86::Code;
use testsuite::suite::{self, Case, Subject};
use testsuite::{cache, seed};

const SUITE: &str = "insn_x86_64";
/// Programs that are judged together.
const BATCH: usize = 500;
/// Disagreements that are shown of each case.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    let seed = seed::of_this_run();
    eprintln!("FERRY_FUZZ_SEED={seed:#x}");
    let judge = match testsuite::insn::oracle(&X86_64) {
        Ok(judge) => Against::Oracle(judge),
        Err(error) => return suite::skip(SUITE, error),
    };
    suite::run(SUITE, &Subject::of_machines(), cases(&Arc::new(judge), seed))
}

/// How many there are to be, where a plain run has so many.
fn count(few: usize) -> usize {
    match (seed::cases(), cache::long_run()) {
        (Some(count), _) => count as usize,
        (None, true) => few * 500,
        (None, false) => few,
    }
}

fn cases(judge: &Arc<Against>, seed: u64) -> Vec<Case> {
    let mut chapters: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in encodings() {
        let features = code.cpuid_features();
        // VEX forms of AES and the like belong to AVX, too.
        let chapter = features.iter().map(|f| format!("{f:?}").to_lowercase()).collect::<Vec<_>>();
        chapters.entry(chapter.join("-")).or_default().push(code);
    }
    let mut all = Vec::new();
    for (name, codes) in chapters {
        let judge = Arc::clone(judge);
        all.push(case(&name, seed, move |rng| {
            let each = count(8);
            let made = codes.iter().flat_map(|&code| std::iter::repeat_n(code, each));
            check(&judge, made.filter_map(|code| random_case(code, rng)).collect())
        }));
    }
    let ask = Arc::clone(judge);
    all.push(case("programs", seed, move |rng| {
        let generator = Generator::new(&X86_64, rng.bits(), &[]);
        let mut generator = generator.map_err(|error| error.to_string())?;
        check(&ask, (0..count(2000) as u64).map(|number| generator.program(number)).collect())
    }));
    let ask = Arc::clone(judge);
    all.push(case("bytes", seed, move |rng| {
        check(&ask, (0..count(5000)).map(|_| garbage(rng)).collect())
    }));
    all
}

fn case(
    name: &str,
    seed: u64,
    run: impl FnOnce(&mut Rng) -> Result<(), String> + Send + 'static,
) -> Case {
    let salt = name.bytes().fold(0, |sum: u64, byte| sum * 31 % (1 << 40) + u64::from(byte));
    Case { name: format!("x86_64::{name}"), run: Box::new(move || run(&mut Rng::new(seed ^ salt))) }
}

/// Every tier against the processor.
fn check(judge: &Against, mut programs: Vec<Program>) -> Result<(), String> {
    let Against::Oracle(oracle) = judge else { return Err("nobody judges".to_owned()) };
    let mut runner = Runner::new(&X86_64).ok_or("Ferry does not have this guest")?;
    let count = programs.len();
    programs.retain(|program| host_lacks(&program.code()).is_none());
    if programs.len() < count {
        let lacking = count - programs.len();
        eprintln!("skipped: {lacking} of {count}, which the processor does not have");
    }
    let (mut wrong, mut total) = (Vec::new(), 0);
    for batch in programs.chunks(BATCH) {
        let codes: Vec<Vec<u8>> = batch.iter().map(Program::code).collect();
        let requests = codes.iter().zip(batch).map(|(code, p)| (code.as_slice(), &p.before));
        let answers = oracle.run(&requests.collect::<Vec<_>>());
        let answers = answers.map_err(|error| error.to_string())?;
        for ((program, code), answer) in batch.iter().zip(&codes).zip(&answers) {
            for tier in Tier::ALL {
                let result = runner.run(tier, code, &program.before);
                if let Some(difference) = difference(judge, program, &result, answer) {
                    total += 1;
                    let text = program.listing();
                    if wrong.len() < SHOWN || !seen(&mut wrong, program) {
                        let what = format!("{}: {difference}", tier.name());
                        wrong.push((program.names(), text, what, before(program)));
                    }
                    break;
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.truncate(SHOWN.max(40));
    let shown =
        wrong.iter().map(|(_, text, what, from)| format!("{text}\n  {what}\n    from {from}"));
    Err(format!("{total} of {count} differ, among them\n{}", shown.collect::<Vec<_>>().join("\n")))
}

/// Names of a program's instructions, the program, what differs, and from where.
type Shown = (Vec<&'static str>, String, String, String);

/// Whether that instruction has been shown.
fn seen(wrong: &mut [Shown], program: &Program) -> bool {
    let names = program.names();
    wrong.iter().any(|(known, ..)| known.first() == names.first())
}

fn difference(
    judge: &Against,
    program: &Program,
    mine: &Outcome,
    theirs: &Outcome,
) -> Option<String> {
    let (mine, theirs) = campaign::compared(judge, program, mine, theirs)?;
    blame::difference(&mine, &theirs)
}

fn before(program: &Program) -> String {
    let whole = program.before.difference(&State::new(&X86_64)).unwrap_or_default();
    whole
        .split(", ")
        .filter(|field| !field.starts_with("[data"))
        .map(|field| field.split(" not ").next().unwrap_or(field).replace(": ", "="))
        .collect::<Vec<_>>()
        .join(" ")
}
