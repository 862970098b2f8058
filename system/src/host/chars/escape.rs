//! Keys that the terminal's user presses for Ferry and not for the guest: a prefix, and one more.

/// Ctrl-A.
pub const PREFIX: u8 = 1;

/// What the help key shows.
pub(super) const HELP: &[u8] = b"\r\n\
    Ctrl-A x       end Ferry\r\n\
    Ctrl-A c       Ferry's monitor\r\n\
    Ctrl-A b       send a break\r\n\
    Ctrl-A Ctrl-A  send Ctrl-A\r\n\
    Ctrl-A h       this help\r\n";

/// What the user wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escape {
    /// `x`: the end of Ferry.
    Quit,
    /// `c`: Ferry's monitor instead of the guest's console, or back.
    Monitor,
    /// `b`: a break.
    Break,
    /// `h` or `?`: a list of these keys.
    Help,
}

/// Takes the keys for Ferry out of what is typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct EscapeFilter {
    after_prefix: bool,
}

impl EscapeFilter {
    /// Nothing has been typed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a byte is: for the guest, for Ferry, or neither (the prefix, and unknown keys after it).
    pub fn feed(&mut self, byte: u8) -> Option<Result<u8, Escape>> {
        if !std::mem::take(&mut self.after_prefix) {
            self.after_prefix = byte == PREFIX;
            return (!self.after_prefix).then_some(Ok(byte));
        }
        Some(match byte {
            PREFIX => Ok(PREFIX),
            b'x' | b'X' => Err(Escape::Quit),
            b'c' | b'C' => Err(Escape::Monitor),
            b'b' | b'B' => Err(Escape::Break),
            b'h' | b'H' | b'?' => Err(Escape::Help),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(bytes: &[u8]) -> (Vec<u8>, Vec<Escape>) {
        let mut filter = EscapeFilter::new();
        let (mut guest, mut ferry) = (Vec::new(), Vec::new());
        for fed in bytes.iter().filter_map(|&byte| filter.feed(byte)) {
            match fed {
                Ok(byte) => guest.push(byte),
                Err(escape) => ferry.push(escape),
            }
        }
        (guest, ferry)
    }

    #[test]
    fn the_prefix_sets_one_key_apart() {
        assert_eq!(feed(b"ls\x01xx"), (b"lsx".to_vec(), vec![Escape::Quit]));
        assert_eq!(feed(b"\x01\x01\x01b\x01?"), (vec![1], vec![Escape::Break, Escape::Help]));
        assert_eq!(feed(b"\x01q\x01c"), (vec![], vec![Escape::Monitor]));
    }

    proptest! {
        #[test]
        fn a_doubled_prefix_hides_nothing(bytes in prop::collection::vec(0_u8..4, 0..50)) {
            let doubled = bytes.iter().flat_map(|&byte| vec![byte; 1 + usize::from(byte == PREFIX)]);
            prop_assert_eq!(feed(&doubled.collect::<Vec<_>>()), (bytes, vec![]));
        }
    }
}
