//! The architectural features that Ferry implements, once each: the manual's name, what it needs, the architecture
//! that made it mandatory, where ID registers show it and how Linux reports it (Documentation/arch/arm64,
//! `elf_hwcaps.rst`). CPU models, ID registers, AT_HWCAP and /proc/cpuinfo are derived from this table.

use super::id::IdRegister;
use crate::model::{self, FeatureTable};

/// A version of the architecture: 8.0 to 8.9. Armv9.*n* has what Armv8.(*n* + 5) has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(pub u8);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Armv8.{}", self.0)
    }
}

/// A field of an ID register, and what it holds at least for a CPU with the feature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdField {
    /// The register.
    pub register: IdRegister,
    /// The field's lowest bit. It is four bits wide.
    pub shift: u8,
    /// Its value.
    pub value: u8,
}

/// A bit of the auxiliary vector, and the word in /proc/cpuinfo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hwcap {
    /// The vector's entry.
    pub word: HwcapWord,
    /// Its bit.
    pub bit: u8,
    /// What stands in /proc/cpuinfo.
    pub name: &'static str,
}

/// An entry of the auxiliary vector that holds capabilities.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HwcapWord {
    /// AT_HWCAP
    Hwcap,
    /// AT_HWCAP2
    Hwcap2,
    /// AT_HWCAP3
    Hwcap3,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The manual's name without its `FEAT_`.
    pub name: &'static str,
    /// What it cannot be without.
    pub needs: &'static [Feature],
    /// The first architecture that demands it.
    pub mandatory: Option<Version>,
    /// Where it shows in the ID registers that programs can read.
    pub fields: &'static [IdField],
    /// How Linux reports it.
    pub hwcaps: &'static [Hwcap],
    /// What is missing: then its instructions are accepted, but programs are not told of it.
    pub missing: Option<&'static str>,
}

macro_rules! features {
    ($($name:ident [$($needs:ident)*] $mandatory:tt
        {$($register:ident $shift:literal $value:literal),*}
        {$($word:ident $bit:literal $cpuinfo:literal),*} $(lacks $missing:literal)?;)*) => {
        /// An architectural feature.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Feature { $(#[doc = concat!("FEAT_", stringify!($name))] $name,)* }

        impl Feature {
            /// Every feature, by the architecture that introduced it.
            pub const ALL: &[Feature] = &[$(Feature::$name,)*];
        }

        static TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            needs: &[$(Feature::$needs),*],
            mandatory: features!(@version $mandatory),
            fields: &[$(IdField {
                register: IdRegister::$register,
                shift: $shift,
                value: $value,
            }),*],
            hwcaps: &[$(Hwcap { word: HwcapWord::$word, bit: $bit, name: $cpuinfo }),*],
            missing: features!(@missing $($missing)?),
        },)*];
    };
    (@version -) => { None };
    (@version $minor:literal) => { Some(Version($minor)) };
    (@missing) => { None };
    (@missing $missing:literal) => { Some($missing) };
}

features! {
    // Armv8.0
    FP       []             0 {Pfr0 16 0}  {Hwcap 0 "fp"};
    AdvSIMD  [FP]           0 {Pfr0 20 0}  {Hwcap 1 "asimd"};
    AES      [AdvSIMD]      - {Isar0 4 1}  {Hwcap 3 "aes"};
    PMULL    [AES]          - {Isar0 4 2}  {Hwcap 4 "pmull"};
    SHA1     [AdvSIMD]      - {Isar0 8 1}  {Hwcap 5 "sha1"};
    SHA256   [SHA1]         - {Isar0 12 1} {Hwcap 6 "sha2"};
    CRC32    []             1 {Isar0 16 1} {Hwcap 7 "crc32"};
    SB       []             5 {Isar1 36 1} {Hwcap 29 "sb"};
    SSBS     []             5 {Pfr1 4 1}   {};
    SSBS2    [SSBS]         5 {Pfr1 4 2}   {Hwcap 28 "ssbs"};
    CLRBHB   []             9 {}           {};
    DGH      []             - {Isar1 48 1} {Hwcap2 15 "dgh"};
    // Armv8.1
    LSE      []             1 {Isar0 20 2} {Hwcap 8 "atomics"};
    RDM      [AdvSIMD]      1 {Isar0 28 1} {Hwcap 12 "asimdrdm"};
    LOR      []             1 {}           {};
    // Armv8.2
    FP16     [AdvSIMD]      - {Pfr0 16 1, Pfr0 20 1} {Hwcap 9 "fphp", Hwcap 10 "asimdhp"};
    DPB      []             2 {Isar1 0 1}  {Hwcap 16 "dcpop"};
    DPB2     [DPB]          5 {Isar1 0 2}  {Hwcap2 0 "dcpodp"};
    SHA3     [SHA512]       - {Isar0 32 1} {Hwcap 17 "sha3"};
    SHA512   [SHA256]       - {Isar0 12 2} {Hwcap 21 "sha512"};
    SM3      [AdvSIMD]      - {Isar0 36 1} {Hwcap 18 "sm3"};
    SM4      [AdvSIMD]      - {Isar0 40 1} {Hwcap 19 "sm4"};
    DotProd  [AdvSIMD]      4 {Isar0 44 1} {Hwcap 20 "asimddp"};
    FHM      [FP16]         - {Isar0 48 1} {Hwcap 23 "asimdfhm"};
    BF16     [AdvSIMD]      6 {Isar1 44 1} {Hwcap2 14 "bf16"};
    I8MM     [AdvSIMD]      6 {Isar1 52 1} {Hwcap2 13 "i8mm"};
    // Armv8.3
    JSCVT    [FP]           3 {Isar1 12 1} {Hwcap 13 "jscvt"};
    FCMA     [AdvSIMD]      3 {Isar1 16 1} {Hwcap 14 "fcma"};
    LRCPC    []             3 {Isar1 20 1} {Hwcap 15 "lrcpc"};
    // With an algorithm of our own (APA, GPA and their like stay 0).
    PAuth    []             3 {Isar1 8 1, Isar1 28 1} {Hwcap 30 "paca", Hwcap 31 "pacg"};
    PAuth2   [PAuth]        6 {Isar1 8 3}  {};
    FPAC     [PAuth2]       - {Isar1 8 4}  {};
    FPACCOMBINE [FPAC]      - {Isar1 8 5}  {};
    // Armv8.4
    DIT      []             4 {Pfr0 48 1}  {Hwcap 24 "dit"};
    FlagM    []             4 {Isar0 52 1} {Hwcap 27 "flagm"};
    LRCPC2   [LRCPC]        4 {Isar1 20 2} {Hwcap 26 "ilrcpc"};
    LSE2     []             4 {Mmfr2 32 1} {Hwcap 25 "uscat"};
    // Armv8.5
    FlagM2   [FlagM]        5 {Isar0 52 2} {Hwcap2 7 "flagm2"};
    FRINTTS  [FP]           5 {Isar1 32 1} {Hwcap2 8 "frint"};
    BTI      []             5 {Pfr1 0 1}   {Hwcap2 17 "bti"};
    MTE      []             - {}           {} lacks "memory has no tags";
    RNG      []             - {Isar0 60 1} {Hwcap2 16 "rng"};
    // Armv8.6
    ECV      []             6 {Mmfr0 60 1} {Hwcap2 19 "ecv"};
    // Armv8.7
    XS       []             7 {}           {};
    WFxT     []             7 {Isar2 0 2}  {Hwcap2 31 "wfxt"};
    // Armv8.8
    MOPS     []             8 {Isar2 16 1} {Hwcap2 43 "mops"};
    HBC      []             8 {Isar2 20 1} {Hwcap2 44 "hbc"};
    // Armv8.9
    CSSC     []             9 {Isar2 52 1} {Hwcap2 34 "cssc"};
    RPRFM    []             9 {Isar2 48 1} {Hwcap2 35 "rprfm"};
}

