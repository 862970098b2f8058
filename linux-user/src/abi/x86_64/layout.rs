//! Structures that x86-64 lays out in its own way (`arch/x86/include/uapi/asm`).

/// `struct stat` (asm/stat.h).
pub(super) fn stat(stat: &libc::stat) -> Vec<u8> {
    let mut out = Vec::with_capacity(144);
    let mut word = |value: u64| out.extend_from_slice(&value.to_le_bytes());
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    word(stat.st_dev);
    word(stat.st_ino);
    word(stat.st_nlink);
    word(pair(stat.st_mode, stat.st_uid));
    word(pair(stat.st_gid, 0));
    word(stat.st_rdev);
    word(stat.st_size as u64);
    word(stat.st_blksize as u64);
    word(stat.st_blocks as u64);
    for time in [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ] {
        word(time.0 as u64);
        word(time.1 as u64);
    }
    [0; 3].into_iter().for_each(word);
    out
}

/// `struct semid64_ds` (asm/sembuf.h): each time is followed by a word that nobody uses.
pub(super) fn semid_ds(status: &libc::semid_ds) -> Vec<u8> {
    const PERM_BYTES: usize = 48;
    let mut out = crate::abi::generic::semid_ds(status);
    out.truncate(PERM_BYTES);
    let (changed, used) = (status.sem_ctime as u64, status.sem_otime as u64);
    for word in [used, 0, changed, 0, status.sem_nsems, 0, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out
}

/// Bytes of `struct epoll_event`, which is packed here.
pub(super) const EPOLL_EVENT_SIZE: u64 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::generic::{epoll_event, parse_epoll_event};

    /// An x86-64 host's own structures are these.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn structures_are_those_of_the_host() {
        use std::mem::{offset_of, size_of};
        #[expect(unsafe_code, reason = "C structures of zeros")]
        // SAFETY: all zeros are valid for both.
        let (mut host, mut set): (libc::stat, libc::semid_ds) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        (host.st_nlink, host.st_mode, host.st_gid) = (3, 0o100_644, 7);
        (host.st_ctime_nsec, host.st_size, host.st_blocks) = (77, 1 << 40, 9);
        let bytes = stat(&host);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes.len(), size_of::<libc::stat>());
        assert_eq!(word(offset_of!(libc::stat, st_nlink)), 3);
        assert_eq!(word(offset_of!(libc::stat, st_mode)) as u32, 0o100_644);
        assert_eq!(word(offset_of!(libc::stat, st_gid)) as u32, 7);
        assert_eq!(word(offset_of!(libc::stat, st_size)), 1 << 40);
        assert_eq!(word(offset_of!(libc::stat, st_blocks)), 9);
        assert_eq!(word(offset_of!(libc::stat, st_ctime_nsec)), 77);
        (set.sem_otime, set.sem_ctime, set.sem_nsems) = (1, 2, 3);
        let bytes = semid_ds(&set);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes.len(), size_of::<libc::semid_ds>());
        assert_eq!(word(offset_of!(libc::semid_ds, sem_otime)), 1);
        assert_eq!(word(offset_of!(libc::semid_ds, sem_ctime)), 2);
        assert_eq!(word(offset_of!(libc::semid_ds, sem_nsems)), 3);
        assert_eq!(size_of::<libc::epoll_event>() as u64, EPOLL_EVENT_SIZE);
    }

    #[test]
    fn events_survive_both_ways() {
        let bytes = epoll_event(EPOLL_EVENT_SIZE, 0x8000_0001, u64::MAX - 1);
        assert_eq!(bytes.len() as u64, EPOLL_EVENT_SIZE);
        assert_eq!(parse_epoll_event(&bytes), (0x8000_0001, u64::MAX - 1));
    }
}
