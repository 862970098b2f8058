//! Where loads and stores of interpreted code go.

use base::GuestVirt;
use base::sys::access::{self, Faulted};

/// The micro-operation that makes an access, for memories that must know which it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site(pub(super) *const [u64; 2]);

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        /// Guest memory as interpreted code sees it. An implementation keeps the details of its
        /// faults.
        ///
        /// Accesses are little-endian, work at any alignment, and are single-copy atomic where
        /// aligned. Each method fails if the access faults, without any effect.
        pub trait Memory {
            /// Bits of the addresses at which something can be mapped. An access beyond faults at an address
            /// of which only that much is known.
            const ADDRESS_BITS: u32;
            $(
                #[doc = concat!("Reads ", $bytes, " byte(s).")]
                fn $load(&mut self, site: Site, addr: GuestVirt) -> Result<$type, Faulted>;
                #[doc = concat!("Writes ", $bytes, " byte(s).")]
                fn $store(&mut self, site: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted>;
                #[doc = concat!("Sequentially consistent compare-and-swap of ", $bytes, " byte(s); ")]
                #[doc = "returns what was there."]
                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted>;
            )*
            /// Reads 16 bytes: single-copy atomic in each aligned half, and as a whole if aligned and
            /// the host can.
            fn load128(&mut self, site: Site, addr: GuestVirt) -> Result<u128, Faulted>;
            /// Writes 16 bytes, as atomically as [`Memory::load128`] reads them.
            fn store128(&mut self, site: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted>;
            /// Called before a helper that may access memory.
            fn barrier(&mut self) {}
            /// Called before an atomic read-modify-write of so many bytes. Fails if its store would
            /// fault, though it be one that its load would not.
            #[inline(always)]
            fn prepare_atomic(&mut self, _: GuestVirt, _: u64) -> Result<(), Faulted> {
                Ok(())
            }
        }

        impl Memory for Direct {
            const ADDRESS_BITS: u32 = crate::block::BlockKey::PC_BITS - 1;
            $(
                #[inline(always)]
                fn $load(&mut self, _: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    access::$load(addr)
                }
                #[inline(always)]
                fn $store(&mut self, _: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    access::$store(addr, value)
                }
                #[inline(always)]
                fn $cas(&mut self, _: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    access::$cas(addr, expected, new)
                }
            )*
            #[inline(always)]
            fn load128(&mut self, _: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                access::load128(addr)
            }
            #[inline(always)]
            fn store128(&mut self, _: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                access::store128(addr, value)
            }
        }

        impl<M: Memory> Memory for super::Replay<'_, M> {
            const ADDRESS_BITS: u32 = M::ADDRESS_BITS;
            $(
                #[inline]
                fn $load(&mut self, site: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    self.barrier();
                    self.inner().$load(site, addr)
                }
                #[inline]
                fn $store(&mut self, site: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    if self.suppresses(site, addr, $bytes, M::ADDRESS_BITS) {
                        return Ok(());
                    }
                    self.inner().$store(site, addr, value)
                }
                #[inline]
                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    self.barrier();
                    self.inner().$cas(site, addr, expected, new)
                }
            )*
            #[inline]
            fn load128(&mut self, site: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                self.barrier();
                self.inner().load128(site, addr)
            }
            #[inline]
            fn store128(&mut self, site: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                if self.suppresses(site, addr, 16, M::ADDRESS_BITS) {
                    return Ok(());
                }
                self.inner().store128(site, addr, value)
            }
            fn barrier(&mut self) {
                self.lift();
                self.inner().barrier();
            }
            fn prepare_atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<(), Faulted> {
                self.inner().prepare_atomic(addr, bytes)
            }
        }
    };
}

/// The guest's memory lies in the host's address space, each byte at its own address: faults are
/// the host's ([`base::sys::fault::last_fault`]).
#[derive(Clone, Copy, Default, Debug)]
pub struct Direct;

accesses! {
    1 u8, load8, store8, compare_exchange8;
    2 u16, load16, store16, compare_exchange16;
    4 u32, load32, store32, compare_exchange32;
    8 u64, load64, store64, compare_exchange64;
}
