//! Compiles the instruction tables of each guest to Rust.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The tables of RISC-V, shared definitions first, then in the manual's chapter order.
const RISCV64: &[&str] = &[
    "extensions",
    "formats",
    "rv_i",
    "rv_zicsr",
    "rv_m",
    "rv_a",
    "rv_zicbo",
    "rv_f",
    "rv_d",
    "rv_zfh",
    "rv_zfa",
    "rv_b",
    "rv_k",
    "rv_c",
    "privileged",
    "deferred",
];

/// The tables of A64, shared definitions first, then in the order of the manual's chapter C4.
const AARCH64: &[&str] = &[
    "extensions",
    "formats",
    "formats_simd",
    "dp_imm",
    "branch",
    "ldst",
    "dp_reg",
    "simd_scalar",
    "simd_vector",
    "fp",
    "crypto",
    "deferred",
];

fn main() -> Result<(), Box<dyn Error>> {
    compile("riscv64", RISCV64)?;
    compile("aarch64", AARCH64)
}

fn compile(guest: &str, tables: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for table in tables {
        let path = Path::new(guest).join(table).with_extension("decode");
        println!("cargo::rerun-if-changed={}", path.display());
        files.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let table = decodetree::Table::parse(files)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join(guest).with_extension("rs"), table.generate(guest))?;
    Ok(())
}
