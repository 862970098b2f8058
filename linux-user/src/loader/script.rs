//! `#!` scripts, as the kernel's `binfmt_script` reads them.

/// How much of a file the kernel looks at (`BINPRM_BUF_SIZE`).
pub(crate) const LINE_LIMIT: usize = 256;

/// The first line of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shebang {
    /// The interpreter's path.
    pub(crate) interpreter: Vec<u8>,
    /// Everything after it, as one argument.
    pub(crate) argument: Option<Vec<u8>>,
}

/// Reads a script's first line from the first [`LINE_LIMIT`] bytes of a file (fewer if the file is
/// shorter). `None` if it is no script, or if its interpreter's path does not fit.
pub(crate) fn parse(start: &[u8]) -> Option<Shebang> {
    let start = &start[..start.len().min(LINE_LIMIT)];
    let rest = start.strip_prefix(b"#!")?;
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let (line, cut) = match rest.iter().position(|b| matches!(b, b'\n' | 0)) {
        Some(end) => (&rest[..end], false),
        None => (rest, start.len() == LINE_LIMIT),
    };
    let first = line.iter().position(|b| !blank(b))?;
    let line = &line[first..];
    let path_end = line.iter().position(blank);
    if cut && path_end.is_none() {
        return None;
    }
    let (path, rest) = line.split_at(path_end.unwrap_or(line.len()));
    let argument = rest.trim_ascii();
    Some(Shebang {
        interpreter: path.to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, Option<&str>)>) {
        let found = parse(line.as_bytes());
        let found = found.as_ref().map(|s| {
            let text = |bytes: &'_ [u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&s.interpreter), s.argument.as_deref().map(text))
        });
        let expected = expected.map(|(path, arg)| (path.to_owned(), arg.map(str::to_owned)));
        assert_eq!(found, expected, "{line:?}");
    }

    #[test]
    fn lines_are_read_as_the_kernel_reads_them() {
        check("#!/bin/sh\n", Some(("/bin/sh", None)));
        check("#!/bin/sh", Some(("/bin/sh", None)));
        check("#! \t/usr/bin/env  python3 -u \nx", Some(("/usr/bin/env", Some("python3 -u"))));
        check("#!\n", None);
        check("#! ", None);
        check("# /bin/sh\n", None);
        check("", None);
        check(&format!("#!/{}", "a".repeat(400)), None);
        let long = format!("#!/bin/sh {}", "a".repeat(400));
        check(&long, Some(("/bin/sh", Some(&"a".repeat(246)))));
    }
}
