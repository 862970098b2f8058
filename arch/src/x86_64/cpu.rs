//! CPU models: what `--cpu` names.

use std::str::FromStr;

use thiserror::Error;

use super::feature::{Feature, FeatureSet, LINUX_FLAGS};
use super::xsave;
use crate::model;

/// A CPU by its features and its name for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuModel {
    features: FeatureSet,
    signature: Signature,
}

/// What CPUID says in EAX of leaf 1: stepping in bits 3:0, model in 7:4 and 19:16, family in 11:8 and 27:20.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature(pub u32);

impl Signature {
    /// The family, as Linux shows it.
    #[must_use]
    pub const fn family(self) -> u32 {
        match self.0 >> 8 & 0xf {
            0xf => 0xf + (self.0 >> 20 & 0xff),
            family => family,
        }
    }

    /// The model, as Linux shows it.
    #[must_use]
    pub const fn model(self) -> u32 {
        let low = self.0 >> 4 & 0xf;
        if self.family() >= 6 { (self.0 >> 16 & 0xf) << 4 | low } else { low }
    }

    /// The stepping.
    #[must_use]
    pub const fn stepping(self) -> u32 {
        self.0 & 0xf
    }
}

/// A model's name and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As given to `--cpu`.
    pub name: &'static str,
    /// For the list of models.
    pub description: &'static str,
    signature: Signature,
    has: Has,
}

/// Which features a model has.
#[derive(Clone, Copy, Debug)]
enum Has {
    Everything,
    /// What a level of the psABI demands.
    Level(u8),
}

/// The signature of an Intel core about as old as the level, since programs choose code by it too: libraries that find an
/// unknown one take their slowest code.
const fn level(name: &'static str, level: u8, signature: u32, description: &'static str) -> Named {
    Named { name, description, signature: Signature(signature), has: Has::Level(level) }
}

/// The models, the default first.
pub const MODELS: &[Named] = &[
    Named {
        name: "max",
        description: "everything that is implemented: x86-64-v3 and more",
        // Alder Lake, which has what Ferry has: no AVX-512.
        signature: Signature(0x0009_0672),
        has: Has::Everything,
    },
    // Prescott, Nehalem, Haswell.
    level("x86-64-v1", 1, 0x0000_0f43, "the baseline: SSE2"),
    level("x86-64-v2", 2, 0x0001_06a5, "SSE4.2, CMPXCHG16B, LAHF, POPCNT"),
    level("x86-64-v3", 3, 0x0003_06c3, "AVX2, FMA, F16C, BMI1, BMI2, LZCNT, MOVBE"),
];

impl Named {
    fn model(&self) -> CpuModel {
        let all = Feature::ALL.iter().copied();
        let features = match self.has {
            Has::Everything => all.collect(),
            Has::Level(level) => all
                .filter(|feature| feature.row().level.is_some_and(|first| first <= level))
                .collect(),
        };
        CpuModel { features, signature: self.signature }
    }
}

/// What is wrong with a CPU model's text.
#[derive(Clone, PartialEq, Eq, Error, Debug)]
pub enum CpuModelError {
    /// Neither a model nor a property.
    #[error("there is no x86_64 CPU model '{name}'; models are {}", model_names())]
    UnknownModel {
        /// What stood there.
        name: String,
    },
    /// A property that is no feature, or none that is implemented.
    #[error("'{name}' is not an x86-64 feature that ferry implements; see `ferry isa x86_64`")]
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
    /// A feature of the baseline, which 64-bit mode is not without.
    #[error("'{name}' belongs to every x86-64 CPU and cannot be switched off")]
    Baseline {
        /// The feature.
        name: &'static str,
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

/// A model's name, properties, or both: `max`, `x86-64-v2,+avx`, `x86-64-v3,fma=off`, `-sha`.
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
    if !on && feature.row().level == Some(1) {
        return Err(CpuModelError::Baseline { name: feature.row().name });
    }
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

    /// Its features, by the place where CPUID shows them.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        self.features.iter()
    }

    /// What it says of its family, model and stepping.
    #[must_use]
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The model as numbers that IR can pass to a helper.
    #[must_use]
    pub fn to_words(self) -> [u64; 3] {
        let bits = self.features.bits();
        [bits as u64, (bits >> 64) as u64, u64::from(self.signature.0)]
    }

    /// The model of these numbers.
    #[must_use]
    pub fn from_words([low, high, signature]: [u64; 3]) -> Self {
        let bits = u128::from(high) << 64 | u128::from(low);
        Self { features: FeatureSet::from_bits(bits), signature: Signature(signature as u32) }
    }

    /// XCR0: the components of the state that XSAVE saves. 0 if there is no XSAVE.
    #[must_use]
    pub fn xcr0(&self) -> u64 {
        match (self.has(Feature::OSXSAVE), self.has(Feature::AVX)) {
            (false, _) => 0,
            (true, false) => xsave::X87 | xsave::SSE,
            (true, true) => xsave::X87 | xsave::SSE | xsave::AVX,
        }
    }

    /// The flags of /proc/cpuinfo, in Linux's order.
    #[must_use]
    pub fn linux_flags(&self) -> Vec<&'static str> {
        let rows = self.features().map(Feature::row);
        let own = rows.filter_map(|row| Some((row.word.linux(), row.bit, row.linux?)));
        let mut all: Vec<_> = own.chain(LINUX_FLAGS.iter().copied()).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, _, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    #[test]
    fn levels_are_the_psabi_s() {
        let [v1, v2, v3] = ["x86-64-v1", "x86-64-v2", "x86-64-v3"].map(model);
        assert!(v1.has(Feature::SSE2) && !v1.has(Feature::SSE3) && !v1.has(Feature::LAHF));
        assert!(v2.has(Feature::SSE4_2) && v2.has(Feature::POPCNT) && !v2.has(Feature::XSAVE));
        assert!(v3.has(Feature::FMA) && v3.has(Feature::OSXSAVE) && !v3.has(Feature::AES));
        for (less, more) in [(v1, v2), (v2, v3), (v3, CpuModel::default())] {
            assert!(less.features().all(|feature| more.has(feature)));
        }
    }

    #[test]
    fn properties_switch_features_and_what_hangs_on_them() {
        let cpu = model("max,avx=off");
        assert!(!cpu.has(Feature::VAES) && !cpu.has(Feature::FMA) && cpu.has(Feature::AES));
        assert!(model("x86-64-v1,+avx2").has(Feature::SSE4_2));
        assert_eq!(model("-sha"), CpuModel::default().without(Feature::SHA));
    }

    #[test]
    fn wrong_models_say_what_is_wrong() {
        let error = |text: &str| text.parse::<CpuModel>().unwrap_err();
        assert!(error("rv64").to_string().contains("x86-64-v2"));
        assert_eq!(error("max,+sse4a"), CpuModelError::UnknownFeature { name: "sse4a".into() });
        assert_eq!(error("-sse2"), CpuModelError::Baseline { name: "sse2" });
        assert!(matches!(error("max,avx=1"), CpuModelError::BadValue { .. }));
    }

    #[test]
    fn linux_shows_family_and_flags_as_it_does() {
        let v1 = model("x86-64-v1");
        assert_eq!((v1.signature().family(), v1.signature().model()), (15, 4));
        let max = CpuModel::default().signature();
        assert_eq!((max.family(), max.model(), max.stepping()), (6, 151, 2));
        assert_eq!(
            v1.linux_flags().join(" "),
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx \
             fxsr sse sse2 syscall nx lm constant_tsc rep_good nopl nonstop_tsc cpuid"
        );
    }
}
