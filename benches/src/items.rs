//! What is run: one row of the report each.

use std::path::{Path, PathBuf};
use std::{fs, io};

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
    /// A program of the foreign root directory. `{files}` in its arguments is where inputs are.
    Installed {
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
    Item { name, group: Group::Work, program: Program::Installed { path, arguments, input: None } }
}

/// Every item; the first eight are the prime kernels, which figures elsewhere refer to.
pub const ITEMS: [Item; 25] = [
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
        "/usr/libexec/gcc/riscv64-linux-gnu/14/cc1",
        &["-quiet", "-O2", "-fpreprocessed", "{files}/sha256.i", "-o", "-"],
    ),
    work("xz", "/usr/bin/xz", &["-6", "--threads=1", "--stdout", "{files}/text"]),
    work("unxz", "/usr/bin/xz", &["--decompress", "--stdout", "{files}/text.xz"]),
    work("zstd", "/usr/bin/zstd", &["-q", "-9", "--single-thread", "--stdout", "{files}/text"]),
    Item {
        name: "sqlite",
        group: Group::Work,
        program: Program::Installed {
            path: "/usr/bin/sqlite3",
            arguments: &["-batch", ":memory:"],
            input: Some("inputs/orders.sql"),
        },
    },
    work("openssl-sha256", "/usr/bin/openssl", &["dgst", "-sha256", "-binary", "{files}/data"]),
    work(
        "ripgrep",
        "/usr/bin/rg",
        &["-j1", "--no-mmap", "-c", "[aeiou]{3}[^aeiou ]{4}", "{files}/text"],
    ),
];

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
pub fn lay_out_inputs(root: &Path) -> Result<(), toolchain::Error> {
    let directory = root.join(FILES.trim_start_matches('/'));
    fs::create_dir_all(&directory)?;
    let text = text_of(1 << 20);
    fs::write(directory.join("text"), &text)?;
    fs::write(directory.join("data"), data_of(24 << 20))?;
    fs::copy(source("inputs/words.py"), directory.join("words.py"))?;
    compress(&directory)?;
    preprocess(&source("kernels/sha256.c"), &directory.join("sha256.i"))
}

fn preprocess(from: &Path, to: &Path) -> Result<(), toolchain::Error> {
    let mut command = std::process::Command::new(Compiler::Riscv64.program());
    check(command.args(["-E", "-P", "-O2", "-U_FORTIFY_SOURCE", "-o"]).arg(to).arg(from), from)
}

fn compress(directory: &Path) -> Result<(), toolchain::Error> {
    let mut command = std::process::Command::new("xz");
    check(command.args(["--keep", "--force", "--threads=1"]).arg(directory.join("text")), directory)
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
            if let Program::Compiled(path) = item.program {
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
