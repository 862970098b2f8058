//! Checks that only read: the CPU's features, the kernel's settings, files.

use std::fs;

use super::Check;

/// The lowest address at which guest programs lie.
const LOWEST: u64 = 0x1_0000;

/// The checks, the most basic first.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = vec![kernel(), processors(), mmap_min_addr(), proc(), overcommit()];
    checks.extend(cpu_features());
    checks.push(perf());
    checks
}

fn setting(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `statx`, `openat2` and `clone3`, which guests of our day use, came with 5.6 at the latest.
fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    Check::wanted(
        "kernel",
        at_least(release, (5, 6)),
        format!("Linux {release} on {}; system calls are the host's own", std::env::consts::ARCH),
        "newer guest programs may miss system calls: use a kernel of 5.6 or later",
    )
}

/// Whether a kernel's release is of this version or later.
fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= wanted,
        _ => false,
    }
}

fn processors() -> Check {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Check::wanted(
        "processors",
        count > 1,
        format!("{count}; hot code is compiled beside the running program"),
        "give ferry a second CPU (affinity, cgroup): compiling takes the program's time",
    )
}

fn mmap_min_addr() -> Check {
    let lowest = setting("/proc/sys/vm/mmap_min_addr");
    Check::needed(
        "mmap_min_addr",
        lowest.is_none_or(|lowest| lowest <= LOWEST),
        match lowest {
            Some(lowest) => format!("{lowest}; fixed programs lie from {LOWEST} on"),
            None => "not readable".to_owned(),
        },
        "sysctl -w vm.mmap_min_addr=65536",
    )
}

fn proc() -> Check {
    Check::needed(
        "/proc",
        fs::read_link("/proc/self/exe").is_ok() && fs::metadata("/proc/self/fd").is_ok(),
        "the guest's view of itself, and paths below --root".to_owned(),
        "mount -t proc proc /proc",
    )
}

fn overcommit() -> Check {
    let mode = setting("/proc/sys/vm/overcommit_memory");
    Check::wanted(
        "overcommit",
        mode != Some(2),
        "programs such as Go's and Java's reserve more memory than they use".to_owned(),
        "sysctl -w vm.overcommit_memory=0",
    )
}

/// What the CPU has that compiled code, exact floating point and helpers make use of.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<Check> {
    use std::arch::is_x86_feature_detected as has;
    let feature = |name, there, detail: &str| {
        let remedy = "no more than speed is lost; in a virtual machine, pass the host's CPU on";
        Check::wanted(name, there, detail.to_owned(), remedy)
    };
    vec![
        feature("sse4.1", has!("sse4.1"), "rounding to integral floating-point values"),
        feature("fma", has!("fma"), "fused multiply-add; computed with integers without it"),
        feature("popcnt", has!("popcnt"), "counting bits (Zbb)"),
        feature("lzcnt", has!("lzcnt"), "counting leading zeros (Zbb)"),
        feature("bmi1", has!("bmi1"), "and-not, counting trailing zeros (Zbb)"),
        feature("bmi2", has!("bmi2"), "shifts that leave the flags alone"),
        feature("avx", has!("avx"), "floating point with three operands"),
        feature("pclmulqdq", has!("pclmulqdq"), "carry-less multiplication (Zbc)"),
        feature("aes", has!("aes"), "AES (Zkn)"),
        Check::wanted(
            "cmpxchg16b",
            has!("cmpxchg16b"),
            "compare-and-swap of 128 bits (Zacas)".to_owned(),
            "run guests with --cpu rv64,-zacas, or use a CPU of this century",
        ),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<Check> {
    Vec::new()
}

fn perf() -> Check {
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join("perf").is_file())
    });
    Check::wanted(
        "perf",
        on_path,
        "profiles translated code by name, with ferry run --perf-map".to_owned(),
        "install perf (Debian: linux-perf); nothing else needs it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_number() {
        assert!(at_least("6.12.9+bpo-amd64", (5, 6)) && at_least("5.10.0", (5, 6)));
        assert!(at_least("5.6.0-rc1", (5, 6)) && !at_least("5.4.0", (5, 6)));
        assert!(!at_least("4.19", (5, 6)) && !at_least("", (5, 6)));
    }
}
