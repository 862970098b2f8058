//! CPU models: what `--cpu` names, and how Linux tells a program about the one chosen.

use std::fmt::Write;
use std::str::FromStr;

use base::GuestVirt;
use thiserror::Error;

use super::csr::TIMEBASE_HZ;
use super::feature::{Feature, FeatureSet, Profile, Shown};
use crate::model;

/// Bytes of a cache block, for all of Zicbom, Zicbop and Zicboz.
pub const CACHE_BLOCK: u64 = 64;

/// A CPU by its extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuModel {
    features: FeatureSet,
}

/// A model's name and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As given to `--cpu`.
    pub name: &'static str,
    /// For the list of models.
    pub description: &'static str,
    has: fn(Feature) -> bool,
}

/// The models, the default first.
pub const MODELS: &[Named] = &[
    Named { name: "rv64", description: "everything that is implemented", has: |_| true },
    Named { name: "max", description: "the same", has: |_| true },
    Named {
        name: "rv64gc",
        description: "the general-purpose base: IMAFDC, Zicsr, Zifencei, Zicntr; as a machine's, S and Sv39",
        has: |feature| {
            use Feature::{A, C, D, I, M, S, Sm, Sv39, Zicntr, Zifencei};
            [I, M, A, D, C, Zifencei, Zicntr, Sm, S, Sv39].contains(&feature)
        },
    },
    Named {
        name: "rva20u64",
        description: "the profile RVA20U64",
        has: |feature| mandatory(feature, Profile::Rva20),
    },
    Named {
        name: "rva22u64",
        description: "the profile RVA22U64",
        has: |feature| mandatory(feature, Profile::Rva22),
    },
    Named {
        name: "rva23u64",
        description: "the profile RVA23U64, but without its vector extensions",
        has: |feature| mandatory(feature, Profile::Rva23),
    },
];

fn mandatory(feature: Feature, profile: Profile) -> bool {
    feature.row().profile.is_some_and(|first| first <= profile)
}

/// What is wrong with a CPU model's text.
#[derive(Clone, PartialEq, Eq, Error, Debug)]
pub enum CpuModelError {
    /// Neither a model nor a property.
    #[error("there is no riscv64 CPU model '{name}'; models are {}", model_names())]
    UnknownModel {
        /// What stood there.
        name: String,
    },
    /// A property that is no extension, or none that is implemented.
    #[error("'{name}' is not a RISC-V extension that ferry implements; see `ferry isa riscv64`")]
    UnknownExtension {
        /// What stood there.
        name: String,
    },
    /// A value other than on and off.
    #[error("'{property}': an extension is on or off")]
    BadValue {
        /// What stood there.
        property: String,
    },
    /// The base cannot be missing.
    #[error("a CPU without the base instruction set I can run nothing")]
    NoBase,
}

fn model_names() -> String {
    MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

impl Default for CpuModel {
    fn default() -> Self {
        Self { features: Feature::ALL.iter().copied().collect() }
    }
}

/// A model's name, properties, or both: `rv64`, `rva22u64,+zfh`, `rv64,zba=off,zbb=off`, `-c`.
impl FromStr for CpuModel {
    type Err = CpuModelError;

    fn from_str(text: &str) -> Result<Self, CpuModelError> {
        let (name, properties) = model::split_model(text);
        let mut features = Self::default().features;
        if let Some(name) = name {
            let model = MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name));
            let model =
                model.ok_or_else(|| CpuModelError::UnknownModel { name: name.to_owned() })?;
            features = Feature::ALL.iter().copied().filter(|&f| (model.has)(f)).collect();
        }
        for property in properties {
            let (feature, on) = parse_property(property)?;
            features = if on { features.with(feature) } else { features.without(feature) };
        }
        if !features.contains(Feature::I) {
            return Err(CpuModelError::NoBase);
        }
        Ok(Self { features })
    }
}

/// A property's extension, and whether it is on.
fn parse_property(property: &str) -> Result<(Feature, bool), CpuModelError> {
    let (name, on) = model::parse_property(property)
        .ok_or_else(|| CpuModelError::BadValue { property: property.to_owned() })?;
    let feature = Feature::from_name(name)
        .ok_or_else(|| CpuModelError::UnknownExtension { name: name.to_owned() })?;
    Ok((feature, on))
}

