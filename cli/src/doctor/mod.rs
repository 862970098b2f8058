//! `ferry doctor`: what this host offers, what it lacks, and what to do about it.

mod host;
mod probe;

use std::fmt::Write as _;

use crate::print;

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finding {
    /// It is there.
    Ok,
    /// Ferry works without it, but slower or with less.
    Absent,
    /// Programs will not run without it.
    Broken,
}

/// One thing that the host may offer.
struct Check {
    /// In a word or two.
    name: String,
    finding: Finding,
    /// What was seen, or what it is for.
    detail: String,
    /// What to do if it is not there.
    remedy: &'static str,
}

impl Check {
    /// Something that Ferry cannot do without.
    fn needed(name: &str, there: bool, detail: String, remedy: &'static str) -> Self {
        let finding = if there { Finding::Ok } else { Finding::Broken };
        Self { name: name.to_owned(), finding, detail, remedy }
    }

    /// Something that makes Ferry better.
    fn wanted(name: &str, there: bool, detail: String, remedy: &'static str) -> Self {
        let finding = if there { Finding::Ok } else { Finding::Absent };
        Self { name: name.to_owned(), finding, detail, remedy }
    }
}

/// Prints a line for each check, and its remedy where one is called for. The status is 1 if
/// something is missing that Ferry needs.
pub(crate) fn main() -> u8 {
    let checks: Vec<Check> = host::checks().into_iter().chain(probe::checks()).collect();
    print(&report(&checks));
    u8::from(checks.iter().any(|check| check.finding == Finding::Broken))
}

fn report(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let finding = match check.finding {
            Finding::Ok => "ok",
            Finding::Absent => "absent",
            Finding::Broken => "BROKEN",
        };
        let _ = writeln!(text, "{finding:<7} {:<16} {}", check.name, check.detail);
        if check.finding != Finding::Ok {
            let _ = writeln!(text, "{:24} -> {}", "", check.remedy);
        }
    }
    let count = |finding| checks.iter().filter(|check| check.finding == finding).count();
    let _ = match (count(Finding::Broken), count(Finding::Absent)) {
        (0, 0) => writeln!(text, "This host has everything that ferry uses."),
        (0, absent) => writeln!(text, "Ferry works here; {absent} things would make it better."),
        (broken, _) => {
            writeln!(text, "Ferry does not work fully here: {broken} things are broken.")
        }
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_its_remedy() {
        let there = Check::needed("there", true, "seen".into(), "nothing to do");
        let slow = Check::wanted("slow", false, "for speed".into(), "buy one");
        let broken = Check::needed("broken", false, "for all".into(), "mend it");
        let text = report(&[there, slow]);
        assert!(text.contains("ok      there") && !text.contains("nothing to do"));
        assert!(text.contains("absent  slow") && text.contains("-> buy one"));
        assert!(text.contains("1 things would"));
        assert!(report(&[broken]).contains("BROKEN  broken"));
    }

    #[test]
    fn the_host_that_tests_ferry_runs_it() {
        for check in host::checks().into_iter().chain(probe::checks()) {
            assert_ne!(check.finding, Finding::Broken, "{}: {}", check.name, check.detail);
        }
    }
}
