//! A process's memory while something in it is watched.

use base::GuestVirt;
use base::sys::access::Faulted;
use ir::interp::{Direct, Memory, Site};
use softmmu::{AccessKind, Watches};

/// Guest memory whose accesses are held against a list. Those of system calls are not: as with a
/// processor's watchpoints, the kernel's own accesses go unseen.
#[derive(Debug)]
pub(crate) struct Watched<'a>(pub(crate) &'a mut Watches);

impl Watched<'_> {
    fn check(&mut self, addr: GuestVirt, bytes: u64, kind: AccessKind) -> Result<(), Faulted> {
        if self.0.sees(addr, bytes, kind) { Err(Faulted) } else { Ok(()) }
    }
}

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        impl Memory for Watched<'_> {
            const ADDRESS_BITS: u32 = Direct::ADDRESS_BITS;
            $(
                fn $load(&mut self, site: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    self.check(addr, $bytes, AccessKind::Load)?;
                    Direct.$load(site, addr)
                }
                fn $store(&mut self, site: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    self.check(addr, $bytes, AccessKind::Store)?;
                    Direct.$store(site, addr, value)
                }
                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    self.check(addr, $bytes, AccessKind::Load)?;
                    self.check(addr, $bytes, AccessKind::Store)?;
                    Direct.$cas(site, addr, expected, new)
                }
            )*
            fn load128(&mut self, site: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                self.check(addr, 16, AccessKind::Load)?;
                Direct.load128(site, addr)
            }
            fn store128(&mut self, site: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                self.check(addr, 16, AccessKind::Store)?;
                Direct.store128(site, addr, value)
            }
            fn prepare_atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<(), Faulted> {
                self.check(addr, bytes, AccessKind::Load)?;
                self.check(addr, bytes, AccessKind::Store)
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
