//! What `ferry isa riscv64` prints, from the tables of decoder and CPU models.

use std::fmt::Write as _;

use arch::riscv64::CpuModel;
use arch::riscv64::cpu::{HWPROBE_KEYS, MODELS};
use arch::riscv64::feature::{Feature, Profile, Shown};
use base::GuestVirt;
use decoders::riscv64::{
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
        Ok(Self { model, extensions: names.filter_map(Extension::from_name).collect() })
    }

    fn extension(&self, extension: Extension) -> Status {
        let has = |extension| self.extensions.contains(extension);
        // CPU models speak of the parts of a name that is not one of their own.
        let on = if is_known(extension) { has(extension) } else { parts(extension).all(has) };
        Status::of(is_implemented(extension), on)
    }

    fn instruction(&self, info: &InstructionInfo) -> Status {
        Status::of(is_implemented(info.extension), info.op.is_enabled(self.extensions))
    }
}

/// Whether CPU models can have it, under this name.
fn is_known(extension: Extension) -> bool {
    Feature::from_name(extension.name()).is_some()
}

/// Whether CPU models can have it, or all that it stands for.
fn is_implemented(extension: Extension) -> bool {
    let mut parts = parts(extension).peekable();
    let stands_for_others = count(extension) == 0 && parts.peek().is_some();
    is_known(extension) || (stands_for_others && parts.all(is_known))
}

/// What an extension implies.
fn parts(extension: Extension) -> impl Iterator<Item = Extension> {
    let all: Vec<Extension> = ExtensionSet::of(&[extension]).iter().collect();
    all.into_iter().filter(move |&part| part != extension)
}

/// How many instructions an extension defines.
fn count(extension: Extension) -> usize {
    INSTRUCTIONS.iter().filter(|info| info.extension == extension).count()
        + DEFERRED.iter().filter(|info| info.extension == extension).count()
}

/// A line for each extension, and what a program is told of the CPU.
pub(super) fn extensions(cpu: &str) -> Result<String, String> {
    let cpu = Cpu::new(cpu)?;
    let mut text = format!(
        "{:<12} {:<11} {:>5} {:>7} {:>7}  {:<8}  What it is\n",
        "Extension", "Status", "Insns", "HWCAP", "hwprobe", "Profile"
    );
    for extension in Extension::ALL {
        let _ = writeln!(text, "{}", extension_line(&cpu, extension));
    }
    let _ = write!(text, "\n{}\n{}", told(&cpu.model), models());
    Ok(text)
}

fn extension_line(cpu: &Cpu, extension: Extension) -> String {
    let row = Feature::from_name(extension.name()).map(Feature::row);
    let (name, status) = (extension.name(), cpu.extension(extension).name());
    let hwcap = match row.map(|row| row.shown) {
        Some(Shown::Letter) => format!("bit {}", name.as_bytes()[0] - b'A'),
        _ => "-".to_owned(),
    };
    let hwprobe =
        row.and_then(|row| row.hwprobe).map_or("-".to_owned(), |bit| format!("bit {bit}"));
    let profile = match row.and_then(|row| row.profile) {
        Some(Profile::Rva20) => "RVA20U64",
        Some(Profile::Rva22) => "RVA22U64",
        Some(Profile::Rva23) => "RVA23U64",
        None => "-",
    };
    format!(
        "{name:<12} {status:<11} {:>5} {hwcap:>7} {hwprobe:>7}  {profile:<8}  {}",
        count(extension),
        extension.title()
    )
}

/// What Linux tells a program of this CPU.
fn told(model: &CpuModel) -> String {
    let mut text = format!(
        "What a program is told:\n  /proc/cpuinfo  {}\n  AT_HWCAP       {:#x}\n",
        model.isa_string(),
        model.hwcap()
    );
    for &(name, key) in HWPROBE_KEYS {
        // Where programs may lie depends on more than the CPU.
        let value = model.hwprobe(key, GuestVirt(0)).filter(|_| name != "HIGHEST_VIRT_ADDRESS");
        if let Some(value) = value {
            let _ = writeln!(text, "  riscv_hwprobe  {name} = {value:#x}");
        }
    }
    text
}

fn models() -> String {
    let mut text = String::from("CPU models (--cpu MODEL[,+EXTENSION][,-EXTENSION]…):\n");
    for model in MODELS {
        let _ = writeln!(text, "  {:<9}  {}", model.name, model.description);
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
    fn every_extension_says_how_far_it_is() {
        let text = extensions("rv64gc").unwrap();
        for (name, status) in [
            ("I", "implemented"),
            ("G", "implemented"),
            ("Zba", "off"),
            ("V", "deferred"),
            ("Zcmp", "deferred"),
            ("S", "implemented"),
            ("H", "deferred"),
            ("Zk", "deferred"),
            ("Sstc", "off"),
        ] {
            assert!(find(&text, name).split_whitespace().any(|word| word == status), "{name}");
        }
        assert!(find(&text, "M").contains("bit 12"));
        assert!(find(&text, "B").contains("RVA22U64") && !find(&text, "B").contains("bit 1 "));
        assert!(text.contains("AT_HWCAP       0x112d"));
        assert!(extensions("").unwrap().contains("ZICBOZ_BLOCK_SIZE = 0x40"));
    }

    #[test]
    fn every_instruction_is_listed_once() {
        let text = coverage("rv64gc").unwrap();
        assert!(find(&text, "add").ends_with("implemented 0000000..........000.....0110011"));
        assert!(find(&text, "c.ebreak").ends_with("implemented 1001000000000010"));
        assert!(find(&text, "sh1add").contains("off"));
        assert!(find(&text, "andn").contains("off"));
        assert!(find(&text, "vadd.vv").contains("V           deferred"));
        assert!(find(&text, "sret").contains("implemented"));
        assert!(find(&text, "hlv.b").contains("deferred"));
        assert!(find(&coverage("").unwrap(), "andn").contains("implemented"));
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, INSTRUCTIONS.len() + DEFERRED.len() + 1);
    }

    #[test]
    fn wrong_models_are_named() {
        assert!(coverage("pentium").unwrap_err().contains("rv64gc"));
    }
}
