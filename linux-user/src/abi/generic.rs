//! Layouts of `include/uapi/asm-generic`, which newer architectures share.

/// `struct stat` of 64-bit architectures (asm-generic/stat.h).
pub(super) fn stat(stat: &libc::stat) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut word = |value: u64| out.extend_from_slice(&value.to_le_bytes());
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    word(stat.st_dev);
    word(stat.st_ino);
    // The kernel's own cut: these architectures have 32 bits for it.
    word(pair(stat.st_mode, stat.st_nlink as u32));
    word(pair(stat.st_uid, stat.st_gid));
    word(stat.st_rdev);
    word(0);
    word(stat.st_size as u64);
    word(u64::from(stat.st_blksize as u32));
    word(stat.st_blocks as u64);
    for time in [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ] {
        word(time.0 as u64);
        word(time.1 as u64);
    }
    word(0);
    out
}

/// `struct semid64_ds` of 64-bit architectures (asm-generic/sembuf.h).
pub(in crate::abi) fn semid_ds(status: &libc::semid_ds) -> Vec<u8> {
    let perm = &status.sem_perm;
    let mut out = Vec::with_capacity(88);
    for word in [perm.__key as u32, perm.uid, perm.gid, perm.cuid, perm.cgid] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&u32::from(perm.mode).to_le_bytes());
    out.extend_from_slice(&perm.__seq.to_le_bytes());
    out.extend_from_slice(&[0; 6 + 16]);
    for word in [status.sem_otime as u64, status.sem_ctime as u64, status.sem_nsems, 0, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out
}

/// Bytes of `struct epoll_event`, which only x86-64 packs.
pub(super) const EPOLL_EVENT_SIZE: u64 = 16;

/// A `struct epoll_event` of so many bytes: events at its start, data at its end.
pub(super) fn epoll_event(size: u64, events: u32, data: u64) -> Vec<u8> {
    let mut out = events.to_le_bytes().to_vec();
    out.resize(size as usize - size_of_val(&data), 0);
    out.extend_from_slice(&data.to_le_bytes());
    out
}

/// Events and data of a `struct epoll_event`.
pub(super) fn parse_epoll_event(bytes: &[u8]) -> (u32, u64) {
    let (mut events, mut data) = ([0; 4], [0; 8]);
    events.copy_from_slice(&bytes[..4]);
    data.copy_from_slice(&bytes[bytes.len() - 8..]);
    (u32::from_le_bytes(events), u64::from_le_bytes(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_laid_out_as_the_header_says() {
        use std::os::linux::fs::MetadataExt;
        let metadata = std::fs::metadata("/proc/self/exe").unwrap();
        // SAFETY: all zeros is a valid `stat`.
        #[expect(unsafe_code, reason = "a C structure of zeros")]
        let mut host: libc::stat = unsafe { std::mem::zeroed() };
        host.st_ino = metadata.st_ino();
        host.st_mode = metadata.st_mode();
        host.st_nlink = 3;
        host.st_size = 0x1234_5678_9abc;
        host.st_blksize = 4096;
        host.st_ctime_nsec = 77;
        let bytes = stat(&host);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes.len(), 128);
        assert_eq!((word(8), word(16) as u32), (host.st_ino, host.st_mode));
        assert_eq!((word(16) >> 32, word(48), word(56)), (3, 0x1234_5678_9abc, 4096));
        assert_eq!(word(112), 77);
    }

    #[test]
    fn events_survive_both_ways() {
        let bytes = epoll_event(EPOLL_EVENT_SIZE, 0x8000_0001, u64::MAX - 1);
        assert_eq!(bytes.len() as u64, EPOLL_EVENT_SIZE);
        assert_eq!(parse_epoll_event(&bytes), (0x8000_0001, u64::MAX - 1));
    }
}
