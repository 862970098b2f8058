//! Known failures: cases that are expected to fail, each with its reason.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    failure: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    suite: String,
    case: String,
    reason: String,
}

/// The known failures of one suite: reasons by the names of cases.
#[derive(Debug, Default)]
pub struct Known {
    reasons: BTreeMap<String, String>,
}

impl Known {
    /// Those of `suite` in `testsuite/known-failures.toml`.
    ///
    /// # Errors
    /// A message, when the file is absent, malformed, or gives no reason for a failure.
    pub fn read(suite: &str) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("known-failures.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text, suite).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str, suite: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(silent) = file.failure.iter().find(|failure| failure.reason.trim().is_empty()) {
            return Err(format!("{} has no reason", silent.case));
        }
        let ours = file.failure.into_iter().filter(|failure| failure.suite == suite);
        Ok(Self { reasons: ours.map(|failure| (failure.case, failure.reason)).collect() })
    }

    /// Entries for which `exists` is false: nobody would notice that they are out of date.
    pub fn stale(&self, exists: impl Fn(&str) -> bool) -> Vec<&str> {
        self.reasons.keys().map(String::as_str).filter(|case| !exists(case)).collect()
    }

    /// Turns a case's result round if it is known to fail.
    ///
    /// # Errors
    /// The case's own failure, or a message that it passes now.
    pub fn judge(&self, case: &str, result: Result<(), String>) -> Result<(), String> {
        let reason = self.reasons.get(case).or_else(|| self.reasons.get(&in_main_release(case)?));
        match (reason, result) {
            (None, result) => result,
            (Some(_), Err(_)) => Ok(()),
            (Some(reason), Ok(())) => Err(format!(
                "passes, but known-failures.toml says it fails: {reason}\nRemove its entry."
            )),
        }
    }
}

/// `guest::case` of `guest-release::case`: what fails in one release fails in all.
fn in_main_release(case: &str) -> Option<String> {
    let (guest, case) = case.split_once("::")?;
    Some(format!("{}::{case}", guest.split_once('-')?.0))
}

#[cfg(test)]
mod tests {
    use super::Known;

    const TEXT: &str = "[[failure]]\nsuite = \"guest\"\ncase = \"a\"\nreason = \"why\"\n";

    #[test]
    fn a_known_failure_passes_and_an_unexpected_pass_fails() {
        let known = Known::parse(TEXT, "guest").expect("well formed");
        assert!(known.judge("a", Err("boom".into())).is_ok());
        assert!(known.judge("a", Ok(())).is_err());
        assert!(known.judge("b", Err("boom".into())).is_err());
        assert_eq!(known.stale(|case| case == "b"), ["a"]);
    }

    #[test]
    fn an_entry_holds_for_all_releases() {
        let known = Known::parse(&TEXT.replace("\"a\"", "\"g::a\""), "guest").expect("well formed");
        assert!(known.judge("g-old::a", Err("boom".into())).is_ok());
        assert!(known.judge("g-old::a", Ok(())).is_err());
        assert!(known.judge("h-old::a", Err("boom".into())).is_err());
    }

    #[test]
    fn a_reason_is_required() {
        assert!(Known::parse(&TEXT.replace("why", " "), "guest").is_err());
    }
}
