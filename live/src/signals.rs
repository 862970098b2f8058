//! Signals of a live program: what one comes from, and whether it has a handler.

use std::collections::BTreeMap;

use linux_user::kernel::{self, Call};
use trace::{Architecture, Insn, Signal, Trap};

const SIGILL: u8 = 4;
pub(crate) const SIGTRAP: u8 = 5;
const SIGBUS: u8 = 7;
const SIGFPE: u8 = 8;
pub(crate) const SIGKILL: u8 = 9;
const SIGSEGV: u8 = 11;

/// `SA_RESETHAND`
const RESETHAND: u64 = 0x8000_0000;
/// `SIG_DFL` and `SIG_IGN` are no addresses.
const FIRST_HANDLER: u64 = 2;

/// A signal by which a program has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Info {
    /// `si_signo`
    pub(crate) number: u8,
    /// `si_code`; `None` if nobody can be asked.
    pub(crate) code: Option<i32>,
    /// `si_addr`, if it is a fault.
    addr: u64,
}

impl Info {
    /// Nothing is there behind the end of a file: `BUS_ADRERR`.
    pub(crate) const BUS: Self = Self { number: SIGBUS, code: Some(2), addr: 0 };

    /// Of this number, with what `siginfo_t` says if it is known.
    pub(crate) fn new(number: u8, siginfo: Option<&[u8]>) -> Self {
        let word = |at: usize| siginfo?.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        // qemu keeps something of its own in the upper half.
        let code = word(8).map(|code| (code as u16 as i16).into());
        let addr = word(16).zip(word(20)).map(|(low, high)| u64::from(high) << 32 | u64::from(low));
        Self { number, code, addr: addr.unwrap_or_default() }
    }

    /// As the fields of `siginfo_t` say it.
    pub(crate) fn of(number: u8, code: i32, addr: u64) -> Self {
        Self { number, code: Some(code), addr }
    }

    /// Whether an instruction has raised it, and nobody has sent it.
    pub(crate) fn is_raised(&self) -> bool {
        let is_fault = matches!(self.number, SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV);
        is_fault && self.code.is_none_or(|code| code > 0)
    }

    /// What the instruction that raises it shows of it.
    pub(crate) fn trap(&self) -> Trap {
        /// `SEGV_MAPERR`, `SEGV_ACCERR`: only of these the address is always that of the access.
        const OF_PAGES: std::ops::RangeInclusive<i32> = 1..=2;
        let has_address =
            self.number == SIGSEGV && self.code.is_some_and(|code| OF_PAGES.contains(&code));
        let value = has_address.then_some(self.addr);
        Trap { cause: None, value, signal: Some(Signal::Raised(self.number)) }
    }
}

/// A signal is all that happens.
pub(crate) fn delivered(number: u8) -> Trap {
    Trap { signal: Some(Signal::Delivered(number)), ..Trap::default() }
}

/// Whether an instruction is a breakpoint: it raises SIGTRAP, by which steps end, too.
pub(crate) fn is_breakpoint(architecture: Architecture, insn: Option<Insn>) -> bool {
    let Some(insn) = insn else { return false };
    match (architecture, insn.bytes()) {
        // EBREAK, C.EBREAK
        (Architecture::Riscv64, bytes) => matches!(bytes, [0x73, 0, 0x10, 0] | [0x02, 0x90]),
        // BRK
        (Architecture::Aarch64, _) => insn.word() & 0xffe0_001f == 0xd420_0000,
        // INT3, INT 3, INT1
        (Architecture::X86_64, bytes) => matches!(bytes, [0xcc] | [0xcd, 3] | [0xf1]),
    }
}

/// Whether a call may send SIGTRAP to its own program.
pub(crate) fn may_send_trap(architecture: Architecture, call: Option<&Call>) -> bool {
    let Some(call) = call else { return false };
    let at = match kernel::name(architecture, call.number) {
        Some("kill" | "tkill" | "rt_sigqueueinfo") => 1,
        Some("tgkill" | "rt_tgsigqueueinfo") => 2,
        _ => return false,
    };
    call.args[at] == u64::from(SIGTRAP)
}

/// Where a program's handlers are, as its calls of rt_sigaction(2) say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Handlers {
    /// By signal: the handler, and flags.
    known: BTreeMap<u8, (u64, u64)>,
    /// Whether the program was seen from its beginning on.
    are_all: bool,
}

