//! The host-target interface of Berkeley's test environments (`riscv-isa-sim`, `fesvr`): programs store
//! requests of 64 bits to the symbol `tohost` in their memory and find answers in `fromhost`.
//!
//! No device of the bus: the machine watches stores to `tohost`, gives them to [`Htif::store`], clears
//! `tohost` and writes what comes back to `fromhost`.

use base::GuestPhys;
use softmmu::GuestMemory;
use vm_memory::{Bytes, GuestAddress};

use crate::device::{Effect, Notifier};
use crate::host::chars::CharBackend;

/// Bytes of one proxied write at most; more than that are taken by the next call.
const WRITE: u64 = 64 << 10;

/// Linux's numbers of the proxied system calls that are answered.
const SYS_WRITE: u64 = 64;
const SYS_EXIT: u64 = 93;
const EBADF: i64 = 9;
const EFAULT: i64 = 14;
const ENOSYS: i64 = 38;

/// What a value in `tohost` asks: bits 63:56 are a device, 55:48 a command, 47:0 its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Nothing that there is.
    None,
    /// Device 0 with an odd payload: the program ends.
    Exit(u64),
    /// Device 0 with an even payload: a system call whose number and arguments lie there.
    Syscall(GuestPhys),
    /// Device 1, command 0: a character is wanted.
    GetChar,
    /// Device 1, command 1: a character is shown.
    PutChar(u8),
}

impl Request {
    /// Of a value that was stored.
    #[must_use]
    pub fn of(value: u64) -> Self {
        let payload = value & 0xffff_ffff_ffff;
        match (value >> 56, value >> 48 & 0xff) {
            (0, 0) if payload & 1 != 0 => Self::Exit(payload >> 1),
            (0, 0) if payload != 0 => Self::Syscall(GuestPhys(payload)),
            (1, 0) => Self::GetChar,
            (1, 1) => Self::PutChar(payload as u8),
            _ => Self::None,
        }
    }
}

/// What a store to `tohost` leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// For the machine.
    pub effect: Effect,
    /// For `fromhost`.
    pub fromhost: Option<u64>,
}

/// The interface.
pub struct Htif {
    console: Box<dyn CharBackend>,
    /// The program waits for a character.
    reading: bool,
}

impl Htif {
    /// With a console.
    #[must_use]
    pub fn new(console: Box<dyn CharBackend>) -> Self {
        Self { console, reading: false }
    }

    /// How the console says that there is input: then [`Htif::input`] is wanted.
    pub fn connect(&mut self, notifier: Notifier) {
        self.console.connect(notifier);
    }

    /// Answers a store to `tohost`. Characters for which the console has no room are lost.
    pub fn store(&mut self, value: u64, memory: &GuestMemory) -> Answer {
        match Request::of(value) {
            Request::None => Answer::default(),
            Request::Exit(code) => Answer { effect: power_off(code), fromhost: None },
            Request::Syscall(at) => self.syscall(at, memory),
            Request::GetChar => {
                self.reading = true;
                Answer { effect: Effect::None, fromhost: self.input() }
            }
            Request::PutChar(byte) => {
                self.console.write(&[byte]);
                Answer::default()
            }
        }
    }

    /// What to write to `fromhost`, if the program waits for a character and there is one.
    pub fn input(&mut self) -> Option<u64> {
        let mut byte = [0];
        if !self.reading || self.console.read(&mut byte) == 0 {
            return None;
        }
        self.reading = false;
        Some(1 << 56 | 0x100 | u64::from(byte[0]))
    }

    /// A proxied system call: number and three arguments, then the result in the number's place.
    fn syscall(&mut self, at: GuestPhys, memory: &GuestMemory) -> Answer {
        let mut block = [0; 32];
        // A program whose block is nowhere can be given no result.
        if memory.read_slice(&mut block, GuestAddress(at.0)).is_err() {
            return Answer { effect: Effect::None, fromhost: Some(1) };
        }
        let (words, _) = block.as_chunks();
        let word = |index: usize| words.get(index).map_or(0, |&word| u64::from_le_bytes(word));
        let result = match word(0) {
            SYS_EXIT => return Answer { effect: power_off(word(1)), fromhost: None },
            SYS_WRITE => self.write(word(1), GuestAddress(word(2)), word(3), memory),
            _ => -ENOSYS,
        };
        // It could be read, so it is RAM.
        let _ = memory.write_slice(&result.to_le_bytes(), GuestAddress(at.0));
        Answer { effect: Effect::None, fromhost: Some(1) }
    }

