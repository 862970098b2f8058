//! What Linux tells of the CPU: /proc/cpuinfo (`arch/x86/kernel/cpu/proc.c`), in agreement with CPUID.

use arch::x86_64::CpuModel;
use arch::x86_64::feature::Word;

/// EDX of CPUID's leaf 1.
pub(super) fn leaf_1_edx(cpu: &CpuModel) -> u64 {
    let rows = cpu.features().map(|feature| feature.row());
    rows.filter(|row| row.word == Word::L1Edx).fold(0, |all, row| all | 1 << row.bit)
}

/// /proc/cpuinfo, for this many processors.
pub(super) fn text(cpu: &CpuModel, processors: usize) -> String {
    let signature = cpu.signature();
    let flags = cpu.linux_flags().join(" ");
    let processor = |n: usize| {
        format!(
            "processor\t: {n}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
             model name\t: {name}\nstepping\t: {stepping}\ncpu MHz\t\t: 1000.000\n\
             physical id\t: 0\nsiblings\t: {processors}\ncore id\t\t: {n}\ncpu cores\t: {processors}\n\
             apicid\t\t: {n}\ninitial apicid\t: {n}\nfpu\t\t: yes\nfpu_exception\t: yes\n\
             cpuid level\t: {level}\nwp\t\t: yes\nflags\t\t: {flags}\nbugs\t\t:\nbogomips\t: 2000.00\n\
             clflush size\t: 64\ncache_alignment\t: 64\n\
             address sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n",
            vendor = "GenuineIntel",
            family = signature.family(),
            model = signature.model(),
            name = "Ferry",
            stepping = signature.stepping(),
            level = 0xd,
        )
    };
    (0..processors).map(processor).collect()
}
