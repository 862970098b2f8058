//! What `ferry isa aarch64` prints, from the tables of decoder and CPU models.

use std::fmt::Write as _;

use arch::aarch64::CpuModel;
use arch::aarch64::cpu::MODELS;
use arch::aarch64::feature::{Feature, Hwcap, HwcapWord, Row};
use decoders::aarch64::{
    CHAPTERS, DEFERRED, Extension, ExtensionSet, INSTRUCTIONS, InstructionInfo,
};

use super::coverage::{Instruction, Instructions, Status};

/// The CPU model and the decoder's name for what it has.
struct Cpu {
    model: CpuModel,
    extensions: ExtensionSet,
}

impl Cpu {
    fn new(text: &str) -> Result<Self, String> {
        let model = match text {
            "" => CpuModel::default(),
            text => text.parse().map_err(|error| format!("--cpu: {error}"))?,
        };
        let names = model.features().map(|feature| feature.row().name);
        let extensions = names.filter_map(Extension::from_name).chain([Extension::A64]).collect();
        Ok(Self { model, extensions })
    }

    fn extension(&self, extension: Extension) -> Status {
        let on = self.extensions.contains(extension);
        match Status::of(is_implemented(extension), on) {
            Status::Implemented if missing(extension).is_some() => Status::Partial,
            status => status,
        }
    }

    fn instruction(&self, info: &InstructionInfo) -> Status {
        Status::of(is_implemented(info.extension), info.op.is_enabled(self.extensions))
    }
}

fn row(extension: Extension) -> Option<&'static Row> {
    Feature::from_name(extension.name()).map(Feature::row)
}

/// Whether CPU models can have it. All of them have the base instructions.
fn is_implemented(extension: Extension) -> bool {
    extension == Extension::A64 || row(extension).is_some()
}

fn missing(extension: Extension) -> Option<&'static str> {
    row(extension).and_then(|row| row.missing)
}

/// How many instructions a feature defines.
fn count(extension: Extension) -> usize {
    INSTRUCTIONS.iter().filter(|info| info.extension == extension).count()
        + DEFERRED.iter().filter(|info| info.extension == extension).count()
}

/// A line for each feature, and what a program is told of the CPU.
pub(super) fn extensions(cpu: &str) -> Result<String, String> {
    let cpu = Cpu::new(cpu)?;
    let mut text = format!(
        "{:<11} {:<11} {:>5}  {:<17} {:<17} {:<8}  What it is\n",
        "Feature", "Status", "Insns", "HWCAP", "/proc/cpuinfo", "Demanded"
    );
    for extension in Extension::ALL {
        let _ = writeln!(text, "{}", extension_line(&cpu, extension));
    }
    let _ = write!(text, "\n{}\n{}", told(&cpu.model), models());
    Ok(text)
}

fn extension_line(cpu: &Cpu, extension: Extension) -> String {
    let row = row(extension);
    let title = match missing(extension) {
        Some(missing) => format!("{} ({missing})", extension.title()),
        None => extension.title().to_owned(),
    };
    let hwcaps = row.map_or(&[][..], |row| row.hwcaps);
    let bits = joined(hwcaps, |hwcap| format!("{} {}", short(hwcap.word), hwcap.bit));
    let words = joined(hwcaps, |hwcap| hwcap.name.to_owned());
    let demanded = row.and_then(|row| row.mandatory);
    let demanded = demanded.map_or("-".to_owned(), |version| version.to_string());
    format!(
        "{:<11} {:<11} {:>5}  {bits:<17} {words:<17} {demanded:<8}  {title}",
        extension.name(),
        cpu.extension(extension).name(),
        count(extension)
    )
}

fn joined(hwcaps: &[Hwcap], text: impl Fn(&Hwcap) -> String) -> String {
    match hwcaps {
        [] => "-".to_owned(),
        hwcaps => hwcaps.iter().map(text).collect::<Vec<_>>().join(", "),
    }
}

