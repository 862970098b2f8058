//! CPUID (SDM vol. 2, CPUID): what a model says of itself. Each CPU is a package of one core with one thread; so what it says
//! of topology is the same whichever CPUs of the host a program may use.

use super::cpu::CpuModel;
use super::feature::{Feature, Word};
use super::xsave;

/// What CPUID leaves in EAX, EBX, ECX and EDX.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaf {
    /// EAX
    pub eax: u32,
    /// EBX
    pub ebx: u32,
    /// ECX
    pub ecx: u32,
    /// EDX
    pub edx: u32,
}

impl Leaf {
    /// EAX, EBX, ECX and EDX.
    #[must_use]
    pub fn registers(self) -> [u32; 4] {
        [self.eax, self.ebx, self.ecx, self.edx]
    }
}

/// The greatest leaf of those from 0 on: frequencies, which are not told.
const BASIC_MAX: u32 = 0x16;
/// The greatest leaf of those from 0x8000_0000 on.
const EXTENDED_MAX: u32 = 0x8000_0008;
/// The vendor, whose cores decide what the architecture leaves open.
pub const VENDOR: &str = "GenuineIntel";
/// The processor's name: with zeros, 48 bytes.
pub const BRAND: &str = "Ferry x86-64 CPU";
/// Bytes of a cache line.
pub const LINE_BYTES: u32 = 64;
/// Bits of a physical address.
pub const PHYSICAL_BITS: u32 = 46;
/// Bits of a virtual address.
pub const LINEAR_BITS: u32 = 48;

/// A cache.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// 1, 2 or 3.
    pub level: u32,
    /// What it holds: 1 data, 2 instructions, 3 both.
    pub kind: u32,
    /// Ways of associativity.
    pub ways: u32,
    /// Sets.
    pub sets: u32,
}

impl Cache {
    /// Its size.
    #[must_use]
    pub const fn kib(&self) -> u32 {
        self.ways * self.sets * LINE_BYTES / 1024
    }

    /// Leaf 4: one CPU shares it, one core is in the package; it has one partition, initialises itself and, but for
    /// the first level, is inclusive of nothing.
    fn leaf(&self) -> Leaf {
        const SELF_INITIALISING: u32 = 1 << 8;
        Leaf {
            eax: self.kind | self.level << 5 | SELF_INITIALISING,
            ebx: (LINE_BYTES - 1) | (self.ways - 1) << 22,
            ecx: self.sets - 1,
            edx: 0,
        }
    }
}

/// The caches: those of the core that the default model is called by.
pub const CACHES: &[Cache] = &[
    Cache { level: 1, kind: 1, ways: 12, sets: 64 },
    Cache { level: 1, kind: 2, ways: 8, sets: 64 },
    L2,
    Cache { level: 3, kind: 3, ways: 12, sets: 40960 },
];
const L2: Cache = Cache { level: 2, kind: 3, ways: 10, sets: 2048 };

/// CPUID on the CPU of this number. A leaf that there is not is the greatest basic one, as Intel has it: zeros.
#[must_use]
pub fn cpuid(model: &CpuModel, leaf: u32, subleaf: u32, cpu: u32) -> Leaf {
    match leaf {
        0 => vendor(),
        1 => signature(model, cpu),
        // No descriptors: see leaf 4; prefetches are of 64 bytes.
        2 => Leaf { eax: 0x00ff_0001, ebx: 0xf0, ..Leaf::default() },
        4 => CACHES.get(subleaf as usize).map_or_else(Leaf::default, Cache::leaf),
        7 => extended_features(model, subleaf),
        0xb => topology(subleaf, cpu),
        0xd => state(model, subleaf),
        0x8000_0000 => Leaf { eax: EXTENDED_MAX, ..Leaf::default() },
        0x8000_0001 => {
            Leaf { ecx: word(model, Word::E1Ecx), edx: word(model, Word::E1Edx), ..Leaf::default() }
        }
        0x8000_0002..=0x8000_0004 => brand(leaf - 0x8000_0002),
        // Associativity in code: 5 is 6 to 7 ways, 7 is 12 to 15, 6 is 8 to 11.
        0x8000_0006 => Leaf { ecx: L2.kib() << 16 | 6 << 12 | LINE_BYTES, ..Leaf::default() },
        // The time stamp counter is invariant.
        0x8000_0007 => Leaf { edx: 1 << 8, ..Leaf::default() },
        0x8000_0008 => Leaf { eax: LINEAR_BITS << 8 | PHYSICAL_BITS, ..Leaf::default() },
        _ => Leaf::default(),
    }
}

