//! Random bytes of the host's.

use crate::devices::virtio::rng::EntropySource;

/// The host's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEntropy;

impl EntropySource for HostEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(filled) => rest = &mut rest[filled..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_everything() {
        let mut bytes = [0; 1000];
        assert!(HostEntropy.fill(&mut bytes));
        assert!(bytes.chunks(8).all(|part| part != [0; 8]));
    }
}
