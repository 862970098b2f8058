//! What is mapped, as /proc/PID/maps says it (proc_pid_maps(5)).

use base::addr::PAGE_SIZE;
use diff::Mapping;

/// The lines that are some.
pub(crate) fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let [read, write, execute, _] = *words.next()?.as_bytes() else { return None };
    let range = number(start)?..number(end)?;
    let offset = words.next().and_then(number).unwrap_or(0);
    let path = words.nth(2).filter(|path| path.starts_with('/'));
    let filled =
        path.and_then(|path| std::fs::metadata(path).ok()).filter(std::fs::Metadata::is_file);
    let filled = filled.map_or(range.end, |file| {
        let there = file.len().saturating_sub(offset).next_multiple_of(PAGE_SIZE);
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
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].range, 0x10000..0x12000);
        assert_eq!((found[0].read, found[0].write, found[0].execute), (true, false, true));
        assert_eq!(at(&found, 0x4000_0fff), Some(&found[1]));
        assert_eq!((at(&found, 0x12000), at(&found, 0)), (None, None));
    }
}
