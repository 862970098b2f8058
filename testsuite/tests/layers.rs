//! Dependencies between the workspace's crates point one way: down.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// For each crate, which crates of ours it may depend on. A crate that is not here fails the test.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("ferry-base", &[]),
    ("ferry-arch", &["ferry-base"]),
    ("ferry-ir", &["ferry-base"]),
    ("ferry-decodetree", &[]),
    ("ferry-decoders", &["ferry-base", "ferry-arch", "ferry-decodetree"]),
    ("ferry-softmmu", &["ferry-base", "ferry-arch"]),
    ("ferry-trace", &["ferry-base", "ferry-arch"]),
    ("ferry-diff", &["ferry-base", "ferry-arch", "ferry-decoders", "ferry-trace"]),
    ("ferry-translator", &["ferry-base", "ferry-arch", "ferry-ir", "ferry-decoders"]),
    ("ferry-backend", &["ferry-base", "ferry-ir"]),
    ("ferry-fuzz", BELOW_FUZZ),
    ("ferry-runtime", BELOW_RUNTIME),
    ("ferry-linux-user", BELOW_MODES),
    ("ferry-system", BELOW_MODES),
    ("ferry-live", BELOW_LIVE),
    ("ferry", BELOW_CLI),
    ("ferry-testsuite", BELOW_CLI),
    ("ferry-benches", WITH_TESTSUITE),
];

const BELOW_RUNTIME: &[&str] = &[
    "ferry-base",
    "ferry-arch",
    "ferry-ir",
    "ferry-decoders",
    "ferry-softmmu",
    "ferry-translator",
    "ferry-backend",
];

const BELOW_FUZZ: &[&str] = &[
    "ferry-base",
    "ferry-trace",
    "ferry-arch",
    "ferry-ir",
    "ferry-decoders",
    "ferry-translator",
    "ferry-backend",
];

const BELOW_MODES: &[&str] = &[
    "ferry-base",
    "ferry-trace",
    "ferry-arch",
    "ferry-ir",
    "ferry-decoders",
    "ferry-softmmu",
    "ferry-translator",
    "ferry-runtime",
];

const BELOW_LIVE: &[&str] = &[
    "ferry-base",
    "ferry-trace",
    "ferry-diff",
    "ferry-arch",
    "ferry-ir",
    "ferry-decoders",
    "ferry-softmmu",
    "ferry-translator",
    "ferry-backend",
    "ferry-runtime",
    "ferry-linux-user",
    "ferry-system",
];

const BELOW_CLI: &[&str] = &[
    "ferry-base",
    "ferry-trace",
    "ferry-diff",
    "ferry-fuzz",
    "ferry-arch",
    "ferry-ir",
    "ferry-decodetree",
    "ferry-decoders",
    "ferry-softmmu",
    "ferry-translator",
    "ferry-backend",
    "ferry-runtime",
    "ferry-linux-user",
    "ferry-system",
    "ferry-live",
];

const WITH_TESTSUITE: &[&str] = &[
    "ferry-base",
    "ferry-trace",
    "ferry-diff",
    "ferry-fuzz",
    "ferry-arch",
    "ferry-ir",
    "ferry-decodetree",
    "ferry-decoders",
    "ferry-softmmu",
    "ferry-translator",
    "ferry-backend",
    "ferry-runtime",
    "ferry-linux-user",
    "ferry-system",
    "ferry-live",
    "ferry-testsuite",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<String>,
}

fn workspace_packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).expect("cargo prints its metadata as JSON");
    metadata.packages
}

/// Every edge between crates of ours, development and build dependencies included, that `allowed`
/// does not have.
fn forbidden_edges(packages: &[Package], allowed: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut forbidden = Vec::new();
    for package in packages {
        let Some(below) = allowed.get(package.name.as_str()) else {
            forbidden.push(format!("{} has no place among the layers", package.name));
            continue;
        };
        let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        let upward = ours.filter(|dependency| !below.contains(dependency.name.as_str()));
        forbidden
            .extend(upward.map(|dependency| format!("{} -> {}", package.name, dependency.name)));
    }
    forbidden
}

fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    ALLOWED.iter().map(|(name, below)| (*name, below.iter().copied().collect())).collect()
}

#[test]
fn crates_depend_only_on_lower_layers() {
    let packages = workspace_packages();
    assert!(packages.len() >= 13, "cargo metadata lists only {} packages", packages.len());
    let forbidden = forbidden_edges(&packages, &allowed());
    assert!(
        forbidden.is_empty(),
        "dependencies that the layers forbid:\n  {}",
        forbidden.join("\n  ")
    );
}

#[test]
fn the_layers_themselves_have_no_cycle() {
    let mut left = allowed();
    while !left.is_empty() {
        let lowest: Vec<&str> = left
            .iter()
            .filter(|(_, below)| !below.iter().any(|b| left.contains_key(b)))
            .map(|(n, _)| *n)
            .collect();
        assert!(!lowest.is_empty(), "a cycle among {:?}", left.keys());
        left.retain(|name, _| !lowest.contains(name));
    }
}

#[test]
fn an_upward_edge_is_found() {
    let dependency = Dependency { name: "ferry-runtime".into(), path: Some("../runtime".into()) };
    let package = Package { name: "ferry-backend".into(), dependencies: vec![dependency] };
    assert_eq!(forbidden_edges(&[package], &allowed()), ["ferry-backend -> ferry-runtime"]);
}