    fn write(&mut self, fd: u64, buffer: GuestAddress, len: u64, memory: &GuestMemory) -> i64 {
        if fd != 1 && fd != 2 {
            return -EBADF;
        }
        let len = len.min(WRITE);
        let mut bytes = vec![0; len as usize];
        if memory.read_slice(&mut bytes, buffer).is_err() {
            return -EFAULT;
        }
        self.console.write(&bytes);
        len as i64
    }
}

/// A process has 8 bits for its status; a failure is never a success.
fn power_off(code: u64) -> Effect {
    Effect::PowerOff(if code == 0 { 0 } else { (code as u8).max(1) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::bench::memory_at;
    use crate::host::chars::Memory;

    const RAM: u64 = 0x8000_0000;

    fn memory() -> GuestMemory {
        memory_at(RAM, 0x1000)
    }

    fn htif() -> (Htif, Memory) {
        let line = Memory::new();
        (Htif::new(Box::new(line.clone())), line)
    }

    #[test]
    fn programs_end_with_a_status() {
        let (mut htif, _) = htif();
        for (value, status) in [(1, 0), (3, 1), (2 * 41 + 1, 41), (0x200 + 1, 1)] {
            assert_eq!(htif.store(value, &memory()).effect, Effect::PowerOff(status));
        }
    }

    #[test]
    fn characters_go_both_ways() {
        let (mut htif, line) = htif();
        for byte in *b"hi" {
            let answer = htif.store(1 << 56 | 1 << 48 | u64::from(byte), &memory());
            assert_eq!(answer, Answer::default());
        }
        assert_eq!(line.take_output(), b"hi");
        assert_eq!((htif.store(1 << 56, &memory()).fromhost, htif.input()), (None, None));
        line.send(b"k!");
        let expected = 1 << 56 | 0x100 | u64::from(b'k');
        assert_eq!((htif.input(), htif.input()), (Some(expected), None));
        assert_eq!(htif.store(1 << 56, &memory()).fromhost, Some(1 << 56 | 0x121));
    }

    #[test]
    fn system_calls_are_answered_in_memory() {
        let ((mut htif, line), memory) = (htif(), memory());
        let mut call = |words: [u64; 4]| {
            let block: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            memory.write_slice(&block, GuestAddress(RAM)).unwrap();
            let answer = htif.store(RAM, &memory);
            (answer, memory.read_obj::<i64>(GuestAddress(RAM)).unwrap())
        };
        memory.write_slice(b"text", GuestAddress(RAM + 64)).unwrap();
        let done = Answer { effect: Effect::None, fromhost: Some(1) };
        assert_eq!(call([64, 1, RAM + 64, 4]), (done, 4));
        assert_eq!(call([64, 7, RAM + 64, 4]), (done, -EBADF));
        assert_eq!(call([64, 1, 0, 4]), (done, -EFAULT));
        assert_eq!(call([64, 1, RAM + 64, u64::MAX]), (done, -EFAULT));
        assert_eq!(call([80, 0, 0, 0]), (done, -ENOSYS));
        assert_eq!(call([93, 9, 0, 0]).0.effect, Effect::PowerOff(9));
        assert_eq!(line.take_output(), b"text");
    }

    proptest! {
        #[test]
        fn no_value_panics(value in any::<u64>(), low in any::<bool>(), block in any::<[u64; 4]>()) {
            let ((mut htif, _), memory) = (htif(), memory());
            let block: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
            memory.write_slice(&block, GuestAddress(RAM)).unwrap();
            let _ = htif.store(if low { RAM + value % 0x1000 } else { value }, &memory);
        }
    }
}
