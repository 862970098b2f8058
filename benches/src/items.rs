//! What is run: one row of the report each.

use std::path::{Path, PathBuf};
use std::{fs, io};

use testsuite::guests::Guest;
use testsuite::toolchain::{self, Compiler};

use crate::boot::Step;
use crate::memory::HostPages;

/// Rows of one group share a geometric mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Kernels of integer and memory operations.
    Integer,
    /// Kernels of floating-point operations.
    Float,
    /// Real programs.
    Work,
    /// A whole machine, and what runs in it.
    Machine,
    /// Single accesses to memory.
    Memory,
}

/// What an item runs.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// A C file below this crate, compiled for whatever runs it.
    Compiled(&'static str),
    /// The same, for what some guests have of their own and others do otherwise.
    CompiledFor {
        /// Their names.
        guests: &'static [&'static str],
        /// The file.
        source: &'static str,
    },
    /// A program of a foreign root directory. In its path and arguments `{files}` is where inputs are and
    /// `{triplet}` the guest's GNU target.
    Installed {
        /// Which of the guest's systems has it.
        system: System,
        /// Absolute, inside the root.
        path: &'static str,
        /// Without the program's name.
        arguments: &'static [&'static str],
        /// A file below this crate for its standard input.
        input: Option<&'static str>,
    },
    /// A step in the life of a whole machine; see [`crate::boot`].
    Machine(Step),
    /// A line of the program for the bare machine that measures accesses; see [`crate::memory`].
    Line(&'static str, HostPages),
}

/// A guest's Debian systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// `Guest::root`
    Base,
    /// `Guest::large_root`
    Large,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// The row's heading.
    pub name: &'static str,
    /// Whose mean it counts for.
    pub group: Group,
    /// What it runs.
    pub program: Program,
}

const fn kernel(name: &'static str, group: Group, source: &'static str) -> Item {
    Item { name, group, program: Program::Compiled(source) }
}

const fn work(name: &'static str, path: &'static str, arguments: &'static [&'static str]) -> Item {
    in_system(System::Base, name, path, arguments)
}

const fn in_system(
    system: System,
    name: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
) -> Item {
    let program = Program::Installed { system, path, arguments, input: None };
    Item { name, group: Group::Work, program }
}

const fn of_guests(
    guests: &'static [&'static str],
    name: &'static str,
    group: Group,
    source: &'static str,
) -> Item {
    Item { name, group, program: Program::CompiledFor { guests, source } }
}

const AARCH64: &[&str] = &["aarch64"];
const X86_64: &[&str] = &["x86_64"];
/// Those with vectors that compilers use without being asked.
const VECTORS: &[&str] = &["aarch64", "x86_64"];

