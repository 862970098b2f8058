//! What is mapped, as /proc/PID/maps says it (proc_pid_maps(5)).

use std::path::Path;

use base::addr::PAGE_SIZE;
use diff::Mapping;

/// The lines that are some, of a process of this number if it is known.
pub(crate) fn parse(text: &str, process: Option<u32>) -> Vec<Mapping> {
    text.lines().filter_map(|text| line(text, process)).collect()
}

/// How long a file is; `None` if it is none.
fn length(path: &str, process: Option<u32>) -> Option<u64> {
    const DELETED: &str = " (deleted)";
    let of = |path: &Path| {
        std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
    };
    if !path.ends_with(DELETED) {
        return of(Path::new(path));
    }
    // Memory that is shared without a file.
    if path.starts_with("/dev/zero") || path.starts_with("/SYSV") {
        return None;
    }
    let links = |dir| std::fs::read_dir(format!("/proc/{}/{dir}", process?)).ok();
    let links = ["fd", "map_files"].into_iter().filter_map(links).flatten().flatten();
    let mut same = links
        .map(|link| link.path())
        .filter(|link| std::fs::read_link(link).is_ok_and(|target| target == Path::new(path)));
    // What nobody has open any more, nobody can be asked about: nothing is copied.
    Some(same.find_map(|link| of(&link)).unwrap_or(0))
}

fn line(line: &str, process: Option<u32>) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let [read, write, execute, _] = *words.next()?.as_bytes() else { return None };
    let range = number(start)?..number(end)?;
    let offset = words.next().and_then(number).unwrap_or(0);
    let path = line.find('/').map(|at| line[at..].trim_end());
    let filled = path.and_then(|path| length(path, process)).map_or(range.end, |len| {
        let there = len.saturating_sub(offset).next_multiple_of(PAGE_SIZE);
        range.end.min(range.start.saturating_add(there))
    });
    let (read, write, execute) = (read == b'r', write == b'w', execute == b'x');
    (range.start < range.end).then_some(Mapping { range, read, write, execute, filled })
}

/// The mapping of which an address is part.
pub(crate) fn at(mappings: &[Mapping], addr: u64) -> Option<&Mapping> {
    let next = mappings.partition_point(|mapping| mapping.range.end <= addr);
    mappings.get(next).filter(|mapping| mapping.range.contains(&addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let text = "00010000-00012000 r-xp 00000000 08:01 17   /bin/true\nnonsense\n40000000-40001000 rw-p 0 0:0 0\n";
        let found = parse(text, None);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].range, 0x10000..0x12000);
        assert_eq!((found[0].read, found[0].write, found[0].execute), (true, false, true));
        assert_eq!(at(&found, 0x4000_0fff), Some(&found[1]));
        assert_eq!((at(&found, 0x12000), at(&found, 0)), (None, None));
    }
}
