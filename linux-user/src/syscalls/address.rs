//! Socket addresses: those of the Unix domain hold paths, which mean something else to a guest with
//! a root of its own.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base::GuestVirt;
use syscalls::Errno;

use crate::fs::{Last, Links, Place, path_of_dir};
use crate::host::Arg;
use crate::process::Process;
use crate::user::UserSlice;

/// The longest address that the kernel takes: `struct sockaddr_storage`.
const ADDRESS_MAX: u32 = 128;
/// Bytes before the path in `struct sockaddr_un`.
const FAMILY_BYTES: usize = 2;
/// Bytes of a path in it.
const SUN_PATH_BYTES: usize = 108;

/// What an address is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// A socket is made there.
    Bind,
    /// A socket is there.
    Reach,
}

/// An address as the host is given it.
pub(super) struct Address {
    bytes: Vec<u8>,
    /// Its path goes through descriptors of this.
    _place: Option<Place>,
}

impl Address {
    /// The address.
    pub(super) fn arg(&self) -> Arg {
        Arg::reads(&self.bytes[..])
    }

    /// In bytes.
    pub(super) fn len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

/// Reads an address of the guest's.
///
/// # Errors
/// `EINVAL`: too long; `EFAULT`; or what looking for its path says.
pub(super) fn read(
    process: &Process,
    addr: GuestVirt,
    len: u32,
    purpose: Use,
) -> Result<Address, Errno> {
    if len > ADDRESS_MAX {
        return Err(Errno::EINVAL);
    }
    let bytes = UserSlice::new(addr, u64::from(len))?.read()?;
    match unix_path(&bytes).filter(|_| process.fs.namespace().is_some()) {
        None => Ok(Address { bytes, _place: None }),
        Some(path) => translate(process, path, purpose),
    }
}

/// The path in an address of the Unix domain. Abstract names and no name are no paths.
fn unix_path(address: &[u8]) -> Option<&[u8]> {
    let (family, rest) = address.split_first_chunk::<FAMILY_BYTES>()?;
    if i32::from(u16::from_ne_bytes(*family)) != libc::AF_UNIX {
        return None;
    }
    let path = rest.split(|&byte| byte == 0).next()?;
    (!path.is_empty()).then_some(path)
}

fn translate(process: &Process, path: &[u8], purpose: Use) -> Result<Address, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let last = if purpose == Use::Bind { Last::Entry } else { Last::Follow };
    let place = process.place(libc::AT_FDCWD, &path, last)?;
    if place.is_mount_point && purpose == Use::Bind {
        return Err(Errno::EADDRINUSE);
    }
    // The kernel keeps the name under which a socket was bound and shows it to others, so that
    // one should mean something; where it does not fit, one through the descriptor does.
    let short = place.unfollowed_path();
    let host = if purpose == Use::Bind { bound_path(&place) } else { None };
    let path = host.as_ref().map_or(short.as_bytes(), |path| path.as_os_str().as_bytes());
    if path.len() >= SUN_PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(Address { bytes: unix_address(path), _place: Some(place) })
}

/// The host's path of a socket that is to be bound, if it is short enough.
fn bound_path(place: &Place) -> Option<std::path::PathBuf> {
    if place.links == Links::LeftToHost {
        return None;
    }
    let dir = path_of_dir(place)?;
    let path = Path::new(OsStr::from_bytes(&dir)).join(OsStr::from_bytes(place.name.as_bytes()));
    (path.as_os_str().len() < SUN_PATH_BYTES).then_some(path)
}

fn unix_address(path: &[u8]) -> Vec<u8> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    [&family[..], path, &[0]].concat()
}

/// Room for an address that the host writes.
pub(super) struct Buffer {
    bytes: [u8; ADDRESS_MAX as usize],
    len: u32,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: [0; ADDRESS_MAX as usize], len: ADDRESS_MAX }
    }

    /// Where the address goes.
    pub(super) fn bytes_arg(&mut self) -> Arg {
        Arg::writes(&mut self.bytes)
    }

    /// Where its length goes.
    pub(super) fn len_arg(&mut self) -> Arg {
        Arg::writes(&mut self.len)
    }

    /// Says how long the address is that was written.
    pub(super) fn set_len(&mut self, len: u32) {
        self.len = len;
    }

    /// The address as the guest knows it.
    pub(super) fn shown_to(&self, process: &Process) -> Vec<u8> {
        let written = &self.bytes[..self.len.min(ADDRESS_MAX) as usize];
        let guest = unix_path(written)
            .filter(|path| path.starts_with(b"/"))
            .and_then(|path| process.fs.guest_path(path));
        guest.map_or_else(|| written.to_vec(), |path| unix_address(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_the_file_system_are_paths() {
        let address = unix_address(b"/run/x");
        assert_eq!(address.len(), 9);
        assert_eq!(unix_path(&address), Some(&b"/run/x"[..]));
        assert_eq!(unix_path(&address[..8]), Some(&b"/run/x"[..]), "without its zero");
        assert_eq!(unix_path(&unix_address(b"\0abstract")), None);
        assert_eq!(unix_path(&address[..2]), None);
        assert_eq!(unix_path(&[2, 0, 80, 0, 1, 2, 3, 4]), None);
        assert_eq!(unix_path(&[]), None);
    }
}
