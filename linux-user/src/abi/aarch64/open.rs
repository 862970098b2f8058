//! The `O_…` flags that arm64 numbers in its own way (`arch/arm64/include/uapi/asm/fcntl.h`).

use crate::host;

/// This guest's bit and the host's.
const DIFFERENT: [(i32, i32); 4] = [
    (0o4_0000, libc::O_DIRECTORY),
    (0o10_0000, libc::O_NOFOLLOW),
    (0o20_0000, libc::O_DIRECT),
    (0o40_0000, host::O_LARGEFILE),
];

/// The host's values of guest flags.
pub(super) fn to_host(flags: i32) -> i32 {
    translate(flags, DIFFERENT)
}

/// This guest's values of host flags.
pub(super) fn from_host(flags: i32) -> i32 {
    translate(flags, DIFFERENT.map(|(guest, host)| (host, guest)))
}

fn translate(flags: i32, pairs: [(i32, i32); 4]) -> i32 {
    let from = pairs.iter().fold(0, |all, (from, _)| all | from);
    let set = pairs.iter().filter(|(from, _)| flags & from != 0);
    set.fold(flags & !from, |all, (_, to)| all | to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_survive_both_ways() {
        assert_eq!(to_host(0o4_0000 | libc::O_CLOEXEC), libc::O_DIRECTORY | libc::O_CLOEXEC);
        assert_eq!(to_host(0o2004_0000 | libc::O_RDWR), libc::O_TMPFILE | libc::O_RDWR);
        assert_eq!(from_host(libc::O_NOFOLLOW | libc::O_DIRECT), 0o30_0000);
        assert_eq!(from_host(host::O_LARGEFILE | libc::O_APPEND), 0o40_0000 | libc::O_APPEND);
        for bit in 0..31 {
            assert_eq!(from_host(to_host(1 << bit)), 1 << bit);
        }
    }
}
