//! Typed guest pointers: every access is guarded, and a bad address is `EFAULT`.

#![expect(unsafe_code, reason = "plain data is copied to and from guest memory as bytes")]

use std::ffi::CString;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use base::GuestVirt;
use base::sys::access;
use syscalls::Errno;

use crate::{memory, window};

/// Bytes in the longest path that Linux accepts, with its final zero.
pub(crate) const PATH_MAX: usize = 4096;

/// A structure of the guest's ABI that may be copied as bytes.
///
/// # Safety
/// The type is `repr(C)` (or a number), every bit pattern is a valid value, and it has no padding.
pub(crate) unsafe trait Plain: Copy + 'static {}

/// Declares `repr(C)` structures as [`Plain`], and proves at compile time that they have no
/// padding: the sizes of the fields must add up.
#[macro_export]
#[doc(hidden)]
macro_rules! plain {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),* }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "padding");

        #[expect(unsafe_code, reason = "repr(C), plain fields, and no padding as asserted above")]
        // SAFETY: the fields are plain, the struct is repr(C), and the sizes add up.
        unsafe impl $crate::user::Plain for $name where $($type: $crate::user::Plain),* {}
    )*};
}

macro_rules! plain_numbers {
    ($($type:ty)*) => {$(
        // SAFETY: integers have no padding and no invalid bit patterns.
        unsafe impl Plain for $type {}
    )*};
}
plain_numbers!(u8 u16 u32 u64 i8 i16 i32 i64);

// SAFETY: an array of plain values has neither padding nor invalid bit patterns of its own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A guest pointer to a `T`.
#[repr(transparent)]
pub(crate) struct UserPtr<T>(GuestVirt, PhantomData<*const T>);

// SAFETY: it is an address; every access through it is guarded.
unsafe impl<T> Send for UserPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for UserPtr<T> {}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T> fmt::Debug for UserPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserPtr({:#x})", self.0)
    }
}

impl<T> UserPtr<T> {
    /// A pointer that says "none".
    pub(crate) const NULL: Self = Self(GuestVirt(0), PhantomData);

    pub(crate) const fn new(addr: GuestVirt) -> Self {
        Self(addr, PhantomData)
    }

    pub(crate) const fn addr(self) -> GuestVirt {
        self.0
    }

    pub(crate) const fn is_null(self) -> bool {
        self.0.0 == 0
    }

    /// `None` for a null pointer.
    pub(crate) fn non_null(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }

    /// The same address as a pointer to something else.
    pub(crate) const fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.0)
    }

    /// The `index`th element of the array to which this points.
    pub(crate) fn at(self, index: usize) -> Self {
        Self::new(self.0.wrapping_add((size_of::<T>() * index) as u64))
    }
}

impl<T: Plain> UserPtr<T> {
    /// Reads the value.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn read(self) -> Result<T, Errno> {
        let addr = window::untagged(self.0);
        window::check_range(addr, size_of::<T>() as u64)?;
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: `value` covers exactly these bytes, and they are initialised.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>())
        };
        access::copy_from_guest(bytes, addr).map_err(|_| Errno::EFAULT)?;
        // SAFETY: a `Plain` type is valid for every bit pattern.
        Ok(unsafe { value.assume_init() })
    }

    /// Reads the value, or says `None` for a null pointer.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn read_opt(self) -> Result<Option<T>, Errno> {
        self.non_null().map(Self::read).transpose()
    }

    /// Writes the value.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn write(self, value: T) -> Result<(), Errno> {
        // SAFETY: a `Plain` type has no padding, so all its bytes are initialised.
        let bytes =
            unsafe { std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
        write_bytes(self.0, bytes)
    }

    /// Writes the value unless the pointer is null.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn write_opt(self, value: T) -> Result<(), Errno> {
        if self.is_null() { Ok(()) } else { self.write(value) }
    }

    /// Reads `count` values from here on. The caller bounds `count`.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn read_array(self, count: usize) -> Result<Vec<T>, Errno> {
        (0..count).map(|i| self.at(i).read()).collect()
    }

    /// Writes values from here on.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn write_array(self, values: &[T]) -> Result<(), Errno> {
        values.iter().enumerate().try_for_each(|(i, value)| self.at(i).write(*value))
    }
}

