//! The extensions that Ferry implements, once each: name, what it needs, how Linux reports it, and
//! the profile that made it mandatory. CPU models, /proc/cpuinfo, AT_HWCAP and riscv_hwprobe are
//! derived from this table.

use crate::model::{self, FeatureTable};

/// The profiles for applications ("RISC-V Profiles"): each demands what the ones before it do.
/// A privileged extension stands under the profile whose supervisor half (RVA20S64, …) has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Profile {
    /// RVA20U64
    Rva20,
    /// RVA22U64
    Rva22,
    /// RVA23U64
    Rva23,
}

/// How an extension shows in an ISA string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// As its letter, which has a bit in AT_HWCAP.
    Letter,
    /// As its name, after an underscore.
    Name,
    /// Not: it is implied by, or stands for, others that do.
    Not,
    /// As its name, to an operating system: programs are not told of it, and their mode has none
    /// of it.
    Privileged,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The manual's name.
    pub name: &'static str,
    /// How it shows in an ISA string.
    pub shown: Shown,
    /// What it cannot be without.
    pub needs: &'static [Feature],
    /// Its bit of RISCV_HWPROBE_KEY_IMA_EXT_0, if it has one of its own.
    pub hwprobe: Option<u32>,
    /// The first profile with it.
    pub profile: Option<Profile>,
}

macro_rules! features {
    ($($name:ident $shown:ident [$($needs:ident)*] $hwprobe:tt $profile:tt;)*) => {
        /// An extension, or a name for several of them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Feature { $(#[doc = concat!("The ", stringify!($name), " extension")] $name,)* }

        impl Feature {
            /// Every extension, in the canonical order of ISA strings.
            pub const ALL: &[Feature] = &[$(Feature::$name,)*];
        }

        static TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            shown: Shown::$shown,
            needs: &[$(Feature::$needs),*],
            hwprobe: features!(@bit $hwprobe),
            profile: features!(@profile $profile),
        },)*];
    };
    (@bit -) => { None };
    (@bit $bit:literal) => { Some($bit) };
    (@profile -) => { None };
    (@profile $profile:ident) => { Some(Profile::$profile) };
}

features! {
    I           Letter []                    -  Rva20;
    M           Letter [Zmmul]               -  Rva20;
    A           Letter [Zaamo Zalrsc]        -  Rva20;
    F           Letter [Zicsr]               -  Rva20;
    D           Letter [F]                   -  Rva20;
    C           Letter [Zca]                 1  Rva20;
    B           Not    [Zba Zbb Zbs]         -  Rva22;
    Zicbom      Name   []                    55 Rva22;
    Zicbop      Name   []                    60 Rva22;
    Zicboz      Name   []                    6  Rva22;
    Zicntr      Name   [Zicsr]               50 Rva20;
    Zicond      Name   []                    35 Rva23;
    Zicsr       Name   []                    -  Rva20;
    Zifencei    Name   []                    -  Rva20;
    Zihintntl   Name   []                    29 Rva23;
    Zihintpause Name   []                    36 Rva22;
    Zihpm       Name   [Zicsr]               51 Rva22;
    Zimop       Name   []                    42 Rva23;
    Zmmul       Not    []                    -  -;
    Zaamo       Name   []                    56 -;
    Zabha       Name   [Zaamo]               58 -;
    Zacas       Name   [Zaamo]               34 -;
    Zalrsc      Name   []                    57 -;
    Zawrs       Name   [Zalrsc]              48 Rva23;
    Zfa         Name   [F]                   32 Rva23;
    Zfh         Name   [Zfhmin]              27 -;
    Zfhmin      Name   [F]                   28 Rva22;
    Zca         Name   []                    43 -;
    Zcb         Name   [Zca]                 44 Rva23;
    Zcd         Name   [Zca D]               45 -;
    Zcmop       Name   [Zca]                 47 Rva23;
    Zba         Name   []                    3  -;
    Zbb         Name   []                    4  -;
    Zbc         Name   []                    7  -;
    Zbkb        Name   []                    8  -;
    Zbkc        Name   []                    9  -;
    Zbkx        Name   []                    10 -;
    Zbs         Name   []                    5  -;
    Zkn         Not    [Zbkb Zbkc Zbkx Zkne Zknd Zknh] - -;
    Zknd        Name   []                    11 -;
    Zkne        Name   []                    12 -;
    Zknh        Name   []                    13 -;
    Zks         Not    [Zbkb Zbkc Zbkx Zksed Zksh] - -;
    Zksed       Name   []                    14 -;
    Zksh        Name   []                    15 -;
    Zkt         Name   []                    16 Rva22;
    S           Privileged [Sm]              -  Rva20;
    Sm          Privileged [Zicsr]           -  Rva20;
    Smaia       Privileged [Ssaia]           -  -;
    Smstateen   Privileged [Ssstateen]       -  -;
    Ssaia       Privileged [S]               -  -;
    Ssccptr     Privileged [S]               -  Rva20;
    Sscounterenw Privileged [S]              -  Rva22;
    Ssstateen   Privileged [S]               -  -;
    Sstc        Privileged [S]               -  Rva23;
    Sstvala     Privileged [S]               -  Rva20;
    Sstvecd     Privileged [S]               -  Rva20;
    Ssu64xl     Privileged [S]               -  Rva23;
    Sv39        Privileged [S]               -  Rva20;
    Sv48        Privileged [Sv39]            -  -;
    Sv57        Privileged [Sv48]            -  -;
    Svade       Privileged [S]               -  Rva20;
    Svadu       Privileged [S]               -  -;
    Svinval     Privileged [S]               -  Rva22;
    Svnapot     Privileged [Sv39]            -  Rva23;
    Svpbmt      Privileged [Sv39]            -  Rva22;
    Svvptc      Privileged [Sv39]            -  -;
}

