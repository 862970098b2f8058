//! `siginfo_t`: what is known about a signal. Its layout is the same for every 64-bit guest and
//! host, so the host's goes to the guest as it is.

use base::GuestVirt;

/// Sent by the kernel for no further reason.
pub(crate) const SI_KERNEL: i32 = 0x80;

/// `siginfo_t`, as words: signal and errno, code, then a union.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct SigInfo(pub(crate) [u64; Self::BYTES / 8]);

impl SigInfo {
    /// Its size.
    pub(crate) const BYTES: usize = 128;

    /// A signal that the CPU raised at an address.
    pub(crate) fn fault(signal: i32, code: i32, addr: GuestVirt) -> Self {
        let mut info = Self::bare(signal, code);
        info.0[2] = addr.0;
        info
    }

    /// A signal with nothing in the union.
    pub(crate) fn bare(signal: i32, code: i32) -> Self {
        let mut words = [0; Self::BYTES / 8];
        words[0] = u64::from(signal as u32);
        words[1] = u64::from(code as u32);
        Self(words)
    }

    /// `si_signo`
    pub(crate) fn signal(&self) -> i32 {
        self.0[0] as i32
    }

    /// `si_code`
    pub(crate) fn code(&self) -> i32 {
        self.0[1] as i32
    }

    /// `si_addr` of a fault.
    pub(crate) fn addr(&self) -> GuestVirt {
        GuestVirt(self.0[2])
    }

    /// `si_pid` of a signal that a process sent.
    pub(crate) fn pid(&self) -> i32 {
        self.0[2] as i32
    }

    /// Whether it was certainly sent to the process and not to one thread of it.
    pub(crate) fn is_for_process(&self) -> bool {
        matches!(self.code(), libc::SI_USER | SI_KERNEL) || self.signal() == libc::SIGCHLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        let info = SigInfo::fault(libc::SIGSEGV, 2, GuestVirt(0x1234));
        assert_eq!(size_of::<SigInfo>(), size_of::<libc::siginfo_t>());
        // The libc crate's accessors know where the fields are.
        #[expect(unsafe_code, reason = "reinterprets plain words")]
        // SAFETY: same size, lower alignment needs, every bit pattern valid.
        let host: libc::siginfo_t = unsafe { std::mem::transmute_copy(&info) };
        assert_eq!((host.si_signo, host.si_errno, host.si_code), (libc::SIGSEGV, 0, 2));
        #[expect(unsafe_code, reason = "reads the union")]
        // SAFETY: the fields of a fault were written.
        let addr = unsafe { host.si_addr() } as u64;
        assert_eq!(addr, 0x1234);
        assert_eq!(
            (info.signal(), info.code(), info.addr()),
            (libc::SIGSEGV, 2, GuestVirt(0x1234))
        );
    }
}