/// Every item; the first eight are the prime kernels, which figures elsewhere refer to.
pub const ITEMS: [Item; 35] = [
    kernel("sieve", Group::Integer, "kernels/sieve.c"),
    kernel("fib", Group::Integer, "kernels/fib.c"),
    kernel("qsort", Group::Integer, "kernels/qsort.c"),
    kernel("sha256", Group::Integer, "kernels/sha256.c"),
    kernel("matmul", Group::Float, "kernels/matmul.c"),
    kernel("nbody", Group::Float, "kernels/nbody.c"),
    kernel("bytecode", Group::Integer, "kernels/bytecode.c"),
    kernel("hash", Group::Integer, "kernels/hash.c"),
    kernel("strings", Group::Integer, "kernels/strings.c"),
    kernel("lz", Group::Integer, "kernels/lz.c"),
    kernel("bits", Group::Integer, "kernels/bits.c"),
    kernel("objects", Group::Integer, "kernels/objects.c"),
    kernel("mandelbrot", Group::Float, "kernels/mandelbrot.c"),
    of_guests(VECTORS, "saxpy", Group::Float, "kernels/saxpy.c"),
    of_guests(VECTORS, "fir", Group::Integer, "kernels/fir.c"),
    of_guests(AARCH64, "sha256-crypto", Group::Integer, "kernels/sha256_crypto.c"),
    of_guests(AARCH64, "aes-gcm", Group::Integer, "kernels/aes_gcm.c"),
    of_guests(X86_64, "gemm-fma", Group::Float, "kernels/gemm_fma.c"),
    of_guests(X86_64, "bytes-avx2", Group::Integer, "kernels/bytes_avx2.c"),
    of_guests(X86_64, "x87", Group::Float, "kernels/x87.c"),
    kernel("hello-static", Group::Work, "inputs/hello.c"),
    work("hello-dynamic", "/bin/echo", &["hello"]),
    work(
        "bash-loop",
        "/bin/bash",
        &["-c", "n=0; for ((i = 0; i < 12000; i++)); do ((n += i % 7)); done; echo $n ${n//1/x}"],
    ),
    work("python-start", "/usr/bin/python3", &["-c", "pass"]),
    work("python-words", "/usr/bin/python3", &["{files}/words.py"]),
    work(
        "gcc-cc1",
        "/usr/libexec/gcc/{triplet}/14/cc1",
        &["-quiet", "-O2", "-fpreprocessed", "{files}/sha256.i", "-o", "-"],
    ),
    work("xz", "/usr/bin/xz", &["-6", "--threads=1", "--stdout", "{files}/text"]),
    work("unxz", "/usr/bin/xz", &["--decompress", "--stdout", "{files}/text.xz"]),
    work("zstd", "/usr/bin/zstd", &["-q", "-9", "--single-thread", "--stdout", "{files}/text"]),
    Item {
        name: "sqlite",
        group: Group::Work,
        program: Program::Installed {
            system: System::Base,
            path: "/usr/bin/sqlite3",
            arguments: &["-batch", ":memory:"],
            input: Some("inputs/orders.sql"),
        },
    },
    work("openssl-sha256", "/usr/bin/openssl", &["dgst", "-sha256", "-binary", "{files}/data"]),
    work(
        "openssl-gcm",
        "/usr/bin/openssl",
        &[
            "cms",
            "-decrypt",
            "-binary",
            "-inform",
            "DER",
            "-secretkey",
            GCM_KEY,
            "-in",
            "{files}/data.cms",
        ],
    ),
    in_system(System::Large, "libcrypto-gcm", "/usr/bin/php8.4", &["-r", GCM_BY_PHP]),
    work(
        "ripgrep",
        "/usr/bin/rg",
        &["-j1", "--no-mmap", "-c", "[aeiou]{3}[^aeiou ]{4}", "{files}/text"],
    ),
    in_system(
        System::Large,
        "x264",
        "/usr/bin/x264",
        &[
            "--quiet",
            "--no-progress",
            "--threads",
            "1",
            "--preset",
            "fast",
            "-o",
            "-",
            "--muxer",
            "raw",
            "{files}/pictures.y4m",
        ],
    ),
];

/// AES-128-GCM of OpenSSL's library on 256 MiB, by the shortest program around it that Debian has: `openssl cms` spends more time
/// on the rest than on this.
const GCM_BY_PHP: &str = "$key = '0123456789abcdef'; $nonce = 'nonce of GCM'; $data = str_repeat('data', 1 << 20); \
    for ($n = 0; $n < 64; $n++) $text = openssl_encrypt($data, 'aes-128-gcm', $key, OPENSSL_RAW_DATA, $nonce, $tag); \
    echo bin2hex($tag), PHP_EOL;";

/// The key-encryption key of `data.cms`, in which AES-128-GCM protects `data`.
const GCM_KEY: &str = "000102030405060708090a0b0c0d0e0f";

impl Item {
    /// Whether the guest has such programs.
    #[must_use]
    pub fn is_for(&self, guest: &Guest) -> bool {
        match self.program {
            Program::CompiledFor { guests, .. } => guests.contains(&guest.name),
            Program::Installed { system: System::Large, .. } => guest.large_root.is_some(),
            _ => true,
        }
    }
}

/// The first eight of [`ITEMS`].
pub const PRIME_KERNELS: usize = 8;

/// Where a file of this crate is.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Builds a C item: static, optimised, and with each operation rounded by itself, so that hosts
/// and guests with and without fused multiply-add compute the same.
///
/// # Errors
/// When the compiler is absent or fails.
pub fn build(path: &str, compiler: Compiler) -> Result<PathBuf, toolchain::Error> {
    compiler.build(&source(path), &["-O2", "-static", "-ffp-contract=off", "-lm"])
}

/// Where inputs are inside a root directory.
pub const FILES: &str = "/tmp/ferry-bench";

/// Lays the inputs of the installed programs out in `root`.
///
/// # Errors
/// When a file cannot be written, or the preprocessor fails.
pub fn lay_out_inputs(root: &Path, compiler: Compiler) -> Result<(), toolchain::Error> {
    let directory = root.join(FILES.trim_start_matches('/'));
    fs::create_dir_all(&directory)?;
    let text = text_of(1 << 20);
    fs::write(directory.join("text"), &text)?;
    fs::write(directory.join("data"), data_of(24 << 20))?;
    fs::copy(source("inputs/words.py"), directory.join("words.py"))?;
    fs::write(directory.join("pictures.y4m"), pictures_of(352, 288, 200))?;
    compress(&directory)?;
    encrypt(&directory)?;
    preprocess(compiler, &source("kernels/sha256.c"), &directory.join("sha256.i"))
}

