//! Executions instruction by instruction, with what each reads and writes in memory: for traces.

use std::fmt;

use base::sys::access::Faulted;
use base::{CpuFrame, GuestVirt};
use ir::interp::{Memory, Site};
use softmmu::AccessKind;

use crate::exit::Exit;

/// Told of every instruction that one CPU executes, which must be one of an engine with
/// [`crate::EngineConfig::observed`].
pub trait Observer: fmt::Debug + Send {
    /// The instruction at the frame's pc, with these bytes, is about to be executed.
    fn before(&mut self, frame: &CpuFrame, code: &[u8]);

    /// It has read or written memory: by its own accesses, not by those of helpers.
    fn access(&mut self, access: ObservedAccess);

    /// It has been executed, or has ended in an exit.
    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>);
}

/// An access that did not fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedAccess {
    /// Whether it reads or writes.
    pub kind: AccessKind,
    /// Where.
    pub addr: GuestVirt,
    /// Bytes.
    pub size: u8,
    /// What was read or written, zero-extended.
    pub value: u128,
}

/// Memory whose accesses an observer is told of.
#[derive(Debug)]
pub(crate) struct Observed<'a, M> {
    pub(crate) memory: &'a mut M,
    pub(crate) observer: &'a mut dyn Observer,
}

impl<M> Observed<'_, M> {
    fn tell(&mut self, kind: AccessKind, addr: GuestVirt, size: u8, value: u128) {
        self.observer.access(ObservedAccess { kind, addr, size, value });
    }
}

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        impl<M: Memory> Memory for Observed<'_, M> {
            const ADDRESS_BITS: u32 = M::ADDRESS_BITS;
            $(
                fn $load(&mut self, site: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    let value = self.memory.$load(site, addr)?;
                    self.tell(AccessKind::Load, addr, $bytes, value.into());
                    Ok(value)
                }
                fn $store(&mut self, site: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    self.memory.$store(site, addr, value)?;
                    self.tell(AccessKind::Store, addr, $bytes, value.into());
                    Ok(())
                }
                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    let found = self.memory.$cas(site, addr, expected, new)?;
                    self.tell(AccessKind::Load, addr, $bytes, found.into());
                    if found == expected {
                        self.tell(AccessKind::Store, addr, $bytes, new.into());
                    }
                    Ok(found)
                }
            )*
            fn load128(&mut self, site: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                let value = self.memory.load128(site, addr)?;
                self.tell(AccessKind::Load, addr, 16, value);
                Ok(value)
            }
            fn store128(&mut self, site: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                self.memory.store128(site, addr, value)?;
                self.tell(AccessKind::Store, addr, 16, value);
                Ok(())
            }
            fn barrier(&mut self) {
                self.memory.barrier();
            }
            fn prepare_atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<(), Faulted> {
                self.memory.prepare_atomic(addr, bytes)
            }
        }
    };
}

accesses! {
    1 u8, load8, store8, compare_exchange8;
    2 u16, load16, store16, compare_exchange16;
    4 u32, load32, store32, compare_exchange32;
    8 u64, load64, store64, compare_exchange64;
}
