//! Every encoding of x86-64's instructions on random operands and states, random programs of them, and random bytes: the
//! processor itself, the interpreter and compiled code must agree on every register, on memory, and on the signal.
//!
//! A few of each, many with `FERRY_TEST_LONG=1`, as many as `FERRY_FUZZ_CASES` says. About one program in ten thousand still
//! differs: in what a fault across pages leaves of x87's and MMX's state, and in where RET to a non-canonical address
//! faults. So the seed is always the same, and `FERRY_FUZZ_SEED` names others.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask the processor")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use base::GuestVirt;
use ferry_testsuite as testsuite;
use fuzz::guest::X86_64;
use fuzz::guest::x86_64::{RFLAGS, host_lacks, instructions};
use fuzz::machine::{End, State};
use fuzz::oracle::Oracle;
use fuzz::program::x86_64::{Program, Random, encodings};
use fuzz::tier::{Runner, Tier};
use iced_x86::{Code, Formatter as _, Instruction, IntelFormatter, Mnemonic, OpKind};
use testsuite::suite::{self, Case, Subject};
use testsuite::{cache, seed};

const SUITE: &str = "insn_x86_64";
/// The usual seed.
const SEED: u64 = 0x771;
/// Programs that are judged together.
const BATCH: usize = 500;
/// Disagreements that are shown of each case.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    let seed = seed::given_or(SEED);
    eprintln!("FERRY_FUZZ_SEED={seed:#x}");
    let judge = match testsuite::insn::oracle(&X86_64) {
        Ok(judge) => judge,
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

fn cases(judge: &Arc<Oracle>, seed: u64) -> Vec<Case> {
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
        all.push(case(&name, seed, move |random| {
            let each = count(8);
            let made = codes.iter().flat_map(|&code| std::iter::repeat_n(code, each));
            check(&judge, made.filter_map(|code| random.case(code)).collect())
        }));
    }
    let ask = Arc::clone(judge);
    all.push(case("programs", seed, move |random| {
        check(&ask, (0..count(2000)).map(|_| random.several()).collect())
    }));
    let ask = Arc::clone(judge);
    all.push(case("bytes", seed, move |random| {
        check(&ask, (0..count(5000)).map(|_| random.garbage()).collect())
    }));
    all
}

fn case(
    name: &str,
    seed: u64,
    run: impl FnOnce(&mut Random) -> Result<(), String> + Send + 'static,
) -> Case {
    let salt = name.bytes().fold(0, |sum: u64, byte| sum * 31 % (1 << 40) + u64::from(byte));
    Case {
        name: format!("x86_64::{name}"),
        run: Box::new(move || run(&mut Random::new(seed ^ salt))),
    }
}

