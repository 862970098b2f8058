//! What `ferry isa x86_64` prints, from the tables of decoder, translator and CPU models.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arch::x86_64::CpuModel;
use arch::x86_64::cpu::MODELS;
use arch::x86_64::cpuid::{BRAND, VENDOR};
use arch::x86_64::feature::{Feature, Row, Word};
use decoders::x86_64::{Code, EncodingKind};
use translator::x86_64::is_implemented;

use super::coverage::Status;

fn model(text: &str) -> Result<CpuModel, String> {
    match text {
        "" => Ok(CpuModel::default()),
        text => text.parse().map_err(|error| format!("--cpu: {error}")),
    }
}

/// A line for each feature, and what a program is told of the CPU.
pub(super) fn extensions(cpu: &str) -> Result<String, String> {
    let cpu = model(cpu)?;
    let mut text = format!(
        "{:<15} {:<11} {:<9} {:<17} {:<14}\n",
        "Feature", "Status", "Level", "CPUID", "/proc/cpuinfo"
    );
    for &feature in Feature::ALL {
        let _ = writeln!(text, "{}", feature_line(&cpu, feature));
    }
    let _ = write!(text, "\n{}\n{}", told(&cpu), models());
    Ok(text)
}

fn feature_line(cpu: &CpuModel, feature: Feature) -> String {
    let Row { name, level, word, bit, linux, .. } = feature.row();
    let level = level.map_or("-".to_owned(), |level| format!("x86-64-v{level}"));
    let place = format!("{} {bit}", place(*word));
    let status = Status::of(true, cpu.has(feature)).name();
    format!("{name:<15} {status:<11} {level:<9} {place:<17} {}", linux.unwrap_or("-"))
}

/// The leaf and register of CPUID.
fn place(word: Word) -> &'static str {
    match word {
        Word::L1Edx => "1 EDX",
        Word::E1Edx => "80000001 EDX",
        Word::L1Ecx => "1 ECX",
        Word::E1Ecx => "80000001 ECX",
        Word::L7Ebx => "7.0 EBX",
        Word::D1Eax => "d.1 EAX",
        Word::L7S1Eax => "7.1 EAX",
        Word::L7Ecx => "7.0 ECX",
        Word::L7Edx => "7.0 EDX",
    }
}

/// What CPUID and Linux tell a program of this CPU.
fn told(cpu: &CpuModel) -> String {
    let signature = cpu.signature();
    format!(
        "What a program is told:\n  {VENDOR}, {BRAND}, family {}, model {}, stepping {}\n  \
         XCR0              {:#x}\n  /proc/cpuinfo     {}\n",
        signature.family(),
        signature.model(),
        signature.stepping(),
        cpu.xcr0(),
        cpu.linux_flags().join(" ")
    )
}

fn models() -> String {
    let mut text = String::from("CPU models (--cpu MODEL[,+FEATURE][,-FEATURE]…):\n");
    for model in MODELS {
        let _ = writeln!(text, "  {:<11}  {}", model.name, model.description);
    }
    text
}

/// Features of the decoder whose encodings other modes or no 64-bit processor of Intel have.
fn is_of_other_processors(code: Code) -> bool {
    !matches!(code.encoding(), EncodingKind::Legacy | EncodingKind::VEX | EncodingKind::EVEX)
}

/// A line for each encoding, by the decoder's name for the feature that it needs.
pub(super) fn coverage(cpu: &str) -> Result<String, String> {
    let cpu = model(cpu)?;
    let mut features: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in
        Code::values().filter(|code| *code != Code::INVALID && !is_of_other_processors(*code))
    {
        let needs: Vec<_> = code.cpuid_features().iter().map(|need| format!("{need:?}")).collect();
        features.entry(needs.join(" ")).or_default().push(code);
    }
    let mut text = String::new();
    let mut counts = [0_usize; 2];
    for (feature, codes) in features {
        let is_on = translator::x86_64::has_features(&cpu, codes[0].cpuid_features());
        let _ = writeln!(text, "# {feature}");
        for code in codes {
            let implemented = is_implemented(code);
            counts[usize::from(implemented)] += 1;
            let status = Status::of(implemented, is_on).name();
            let _ = writeln!(text, "{:<40} {status}", format!("{code:?}"));
        }
    }
    let [missing, implemented] = counts;
    let _ = writeln!(text, "{implemented} encodings are implemented, {missing} are not.");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::coverage::find;
    use super::*;

    #[test]
    fn every_feature_says_how_far_it_is() {
        let text = extensions("x86-64-v2").unwrap();
        for (name, status) in [("sse2", "implemented"), ("popcnt", "implemented"), ("avx2", "off")]
        {
            assert!(find(&text, name).contains(status), "{name}");
        }
        assert!(
            find(&text, "avx2").contains("7.0 EBX 5") && find(&text, "avx2").contains("x86-64-v3")
        );
        assert!(text.contains("family 6, model 26, stepping 5"));
        let all = extensions("").unwrap();
        assert!(Feature::ALL.iter().all(|f| find(&all, f.row().name).contains("implemented")));
    }

    #[test]
    fn every_encoding_is_listed_once() {
        let text = coverage("x86-64-v3").unwrap();
        assert!(find(&text, "Add_r64_rm64").contains("implemented"));
        assert!(find(&text, "Fsin").contains("implemented"));
        assert!(find(&text, "Adcx_r64_rm64").contains("off"));
        assert!(find(&text, "EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32").contains("deferred"));
        let listed =
            Code::values().filter(|code| *code != Code::INVALID && !is_of_other_processors(*code));
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, listed.count() + 1);
    }

    #[test]
    fn wrong_models_are_named() {
        assert!(coverage("cortex-a53").unwrap_err().contains("x86-64-v3"));
    }
}
