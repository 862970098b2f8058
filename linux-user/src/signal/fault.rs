//! A CPU's last memory fault, for ABIs whose signal frames tell of it.

use base::GuestVirt;
use runtime::{Exit, FetchFaultCause};

use super::SigInfo;

/// An exception of the CPU, on architectures that number them and tell of them in signal frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Trap {
    /// Its vector.
    pub(crate) number: u64,
    /// Its error code.
    pub(crate) error: u64,
    /// The address that faulted last.
    pub(crate) address: GuestVirt,
}

/// An exception as Linux tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CpuException {
    /// The signal.
    pub(crate) info: SigInfo,
    /// What signal frames tell of it, from now on.
    pub(crate) trap: Trap,
}

/// A memory fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MemoryFault {
    /// The address that was accessed.
    pub(crate) addr: GuestVirt,
    /// How.
    pub(crate) access: Access,
    /// What was wrong.
    pub(crate) cause: Cause,
}

/// What an access was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To execute.
    Fetch,
}

/// Why memory could not be accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// Nothing is there.
    Unmapped,
    /// What is there may not be used so.
    Forbidden,
    /// The address is not aligned.
    Misaligned,
    /// It is no memory's fault but that of the instruction at the address, which was left to whoever runs the CPU.
    Left,
}

impl MemoryFault {
    /// The last fault after an exit of the CPU: an instruction that is illegal takes the place of an access that
    /// faulted.
    pub(super) fn after(previous: Option<Self>, exit: &Exit, pc: GuestVirt) -> Option<Self> {
        let fault = |addr, access, cause| Some(Self { addr, access, cause });
        match exit {
            Exit::DataFault(data) => {
                let is_forbidden = data.signal == libc::SIGSEGV && data.code == super::SEGV_ACCERR;
                let cause = if is_forbidden { Cause::Forbidden } else { Cause::Unmapped };
                fault(data.addr, if data.write { Access::Write } else { Access::Read }, cause)
            }
            Exit::FetchFault(fetch) => match fetch.cause {
                FetchFaultCause::NotExecutable => {
                    fault(fetch.addr, Access::Fetch, Cause::Forbidden)
                }
                _ => fault(fetch.addr, Access::Fetch, Cause::Unmapped),
            },
            // Where the pc itself is at fault, nothing else has been looked at.
            Exit::Misaligned(addr) if *addr == pc => fault(pc, Access::Fetch, Cause::Misaligned),
            Exit::Misaligned(addr) => fault(*addr, Access::Read, Cause::Misaligned),
            Exit::System => fault(pc, Access::Fetch, Cause::Left),
            Exit::IllegalInstruction | Exit::Refused => None,
            _ => previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use base::sys::fault::HostFault;

    use super::*;

    #[test]
    fn the_last_fault_stays_until_another() {
        let addr = GuestVirt(0x1238);
        let host = HostFault { addr, signal: libc::SIGSEGV, code: 2, write: true };
        let after = |previous, exit: &Exit| MemoryFault::after(previous, exit, GuestVirt(0x4002));
        let written = after(None, &Exit::DataFault(host));
        let expected = MemoryFault { addr, access: Access::Write, cause: Cause::Forbidden };
        assert_eq!(written, Some(expected));
        assert_eq!(after(written, &Exit::Breakpoint), written);
        assert_eq!(after(written, &Exit::IllegalInstruction), None);
        let beyond = HostFault { signal: libc::SIGBUS, ..host };
        let cause = |exit| after(None, &exit).unwrap().cause;
        assert_eq!(cause(Exit::DataFault(beyond)), Cause::Unmapped);
        assert_eq!(cause(Exit::Misaligned(addr)), Cause::Misaligned);
        let pc = after(None, &Exit::Misaligned(GuestVirt(0x4002))).unwrap();
        assert_eq!((pc.access, pc.cause), (Access::Fetch, Cause::Misaligned));
    }
}