/// Keys of riscv_hwprobe (Linux, Documentation/arch/riscv/hwprobe.rst).
mod hwprobe {
    pub(super) const MVENDORID: i64 = 0;
    pub(super) const MARCHID: i64 = 1;
    pub(super) const MIMPID: i64 = 2;
    pub(super) const BASE_BEHAVIOR: i64 = 3;
    pub(super) const IMA_EXT_0: i64 = 4;
    pub(super) const CPUPERF_0: i64 = 5;
    pub(super) const ZICBOZ_BLOCK_SIZE: i64 = 6;
    pub(super) const HIGHEST_VIRT_ADDRESS: i64 = 7;
    pub(super) const TIME_CSR_FREQ: i64 = 8;
    pub(super) const MISALIGNED_SCALAR_PERF: i64 = 9;
    pub(super) const MISALIGNED_VECTOR_PERF: i64 = 10;
    pub(super) const ZICBOM_BLOCK_SIZE: i64 = 12;
    pub(super) const ZICBOP_BLOCK_SIZE: i64 = 15;

    /// In BASE_BEHAVIOR.
    pub(super) const IMA: u64 = 1;
    /// In IMA_EXT_0: the only bit that stands for two letters.
    pub(super) const FD: u64 = 1;
    /// Of CPUPERF_0 and MISALIGNED_SCALAR_PERF.
    pub(super) const MISALIGNED_FAST: u64 = 3;
    /// Of MISALIGNED_VECTOR_PERF.
    pub(super) const MISALIGNED_UNSUPPORTED: u64 = 4;
}

/// The keys of riscv_hwprobe that are answered, by the kernel's names without their prefix.
pub const HWPROBE_KEYS: &[(&str, i64)] = &[
    ("MVENDORID", hwprobe::MVENDORID),
    ("MARCHID", hwprobe::MARCHID),
    ("MIMPID", hwprobe::MIMPID),
    ("BASE_BEHAVIOR", hwprobe::BASE_BEHAVIOR),
    ("IMA_EXT_0", hwprobe::IMA_EXT_0),
    ("CPUPERF_0", hwprobe::CPUPERF_0),
    ("ZICBOZ_BLOCK_SIZE", hwprobe::ZICBOZ_BLOCK_SIZE),
    ("HIGHEST_VIRT_ADDRESS", hwprobe::HIGHEST_VIRT_ADDRESS),
    ("TIME_CSR_FREQ", hwprobe::TIME_CSR_FREQ),
    ("MISALIGNED_SCALAR_PERF", hwprobe::MISALIGNED_SCALAR_PERF),
    ("MISALIGNED_VECTOR_PERF", hwprobe::MISALIGNED_VECTOR_PERF),
    ("ZICBOM_BLOCK_SIZE", hwprobe::ZICBOM_BLOCK_SIZE),
    ("ZICBOP_BLOCK_SIZE", hwprobe::ZICBOP_BLOCK_SIZE),
];

