//! RISC-V CPU models, and how programs see them: `AT_HWCAP`, /proc/cpuinfo. `riscv_hwprobe` is in
//! [`super::hwprobe`].

use decoders::riscv64::{Extension, ExtensionSet};

use crate::abi::CpuError;

use Extension as E;

/// What every model has.
const RV64GC: ExtensionSet =
    ExtensionSet::of(&[E::G, E::C, E::Zcd, E::Zicntr, E::Zihpm, E::Zicclsm]);

/// The RVA20U64 profile's mandatory extensions.
const RVA20U64: ExtensionSet =
    RV64GC.union(ExtensionSet::of(&[E::Ziccif, E::Ziccrse, E::Ziccamoa, E::Za64rs]));

/// The RVA22U64 profile's mandatory extensions.
const RVA22U64: ExtensionSet = RVA20U64.union(ExtensionSet::of(&[
    E::Zihintpause,
    E::B,
    E::Zic64b,
    E::Zicbom,
    E::Zicbop,
    E::Zicboz,
    E::Zfhmin,
    E::Zkt,
]));

/// Everything that Ferry translates.
const MAX: ExtensionSet = RVA22U64.union(ExtensionSet::of(&[
    E::Zihintntl,
    E::Zimop,
    E::Zcmop,
    E::Zicond,
    E::Zawrs,
    E::Zacas,
    E::Zabha,
    E::Zfh,
    E::Zfa,
    E::Zcb,
    E::Zbc,
    E::Zkn,
    E::Zks,
]));

/// Models by name.
const MODELS: &[(&str, ExtensionSet)] = &[
    ("max", MAX),
    ("rv64", MAX),
    ("rv64gc", RV64GC),
    ("rva20u64", RVA20U64),
    ("rva22u64", RVA22U64),
];

/// Names of the models, for messages.
pub(crate) fn model_names() -> String {
    MODELS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Reads `MODEL[,EXT=on|off|,+EXT|,-EXT]…`; the model may be left out.
///
/// # Errors
/// A name is unknown, or Ferry does not translate the extension.
pub(crate) fn parse(text: &str) -> Result<ExtensionSet, CpuError> {
    let mut set = MAX;
    for (n, word) in text.split(',').filter(|word| !word.is_empty()).enumerate() {
        if let Some((name, wanted)) = switch(word) {
            let extension = Extension::from_name(name);
            let extension = extension.ok_or_else(|| CpuError::Extension(name.to_owned()))?;
            if wanted && !MAX.contains(extension) {
                return Err(CpuError::NotTranslated(extension.name().to_owned()));
            }
            set = if wanted { set.with(extension) } else { set.without(extension) };
        } else {
            let model = MODELS.iter().find(|(name, _)| *name == word && n == 0);
            set = model
                .ok_or_else(|| CpuError::Model { name: word.to_owned(), known: model_names() })?
                .1;
        }
    }
    Ok(set)
}

fn switch(word: &str) -> Option<(&str, bool)> {
    if let Some(name) = word.strip_prefix('+') {
        return Some((name, true));
    }
    if let Some(name) = word.strip_prefix('-') {
        return Some((name, false));
    }
    match word.split_once('=')? {
        (name, "on" | "true") => Some((name, true)),
        (name, "off" | "false") => Some((name, false)),
        _ => None,
    }
}

/// `AT_HWCAP`: a bit for each single-letter extension.
pub(super) fn hwcap(set: ExtensionSet) -> u64 {
    let letters = [(E::I, b'i'), (E::M, b'm'), (E::A, b'a'), (E::F, b'f'), (E::D, b'd')];
    let letters = letters.into_iter().chain([(E::C, b'c'), (E::V, b'v')]);
    letters
        .filter(|(extension, _)| set.contains(*extension))
        .map(|(_, letter)| 1 << (letter - b'a'))
        .sum()
}

/// The ISA string as /proc/cpuinfo prints it: single letters in canonical order, then the others
/// by category and name.
pub(super) fn isa_string(set: ExtensionSet) -> String {
    let mut text = String::from("rv64");
    for letter in ["I", "M", "A", "F", "D", "C", "V"] {
        if Extension::from_name(letter).is_some_and(|extension| set.contains(extension)) {
            text.push_str(&letter.to_lowercase());
        }
    }
    // Of the names that only stand for others, the kernel prints none.
    let groups = [E::Zk, E::Zkn, E::Zks, E::Zmmul];
    let mut names: Vec<String> = set
        .iter()
        .filter(|extension| extension.name().len() > 1 && !groups.contains(extension))
        .map(|extension| extension.name().to_lowercase())
        .collect();
    // The letter after Z orders by category, in the order of single letters.
    let category = |name: &str| "imafdqlcbkjtpvh".find(&name[1..2]).unwrap_or(99);
    names.sort_by(|a, b| (category(a), a).cmp(&(category(b), b)));
    for name in names {
        text.push('_');
        text.push_str(&name);
    }
    text
}

/// /proc/cpuinfo
pub(super) fn cpuinfo(set: ExtensionSet, processors: usize) -> String {
    let isa = isa_string(set);
    (0..processors)
        .map(|n| {
            format!(
                "processor\t: {n}\nhart\t\t: {n}\nisa\t\t: {isa}\nmmu\t\t: sv48\n\
                 mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: {isa}\n\n"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_switches() {
        assert_eq!(parse("").ok(), Some(MAX));
        assert_eq!(parse("rv64gc").ok(), Some(RV64GC));
        assert!(parse("rv64gc,zba=on").unwrap().contains(E::Zba));
        assert!(!parse("max,-Zba").unwrap().contains(E::Zba));
        assert!(parse("zbb=off").unwrap().contains(E::Zba));
        assert!(matches!(parse("pentium"), Err(CpuError::Model { .. })));
        assert!(matches!(parse("max,+zqq"), Err(CpuError::Extension(_))));
        assert!(matches!(parse("max,+v"), Err(CpuError::NotTranslated(_))));
    }

    #[test]
    fn programs_see_what_the_model_has() {
        assert_eq!(hwcap(MAX), 0x112d);
        assert_eq!(
            isa_string(RV64GC),
            "rv64imafdc_zicclsm_zicntr_zicsr_zifencei_zihpm_zaamo_zalrsc_zca_zcd"
        );
        assert!(
            cpuinfo(MAX, 2).contains("processor\t: 1\nhart\t\t: 1\nisa\t\t: rv64imafdc_zic64b")
        );
    }
}
