//! What the programs of other Ferry processes are: to the host they are all Ferry.

use std::fs;

/// Key of the program headers' address in an auxiliary vector.
const AT_PHDR: u64 = 3;

/// The host's path of the program that runs in another process, if that is a Ferry. Known where the
/// host shows this user its auxiliary vector, which [`super::announce`] made the guest's.
pub(super) fn program_of(pid: i32, host_exe: &[u8]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let own = fs::read_link("/proc/self/exe").ok()?;
    if own.as_os_str().as_bytes() != host_exe {
        return None;
    }
    let headers = find(&fs::read(format!("/proc/{pid}/auxv")).ok()?, AT_PHDR)?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    mapped_at(&maps, headers).map(|path| path.as_bytes().to_vec())
}

/// The value of a key in an auxiliary vector.
fn find(auxv: &[u8], wanted: u64) -> Option<u64> {
    let words: Vec<u64> =
        auxv.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
    words.as_chunks::<2>().0.iter().find(|[key, _]| *key == wanted).map(|[_, value]| *value)
}

/// The file that is mapped at an address, as /proc/PID/maps says.
fn mapped_at(maps: &str, addr: u64) -> Option<&str> {
    let number = |text| u64::from_str_radix(text, 16).ok();
    maps.lines().find_map(|line| {
        let (range, _) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let path = line.splitn(6, ' ').nth(5)?.trim_start();
        let holds = (number(start)?..number(end)?).contains(&addr);
        (holds && path.starts_with('/')).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_by_its_headers() {
        let auxv: Vec<u8> =
            [6_u64, 4096, AT_PHDR, 0x1_0040, 0, 0].iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(find(&auxv, AT_PHDR), Some(0x1_0040));
        assert_eq!(find(&auxv, 99), None);
        let maps = "00010000-00020000 r--p 00000000 fe:00 12   /usr/bin/a b\n\
                    7ff00000-7ff01000 rw-p 00000000 00:00 0 \n";
        assert_eq!(mapped_at(maps, 0x1_0040), Some("/usr/bin/a b"));
        assert_eq!(mapped_at(maps, 0x7ff0_0000), None);
    }

    #[test]
    fn a_process_that_is_no_ferry_is_left_alone() {
        assert_eq!(program_of(1, b"/sbin/init"), None);
    }
}
