//! What `ferry isa riscv64` prints, from the tables of decoder and CPU models.

use std::fmt::Write as _;

use arch::riscv64::CpuModel;
use arch::riscv64::cpu::{HWPROBE_KEYS, MODELS};
use arch::riscv64::feature::{Feature, Profile, Shown};
use base::GuestVirt;
use decoders::riscv64::{
    CHAPTERS, DEFERRED, Extension, ExtensionSet, INSTRUCTIONS, InstructionInfo,
};

/// How far an extension or an instruction is supported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It works, and the CPU model has it.
    Implemented,
    /// It works, but the CPU model does not have it.
    Off,
    /// It raises an illegal-instruction exception, whatever the CPU model.
    Deferred,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Implemented => "implemented",
            Status::Off => "off",
            Status::Deferred => "deferred",
        }
    }
}

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
        match (is_implemented(extension), on) {
            (true, true) => Status::Implemented,
            (true, false) => Status::Off,
            (false, _) => Status::Deferred,
        }
    }

    fn instruction(&self, info: &InstructionInfo) -> Status {
        match (is_implemented(info.extension), info.op.is_enabled(self.extensions)) {
            (true, true) => Status::Implemented,
            (true, false) => Status::Off,
            (false, _) => Status::Deferred,
        }
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
    let mut text = String::new();
    for chapter in CHAPTERS {
        let mut infos = INSTRUCTIONS.iter().filter(|info| info.chapter == *chapter).peekable();
        if infos.peek().is_some() {
            let _ = writeln!(text, "# {chapter}");
        }
        for info in infos {
            let status = cpu.instruction(info).name();
            line(&mut text, info.name, info.extension, status, &encoding(info));
        }
    }
    let _ = writeln!(text, "# Not decoded");
    for info in DEFERRED {
        line(&mut text, info.name, info.extension, Status::Deferred.name(), "-");
    }
    let statuses: Vec<Status> = INSTRUCTIONS.iter().map(|info| cpu.instruction(info)).collect();
    let with = |status| statuses.iter().filter(|&&other| other == status).count();
    let _ = writeln!(
        text,
        "{} instructions: {} implemented, {} off on this CPU, {} deferred",
        statuses.len() + DEFERRED.len(),
        with(Status::Implemented),
        with(Status::Off),
        with(Status::Deferred) + DEFERRED.len()
    );
    Ok(text)
}

fn line(text: &mut String, name: &str, extension: Extension, status: &str, encoding: &str) {
    let _ = writeln!(text, "{name:<18} {:<11} {status:<11} {encoding}", extension.name());
}

/// The bits from the highest: fixed ones as 0 and 1, operands as dots.
fn encoding(info: &InstructionInfo) -> String {
    let bit = |n: u8| match (info.mask >> n & 1, info.value >> n & 1) {
        (0, _) => '.',
        (_, 0) => '0',
        _ => '1',
    };
    (0..info.width).rev().map(bit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that begins with this word.
    fn find(text: &str, word: &str) -> String {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(word));
        line.unwrap_or_else(|| panic!("no line for {word}")).to_owned()
    }

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