/// The bits of the model's features in a register.
#[must_use]
pub fn word(model: &CpuModel, word: Word) -> u32 {
    let rows = model.features().map(Feature::row).filter(|row| row.word == word);
    rows.map(|row| 1 << row.bit).sum()
}

fn vendor() -> Leaf {
    let [ebx, edx, ecx] = words(VENDOR, 0);
    Leaf { eax: BASIC_MAX, ebx, ecx, edx }
}

fn brand(part: u32) -> Leaf {
    let [eax, ebx, ecx, edx] = words(BRAND, 16 * part as usize);
    Leaf { eax, ebx, ecx, edx }
}

/// Words of a text from this byte on; zeros behind its end.
fn words<const N: usize>(text: &str, start: usize) -> [u32; N] {
    let byte = |at: usize| text.as_bytes().get(at).copied().unwrap_or(0);
    std::array::from_fn(|n| {
        let at = start + 4 * n;
        u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)])
    })
}

fn signature(model: &CpuModel, cpu: u32) -> Leaf {
    let flush_units = LINE_BYTES / 8;
    Leaf {
        eax: model.signature().0,
        ebx: (cpu & 0xff) << 24 | 1 << 16 | flush_units << 8,
        ecx: word(model, Word::L1Ecx),
        edx: word(model, Word::L1Edx),
    }
}

fn extended_features(model: &CpuModel, subleaf: u32) -> Leaf {
    const LAST_SUBLEAF: u32 = 1;
    match subleaf {
        0 => Leaf {
            eax: LAST_SUBLEAF,
            ebx: word(model, Word::L7Ebx),
            ecx: word(model, Word::L7Ecx),
            edx: word(model, Word::L7Edx),
        },
        1 => Leaf { eax: word(model, Word::L7S1Eax), ..Leaf::default() },
        _ => Leaf::default(),
    }
}

/// Levels: threads of a core, cores of a package.
fn topology(subleaf: u32, cpu: u32) -> Leaf {
    const LEVELS: u32 = 2;
    let exists = subleaf < LEVELS;
    let kind = if exists { subleaf + 1 } else { 0 };
    Leaf { eax: 0, ebx: u32::from(exists), ecx: kind << 8 | subleaf & 0xff, edx: cpu }
}

