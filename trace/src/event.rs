//! What one instruction did.

use crate::Register;

/// One instruction that retired or trapped. `None` and absent entries mean "unknown" or "nothing", as the
/// [`crate::Header`] of its source says.
///
/// Sources fill the same event again and again, so that a long trace costs no allocation for each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// Which CPU, counted from 0.
    pub hart: u32,
    /// Its place in the execution of that CPU, if the trace numbers its instructions.
    pub order: Option<u64>,
    /// Where the instruction is: its virtual address.
    pub pc: u64,
    /// Its bytes.
    pub insn: Option<Insn>,
    /// At which level it was executed.
    pub privilege: Option<Privilege>,
    /// What it wrote to registers, each at most once.
    pub writes: Vec<RegWrite>,
    /// What it read and wrote in memory, in order.
    pub accesses: Vec<Access>,
    /// The exception that it raised, or the interrupt that was taken in its place: then it did not retire.
    pub trap: Option<Trap>,
}

/// The bytes of an instruction, in the order of their addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Insn {
    /// Those behind its end are 0.
    bytes: [u8; 15],
    len: u8,
    is_cut: bool,
}

/// A level of privilege, in the architecture's own number: RISC-V U 0, S 1, M 3; AArch64's exception level;
/// x86's current privilege level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Privilege(pub u8);

/// A register's new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegWrite {
    /// Which one.
    pub register: Register,
    /// The whole register after the instruction, zero-extended.
    pub value: u128,
}

/// An access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Whether it reads or writes.
    pub kind: AccessKind,
    /// Virtual address.
    pub addr: u64,
    /// Physical address, if the trace tells it.
    pub phys: Option<u64>,
    /// Bytes: 1 to 16, or unknown.
    pub size: Option<u8>,
    /// What was read or written, zero-extended.
    pub value: Option<u128>,
}

impl Access {
    /// Each byte of it, with its address; none if size or value are unknown.
    pub fn bytes(&self) -> impl Iterator<Item = (u64, u8)> + use<> {
        let (addr, value) = (self.addr, self.value.unwrap_or_default());
        let size = self.size.filter(|_| self.value.is_some()).unwrap_or_default();
        let byte = move |n: u8| (addr.wrapping_add(n.into()), (value >> (8 * n)) as u8);
        (0..size.min(16)).map(byte)
    }
}

/// The direction of an access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessKind {
    /// From memory.
    Load,
    /// To memory.
    Store,
}

/// An exception or interrupt; of a program, a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trap {
    /// RISC-V's `mcause` with its interrupt bit, the class of AArch64's `ESR_EL1`, x86's vector.
    pub cause: Option<u64>,
    /// RISC-V's `mtval`, AArch64's `FAR_EL1`, x86's `CR2`.
    pub value: Option<u64>,
    /// Of a program, the signal that comes of it.
    pub signal: Option<Signal>,
}

/// A signal of a program, by Linux's number (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// The instruction raises it.
    Raised(u8),
    /// In the instruction's place, its handler is entered: an event of its own, whatever the signal comes from.
    Delivered(u8),
}

impl Signal {
    /// Above all numbers of signals.
    const DELIVERED: u8 = 0x80;

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Raised(number) | Self::Delivered(number) => number,
        }
    }

    /// As one number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Raised(number) => number & !Self::DELIVERED,
            Self::Delivered(number) => number | Self::DELIVERED,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Self {
        match code & Self::DELIVERED {
            0 => Self::Raised(code),
            _ => Self::Delivered(code & !Self::DELIVERED),
        }
    }

    /// Its name; `None` for real-time signals, and numbers that are none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 31] = [
            "SIGHUP",
            "SIGINT",
            "SIGQUIT",
            "SIGILL",
            "SIGTRAP",
            "SIGABRT",
            "SIGBUS",
            "SIGFPE",
            "SIGKILL",
            "SIGUSR1",
            "SIGSEGV",
            "SIGUSR2",
            "SIGPIPE",
            "SIGALRM",
            "SIGTERM",
            "SIGSTKFLT",
            "SIGCHLD",
            "SIGCONT",
            "SIGSTOP",
            "SIGTSTP",
            "SIGTTIN",
            "SIGTTOU",
            "SIGURG",
            "SIGXCPU",
            "SIGXFSZ",
            "SIGVTALRM",
            "SIGPROF",
            "SIGWINCH",
            "SIGIO",
            "SIGPWR",
            "SIGSYS",
        ];
        NAMES.get(usize::from(self.number()).checked_sub(1)?).copied()
    }
}

