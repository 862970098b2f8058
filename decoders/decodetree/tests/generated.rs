//! A table of a little of everything, generated, compiled by rustc, and run.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use ferry_decodetree::Table;

#[test]
fn the_generated_source_compiles_and_does_what_the_table_says() {
    let table = Table::parse([("toy.decode", include_str!("toy.decode"))]).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(directory.join("toy.rs"), table.generate("toy")).unwrap();
    let main = directory.join("toy_main.rs");
    fs::write(&main, include_str!("toy_main.rs.in")).unwrap();
    let program = directory.join("toy_main");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition", "2024", "--test", "-Dwarnings", "-Adead_code", "-o"])
        .args([&program, &main])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn the_source_depends_on_the_table_alone() {
    let generate = || {
        let table = Table::parse([("toy.decode", include_str!("toy.decode"))]).unwrap();
        table.generate("toy")
    };
    assert_eq!(generate(), generate());
}