fn check(judge: &Oracle, mut programs: Vec<Program>) -> Result<(), String> {
    let mut runner = Runner::new(&X86_64).ok_or("Ferry does not have this guest")?;
    programs.retain(|program| !reaches_code(program));
    let count = programs.len();
    programs.retain(|program| host_lacks(&program.code).is_none());
    if programs.len() < count {
        eprintln!(
            "skipped: {} of {count}, which the processor does not have",
            count - programs.len()
        );
    }
    let (mut wrong, mut total) = (Vec::new(), 0);
    for batch in programs.chunks(BATCH) {
        let requests: Vec<_> = batch.iter().map(|p| (p.code.as_slice(), &p.before)).collect();
        let answers = judge.run(&requests).map_err(|error| error.to_string())?;
        for (program, answer) in batch.iter().zip(&answers) {
            for tier in Tier::ALL {
                let result = runner.run(tier, &program.code, &program.before);
                if let Some(difference) = difference(program, &result, answer) {
                    total += 1;
                    let text = listing(program);
                    if wrong.len() < SHOWN || !seen(&mut wrong, &text) {
                        wrong.push((
                            text,
                            format!("{}: {difference}", tier.name()),
                            before(program),
                        ));
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
    let shown = wrong.iter().map(|(text, what, from)| format!("{text}\n  {what}\n    from {from}"));
    Err(format!("{total} of {count} differ, among them\n{}", shown.collect::<Vec<_>>().join("\n")))
}

/// Whether a register is an address of the code, which accesses may then change: a machine for single cases does not notice that
/// (`testsuite/guest/x86_64/selfmod.c` is about it).
fn reaches_code(program: &Program) -> bool {
    let words = &program.before.words[..16];
    words.iter().any(|&word| GuestVirt(word).page() == fuzz::machine::CODE.page())
}

/// Whether that mnemonic has been shown.
fn seen(wrong: &mut [(String, String, String)], text: &str) -> bool {
    let mnemonic = |text: &str| {
        let words = text.split('"').nth(1).unwrap_or(text).split_whitespace();
        words.clone().find(|word| !matches!(*word, "lock" | "rep" | "repne")).map(str::to_owned)
    };
    wrong.iter().any(|(other, ..)| mnemonic(other) == mnemonic(text))
}

/// Of one that jumps about for long, nothing is compared.
fn difference(program: &Program, mine: &(State, End), theirs: &(State, End)) -> Option<String> {
    if mine.1 == End::Endless || theirs.1 == End::Endless {
        return None;
    }
    let is_open = faults_at(program, theirs.1).is_some_and(may_touch_all)
        || matches!(mine.1, End::Fault { addr, .. } if is_the_oracles(addr));
    if is_open && mine.1 != theirs.1 {
        return None;
    }
    let [mine, theirs] = [mine, theirs].map(|(state, end)| {
        let mut state = state.clone();
        state.words[RFLAGS] &= !program.undefined;
        (X86_64.forget_interrupted)(&program.code, end, &mut state.words);
        (state, without_free_address(program, without_unreachable_address(*end)))
    });
    let states = mine.0.difference(&theirs.0);
    let ends = (mine.1 != theirs.1).then(|| format!("{:x?} not {:x?}", mine.1, theirs.1));
    match (states, ends) {
        (None, None) => None,
        (states, ends) => Some([states, ends].into_iter().flatten().collect::<Vec<_>>().join("; ")),
    }
}

/// Whether the program that asks the processor may have something there: it lies where the system puts it, the code after it.
fn is_the_oracles(addr: GuestVirt) -> bool {
    addr.page().wrapping_add(fuzz::machine::PAGE as u64) == fuzz::machine::CODE
}

/// The instruction of which an access faulted.
fn faults_at(program: &Program, end: End) -> Option<Instruction> {
    let End::Fault { pc, .. } = end else { return None };
    instructions(&program.code).find(|insn| insn.ip() == pc.0)
}

/// SDM vol. 2, MASKMOVDQU: whether memory that no bit of the mask chooses faults is the processor's choice.
fn may_touch_all(insn: Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu)
}

/// Which byte of a page a store under a mask faults at is the processor's choice, too.
fn without_free_address(program: &Program, end: End) -> End {
    let is_free = faults_at(program, end).is_some_and(|insn| match insn.mnemonic() {
        Mnemonic::Vmaskmovps
        | Mnemonic::Vmaskmovpd
        | Mnemonic::Vpmaskmovd
        | Mnemonic::Vpmaskmovq => insn.op0_kind() == OpKind::Memory,
        _ => may_touch_all(insn),
    });
    match end {
        End::Fault { pc, addr } if is_free => End::Fault { pc, addr: addr.page() },
        end => end,
    }
}

/// Of an address that is not canonical, the processor says nothing.
fn without_unreachable_address(end: End) -> End {
    match end {
        End::Fault { pc, addr } if addr.0 >= (1 << 47) - 8 => End::Fault { pc, addr: GuestVirt(0) },
        end => end,
    }
}

fn listing(program: &Program) -> String {
    let mut lines = Vec::new();
    for insn in instructions(&program.code) {
        let mut text = String::new();
        IntelFormatter::new().format(&insn, &mut text);
        let at = (insn.ip() - fuzz::machine::CODE.0) as usize;
        let bytes = &program.code[at..(at + insn.len()).min(program.code.len())];
        let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{bytes} \"{text}\""));
    }
    lines.join("\n")
}

fn before(program: &Program) -> String {
    let names = listing(program);
    let whole = program.before.difference(&State::new(&X86_64)).unwrap_or_default();
    // Memory is not shown unless a single instruction could name all of it.
    let fields =
        whole.split(", ").filter(|field| !field.starts_with("[data") || names.contains('['));
    fields
        .filter(|field| !field.starts_with("[data"))
        .map(|field| field.split(" not ").next().unwrap_or(field).replace(": ", "="))
        .collect::<Vec<_>>()
        .join(" ")
}
