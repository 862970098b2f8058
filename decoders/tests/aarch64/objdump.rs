//! Same words, same text as `objdump -M no-aliases`, and the same verdict on what is UNDEFINED.
//! Skipped, with a word about it, where the AArch64 binutils are not installed.

#![expect(clippy::print_stderr, reason = "says how much was compared")]

use base::rng::Rng;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::GuestVirt;
use ferry_decoders::aarch64::{DEFERRED, INSTRUCTIONS, disassemble};

use crate::Random;

/// Words for each instruction, or for each of the major groups of the encoding.
const EACH: usize = 400;

#[test]
fn random_operands_of_every_instruction() {
    let mut random = Random(Rng::new(2));
    let words = INSTRUCTIONS
        .iter()
        .flat_map(|info| vec![info; EACH])
        .map(|info| random.next() & !info.mask | info.value)
        .collect();
    compare("operands", words);
}

/// Words that differ from an instruction in one of its fixed bits.
#[test]
fn neighbours_of_every_instruction() {
    let mut random = Random(Rng::new(3));
    let words = INSTRUCTIONS
        .iter()
        .flat_map(|info| vec![info; EACH])
        .map(|info| {
            let word = random.next() & !info.mask | info.value;
            let bit = random.next() % info.mask.count_ones();
            let fixed = (0..32).filter(|bit| info.mask >> bit & 1 != 0).nth(bit as usize);
            word ^ 1 << fixed.unwrap_or(0)
        })
        .collect();
    compare("neighbours", words);
}

#[test]
fn random_words_of_every_group() {
    let mut random = Random(Rng::new(1));
    let words = (0..32u32)
        .flat_map(|group| vec![group; 20_000])
        .map(|group| random.next() & !(31 << 24) | group << 24)
        .collect();
    compare("random", words);
}

/// A seed of its own in each run, which is printed to repeat it.
#[test]
fn fresh_words() {
    let seed = std::env::var("FERRY_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 32 ^ time());
    eprintln!("FERRY_FUZZ_SEED={seed}");
    let mut random = Random(Rng::new(seed));
    compare("fresh", (0..200_000).map(|_| random.next()).collect());
}

fn time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_nanos() as u64)
}

#[test]
fn every_system_register() {
    compare("mrs", (0..1 << 15).map(|register| 0xd530_0003 | register << 5).collect());
}

#[test]
fn every_system_instruction() {
    compare("system", (0..1 << 16).map(|rest| 0xd500_001f | rest << 5).collect());
}

/// Of Debian's packages for cross compilers.
#[test]
fn the_libraries_of_c_and_cxx() {
    for name in ["libc.so.6", "libm.so.6", "libstdc++.so.6"] {
        compare_library(name, &Path::new("/usr/aarch64-linux-gnu/lib").join(name));
    }
}

/// Of the root directories that the test suite makes: with much floating point, with many vectors, and with
/// cryptographic instructions.
#[test]
fn libraries_of_debian() {
    for name in ["libcrypto.so.3", "lapack/liblapack.so.3", "libgnutls.so.30", "libnettle.so.8"] {
        let places = roots().into_iter().map(|root| root.join("usr/lib/aarch64-linux-gnu"));
        let mut libraries = places.map(|place| place.join(name)).filter(|path| path.exists());
        match libraries.next() {
            Some(library) => compare_library(&name.replace('/', "-"), &library),
            None => skipped(&format!("no Debian root for arm64 has {name}")),
        }
    }
}

/// The test suite's root directories for arm64.
fn roots() -> Vec<PathBuf> {
    let under = |name, rest: &str| std::env::var_os(name).map(|dir| PathBuf::from(dir).join(rest));
    let cache = under("FERRY_TEST_CACHE", "")
        .or_else(|| under("XDG_CACHE_HOME", "ferry-tests"))
        .or_else(|| under("HOME", ".cache/ferry-tests"));
    let entries = cache.and_then(|cache| fs::read_dir(cache).ok()).into_iter().flatten().flatten();
    let is_root = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("-arm64-");
    entries.filter(is_root).map(|entry| entry.path()).collect()
}

fn compare_library(name: &str, library: &Path) {
    match library.exists() {
        true => compare_text(name, library),
        false => skipped(&format!("{} is not installed", library.display())),
    }
}

