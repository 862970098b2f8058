//! CPU models: what `--cpu` names, and how Linux tells a program about the one chosen.

use std::str::FromStr;

use thiserror::Error;

use super::feature::{Feature, FeatureSet, Hwcap, HwcapWord, LINUX_HWCAPS, Version};
use crate::model;

/// A CPU by its features and its name for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuModel {
    features: FeatureSet,
    midr: u32,
}

/// A model's name and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As given to `--cpu`.
    pub name: &'static str,
    /// For the list of models.
    pub description: &'static str,
    midr: u32,
    has: Has,
}

/// Which features a model has.
#[derive(Clone, Copy, Debug)]
enum Has {
    Everything,
    /// What an architecture demands, and these.
    Version(u8, &'static [Feature]),
}

/// MIDR_EL1 of no real CPU: implementer 0 is for software's use, and features are told by ID registers.
const MIDR_FERRY: u32 = 0x000f_0460;

/// What Arm's own cores have beside Armv8.0.
const CORTEX_V8_0: &[Feature] = &[Feature::CRC32, Feature::PMULL, Feature::SHA256];

/// What Arm's own cores have beside Armv8.2.
const CORTEX_V8_2: &[Feature] = &[
    Feature::PMULL,
    Feature::SHA256,
    Feature::FP16,
    Feature::DotProd,
    Feature::LRCPC,
    Feature::SSBS,
];

const NEOVERSE_N1: &[Feature] = &[
    Feature::PMULL,
    Feature::SHA256,
    Feature::FP16,
    Feature::DotProd,
    Feature::LRCPC,
    Feature::SSBS2,
];

const APPLE_M1: &[Feature] = &[
    Feature::PMULL,
    Feature::SHA3,
    Feature::FHM,
    Feature::SB,
    Feature::SSBS2,
    Feature::DPB2,
    Feature::FlagM2,
    Feature::FRINTTS,
];

const fn architecture(name: &'static str, minor: u8, description: &'static str) -> Named {
    Named { name, description, midr: MIDR_FERRY, has: Has::Version(minor, &[]) }
}

const fn core(
    name: &'static str,
    midr: u32,
    minor: u8,
    more: &'static [Feature],
    description: &'static str,
) -> Named {
    Named { name, description, midr, has: Has::Version(minor, more) }
}

/// The models, the default first.
pub const MODELS: &[Named] = &[
    Named {
        name: "max",
        description: "everything that is implemented",
        midr: MIDR_FERRY,
        has: Has::Everything,
    },
    architecture("armv8.0-a", 0, "what Armv8.0 demands, with FP and AdvSIMD"),
    architecture("armv8.1-a", 1, "what Armv8.1 demands"),
    architecture("armv8.2-a", 2, "what Armv8.2 demands"),
    architecture("armv8.3-a", 3, "what Armv8.3 demands"),
    architecture("armv8.4-a", 4, "what Armv8.4 demands"),
    architecture("armv8.5-a", 5, "what Armv8.5 demands"),
    architecture("armv8.6-a", 6, "what Armv8.6 demands"),
    architecture("armv8.7-a", 7, "what Armv8.7 demands, but for AFP"),
    architecture("armv8.8-a", 8, "what Armv8.8 demands, but for AFP"),
    architecture("armv8.9-a", 9, "what Armv8.9 demands, but for AFP"),
    architecture("armv9.0-a", 5, "what Armv9.0 demands, but for SVE2"),
    architecture("armv9.1-a", 6, "what Armv9.1 demands, but for SVE2"),
    architecture("armv9.2-a", 7, "what Armv9.2 demands, but for SVE2 and AFP"),
    architecture("armv9.3-a", 8, "what Armv9.3 demands, but for SVE2 and AFP"),
    architecture("armv9.4-a", 9, "what Armv9.4 demands, but for SVE2 and AFP"),
    core("cortex-a35", 0x411f_d040, 0, CORTEX_V8_0, "Arm Cortex-A35 r1p0"),
    core("cortex-a53", 0x410f_d034, 0, CORTEX_V8_0, "Arm Cortex-A53 r0p4"),
    core("cortex-a57", 0x411f_d070, 0, CORTEX_V8_0, "Arm Cortex-A57 r1p0"),
    core("cortex-a72", 0x410f_d083, 0, CORTEX_V8_0, "Arm Cortex-A72 r0p3"),
    core("cortex-a55", 0x412f_d050, 2, CORTEX_V8_2, "Arm Cortex-A55 r2p0"),
    core("cortex-a76", 0x414f_d0b1, 2, CORTEX_V8_2, "Arm Cortex-A76 r4p1"),
    core("neoverse-n1", 0x414f_d0c1, 2, NEOVERSE_N1, "Arm Neoverse N1 r4p1"),
    core("apple-m1", 0x611f_0231, 4, APPLE_M1, "Apple M1 (Firestorm)"),
];

impl Named {
    fn model(&self) -> CpuModel {
        let all = Feature::ALL.iter().copied();
        let features = match self.has {
            Has::Everything => all.collect(),
            Has::Version(minor, more) => {
                let demanded = |feature: &Feature| {
                    feature.row().mandatory.is_some_and(|first| first <= Version(minor))
                };
                all.filter(demanded).chain(more.iter().copied()).collect()
            }
        };
        CpuModel { features, midr: self.midr }
    }
}

/// What is wrong with a CPU model's text.
#[derive(Clone, PartialEq, Eq, Error, Debug)]
pub enum CpuModelError {
    /// Neither a model nor a property.
    #[error("there is no aarch64 CPU model '{name}'; models are {}", model_names())]
    UnknownModel {
        /// What stood there.
        name: String,
    },
    /// A property that is no feature, or none that is implemented.
    #[error("'{name}' is not an Arm feature that ferry implements; see `ferry isa aarch64`")]
    UnknownFeature {
        /// What stood there.
        name: String,
    },
    /// A value other than on and off.
    #[error("'{property}': a feature is on or off")]
    BadValue {
        /// What stood there.
        property: String,
    },
}

fn model_names() -> String {
    MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

impl Default for CpuModel {
    fn default() -> Self {
        MODELS[0].model()
    }
}

/// A model's name, properties, or both: `max`, `armv8.0-a,+lse`, `cortex-a53,crc32=off`, `-sha3`.
impl FromStr for CpuModel {
    type Err = CpuModelError;

    fn from_str(text: &str) -> Result<Self, CpuModelError> {
        let (name, properties) = model::split_model(text);
        let mut model = Self::default();
        if let Some(name) = name {
            let named = MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name));
            let named =
                named.ok_or_else(|| CpuModelError::UnknownModel { name: name.to_owned() })?;
            model = named.model();
        }
        for property in properties {
            let (feature, on) = parse_property(property)?;
            model = if on { model.with(feature) } else { model.without(feature) };
        }
        Ok(model)
    }
}

