//! Dependencies come from crates.io under licences that `deny.toml` allows. cargo-deny checks more;
//! this needs nothing but cargo.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Policy {
    licenses: Licences,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    source: Option<String>,
}

fn policy() -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml");
    toml::from_str(&std::fs::read_to_string(path).expect("deny.toml is there"))
        .expect("deny.toml is well formed")
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout)
        .expect("cargo prints its metadata as JSON")
        .packages
}

/// Whether an SPDX expression can be met with the allowed licences.
fn acceptable(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // OR binds weaker than AND; the old form MIT/Apache-2.0 means OR.
    let expression = expression.replace('/', " OR ");
    let grouped = parenthesised(&expression, allowed);
    grouped.split(" OR ").any(|branch| {
        branch
            .split(" AND ")
            .all(|licence| licence.trim() == "(yes)" || allowed.contains(licence.trim()))
    })
}

/// Replaces each innermost group by the fitting member of (yes) and (no), until none is left.
fn parenthesised(expression: &str, allowed: &BTreeSet<String>) -> String {
    let mut text = expression.to_owned();
    while let Some((open, close)) = innermost(&text) {
        let verdict = if acceptable(&text[open + 1..close], allowed) {
            "\u{1}yes\u{2}"
        } else {
            "\u{1}no\u{2}"
        };
        text.replace_range(open..=close, verdict);
    }
    text.replace('\u{1}', "(").replace('\u{2}', ")")
}

fn innermost(text: &str) -> Option<(usize, usize)> {
    let close = text.find(')')?;
    Some((text[..close].rfind('(')?, close))
}

#[test]
fn dependencies_are_licensed_and_published() {
    let policy = policy();
    let packages = packages();
    let foreign: Vec<&Package> =
        packages.iter().filter(|package| package.source.is_some()).collect();
    assert!(foreign.len() > 20, "cargo metadata lists only {} dependencies", foreign.len());
    for package in foreign {
        let licence = package.license.as_deref().unwrap_or("none");
        assert!(acceptable(licence, &policy.licenses.allow), "{}: licence {licence}", package.name);
        let source = package.source.as_deref().unwrap_or_default();
        let published = policy
            .sources
            .allow_registry
            .iter()
            .any(|registry| source.ends_with(registry.as_str()));
        assert!(published, "{}: from {source}", package.name);
    }
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
    for good in [
        "MIT",
        "GPL-2.0 OR MIT",
        "MIT/GPL-3.0",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "(GPL-2.0 AND X) OR MIT",
    ] {
        assert!(acceptable(good, &allowed), "{good}");
    }
    for bad in ["GPL-2.0", "MIT AND GPL-2.0", "(GPL-2.0 OR X) AND MIT", ""] {
        assert!(!acceptable(bad, &allowed), "{bad}");
    }
}