fn compare_text(name: &str, library: &Path) {
    let text = scratch(&format!("{name}.text"));
    let copied = Command::new("aarch64-linux-gnu-objcopy")
        .args(["-O", "binary", "-j", ".text"])
        .arg(library)
        .arg(&text)
        .status();
    if !copied.is_ok_and(|status| status.success()) {
        skipped("aarch64-linux-gnu-objcopy is not installed");
        return;
    }
    let text = fs::read(text).unwrap();
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    compare(name, text.chunks_exact(4).map(word).collect());
}

/// Says so on the real standard error: the test harness keeps back what a passing test prints.
fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: objdump: {reason}");
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("a64-{name}"))
}

/// Compares word by word, and reports the first differences of each mnemonic.
fn compare(name: &str, words: Vec<u32>) {
    let Some(listing) = objdump(name, &words) else {
        skipped("the aarch64-linux-gnu binutils are not installed");
        return;
    };
    assert_eq!(listing.len(), words.len());
    let mut differences = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut count = 0;
    for (index, (&word, theirs)) in words.iter().zip(&listing).enumerate() {
        let ours = disassemble(word, GuestVirt(4 * index as u64));
        if ours != *theirs && !is_deferred(word) && !excused(word, &ours, theirs) {
            let kind = |text: &str| text.split(' ').next().map(String::from).unwrap_or_default();
            let of_kind =
                differences.entry(format!("{}/{}", kind(&ours), kind(theirs))).or_default();
            count += 1;
            if of_kind.len() < 4 {
                of_kind.push(format!("{word:08x}: {ours} | {theirs}"));
            }
        }
    }
    eprintln!("{name}: {} words compared", words.len());
    assert!(
        differences.is_empty(),
        "{count} of {} differ, ours | objdump's:\n{}",
        words.len(),
        differences.into_values().flatten().collect::<Vec<_>>().join("\n")
    );
}

/// Groups of the encoding that are not decoded: SME, SVE.
fn is_deferred(word: u32) -> bool {
    match word >> 25 & 15 {
        0 => word >> 31 == 1,
        2 => true,
        _ => false,
    }
}

/// Where objdump 2.40 departs from the manual.
fn excused(word: u32, ours: &str, theirs: &str) -> bool {
    let name = theirs.split(' ').next().unwrap_or(theirs);
    let (undefined, generic) = (ours.starts_with(".inst"), theirs.starts_with(".inst"));
    match ours.split(' ').next().unwrap_or(ours) {
        _ if undefined && DEFERRED.iter().any(|deferred| deferred.name == name) => true,
        // It prints what is unallocated as a move to or from a system register.
        _ if undefined && is_system(word) => theirs.contains("s0_"),
        // It lets Rs and Rt2 have any value, which should be 31, in stores and LDLAR.
        ".inst" if word >> 23 & 0x7f == 0b0010001 => word & 0x1f_7c00 != 0x1f_7c00,
        // Bit 22 of FMLAL and its like (vector) must be 0.
        ".inst" if name.starts_with("fmlal") || name.starts_with("fmlsl") => word >> 22 & 1 == 1,
        // It has a name for each direction.
        "msr" if ours.contains("dbgdtrrx_el0") => theirs.contains("dbgdtrtx_el0"),
        // The register's name is newer than ours, or of an extension that we leave out.
        "mrs" | "msr" if theirs.contains("s0_") => ours.contains('#'),
        "mrs" | "msr" => ours.contains("s2_") || ours.contains("s3_"),
        // Writing back a register that is loaded has no defined effect.
        "ldpsw" => generic,
        _ => false,
    }
}

/// Of the class of system instructions.
fn is_system(word: u32) -> bool {
    word >> 22 == 0b11_0101_0100
}

/// objdump's text for each word.
fn objdump(name: &str, words: &[u32]) -> Option<Vec<String>> {
    let binary = scratch(&format!("{name}.bin"));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&binary, bytes).unwrap();
    let output = Command::new("aarch64-linux-gnu-objdump")
        .args(["-D", "-z", "-b", "binary", "-m", "aarch64", "-M", "no-aliases"])
        .arg(&binary)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(listing.lines().filter_map(line).collect())
}

/// `  1a:  word  mnemonic operands // comment`, with tabs between.
fn line(line: &str) -> Option<String> {
    let (_, rest) = line.trim_start().split_once(":\t")?;
    let text = rest.split_once('\t')?.1.replace('\t', " ");
    Some(text.split(" //").next()?.split(" ;").next()?.trim_end().into())
}