impl Feature {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The extension of this name, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.row().name.eq_ignore_ascii_case(name))
    }
}

/// A set of extensions. With one it always holds all that this one needs.
pub type FeatureSet = model::FeatureSet<Feature>;

impl FeatureTable for Feature {
    const ALL: &'static [Self] = Feature::ALL;

    fn index(self) -> u32 {
        self as u32
    }

    fn needs(self) -> &'static [Self] {
        self.row().needs
    }

    /// C with D is Zcd ("Zc* Overview").
    fn completed(set: FeatureSet) -> FeatureSet {
        let both = set.contains(Feature::C) && set.contains(Feature::D);
        if both { set.with_only(Feature::Zcd) } else { set }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "ISA Extension Naming Conventions": letters in a set order, then names by the letter after
    /// the Z in that same order, then alphabetically; after these the privileged ones,
    /// alphabetically.
    #[test]
    fn the_table_is_in_canonical_order() {
        let category = |letter: char| "iemafdqlcbkjtpvnh".find(letter).unwrap();
        let key = |feature: &Feature| {
            let name = feature.row().name.to_lowercase();
            if name.starts_with('s') {
                return (2, 0, name);
            }
            let second = name.chars().nth(1);
            let letter = second.unwrap_or(name.chars().next().unwrap());
            (u8::from(second.is_some()), category(letter), name)
        };
        assert!(Feature::ALL.is_sorted_by_key(key));
    }

    #[test]
    fn programs_are_not_told_of_privileged_extensions() {
        for feature in Feature::ALL {
            let row = feature.row();
            let privileged = row.name.starts_with('S');
            assert_eq!(row.shown == Shown::Privileged, privileged, "{}", row.name);
            assert!(!privileged || row.hwprobe.is_none());
        }
    }

    #[test]
    fn no_two_extensions_share_a_bit() {
        let mut bits: Vec<u32> = Feature::ALL.iter().filter_map(|f| f.row().hwprobe).collect();
        bits.sort_unstable();
        assert!(bits.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn sets_keep_what_is_needed_together() {
        let set = FeatureSet::EMPTY.with(Feature::Zfh);
        assert!(set.contains(Feature::Zicsr) && !set.contains(Feature::D));
        assert_eq!(set.without(Feature::Zicsr), FeatureSet::EMPTY);
        let compressed = FeatureSet::EMPTY.with(Feature::C).with(Feature::D);
        assert!(compressed.contains(Feature::Zcd));
        assert!(!compressed.without(Feature::Zca).contains(Feature::C));
    }
}