/// Which entry of the auxiliary vector, without what all have in common.
fn short(word: HwcapWord) -> &'static str {
    match word {
        HwcapWord::Hwcap => "1:",
        HwcapWord::Hwcap2 => "2:",
        HwcapWord::Hwcap3 => "3:",
    }
}

/// What Linux tells a program of this CPU.
fn told(model: &CpuModel) -> String {
    let features: Vec<&str> = model.hwcaps().iter().map(|hwcap| hwcap.name).collect();
    let mut text = format!(
        "What a program is told:\n  /proc/cpuinfo     {}\n  AT_HWCAP          {:#x}\n  \
         AT_HWCAP2         {:#x}\n  MIDR_EL1          {:#x}\n",
        features.join(" "),
        model.hwcap(HwcapWord::Hwcap),
        model.hwcap(HwcapWord::Hwcap2),
        model.midr()
    );
    for (name, value) in model.id_registers() {
        let _ = writeln!(text, "  {name:<17} {value:#x}");
    }
    text
}

fn models() -> String {
    let mut text = String::from("CPU models (--cpu MODEL[,+FEATURE][,-FEATURE]…):\n");
    for model in MODELS {
        let _ = writeln!(text, "  {:<11}  {}", model.name, model.description);
    }
    text
}

/// A line for each instruction, in the manual's order.
pub(super) fn coverage(cpu: &str) -> Result<String, String> {
    let cpu = Cpu::new(cpu)?;
    let decoded = INSTRUCTIONS.iter().map(|info| Instruction {
        name: info.name,
        chapter: info.chapter,
        extension: info.extension.name(),
        status: cpu.instruction(info),
        width: info.width,
        mask: info.mask,
        value: info.value,
    });
    let instructions = Instructions {
        chapters: CHAPTERS,
        decoded: decoded.collect(),
        deferred: DEFERRED.iter().map(|info| (info.name, info.extension.name())).collect(),
        extension_width: 11,
    };
    Ok(instructions.list())
}

#[cfg(test)]
mod tests {
    use super::super::coverage::find;
    use super::*;

    #[test]
    fn every_feature_says_how_far_it_is() {
        let text = extensions("cortex-a72").unwrap();
        for (name, status) in [
            ("A64", "implemented"),
            ("CRC32", "implemented"),
            ("LSE", "off"),
            ("SVE", "deferred"),
            ("SSBS2", "off"),
        ] {
            assert!(find(&text, name).split_whitespace().any(|word| word == status), "{name}");
        }
        assert!(find(&text, "PMULL").contains("1: 4") && find(&text, "PMULL").contains("pmull"));
        assert!(find(&text, "LSE").contains("Armv8.1"));
        assert!(text.contains("AT_HWCAP          0x8ff\n"));
        assert!(text.contains("ID_AA64ISAR0_EL1  0x11120\n"));
        let all = extensions("").unwrap();
        assert!(find(&all, "BTI").contains("implemented") && find(&all, "BTI").contains("2: 17"));
        assert!(find(&all, "MTE").contains("partial") && find(&all, "MTE").contains("no tags"));
    }

    #[test]
    fn every_feature_of_cpu_models_is_listed() {
        let text = extensions("").unwrap();
        for feature in Feature::ALL {
            let line = find(&text, feature.row().name);
            assert!(!line.contains("deferred") && !line.contains(" off "), "{line}");
        }
    }

    #[test]
    fn every_instruction_is_listed_once() {
        let text = coverage("cortex-a72").unwrap();
        assert!(find(&text, "crc32b").contains("implemented"));
        assert!(find(&text, "casp").contains("off"));
        assert!(find(&coverage("").unwrap(), "casp").contains("implemented"));
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, INSTRUCTIONS.len() + DEFERRED.len() + 1);
    }

    #[test]
    fn wrong_models_are_named() {
        assert!(coverage("rv64gc").unwrap_err().contains("cortex-a53"));
    }
}
