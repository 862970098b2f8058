//! /proc/cpuinfo (`arch/x86/kernel/cpu/proc.c`), in agreement with CPUID.

use arch::x86_64::CpuModel;
use arch::x86_64::cpuid::{BRAND, CACHES, LINE_BYTES, LINEAR_BITS, PHYSICAL_BITS, VENDOR, cpuid};

/// The time stamp counter's MHz: it counts nanoseconds.
const MHZ: u32 = 1000;

/// /proc/cpuinfo, for this many processors.
pub(super) fn text(cpu: &CpuModel, processors: usize) -> String {
    let signature = cpu.signature();
    let flags = cpu.linux_flags().join(" ");
    let level = cpuid(cpu, 0, 0, 0).registers()[0];
    let cache = CACHES.last().map_or(0, |cache| cache.kib());
    let processor = |n: usize| {
        format!(
            "processor\t: {n}\nvendor_id\t: {VENDOR}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
             model name\t: {BRAND}\nstepping\t: {stepping}\ncpu MHz\t\t: {MHZ}.000\n\
             cache size\t: {cache} KB\nphysical id\t: 0\nsiblings\t: {processors}\n\
             core id\t\t: {n}\ncpu cores\t: {processors}\napicid\t\t: {n}\n\
             initial apicid\t: {n}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {level}\n\
             wp\t\t: yes\nflags\t\t: {flags}\nbugs\t\t:\nbogomips\t: {bogomips}.00\n\
             clflush size\t: {LINE_BYTES}\ncache_alignment\t: {LINE_BYTES}\n\
             address sizes\t: {PHYSICAL_BITS} bits physical, {LINEAR_BITS} bits virtual\n\
             power management:\n\n",
            family = signature.family(),
            model = signature.model(),
            stepping = signature.stepping(),
            bogomips = 2 * MHZ,
        )
    };
    (0..processors).map(processor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_the_models() {
        let v2 = text(&"x86-64-v2".parse().unwrap(), 2);
        assert_eq!(v2.matches("processor\t:").count(), 2);
        let flags = v2.lines().find(|line| line.starts_with("flags")).unwrap();
        assert!(flags.contains(" sse4_2 ") && !flags.contains(" avx"), "{flags}");
    }
}