/// What a program does about a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disposition {
    /// It has a handler.
    Handled(u64),
    /// It leaves the signal to the kernel, or ignores it.
    Left,
    /// Nobody has seen it say so.
    Unknown,
}

impl Handlers {
    /// Of a program at its beginning: there are none.
    pub(crate) fn of_new_program() -> Self {
        Self { known: BTreeMap::new(), are_all: true }
    }

    /// Of a program that has been running before.
    pub(crate) fn unknown() -> Self {
        Self { known: BTreeMap::new(), are_all: false }
    }

    /// Learns from a call that has come back.
    pub(crate) fn learn(
        &mut self,
        architecture: Architecture,
        call: &Call,
        mut read: impl FnMut(u64, &mut [u8]) -> bool,
    ) {
        let is_action = kernel::name(architecture, call.number) == Some("rt_sigaction");
        let [signal, action, ..] = call.args;
        let mut bytes = [0; 16];
        if !is_action || call.result != 0 || action == 0 || !read(action, &mut bytes) {
            return;
        }
        let [handler, flags] =
            [&bytes[..8], &bytes[8..]].map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        if let Ok(signal) = u8::try_from(signal) {
            self.known.insert(signal, (handler, flags));
        }
    }

    /// What is done about a signal now.
    pub(crate) fn of(&self, signal: u8) -> Disposition {
        match self.known.get(&signal) {
            Some(&(handler, _)) if handler >= FIRST_HANDLER => Disposition::Handled(handler),
            Some(_) => Disposition::Left,
            None if self.are_all => Disposition::Left,
            None => Disposition::Unknown,
        }
    }

    /// A handler was entered.
    pub(crate) fn entered(&mut self, signal: u8) {
        if let Some((handler, flags)) = self.known.get_mut(&signal)
            && *flags & RESETHAND != 0
        {
            *handler = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_was_not_raised() {
        let mut bytes = [0; 128];
        bytes[16..20].copy_from_slice(&0x1238_u32.to_le_bytes());
        bytes[8] = 1;
        let fault = Info::new(SIGSEGV, Some(&bytes));
        assert!(fault.is_raised());
        assert_eq!(fault.trap().value, Some(0x1238));
        // SI_TKILL, with qemu's mark.
        bytes[8..12].copy_from_slice(&0x0002_fffa_u32.to_le_bytes());
        let sent = Info::new(SIGSEGV, Some(&bytes));
        assert_eq!((sent.code, sent.is_raised()), (Some(-6), false));
        assert!(Info::new(SIGSEGV, None).is_raised() && !Info::new(10, None).is_raised());
    }

    #[test]
    fn handlers_are_those_that_the_program_names() {
        let architecture = Architecture::Riscv64;
        let number = (0..500).find(|n| kernel::name(architecture, *n) == Some("rt_sigaction"));
        let call = |signal, action, result| Call {
            number: number.unwrap(),
            args: [signal, action, 0, 8, 0, 0],
            result,
        };
        let read = |addr: u64, into: &mut [u8]| {
            into[..8].copy_from_slice(&addr.to_le_bytes());
            into[8..].copy_from_slice(&RESETHAND.to_le_bytes());
            true
        };
        let mut handlers = Handlers::unknown();
        assert_eq!(handlers.of(11), Disposition::Unknown);
        handlers.learn(architecture, &call(11, 0x4000, 0), read);
        handlers.learn(architecture, &call(10, 0x5000, -22_i64 as u64), read);
        assert_eq!(handlers.of(11), Disposition::Handled(0x4000));
        assert_eq!(handlers.of(10), Disposition::Unknown);
        handlers.entered(11);
        assert_eq!(handlers.of(11), Disposition::Left);
        assert_eq!(Handlers::of_new_program().of(11), Disposition::Left);
    }

    #[test]
    fn breakpoints_are_recognised() {
        let is = |architecture, bytes: &[u8]| is_breakpoint(architecture, Insn::new(bytes));
        assert!(is(Architecture::Riscv64, &[0x02, 0x90]));
        assert!(is(Architecture::Aarch64, &0xd420_0020_u32.to_le_bytes()));
        assert!(is(Architecture::X86_64, &[0xcc]) && !is(Architecture::X86_64, &[0x90]));
    }
}
