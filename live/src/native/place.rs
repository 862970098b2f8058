//! Where a native program lies: where Ferry's guests do, so that it can be repeated at the same addresses.
//!
//! Asked for its old layout, the kernel maps what has no address from a third of the address space upwards (personality(2),
//! `ADDR_COMPAT_LAYOUT`), but has the stack and a position-independent program further up than Ferry has memory for guests. Before the
//! first instruction they are moved by system calls that the program is made to do, and what points to them on the
//! stack is changed. The vdso goes: it reads what changes by itself. So does the break of a program that was moved: brk(2) is done for it.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use linux_user::Replica;
use trace::Error;

use super::{Native, Stopped};
use crate::signals::SIGTRAP;
use crate::{failed, maps};

/// One past the stack's end.
const STACK_END: u64 = Replica::MEMORY_END - (1 << 32);
/// A position-independent program's start.
const IMAGE: u64 = 0x4555_5555_4000;
/// The first break of a program that was moved, and how far it goes.
const HEAP: u64 = 0x4800_0000_0000;
const HEAP_BYTES: u64 = 1 << 36;
const _: () = assert!(HEAP + HEAP_BYTES < STACK_END);

/// `syscall`
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Part of the memory map of a program that has not begun.
struct Area {
    range: Range<u64>,
    name: String,
    /// Where it is to lie.
    to: u64,
}

impl Area {
    fn moved(&self, addr: u64) -> u64 {
        addr - self.range.start + self.to
    }
}

/// The heap of a program that was moved: where its break is.
pub(super) struct Heap {
    end: u64,
}

impl Native {
    /// Moves a program that has just been started.
    pub(super) fn place(&mut self) -> Result<(), Error> {
        let areas = self.areas()?;
        let moved = |addr: u64| {
            let area = areas.iter().find(|area| area.range.contains(&addr));
            area.map_or(addr, |area| area.moved(addr))
        };
        self.change_pointers(&moved)?;
        let (entry, mut code) = (self.general.rip, [0; 2]);
        self.memory.read_exact_at(&mut code, entry)?;
        self.memory.write_all_at(&SYSCALL, entry)?;
        let mut at = entry;
        for Area { range, name, to } in &areas {
            self.general.rip = at;
            let (start, len) = (range.start, range.end - range.start);
            if ["[vdso]", "[vvar]", "[vvar_vclock]"].contains(&name.as_str()) {
                self.call(libc::SYS_munmap, [start, len, 0, 0, 0, 0])?;
            } else if start != *to {
                let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
                if self.call(libc::SYS_mremap, [start, len, len, flags, *to, 0])? != *to {
                    return Err(failed(format!("the program's {name} cannot be moved")));
                }
            }
            if range.contains(&at) {
                at = at - start + to;
            }
        }
        self.memory.write_all_at(&code, at)?;
        self.general.rip = at;
        self.general.rsp = moved(self.general.rsp);
        self.heap = self.is_break_too_high()?.then_some(Heap { end: HEAP });
        self.write_general()
    }

    /// What is mapped, and where it shall be.
    fn areas(&self) -> Result<Vec<Area>, Error> {
        let text = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id()))?;
        let mut image = None;
        let areas = text.lines().filter_map(|line| {
            let range = maps::parse(line, None).pop()?.range;
            let name = line.split_ascii_whitespace().nth(5).unwrap_or("memory").to_owned();
            let to = match name.as_str() {
                "[vsyscall]" => return None,
                _ if range.start < Replica::MEMORY_END => range.start,
                "[stack]" => STACK_END - (range.end - range.start),
                _ => range.start - *image.get_or_insert(range.start) + IMAGE,
            };
            Some(Area { range, name, to })
        });
        Ok(areas.collect())
    }

    /// Changes what the first stack has of addresses (System V ABI, AMD64 supplement, 3.4.1): arguments, environment, auxiliary vector.
    fn change_pointers(&self, moved: &dyn Fn(u64) -> u64) -> Result<(), Error> {
        const AT_IGNORE: u64 = 1;
        const ADDRESSES: [u64; 7] = [
            libc::AT_PHDR,
            libc::AT_BASE,
            libc::AT_ENTRY,
            libc::AT_PLATFORM,
            libc::AT_BASE_PLATFORM,
            libc::AT_RANDOM,
            libc::AT_EXECFN,
        ];
        let mut at = self.general.rsp + 8;
        for _ in ["arguments", "environment"] {
            loop {
                let pointer = self.word(at)?;
                self.memory.write_all_at(&moved(pointer).to_le_bytes(), at)?;
                at += 8;
                if pointer == 0 {
                    break;
                }
            }
        }
        loop {
            let (kind, value) = (self.word(at)?, self.word(at + 8)?);
            match kind {
                libc::AT_NULL => return Ok(()),
                libc::AT_SYSINFO_EHDR => {
                    self.memory.write_all_at(&AT_IGNORE.to_le_bytes(), at)?;
                }
                _ if ADDRESSES.contains(&kind) => {
                    self.memory.write_all_at(&moved(value).to_le_bytes(), at + 8)?;
                }
                _ => {}
            }
            at += 16;
        }
    }

    fn word(&self, addr: u64) -> Result<u64, Error> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, addr)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Whether the kernel has the break where Ferry has no memory for guests: `start_brk` of proc_pid_stat(5).
    fn is_break_too_high(&self) -> Result<bool, Error> {
        const START_BRK: usize = 47;
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the program's name in parentheses, which may have anything in it.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let start = fields.split_ascii_whitespace().nth(START_BRK - 3);
        let start: Option<u64> = start.and_then(|digits| digits.parse().ok());
        Ok(start.is_none_or(|start| start >= Replica::MEMORY_END))
    }

    /// Has the program, which is at a SYSCALL, call the system, and sets its registers back: the call's result.
    fn call(&mut self, number: libc::c_long, args: [u64; 6]) -> Result<u64, Error> {
        let before = self.general;
        self.general.rax = number as u64;
        // No call that a signal has interrupted.
        self.general.orig_rax = u64::MAX;
        let general = &mut self.general;
        [general.rdi, general.rsi, general.rdx, general.r10, general.r8, general.r9] = args;
        self.write_general()?;
        self.request(libc::PTRACE_SINGLESTEP, std::ptr::null_mut())?;
        match self.wait()? {
            Stopped::Signal(SIGTRAP) => {}
            _ => return Err(failed("the program does not do a system call for us")),
        }
        self.read_registers()?;
        let result = self.general.rax;
        self.general = before;
        self.write_general()?;
        Ok(result)
    }

    /// brk(2) of a program that was moved, which is at that call.
    pub(super) fn set_break(&mut self, wanted: u64) -> Result<u64, Error> {
        const ACCESS: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        const FLAGS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
        let Some(Heap { end }) = self.heap else { return Ok(0) };
        if !(HEAP..=HEAP + HEAP_BYTES).contains(&wanted) {
            return Ok(end);
        }
        let [old, new] = [end, wanted].map(|end| end.next_multiple_of(base::addr::PAGE_SIZE));
        if new > old {
            let args = [old, new - old, ACCESS, FLAGS, u64::MAX, 0];
            if self.call(libc::SYS_mmap, args)? != old {
                return Ok(end);
            }
        } else if new < old {
            self.call(libc::SYS_munmap, [new, old - new, 0, 0, 0, 0])?;
        }
        self.heap = Some(Heap { end: wanted });
        Ok(wanted)
    }
}