impl UserPtr<u8> {
    /// Reads a zero-terminated string of fewer than `limit` bytes.
    ///
    /// # Errors
    /// `EFAULT`, or `too_long` if there is no zero among the first `limit` bytes.
    pub(crate) fn read_string(self, limit: usize, too_long: Errno) -> Result<CString, Errno> {
        let mut bytes = Vec::new();
        while bytes.len() < limit {
            let addr = window::untagged(self.0).wrapping_add(bytes.len() as u64);
            // Never past the page: the next one may not be there, and need not be.
            let room = (base::addr::PAGE_SIZE - addr.page_offset()) as usize;
            let len = room.min(limit - bytes.len()).min(256);
            window::check_range(addr, len as u64)?;
            let mut chunk = [0; 256];
            access::copy_from_guest(&mut chunk[..len], addr).map_err(|_| Errno::EFAULT)?;
            match chunk[..len].iter().position(|&b| b == 0) {
                Some(end) => {
                    bytes.extend_from_slice(&chunk[..end]);
                    return CString::new(bytes).map_err(|_| Errno::EINVAL);
                }
                None => bytes.extend_from_slice(&chunk[..len]),
            }
        }
        Err(too_long)
    }

    /// Reads a path.
    ///
    /// # Errors
    /// `EFAULT`, `ENAMETOOLONG`
    pub(crate) fn read_path(self) -> Result<CString, Errno> {
        self.read_string(PATH_MAX, Errno::ENAMETOOLONG)
    }
}

/// A guest buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UserSlice {
    /// Where it starts.
    pub(crate) addr: GuestVirt,
    /// In bytes.
    pub(crate) len: u64,
}

impl UserSlice {
    /// A buffer that lies wholly in the guest's window (which does not say that it is mapped).
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn new(addr: GuestVirt, len: u64) -> Result<Self, Errno> {
        let addr = window::untagged(addr);
        window::check_range(addr, len)?;
        Ok(Self { addr, len })
    }

    /// Copies the buffer out. The caller bounds its length.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn read(self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.len as usize];
        access::copy_from_guest(&mut bytes, self.addr).map_err(|_| Errno::EFAULT)?;
        Ok(bytes)
    }

    /// Copies as much of `bytes` into the buffer as fits; returns how much that was.
    ///
    /// # Errors
    /// `EFAULT`
    pub(crate) fn write(self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.len as usize);
        write_bytes(self.addr, &bytes[..len])?;
        Ok(len)
    }
}

/// Writes guest memory as the kernel would: pages that are protected only because translations of
/// them exist are written all the same.
fn write_bytes(addr: GuestVirt, bytes: &[u8]) -> Result<(), Errno> {
    let addr = window::untagged(addr);
    window::check_range(addr, bytes.len() as u64)?;
    if access::copy_to_guest(addr, bytes).is_ok() {
        return Ok(());
    }
    memory::prepare_write(UserSlice { addr, len: bytes.len() as u64 });
    access::copy_to_guest(addr, bytes).map_err(|_| Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_the_window_are_refused() {
        let inside_ferry = UserPtr::<u64>::new(GuestVirt((&raw const PATH_MAX_COPY) as u64));
        assert_eq!(inside_ferry.read(), Err(Errno::EFAULT));
        assert_eq!(inside_ferry.write(1), Err(Errno::EFAULT));
        assert_eq!(UserSlice::new(inside_ferry.addr(), 8), Err(Errno::EFAULT));
    }
    static PATH_MAX_COPY: u64 = 4096;

    #[test]
    fn unmapped_addresses_fault() {
        base::sys::fault::install();
        assert_eq!(UserPtr::<u32>::new(GuestVirt(0x1_0000)).read(), Err(Errno::EFAULT));
        assert_eq!(UserPtr::<u8>::NULL.read_path(), Err(Errno::EFAULT));
        assert_eq!(UserPtr::<u8>::NULL.read_opt(), Ok(None));
    }
}
