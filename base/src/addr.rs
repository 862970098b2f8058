//! Addresses as types, so that a guest address is never mistaken for a host pointer.

use std::fmt;

/// A guest virtual address: what the guest's own instructions compute. In bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct GuestVirt(pub u64);

/// A guest physical address: what the guest's MMU produces. In bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct GuestPhys(pub u64);

/// A host address at which guest memory or generated code may lie. Never dereferenced without
/// the checks of the module that hands it out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct HostPtr(pub usize);

macro_rules! guest_address {
    ($type:ident) => {
        impl $type {
            /// The address `bytes` further on, wrapping at 2^64 as guest arithmetic does.
            #[inline]
            #[must_use]
            pub const fn wrapping_add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// The address `bytes` away in either direction, wrapping at 2^64.
            #[inline]
            #[must_use]
            pub const fn wrapping_offset(self, bytes: i64) -> Self {
                Self(self.0.wrapping_add_signed(bytes))
            }

            /// The address `bytes` further on, or `None` beyond 2^64.
            #[inline]
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The start of the 4 KiB page that holds this address.
            #[inline]
            #[must_use]
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// Bytes from the start of its 4 KiB page.
            #[inline]
            #[must_use]
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::LowerHex for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

/// Bytes in the page that guests and host share as their smallest unit of protection.
pub const PAGE_SIZE: u64 = 4096;

guest_address!(GuestVirt);
guest_address!(GuestPhys);

impl fmt::Debug for HostPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostPtr({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_arithmetic_wraps_and_pages_split() {
        assert_eq!(GuestVirt(u64::MAX).wrapping_add(1), GuestVirt(0));
        assert_eq!(GuestVirt(0x1000).wrapping_offset(-1), GuestVirt(0xfff));
        assert_eq!(GuestVirt(u64::MAX).checked_add(1), None);
        let a = GuestPhys(0x1234_5678);
        assert_eq!((a.page(), a.page_offset()), (GuestPhys(0x1234_5000), 0x678));
    }
}
