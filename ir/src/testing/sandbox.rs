//! A few bytes of guest memory with nothing around them.

use std::fmt;

use base::GuestVirt;

use crate::eval::{Denied, Memory};

/// Guest memory for tests: every access outside of it is denied.
#[derive(Clone, PartialEq, Eq)]
pub struct Sandbox {
    start: GuestVirt,
    bytes: Vec<u8>,
}

impl Sandbox {
    /// Zeros from `start` on.
    #[must_use]
    pub fn new(start: GuestVirt, bytes: usize) -> Self {
        Self { start, bytes: vec![0; bytes] }
    }

    fn range(&mut self, addr: GuestVirt, bytes: u32) -> Result<&mut [u8], Denied> {
        let offset = addr.0.wrapping_sub(self.start.0) as usize;
        let end = offset.checked_add(bytes as usize);
        end.and_then(|end| self.bytes.get_mut(offset..end)).ok_or(Denied(addr))
    }
}

impl fmt::Debug for Sandbox {
    /// The bytes that are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.bytes.iter().enumerate().filter(|&(_, &byte)| byte != 0);
        let addressed = set.map(|(offset, byte)| (self.start.wrapping_add(offset as u64), byte));
        f.debug_map().entries(addressed).finish()
    }
}

impl Memory for Sandbox {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        let mut raw = [0; 16];
        raw[..bytes as usize].copy_from_slice(self.range(addr, bytes)?);
        Ok(u128::from_le_bytes(raw))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        let range = self.range(addr, bytes)?;
        range.copy_from_slice(&value.to_le_bytes()[..bytes as usize]);
        Ok(())
    }
}
