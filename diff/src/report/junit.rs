//! A verdict as JUnit XML: a suite of one test case, which fails where the executions part.

use super::{Context, text};
use crate::compare::{Counts, Verdict};

/// A whole document.
#[must_use]
pub fn junit(verdict: &Verdict, context: &Context<'_>) -> String {
    let [reference, subject] = context.names.map(escaped);
    let (Verdict::Same(counts) | Verdict::Different(counts, _)) = verdict;
    let Counts { instructions, .. } = counts;
    let failure = match verdict {
        Verdict::Same(_) => String::new(),
        Verdict::Different(..) => {
            let report = text(verdict, context);
            let first = escaped(report.lines().next().unwrap_or_default());
            format!("      <failure message=\"{first}\">{}</failure>\n", escaped(&report))
        }
    };
    let failures = u8::from(!failure.is_empty());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"ferry diff\" tests=\"1\" \
         failures=\"{failures}\">\n    <testcase classname=\"{}\" name=\"{subject} against {reference}\" \
         assertions=\"{instructions}\">\n{failure}    </testcase>\n  </testsuite>\n</testsuites>\n",
        context.architecture.name()
    )
}

/// Text as XML 1.0 can hold it: without its five special characters, and without control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_cannot_break_the_document() {
        assert_eq!(escaped("a<\"b\">&\u{1}\n"), "a&lt;&quot;b&quot;&gt;&amp;?\n");
    }
}