/// Its name, or its number.
impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.number()),
        }
    }
}

impl Event {
    /// The signal whose handler is entered, if it is no instruction but that.
    #[must_use]
    pub fn delivered(&self) -> Option<u8> {
        match self.trap?.signal? {
            Signal::Delivered(number) => Some(number),
            Signal::Raised(_) => None,
        }
    }

    /// Nothing known, for the next one to be filled in.
    #[inline]
    pub fn clear(&mut self) {
        let Self { hart, order, pc, insn, privilege, writes, accesses, trap } = self;
        (*hart, *order, *pc, *insn, *privilege, *trap) = (0, None, 0, None, None, None);
        writes.clear();
        accesses.clear();
    }
}

impl Insn {
    /// At most 15 bytes, as no architecture has longer instructions; `None` for none or more.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let len = u8::try_from(bytes.len()).ok().filter(|len| (1..=15).contains(len))?;
        let mut all = [0; 15];
        all[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: all, len, is_cut: false })
    }

    /// The first bytes of an instruction that the trace may not show whole.
    #[must_use]
    pub fn beginning(bytes: &[u8]) -> Option<Self> {
        Self::new(bytes).map(|insn| Self { is_cut: true, ..insn })
    }

    /// The low `len` bytes of a word, the least significant one first.
    #[inline]
    #[must_use]
    pub fn from_word(word: u64, len: usize) -> Option<Self> {
        let len = u8::try_from(len).ok().filter(|len| (1..=8).contains(len))?;
        let low = word & u64::MAX >> (64 - 8 * u32::from(len));
        let mut bytes = [0; 15];
        *bytes.first_chunk_mut()? = low.to_le_bytes();
        Some(Self { bytes, len, is_cut: false })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether there may be more bytes than the trace shows.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// As a number, the first byte least significant; of up to 8 bytes.
    #[inline]
    #[must_use]
    pub fn word(&self) -> u64 {
        self.bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Whether both can be the same instruction, as far as they are known.
    #[inline]
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let is_beginning =
            |whole: &Self, part: &Self| part.is_cut && whole.bytes().starts_with(part.bytes());
        let same = |a: &Self, b: &Self| (a.bytes, a.len) == (b.bytes, b.len);
        same(self, other) || is_beginning(self, other) || is_beginning(other, self)
    }
}

impl std::fmt::Debug for Insn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.is_cut { ".." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_codes() {
        for signal in [Signal::Raised(11), Signal::Delivered(11), Signal::Delivered(64)] {
            assert_eq!(Signal::from_code(signal.code()), signal);
        }
        assert_eq!(Signal::Raised(11).to_string(), "SIGSEGV");
        assert_eq!(Signal::Raised(1).name(), Some("SIGHUP"));
        assert_eq!(Signal::Delivered(31).name(), Some("SIGSYS"));
        assert_eq!(Signal::Delivered(34).to_string(), "signal 34");
        assert_eq!(Signal::Raised(0).name(), None);
    }

    #[test]
    fn instructions_agree_as_far_as_they_are_known() {
        let whole = Insn::new(&[0x66, 0x90, 0x01]).unwrap();
        let cut = Insn::beginning(&[0x66, 0x90]).unwrap();
        let short = Insn::new(&[0x66, 0x90]).unwrap();
        assert!(whole.agrees_with(&cut) && cut.agrees_with(&whole) && short.agrees_with(&cut));
        assert!(!whole.agrees_with(&short) && !short.agrees_with(&whole));
        assert_eq!((short.word(), format!("{cut:?}")), (0x9066, "6690..".to_owned()));
        assert!(Insn::new(&[]).is_none() && Insn::new(&[0; 16]).is_none());
        for len in 1..=8 {
            let bytes = &[1, 2, 3, 4, 5, 6, 7, 8][..len];
            assert_eq!(Insn::from_word(0x0807_0605_0403_0201, len), Insn::new(bytes));
        }
        assert!(Insn::from_word(0, 0).is_none() && Insn::from_word(0, 9).is_none());
    }
}