/// What XSAVE saves.
fn state(model: &CpuModel, subleaf: u32) -> Leaf {
    let xcr0 = model.xcr0();
    match subleaf {
        _ if xcr0 == 0 => Leaf::default(),
        0 => {
            let size = xsave::standard_size(xcr0);
            Leaf { eax: xcr0 as u32, ebx: size, ecx: size, edx: (xcr0 >> 32) as u32 }
        }
        1 => {
            let saves_compactly = model.has(Feature::XSAVEC);
            let size = if saves_compactly { xsave::compacted_size(xcr0) } else { 0 };
            Leaf { eax: word(model, Word::D1Eax), ebx: size, ..Leaf::default() }
        }
        n => match xsave::COMPONENTS.iter().find(|component| component.number == n) {
            Some(component) if xcr0 >> n & 1 != 0 => {
                Leaf { eax: component.size, ebx: component.offset, ..Leaf::default() }
            }
            _ => Leaf::default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_spelled_in_registers() {
        let max = CpuModel::default();
        let leaf = cpuid(&max, 0, 0, 0);
        assert_eq!((leaf.ebx, leaf.edx, leaf.ecx), (0x756e_6547, 0x4965_6e69, 0x6c65_746e));
        let brand: Vec<u8> = (0x8000_0002..=0x8000_0004)
            .flat_map(|leaf| cpuid(&max, leaf, 0, 0).registers())
            .flat_map(u32::to_le_bytes)
            .collect();
        assert_eq!(&brand[..BRAND.len()], BRAND.as_bytes());
        assert!(brand[BRAND.len()..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn features_are_what_the_model_has() {
        let v1 = model("x86-64-v1");
        let leaf = cpuid(&v1, 1, 0, 3);
        assert_eq!((leaf.ecx, leaf.edx), (0, 0x078b_fbff));
        assert_eq!(leaf.ebx, 0x0301_0800);
        assert_eq!(cpuid(&v1, 7, 0, 0).registers(), [1, 0x2040, 0, 0]);
        assert_eq!(cpuid(&v1, 0xd, 0, 0), Leaf::default());
        let v3 = cpuid(&model("x86-64-v3"), 1, 0, 0);
        assert_eq!(v3.ecx, 0x3cd8_3201 & !(1 << 17));
    }

    #[test]
    fn the_area_of_xsave_is_as_large_as_its_components_need() {
        let max = CpuModel::default();
        assert_eq!(cpuid(&max, 0xd, 0, 0).registers(), [7, 832, 832, 0]);
        assert_eq!(cpuid(&max, 0xd, 1, 0).registers(), [7, 832, 0, 0]);
        assert_eq!(cpuid(&max, 0xd, 2, 0).registers(), [256, 576, 0, 0]);
        assert_eq!(cpuid(&max, 0xd, 5, 0), Leaf::default());
        assert_eq!(cpuid(&model("max,-avx"), 0xd, 0, 0).registers(), [3, 576, 576, 0]);
        assert_eq!(cpuid(&model("x86-64-v3"), 0xd, 1, 0), Leaf::default());
    }

    #[test]
    fn caches_end() {
        let max = CpuModel::default();
        assert_eq!(cpuid(&max, 4, 0, 0).registers(), [0x121, 0x02c0_003f, 63, 0]);
        assert_eq!(cpuid(&max, 4, 4, 0), Leaf::default());
        assert_eq!((L2.kib(), CACHES[3].kib()), (1280, 30 * 1024));
        assert_eq!(cpuid(&max, 0xb, 1, 5).registers(), [0, 1, 0x201, 5]);
        assert_eq!(cpuid(&max, 0xb, 2, 5).registers(), [0, 0, 2, 5]);
    }

    /// Whatever we say we have, a host that has it says in the same place.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_host_shows_features_at_the_same_bits() {
        const KNOWN: &[(&str, Feature)] = &[
            ("avx2", Feature::AVX2),
            ("gfni", Feature::GFNI),
            ("sha", Feature::SHA),
            ("xsavec", Feature::XSAVEC),
            ("lzcnt", Feature::LZCNT),
            ("fma", Feature::FMA),
            ("movbe", Feature::MOVBE),
            ("adx", Feature::ADX),
        ];
        let detected = [
            is_x86_feature_detected!("avx2"),
            is_x86_feature_detected!("gfni"),
            is_x86_feature_detected!("sha"),
            is_x86_feature_detected!("xsavec"),
            is_x86_feature_detected!("lzcnt"),
            is_x86_feature_detected!("fma"),
            is_x86_feature_detected!("movbe"),
            is_x86_feature_detected!("adx"),
        ];
        for ((name, feature), detected) in KNOWN.iter().zip(detected) {
            let row = feature.row();
            let host = |leaf, subleaf| std::arch::x86_64::__cpuid_count(leaf, subleaf);
            let bits = match row.word {
                Word::L1Edx => host(1, 0).edx,
                Word::L1Ecx => host(1, 0).ecx,
                Word::E1Edx => host(0x8000_0001, 0).edx,
                Word::E1Ecx => host(0x8000_0001, 0).ecx,
                Word::L7Ebx => host(7, 0).ebx,
                Word::L7Ecx => host(7, 0).ecx,
                Word::L7Edx => host(7, 0).edx,
                Word::L7S1Eax => host(7, 1).eax,
                Word::D1Eax => host(0xd, 1).eax,
            };
            assert_eq!(bits >> row.bit & 1 != 0, detected, "{name}");
        }
    }
}
