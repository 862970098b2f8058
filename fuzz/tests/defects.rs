//! Deliberate mistakes in translators, optimiser, tier 0 and back end: random programs must find each, name the
//! instruction and the part of Ferry that is wrong, and reduce it to a few instructions.
#![expect(clippy::print_stderr, reason = "says what was found, and why it does not ask qemu-user")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base::defect::{self, Defect, Layer};
use ferry_fuzz as fuzz;
use fuzz::blame::Culprit;
use fuzz::campaign::{Against, BATCH, Campaign, Shard};
use fuzz::case;
use fuzz::finding::Finding;
use fuzz::guest::{AARCH64, Guest, RISCV64, X86_64};
use fuzz::oracle::Oracle;
use fuzz::tier::{Runner, Tier};

/// Programs after which a mistake counts as not found.
const MOST: u64 = 120_000;
/// Instructions that a case of a mistake may have. Those that change code have more.
const SHORT: usize = 4;

/// What the name of the guilty instruction has in it, where a mistake is one instruction's.
fn instruction(defect: Defect) -> &'static str {
    match defect {
        Defect::AddiwZeroExtends => "addiw",
        Defect::SubSwapsOperands => "sub",
        Defect::AndiOffByOne => "andi",
        Defect::LbuExtendsSign => "lbu",
        Defect::SltuComparesSigned => "sltu",
        Defect::AuipcFromNextPc => "auipc",
        Defect::SrawForgetsWidth => "sraw",
        Defect::FenceIKeepsCode => "fence",
        Defect::AmomaxIsUnsigned => "amomax",
        Defect::FmaddRoundsTwice => "fmadd",
        Defect::FminKeepsNan => "fmin",
        Defect::FaddIgnoresRounding => "fadd",
        Defect::AdcsForgetsCarry => "adcs",
        Defect::CselInverted => "csel",
        Defect::CcmpWrongFlag => "ccmp",
        Defect::UbfxTooNarrow => "ubfm",
        Defect::UmovWrongLane => "umov",
        Defect::LdpSwapsRegisters => "ldp",
        Defect::AddpSwapsVectors => "addp",
        Defect::SqaddWraps => "sqadd",
        Defect::IsbKeepsCode => "isb",
        Defect::AdcLosesCarry => "adc",
        Defect::LockedSubAdds => "sub",
        Defect::IncWritesCarry => "inc",
        Defect::SarBringsZeros => "sar",
        Defect::XaddKeepsSource => "xadd",
        Defect::CmovInverted => "cmov",
        Defect::PalignrOffByOne => "palignr",
        _ => "",
    }
}

/// Whether no other guest has what a mistake is in.
fn is_of_x86(defect: Defect) -> bool {
    matches!(
        defect,
        Defect::SubnormalOperandUnseen
            | Defect::SumBelowZeroBySign
            | Defect::NarrowCarryOfWhole
            | Defect::QuickDecWritesCarry
    )
}