fn preprocess(compiler: Compiler, from: &Path, to: &Path) -> Result<(), toolchain::Error> {
    let mut command = std::process::Command::new(compiler.program());
    check(command.args(["-E", "-P", "-O2", "-U_FORTIFY_SOURCE", "-o"]).arg(to).arg(from), from)
}

fn compress(directory: &Path) -> Result<(), toolchain::Error> {
    let mut command = std::process::Command::new("xz");
    check(command.args(["--keep", "--force", "--threads=1"]).arg(directory.join("text")), directory)
}

/// The key of the content is chosen by chance, but what decrypting takes does not depend on it.
fn encrypt(directory: &Path) -> Result<(), toolchain::Error> {
    let mut command = std::process::Command::new("openssl");
    command.args(["cms", "-encrypt", "-binary", "-outform", "DER", "-aes-128-gcm"]);
    command.args(["-secretkey", GCM_KEY, "-secretkeyid", "01"]);
    command.arg("-in").arg(directory.join("data")).arg("-out").arg(directory.join("data.cms"));
    check(&mut command, directory)
}

fn check(command: &mut std::process::Command, about: &Path) -> Result<(), toolchain::Error> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(toolchain::Error::Io(io::Error::other(format!("{}: {message}", about.display()))))
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Lines of words from a vocabulary with a natural skew, the same ones every time.
fn text_of(length: usize) -> Vec<u8> {
    let mut state = 0x5eed_u64;
    let word = |state: &mut u64| -> Vec<u8> {
        let letters = 2 + xorshift(state) % 9;
        (0..letters)
            .map(|_| {
                b"etaoinshrdlucmfwypvbgkjqxz"
                    [(xorshift(state) % 26).min(xorshift(state) % 26) as usize]
            })
            .collect()
    };
    let vocabulary: Vec<Vec<u8>> = (0..4000).map(|_| word(&mut state)).collect();
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let range = 1 << (2 + xorshift(&mut state) % 11);
        text.extend(&vocabulary[(xorshift(&mut state) % range) as usize % vocabulary.len()]);
        text.push(if xorshift(&mut state).is_multiple_of(11) { b'\n' } else { b' ' });
    }
    text.truncate(length);
    text
}

fn data_of(length: usize) -> Vec<u8> {
    let mut state = 0xda7a_u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        data.extend(xorshift(&mut state).to_le_bytes());
    }
    data.truncate(length);
    data
}

/// A sequence of pictures (YUV4MPEG2, 4:2:0): a gradient and blocks that move before it, with noise.
fn pictures_of(width: usize, height: usize, count: usize) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n").into_bytes();
    let mut state = 0xf11e_u64;
    for picture in 0..count {
        file.extend(b"FRAME\n");
        for y in 0..height {
            for x in 0..width {
                let block = (x + 3 * picture) / 24 % 5 == 0 && (y + 2 * picture) / 24 % 4 == 0;
                let noise = xorshift(&mut state) as usize % 5;
                let value = if block { 200 } else { (x + y + picture) / 3 % 160 + 20 };
                file.push((value + noise) as u8);
            }
        }
        for plane in 0..2 {
            let chroma = |at: usize| (112 + (at / 16 + picture * (plane + 1)) % 32) as u8;
            file.extend((0..width * height / 4).map(|at| chroma(at % (width / 2))));
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sources_exist() {
        let mut names: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ITEMS.len());
        for item in ITEMS {
            if let Program::Compiled(path) | Program::CompiledFor { source: path, .. } =
                item.program
            {
                assert!(source(path).is_file(), "{path}");
            }
        }
        assert!(
            ITEMS[..PRIME_KERNELS].iter().all(|item| matches!(item.program, Program::Compiled(_)))
        );
    }

    #[test]
    fn inputs_are_the_same_every_time() {
        assert_eq!(text_of(5000), text_of(5000));
        assert_eq!(text_of(5000).len(), 5000);
        assert_eq!(data_of(13).len(), 13);
        assert_eq!(pictures_of(32, 16, 2), pictures_of(32, 16, 2));
        let head = "YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C420jpeg\n".len();
        assert_eq!(pictures_of(32, 16, 2).len(), head + 2 * (6 + 32 * 16 * 3 / 2));
    }

    #[test]
    fn kernels_print_the_same_twice_on_the_host() {
        let Ok(program) = build("kernels/bits.c", Compiler::Host) else { return };
        let print = || {
            std::process::Command::new(&program)
                .arg("1")
                .output()
                .expect("the kernel starts")
                .stdout
        };
        assert!(print().starts_with(b"bits iterations=1 checksum="));
        assert_eq!(print(), print());
    }
}