impl CpuModel {
    /// Whether it has this extension.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(feature)
    }

    /// The same with an extension, and what it needs.
    #[must_use]
    pub fn with(self, feature: Feature) -> Self {
        Self { features: self.features.with(feature) }
    }

    /// The same without an extension, and what needs that.
    #[must_use]
    pub fn without(self, feature: Feature) -> Self {
        Self { features: self.features.without(feature) }
    }

    /// Its extensions, in canonical order.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        self.features.iter()
    }

    /// The ISA string of /proc/cpuinfo: `rv64imafdc_zicsr_…`.
    #[must_use]
    pub fn isa_string(&self) -> String {
        let mut text = String::from("rv64");
        for row in self.features().map(Feature::row) {
            let name = row.name.to_lowercase();
            let _ = match row.shown {
                Shown::Letter => write!(text, "{name}"),
                Shown::Name => write!(text, "_{name}"),
                Shown::Not | Shown::Privileged => Ok(()),
            };
        }
        text
    }

    /// What a device tree's `riscv,isa-extensions` lists: letters, names, and privileged
    /// extensions, in lower case.
    pub fn isa_extensions(&self) -> impl Iterator<Item = String> {
        let rows = self.features().map(Feature::row).filter(|row| row.shown != Shown::Not);
        // The letter S is misa's and riscv,isa's affair, Sm no name that a device tree knows.
        rows.filter(|row| !matches!(row.name, "S" | "Sm")).map(|row| row.name.to_lowercase())
    }

    /// AT_HWCAP: bit n for the n-th letter of the alphabet.
    #[must_use]
    pub fn hwcap(&self) -> u64 {
        let letters = self.features().map(Feature::row).filter(|row| row.shown == Shown::Letter);
        letters.map(|row| 1 << (row.name.as_bytes()[0] - b'A')).sum()
    }

    /// The value of a riscv_hwprobe key; `None` for one that is unknown. `highest` is the highest
    /// address that the program may map.
    #[must_use]
    pub fn hwprobe(&self, key: i64, highest: GuestVirt) -> Option<u64> {
        use Feature::{A, I, M, Zicbom, Zicbop, Zicboz};
        let block = |feature| if self.has(feature) { CACHE_BLOCK } else { 0 };
        Some(match key {
            hwprobe::MVENDORID | hwprobe::MARCHID | hwprobe::MIMPID => 0,
            hwprobe::BASE_BEHAVIOR if [I, M, A].iter().all(|&f| self.has(f)) => hwprobe::IMA,
            hwprobe::BASE_BEHAVIOR => 0,
            hwprobe::IMA_EXT_0 => self.hwprobe_extensions(),
            hwprobe::CPUPERF_0 | hwprobe::MISALIGNED_SCALAR_PERF => hwprobe::MISALIGNED_FAST,
            hwprobe::ZICBOZ_BLOCK_SIZE => block(Zicboz),
            hwprobe::HIGHEST_VIRT_ADDRESS => highest.0,
            hwprobe::TIME_CSR_FREQ => TIMEBASE_HZ,
            hwprobe::MISALIGNED_VECTOR_PERF => hwprobe::MISALIGNED_UNSUPPORTED,
            hwprobe::ZICBOM_BLOCK_SIZE => block(Zicbom),
            hwprobe::ZICBOP_BLOCK_SIZE => block(Zicbop),
            _ => return None,
        })
    }

    fn hwprobe_extensions(&self) -> u64 {
        let bits = self.features().filter_map(|feature| feature.row().hwprobe);
        let both = self.has(Feature::F) && self.has(Feature::D);
        bits.map(|bit| 1 << bit).sum::<u64>() | if both { hwprobe::FD } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    #[test]
    fn isa_strings_are_canonical() {
        assert_eq!(
            model("rv64gc").isa_string(),
            "rv64imafdc_zicntr_zicsr_zifencei_zaamo_zalrsc_zca_zcd"
        );
        assert_eq!(model("rva20u64").isa_string(), model("rv64gc").isa_string());
        assert_eq!(
            model("rva22u64").isa_string(),
            "rv64imafdc_zicbom_zicbop_zicboz_zicntr_zicsr_zifencei_zihintpause_zihpm_zaamo_zalrsc\
             _zfhmin_zca_zcd_zba_zbb_zbs_zkt"
        );
    }

    #[test]
    fn properties_switch_extensions_and_what_hangs_on_them() {
        let cpu = model("rv64,zba=off,-zbb,+zbc");
        assert!(!cpu.has(Feature::Zba) && !cpu.has(Feature::Zbb) && cpu.has(Feature::Zbc));
        assert!(!cpu.has(Feature::B));
        assert!(model("rva22u64,zfh").has(Feature::Zfh));
        let integer = model("-f");
        assert!(!integer.has(Feature::D) && !integer.has(Feature::Zfa) && integer.has(Feature::C));
    }

    #[test]
    fn wrong_models_say_what_is_wrong() {
        let error = |text: &str| text.parse::<CpuModel>().unwrap_err();
        assert!(error("cortex-a53").to_string().contains("rva22u64"));
        assert_eq!(error("rv64,+v"), CpuModelError::UnknownExtension { name: "v".into() });
        let bad = CpuModelError::BadValue { property: "zba=maybe".into() };
        assert_eq!(error("rv64,zba=maybe"), bad);
        assert_eq!(error("rv64,-i"), CpuModelError::NoBase);
        assert!(matches!(error(""), CpuModelError::UnknownModel { .. }));
    }

    #[test]
    fn linux_is_told_the_same_three_times() {
        let cpu = model("rv64gc");
        assert_eq!(cpu.hwcap(), 0x112d);
        let probe = |cpu: CpuModel, key| cpu.hwprobe(key, GuestVirt(0xfff));
        assert_eq!(probe(cpu, hwprobe::IMA_EXT_0).unwrap() & 0xff, 0b11);
        assert_eq!(probe(cpu, hwprobe::BASE_BEHAVIOR), Some(1));
        assert_eq!(probe(cpu, hwprobe::ZICBOZ_BLOCK_SIZE), Some(0));
        assert_eq!(probe(model("max"), hwprobe::ZICBOZ_BLOCK_SIZE), Some(64));
        assert_eq!(probe(model("-d"), hwprobe::IMA_EXT_0).unwrap() & 1, 0);
        assert_eq!(probe(cpu, -1), None);
        for key in 0..64 {
            let listed = HWPROBE_KEYS.iter().any(|&(_, known)| known == key);
            assert_eq!(probe(cpu, key).is_some(), listed, "key {key}");
        }
    }
}