/// One campaign a guest, and those it has been compared with.
struct Campaigns(HashMap<(&'static str, String), Campaign>);

impl Campaigns {
    /// `None` where nobody can judge.
    fn of(&mut self, guest: &'static Guest, layer: Layer) -> Option<&mut Campaign> {
        let against = match layer {
            Layer::Riscv64 | Layer::Aarch64 => {
                let directory = std::env::temp_dir().join("ferry-fuzz-tests");
                let oracle = Oracle::qemu(guest, &directory);
                vec![Against::Oracle(oracle.map_err(|error| skipped(&error)).ok()?)]
            }
            Layer::X86_64 => {
                let directory = std::env::temp_dir().join("ferry-fuzz-tests");
                let oracle = Oracle::native(guest, &directory);
                vec![Against::Oracle(oracle.map_err(|error| skipped(&error)).ok()?)]
            }
            // What is quick, and differs.
            Layer::Interpreter => vec![Against::Evaluator],
            Layer::Optimiser => vec![Against::Tier(Tier::OptimisedInterpreter)],
            Layer::Backend => vec![Against::Tier(Tier::Region)],
            Layer::Baseline => vec![Against::Tier(Tier::Baseline)],
        };
        Some(self.0.entry((guest.name, against[0].name())).or_insert_with(|| {
            Campaign::new(guest, 0x5eed, &[], against, Shard::WHOLE).expect("a campaign")
        }))
    }
}

fn skipped(reason: &impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: defects: {reason}");
}

/// Whether the finding names the layer.
fn is_located(finding: &Finding, layer: Layer) -> bool {
    match layer {
        Layer::Riscv64 | Layer::Aarch64 | Layer::X86_64 => finding.culprit == Culprit::Translation,
        Layer::Interpreter => finding.culprit == Culprit::Interpreter,
        Layer::Optimiser => {
            matches!(&finding.culprit, Culprit::Optimiser(passes) if !passes.is_empty())
        }
        Layer::Backend => matches!(finding.culprit, Culprit::Backend(_)),
        Layer::Baseline => finding.culprit == Culprit::Baseline,
    }
}

/// The case shows the mistake wherever it is, and nothing without it.
fn is_reproduced(guest: &'static Guest, finding: &Finding, defect: Defect, layer: Layer) -> bool {
    let case = case::parse_file(guest, "found", &finding.case).expect("a case").remove(0);
    let tiers = match layer {
        Layer::Riscv64 | Layer::Aarch64 | Layer::X86_64 | Layer::Interpreter => {
            vec![Tier::Interpreter]
        }
        _ => Tier::ALL.to_vec(),
    };
    let holds = |runner: &mut Runner, tier| {
        let (mut state, end) = runner.run(tier, &case.code, &case.before);
        let mut after = case.after.clone();
        guest.forget_others(&case.code, &mut state.words);
        guest.forget_others(&case.code, &mut after.words);
        state.difference(&after).is_none() && end == case.end
    };
    let mut runner = Runner::new(guest).expect("a guest of Ferry's");
    defect::seed(Some(defect));
    let shows = tiers.iter().any(|&tier| !holds(&mut runner, tier));
    defect::seed(None);
    shows && Tier::ALL.into_iter().all(|tier| holds(&mut runner, tier))
}

/// What is wrong with how the mistake was found, if anything.
fn find(campaigns: &mut Campaigns, defect: Defect, layer: Layer) -> Result<(), String> {
    let guests: &[&'static Guest] = match layer {
        Layer::Riscv64 => &[&RISCV64],
        Layer::Aarch64 => &[&AARCH64],
        Layer::X86_64 => &[&X86_64],
        _ if is_of_x86(defect) => &[&X86_64],
        _ => &[&RISCV64, &AARCH64],
    };
    for round in 0..MOST / BATCH {
        for &guest in guests {
            let Some(campaign) = campaigns.of(guest, layer) else { return Ok(()) };
            if round == 0 {
                campaign.forget();
            }
            defect::seed(Some(defect));
            let new = campaign.batch(BATCH);
            defect::seed(None);
            let new = new.map_err(|error| error.to_string())?;
            let Some(key) = new.first() else { continue };
            let finding = &campaign.findings()[key];
            eprintln!("{defect:?}: after {} programs\n{}", (round + 1) * BATCH, finding.report());
            let found = campaign.findings().values();
            let mut found = found.filter(|finding| {
                let short = finding.instructions <= SHORT
                    || finding.case.contains("fence.i")
                    || finding.case.contains("isb");
                let named = finding.instruction.contains(instruction(defect));
                short && named && is_located(finding, layer)
            });
            let good = found.any(|finding| is_reproduced(guest, finding, defect, layer));
            return if good {
                Ok(())
            } else {
                Err(format!("badly located:\n{}", finding.report()))
            };
        }
    }
    Err(format!("not found in {MOST} programs"))
}

#[test]
fn every_seeded_defect_is_found_located_and_minimised() {
    let mut campaigns = Campaigns(HashMap::new());
    let mut failures = Vec::new();
    let mut slowest = Duration::ZERO;
    for (defect, layer) in Defect::ALL {
        let start = Instant::now();
        if let Err(message) = find(&mut campaigns, defect, layer) {
            failures.push(format!("{defect:?}: {message}"));
        }
        slowest = slowest.max(start.elapsed());
        eprintln!("{defect:?}: {:.1} s", start.elapsed().as_secs_f64());
    }
    eprintln!("{} defects, the slowest in {:.1} s", Defect::ALL.len(), slowest.as_secs_f64());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