/// A property's feature, and whether it is on.
fn parse_property(property: &str) -> Result<(Feature, bool), CpuModelError> {
    let (name, on) = model::parse_property(property)
        .ok_or_else(|| CpuModelError::BadValue { property: property.to_owned() })?;
    let feature = Feature::from_name(name)
        .ok_or_else(|| CpuModelError::UnknownFeature { name: name.to_owned() })?;
    Ok((feature, on))
}

impl CpuModel {
    /// Whether it has this feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(feature)
    }

    /// The same with a feature, and what it needs.
    #[must_use]
    pub fn with(self, feature: Feature) -> Self {
        Self { features: self.features.with(feature), ..self }
    }

    /// The same without a feature, and what needs that.
    #[must_use]
    pub fn without(self, feature: Feature) -> Self {
        Self { features: self.features.without(feature), ..self }
    }

    /// Its features, by the architecture that introduced them.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        self.features.iter()
    }

    /// MIDR_EL1
    #[must_use]
    pub fn midr(&self) -> u32 {
        self.midr
    }

    /// What Linux reports, in the order of its entries and bits.
    #[must_use]
    pub fn hwcaps(&self) -> Vec<Hwcap> {
        let own = self.features().flat_map(|feature| feature.row().hwcaps);
        let mut all: Vec<Hwcap> = own.chain(LINUX_HWCAPS).copied().collect();
        all.sort_unstable();
        all
    }

    /// AT_HWCAP, AT_HWCAP2 or AT_HWCAP3.
    #[must_use]
    pub fn hwcap(&self, word: HwcapWord) -> u64 {
        let hwcaps = self.hwcaps();
        hwcaps.iter().filter(|hwcap| hwcap.word == word).map(|hwcap| 1 << hwcap.bit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    fn names(cpu: CpuModel) -> String {
        cpu.hwcaps().iter().map(|hwcap| hwcap.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn cores_have_what_linux_says_of_them() {
        assert_eq!(names(model("cortex-a53")), "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid");
        assert_eq!(model("cortex-a53").hwcap(HwcapWord::Hwcap), 0x8ff);
        assert_eq!(
            names(model("neoverse-n1")),
            "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
             lrcpc dcpop asimddp ssbs"
        );
        assert_eq!(
            names(model("apple-m1")),
            "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
             jscvt fcma lrcpc dcpop sha3 asimddp sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb \
             paca pacg dcpodp flagm2 frint"
        );
    }

    #[test]
    fn architectures_grow() {
        let versions: Vec<CpuModel> =
            (0..10).map(|minor| model(&format!("armv8.{minor}-a"))).collect();
        for pair in versions.windows(2) {
            assert!(pair[0].features().all(|feature| pair[1].has(feature)));
        }
        assert!(versions[8].has(Feature::MOPS) && !versions[9].has(Feature::AES));
        assert_eq!(model("armv9.2-a"), versions[7]);
        assert!(versions[9].features().all(|feature| CpuModel::default().has(feature)));
    }

    #[test]
    fn properties_switch_features_and_what_hangs_on_them() {
        let cpu = model("max,sha1=off,-lrcpc");
        assert!(!cpu.has(Feature::SHA256) && !cpu.has(Feature::SHA3) && cpu.has(Feature::AES));
        assert!(!cpu.has(Feature::LRCPC2));
        let cpu = model("armv8.0-a,+FEAT_PMULL,lse=on");
        assert!(cpu.has(Feature::AES) && cpu.has(Feature::LSE) && !cpu.has(Feature::RDM));
        assert!(matches!("lse".parse::<CpuModel>(), Err(CpuModelError::UnknownModel { .. })));
    }

    #[test]
    fn wrong_models_say_what_is_wrong() {
        let error = |text: &str| text.parse::<CpuModel>().unwrap_err();
        assert!(error("rv64").to_string().contains("cortex-a72"));
        assert_eq!(error("max,+sve"), CpuModelError::UnknownFeature { name: "sve".into() });
        let bad = CpuModelError::BadValue { property: "lse=maybe".into() };
        assert_eq!(error("max,lse=maybe"), bad);
        assert!(matches!(error(""), CpuModelError::UnknownModel { .. }));
    }

    #[test]
    fn what_is_not_enforced_is_not_told() {
        let cpu = CpuModel::default();
        assert!(cpu.has(Feature::BTI) && cpu.has(Feature::MTE));
        assert_eq!(cpu.hwcap(HwcapWord::Hwcap2) & (1 << 17 | 1 << 18), 1 << 17);
        assert_eq!(cpu.hwcap(HwcapWord::Hwcap) >> 32, 0);
    }
}
