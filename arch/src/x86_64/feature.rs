//! The features that Ferry implements, once each: the SDM's name, what it needs, the level of the psABI that has it (x86-64
//! psABI, "Micro-Architecture Levels"), where CPUID shows it, and Linux's word for it in /proc/cpuinfo. CPU models, CPUID,
//! AT_HWCAP2, /proc/cpuinfo and which instructions are undefined follow from this table.

use crate::model::{self, FeatureTable};

/// A register of a leaf of CPUID that is made of features' bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Word {
    /// Leaf 1, EDX.
    L1Edx,
    /// Leaf 0x8000_0001, EDX.
    E1Edx,
    /// Leaf 1, ECX.
    L1Ecx,
    /// Leaf 0x8000_0001, ECX.
    E1Ecx,
    /// Leaf 7, sub-leaf 0, EBX.
    L7Ebx,
    /// Leaf 0xd, sub-leaf 1, EAX.
    D1Eax,
    /// Leaf 7, sub-leaf 1, EAX.
    L7S1Eax,
    /// Leaf 7, sub-leaf 0, ECX.
    L7Ecx,
    /// Leaf 7, sub-leaf 0, EDX.
    L7Edx,
}

impl Word {
    /// Its number in Linux's bitmap of features (`arch/x86/include/asm/cpufeatures.h`), whose order is that of /proc/cpuinfo.
    #[must_use]
    pub const fn linux(self) -> u32 {
        match self {
            Self::L1Edx => 0,
            Self::E1Edx => 1,
            Self::L1Ecx => 4,
            Self::E1Ecx => 6,
            Self::L7Ebx => 9,
            Self::D1Eax => 10,
            Self::L7S1Eax => 12,
            Self::L7Ecx => 16,
            Self::L7Edx => 18,
        }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The SDM's name, in lower case, as `--cpu` has it.
    pub name: &'static str,
    /// What it cannot be without.
    pub needs: &'static [Feature],
    /// The first of the psABI's levels with it: 1 to 4.
    pub level: Option<u8>,
    /// The register of CPUID that shows it.
    pub word: Word,
    /// The bit there.
    pub bit: u8,
    /// Linux's word for it; none if /proc/cpuinfo does not tell.
    pub linux: Option<&'static str>,
}

macro_rules! features {
    ($($id:ident $name:literal [$($needs:ident)*] $level:tt $word:ident $bit:literal $($linux:literal)?;)*) => {
        /// A feature.
        #[expect(non_camel_case_types, reason = "named as the manual does")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Feature { $(#[doc = concat!("`", $name, "`")] $id,)* }

        impl Feature {
            /// Every feature, by the place where CPUID shows it.
            pub const ALL: &[Feature] = &[$(Feature::$id,)*];
        }

        static TABLE: &[Row] = &[$(Row {
            name: $name,
            needs: &[$(Feature::$needs),*],
            level: features!(@level $level),
            word: Word::$word,
            bit: $bit,
            linux: features!(@linux $($linux)?),
        },)*];
    };
    (@level -) => { None };
    (@level $level:literal) => { Some($level) };
    (@linux) => { None };
    (@linux $linux:literal) => { Some($linux) };
}

features! {
    // Leaf 1, EDX.
    FPU         "fpu"         []           1 L1Edx 0 "fpu";
    VME         "vme"         []           1 L1Edx 1 "vme";
    DE          "de"          []           1 L1Edx 2 "de";
    PSE         "pse"         []           1 L1Edx 3 "pse";
    TSC         "tsc"         []           1 L1Edx 4 "tsc";
    MSR         "msr"         []           1 L1Edx 5 "msr";
    PAE         "pae"         []           1 L1Edx 6 "pae";
    MCE         "mce"         []           1 L1Edx 7 "mce";
    CX8         "cx8"         []           1 L1Edx 8 "cx8";
    APIC        "apic"        []           1 L1Edx 9 "apic";
    SEP         "sep"         []           1 L1Edx 11 "sep";
    MTRR        "mtrr"        []           1 L1Edx 12 "mtrr";
    PGE         "pge"         []           1 L1Edx 13 "pge";
    MCA         "mca"         []           1 L1Edx 14 "mca";
    CMOV        "cmov"        []           1 L1Edx 15 "cmov";
    PAT         "pat"         []           1 L1Edx 16 "pat";
    PSE36       "pse36"       []           1 L1Edx 17 "pse36";
    CLFSH       "clfsh"       []           1 L1Edx 19 "clflush";
    MMX         "mmx"         [FPU]        1 L1Edx 23 "mmx";
    FXSR        "fxsr"        [FPU]        1 L1Edx 24 "fxsr";
    SSE         "sse"         [FXSR]       1 L1Edx 25 "sse";
    SSE2        "sse2"        [SSE MMX]    1 L1Edx 26 "sse2";
    // Leaf 0x8000_0001, EDX.
    SYSCALL     "syscall"     []           1 E1Edx 11 "syscall";
    NX          "nx"          []           1 E1Edx 20 "nx";
    RDTSCP      "rdtscp"      []           - E1Edx 27 "rdtscp";
    LM          "lm"          []           1 E1Edx 29 "lm";
    // Leaf 1, ECX.
    SSE3        "sse3"        [SSE2]       2 L1Ecx 0 "pni";
    PCLMULQDQ   "pclmulqdq"   [SSE2]       - L1Ecx 1 "pclmulqdq";
    SSSE3       "ssse3"       [SSE3]       2 L1Ecx 9 "ssse3";
    FMA         "fma"         [AVX]        3 L1Ecx 12 "fma";
    CMPXCHG16B  "cx16"        []           2 L1Ecx 13 "cx16";
    SSE4_1      "sse4.1"      [SSSE3]      2 L1Ecx 19 "sse4_1";
    SSE4_2      "sse4.2"      [SSE4_1]     2 L1Ecx 20 "sse4_2";
    MOVBE       "movbe"       []           3 L1Ecx 22 "movbe";
    POPCNT      "popcnt"      []           2 L1Ecx 23 "popcnt";
    AES         "aes"         [SSE2]       - L1Ecx 25 "aes";
    XSAVE       "xsave"       [FXSR]       3 L1Ecx 26 "xsave";
    OSXSAVE     "osxsave"     [XSAVE]      3 L1Ecx 27;
    AVX         "avx"         [SSE4_2 OSXSAVE] 3 L1Ecx 28 "avx";
    F16C        "f16c"        [AVX]        3 L1Ecx 29 "f16c";
    RDRAND      "rdrand"      []           - L1Ecx 30 "rdrand";
    // Leaf 0x8000_0001, ECX.
    LAHF        "lahf"        []           2 E1Ecx 0 "lahf_lm";
    LZCNT       "lzcnt"       []           3 E1Ecx 5 "abm";
    PREFETCHW   "prefetchw"   []           - E1Ecx 8 "3dnowprefetch";
    // Leaf 7, sub-leaf 0, EBX.
    FSGSBASE    "fsgsbase"    []           - L7Ebx 0 "fsgsbase";
    BMI1        "bmi1"        []           3 L7Ebx 3 "bmi1";
    AVX2        "avx2"        [AVX]        3 L7Ebx 5 "avx2";
    // The x87 operand's address changes with an exception that is not masked only; the x87 selectors are 0. Neither
    // is a matter of choice.
    FDP_EXCPTN_ONLY "fdp_excptn_only" [FPU] 1 L7Ebx 6;
    SMEP        "smep"        []           - L7Ebx 7 "smep";
    BMI2        "bmi2"        []           3 L7Ebx 8 "bmi2";
    ERMS        "erms"        []           - L7Ebx 9 "erms";
    NO_FPCSDS   "no_fpcsds"   [FPU]        1 L7Ebx 13;
    RDSEED      "rdseed"      []           - L7Ebx 18 "rdseed";
    ADX         "adx"         []           - L7Ebx 19 "adx";
    SMAP        "smap"        []           - L7Ebx 20 "smap";
    CLFLUSHOPT  "clflushopt"  [CLFSH]      - L7Ebx 23 "clflushopt";
    CLWB        "clwb"        [CLFSH]      - L7Ebx 24 "clwb";
    SHA         "sha"         [SSE2]       - L7Ebx 29 "sha_ni";
    // Leaf 0xd, sub-leaf 1, EAX.
    XSAVEOPT    "xsaveopt"    [XSAVE]      - D1Eax 0 "xsaveopt";
    XSAVEC      "xsavec"      [XSAVE]      - D1Eax 1 "xsavec";
    XGETBV1     "xgetbv1"     [XSAVE]      - D1Eax 2 "xgetbv1";
    // Leaf 7, sub-leaf 0, ECX.
    UMIP        "umip"        []           - L7Ecx 2 "umip";
    GFNI        "gfni"        [SSE2]       - L7Ecx 8 "gfni";
    VAES        "vaes"        [AES AVX]    - L7Ecx 9 "vaes";
    VPCLMULQDQ  "vpclmulqdq"  [PCLMULQDQ AVX] - L7Ecx 10 "vpclmulqdq";
    RDPID       "rdpid"       []           - L7Ecx 22 "rdpid";
    CLDEMOTE    "cldemote"    []           - L7Ecx 25 "cldemote";
    MOVDIRI     "movdiri"     []           - L7Ecx 27 "movdiri";
    MOVDIR64B   "movdir64b"   []           - L7Ecx 28 "movdir64b";
    // Leaf 7, sub-leaf 0, EDX.
    FSRM        "fsrm"        []           - L7Edx 4 "fsrm";
    SERIALIZE   "serialize"   []           - L7Edx 14 "serialize";
}

/// What Linux tells of every such CPU in /proc/cpuinfo, beside what CPUID says: its word and bit in the bitmap of
/// features, and its name there.
pub const LINUX_FLAGS: &[(u32, u8, &str)] = &[
    (3, 8, "constant_tsc"),
    (3, 16, "rep_good"),
    (3, 20, "nopl"),
    (3, 24, "nonstop_tsc"),
    (3, 25, "cpuid"),
];

impl Feature {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The feature of this name: the SDM's or Linux's, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let is_named = |known: &str| known.eq_ignore_ascii_case(name);
        let all = || Self::ALL.iter().copied();
        let by_name = all().find(|feature| is_named(feature.row().name));
        by_name.or_else(|| all().find(|feature| feature.row().linux.is_some_and(is_named)))
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
    use std::collections::BTreeSet;