/// Capabilities that come from Linux and not from the CPU: events from the timer, and access to ID registers.
pub const LINUX_HWCAPS: &[Hwcap] = &[
    Hwcap { word: HwcapWord::Hwcap, bit: 2, name: "evtstrm" },
    Hwcap { word: HwcapWord::Hwcap, bit: 11, name: "cpuid" },
];

impl Feature {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The feature of this name, with or without `FEAT_`, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const PREFIX: &str = "FEAT_";
        let prefix = name.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX));
        let short = &name[prefix.map_or(0, str::len)..];
        Self::ALL.iter().copied().find(|feature| feature.row().name.eq_ignore_ascii_case(short))
    }
}

/// A set of features. With one it always holds all that this one needs.
pub type FeatureSet = model::FeatureSet<Feature>;

impl FeatureTable for Feature {
    const ALL: &'static [Self] = Feature::ALL;

    fn index(self) -> u32 {
        self as u32
    }

    fn needs(self) -> &'static [Self] {
        self.row().needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_features_share_a_capability() {
        let mut hwcaps: Vec<Hwcap> = LINUX_HWCAPS.to_vec();
        hwcaps.extend(Feature::ALL.iter().flat_map(|feature| feature.row().hwcaps));
        hwcaps.sort_unstable();
        assert!(
            hwcaps.windows(2).all(|pair| (pair[0].word, pair[0].bit) < (pair[1].word, pair[1].bit))
        );
    }

    /// Otherwise a program that asks the registers would learn what one that asks Linux does not.
    #[test]
    fn what_is_incomplete_is_not_told() {
        for row in Feature::ALL.iter().map(|feature| feature.row()) {
            let told = !row.fields.is_empty() || !row.hwcaps.is_empty();
            assert!(!(told && row.missing.is_some()), "{}", row.name);
        }
    }

    #[test]
    fn what_is_needed_is_mandatory_as_early() {
        for row in Feature::ALL.iter().map(|feature| feature.row()) {
            let Some(version) = row.mandatory else { continue };
            let needed = row.needs.iter().map(|feature| feature.row().mandatory);
            assert!(
                needed.into_iter().all(|other| other.is_some_and(|v| v <= version)),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn sets_keep_what_is_needed_together() {
        let set = FeatureSet::EMPTY.with(Feature::SHA3);
        assert!(set.contains(Feature::SHA1) && set.contains(Feature::FP));
        assert_eq!(set.without(Feature::FP), FeatureSet::EMPTY);
        let hashes = set.without(Feature::SHA512);
        assert!(hashes.contains(Feature::SHA256) && !hashes.contains(Feature::SHA3));
    }

    #[test]
    fn names_are_the_manual_s_or_short() {
        assert_eq!(Feature::from_name("FEAT_LSE2"), Some(Feature::LSE2));
        assert_eq!(Feature::from_name("pauth"), Some(Feature::PAuth));
        assert_eq!(Feature::from_name("feat_fp"), Some(Feature::FP));
        assert_eq!(Feature::from_name("FEAT_"), None);
        assert_eq!(Feature::from_name("sve"), None);
    }
}
