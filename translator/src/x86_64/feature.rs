//! Which of the decoder's features a CPU model has.

use arch::x86_64::CpuModel;
use arch::x86_64::feature::Feature;
use decoders::x86_64::CpuidFeature;

/// What must be there for an instruction.
enum Needs {
    /// Nothing beyond 64-bit mode.
    Nothing,
    /// A feature of the CPU.
    Feature(Feature),
    /// What no CPU of ours has.
    Absent,
}

/// The decoder's features by those of `arch`. Instructions that are no-operations on CPUs without a feature need none.
fn needs(feature: CpuidFeature) -> Needs {
    use CpuidFeature as C;
    use Feature as F;
    Needs::Feature(match feature {
        C::INTEL8086
        | C::INTEL8086_ONLY
        | C::INTEL186
        | C::INTEL286
        | C::INTEL386
        | C::INTEL486 => {
            return Needs::Nothing;
        }
        C::X64 | C::CPUID | C::MULTIBYTENOP | C::PAUSE | C::SMM => return Needs::Nothing,
        C::CET_IBT
        | C::CET_SS
        | C::PREFETCHITI
        | C::PREFETCHWT1
        | C::PREFETCHW
        | C::WBNOINVD
        | C::RDPMC => {
            return Needs::Nothing;
        }
        // Reserved no-operations without the feature.
        C::CLDEMOTE => return Needs::Nothing,
        C::FPU | C::FPU287 | C::FPU387 => F::FPU,
        C::TSC => F::TSC,
        C::MSR => F::MSR,
        C::CX8 => F::CX8,
        C::SEP => F::SEP,
        C::CMOV => F::CMOV,
        C::CLFSH => F::CLFSH,
        C::MMX => F::MMX,
        C::FXSR => F::FXSR,
        C::SSE => F::SSE,
        C::SSE2 => F::SSE2,
        C::SYSCALL => F::SYSCALL,
        C::RDTSCP => F::RDTSCP,
        C::SSE3 => F::SSE3,
        C::PCLMULQDQ => F::PCLMULQDQ,
        C::SSSE3 => F::SSSE3,
        C::FMA => F::FMA,
        C::CMPXCHG16B => F::CMPXCHG16B,
        C::SSE4_1 => F::SSE4_1,
        C::SSE4_2 => F::SSE4_2,
        C::MOVBE => F::MOVBE,
        C::POPCNT => F::POPCNT,
        C::AES => F::AES,
        C::XSAVE => F::XSAVE,
        C::AVX => F::AVX,
        C::F16C => F::F16C,
        C::RDRAND => F::RDRAND,
        C::LZCNT => F::LZCNT,
        C::FSGSBASE => F::FSGSBASE,
        C::BMI1 => F::BMI1,
        C::AVX2 => F::AVX2,
        C::BMI2 => F::BMI2,
        C::RDSEED => F::RDSEED,
        C::ADX => F::ADX,
        C::CLFLUSHOPT => F::CLFLUSHOPT,
        C::CLWB => F::CLWB,
        C::SHA => F::SHA,
        C::XSAVEOPT => F::XSAVEOPT,
        C::XSAVEC => F::XSAVEC,
        C::GFNI => F::GFNI,
        C::VAES => F::VAES,
        C::VPCLMULQDQ => F::VPCLMULQDQ,
        C::RDPID => F::RDPID,
        C::MOVDIRI => F::MOVDIRI,
        C::MOVDIR64B => F::MOVDIR64B,
        C::SERIALIZE => F::SERIALIZE,
        _ => return Needs::Absent,
    })
}

/// How many features the decoder can name.
const KNOWN: usize = 256;

/// The decoder's features that a CPU has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Present([u64; KNOWN / 64]);

impl Present {
    pub(super) fn of(cpu: &CpuModel) -> Self {
        let mut present = Self([0; KNOWN / 64]);
        for feature in CpuidFeature::values() {
            let is_there = match needs(feature) {
                Needs::Nothing => true,
                Needs::Feature(feature) => cpu.has(feature),
                Needs::Absent => false,
            };
            present.0[feature as usize / 64] |= u64::from(is_there) << (feature as usize % 64);
        }
        present
    }

    pub(super) fn has(&self, feature: CpuidFeature) -> bool {
        self.0[feature as usize / 64] >> (feature as usize % 64) & 1 != 0
    }

    pub(super) fn has_all(&self, features: &[CpuidFeature]) -> bool {
        features.iter().all(|&feature| self.has(feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fit() {
        assert!(CpuidFeature::values().all(|feature| (feature as usize) < KNOWN));
    }

    #[test]
    fn models_differ() {
        let present = |name: &str| Present::of(&name.parse().unwrap());
        let [v1, v3] = ["x86-64-v1", "x86-64-v3"].map(present);
        assert!(v3.has_all(&[CpuidFeature::AVX2, CpuidFeature::BMI1]));
        assert!(v1.has_all(&[CpuidFeature::SSE2]) && !v1.has(CpuidFeature::SSE3));
        assert!(!v3.has(CpuidFeature::AVX512F) && !v3.has(CpuidFeature::SSE4A));
    }
}