    #[test]
    fn no_two_features_share_a_bit_or_a_name() {
        let rows = || Feature::ALL.iter().map(|feature| feature.row());
        let bits: BTreeSet<_> = rows().map(|row| (row.word, row.bit)).collect();
        let names: BTreeSet<_> = rows().map(|row| row.name).collect();
        assert_eq!(bits.len(), Feature::ALL.len());
        assert_eq!(names.len(), Feature::ALL.len());
        assert!(Feature::ALL.len() <= 128);
    }

    #[test]
    fn what_is_needed_is_of_the_same_level() {
        for row in Feature::ALL.iter().map(|feature| feature.row()) {
            let Some(level) = row.level else { continue };
            let needed = row.needs.iter().map(|feature| feature.row().level);
            assert!(
                needed.into_iter().all(|other| other.is_some_and(|l| l <= level)),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn names_are_the_manual_s_or_linux_s() {
        assert_eq!(Feature::from_name("SSE4.1"), Some(Feature::SSE4_1));
        assert_eq!(Feature::from_name("sse4_1"), Some(Feature::SSE4_1));
        assert_eq!(Feature::from_name("pni"), Some(Feature::SSE3));
        assert_eq!(Feature::from_name("sse4a"), None);
    }

    #[test]
    fn sets_keep_what_is_needed_together() {
        let set = FeatureSet::EMPTY.with(Feature::AVX2);
        assert!(set.contains(Feature::OSXSAVE) && set.contains(Feature::SSSE3));
        assert!(!set.without(Feature::XSAVE).contains(Feature::AVX));
        assert_eq!(set.without(Feature::FPU), FeatureSet::EMPTY);
    }
}
