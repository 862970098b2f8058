//! Another execution, repeated in Ferry.

use std::collections::HashMap;
use std::ops::Range;

use base::GuestVirt;
use diff::guest::{self, Outside};
use diff::{Execution, Mapping, State};
use linux_user::kernel::{self, Call};
use linux_user::{Access, Raised, Replica, ReplicaTier};
use runtime::{BlockEnds, Exit};
use trace::frame::Watched;
use trace::names::register_by_name;
use trace::{
    AccessKind, Architecture, Carries, Error, Event, Header, Insn, RegWrite, Register, Source,
    Trap, Writes,
};

use crate::sharing::{self, Sharing};
use crate::signals::Info;
use crate::watcher::{Block, Queue, Watcher, Watches};
use crate::{failed, maps};

/// Hosts keep what lies below from programs (`vm.mmap_min_addr`). Emulators sometimes map something there; a program that uses
/// it faults here.
const LOWEST: u64 = 0x1_0000;

/// Bytes that are copied at once.
const PIECE: u64 = 1 << 16;
/// `MAP_ANONYMOUS`, the same for all guests.
const MAP_ANONYMOUS: u64 = 0x20;
/// A call's numbers: `mmap`'s flags, `mremap`'s new length.
const FLAGS: usize = 3;
const NEW_LEN: usize = 2;

/// A thread in Ferry that takes its memory, its registers and what the kernel does from a reference. A process has
/// one, as guest addresses are the host's.
pub struct Replayed {
    replica: Replica,
    header: Header,
    /// gdb's numbers, by which registers are set.
    numbers: HashMap<Register, u32>,
    queue: Queue,
    maps: Vec<Mapping>,
    /// Whether blocks are compared, and the instructions of the event that was yielded last.
    watches: Watches,
    block: Block,
    awaits: Awaits,
    has_ended: bool,
    /// Why memory may change at any time, in the reference.
    is_shared: Option<String>,
    /// How many events there were.
    events: u64,
}

fn wrong(error: impl std::fmt::Display) -> Error {
    failed(error.to_string())
}

impl Replayed {
    /// A thread of this architecture, on a CPU of this model.
    ///
    /// # Errors
    /// Ferry has no such CPU, or no memory for it.
    pub fn new(
        architecture: Architecture,
        model: Option<&str>,
        tier: ReplicaTier,
    ) -> Result<Self, Error> {
        let replica = Replica::new(architecture.name(), model, tier).map_err(wrong)?;
        Ok(Self::watched(replica, architecture, tier, Watches::Instructions))
    }

    /// The same, but it executes whole blocks, and has an event for each ([`Execution::block`]). They end where a result comes from
    /// outside, too.
    ///
    /// # Errors
    /// As [`Replayed::new`].
    pub fn by_block(
        architecture: Architecture,
        model: Option<&str>,
        tier: ReplicaTier,
    ) -> Result<Self, Error> {
        let ends = BlockEnds::after(move |insn| {
            let insn = Insn::new(insn);
            guest::outside(architecture, &Event { insn, ..Event::default() }).is_some()
        });
        let replica = Replica::by_block(architecture.name(), model, tier, ends).map_err(wrong)?;
        Ok(Self::watched(replica, architecture, tier, Watches::Blocks))
    }

    fn watched(
        mut replica: Replica,
        architecture: Architecture,
        tier: ReplicaTier,
        watches: Watches,
    ) -> Self {
        let (watched, queue) = (Watched::new(architecture), Queue::default());
        let interrupter = replica.interrupter();
        let watcher = Watcher::new(queue.clone(), watched, architecture, interrupter, watches);
        replica.set_observer(Box::new(watcher));
        Self::of(replica, queue, (architecture, tier), watches)
    }

    /// The same at full speed, to be compared where it calls the system ([`Replayed::run_to_call`]): it has no events.
    ///
    /// # Errors
    /// As [`Replayed::new`].
    pub fn unobserved(
        architecture: Architecture,
        model: Option<&str>,
        tier: ReplicaTier,
    ) -> Result<Self, Error> {
        let replica = Replica::unobserved(architecture.name(), model, tier).map_err(wrong)?;
        let what = (architecture, tier);
        Ok(Self::of(replica, Queue::default(), what, Watches::Instructions))
    }

    fn of(
        replica: Replica,
        queue: Queue,
        (architecture, tier): (Architecture, ReplicaTier),
        watches: Watches,
    ) -> Self {
        let sees_memory = tier == ReplicaTier::Interpreted && watches == Watches::Instructions;
        let carries = Carries {
            insn: true,
            privilege: false,
            int: Writes::Changes,
            float: Writes::Changes,
            control: Writes::Changes,
            loads: sees_memory,
            load_values: sees_memory,
            stores: sees_memory,
            store_values: sees_memory,
            traps: true,
        };
        let header = Header { architecture, carries, program: None };
        let named = replica.registers().into_iter();
        let named = named.filter_map(|(number, name)| {
            Some((register_by_name(architecture, name.as_bytes())?, number))
        });
        let numbers = named.collect();
        let (maps, block) = (Vec::new(), Block::new());
        let (awaits, has_ended) = (Awaits::Nothing, false);
        Self {
            replica,
            header,
            numbers,
            queue,
            maps,
            watches,
            block,
            awaits,
            has_ended,
            is_shared: None,
            events: 0,
        }
    }

    /// Runs to its next system call, which is not executed yet. `false` if it ends before one, by a signal of its own.
    pub fn run_to_call(&mut self) -> bool {
        while !self.has_ended {
            match self.replica.run() {
                Exit::Interrupted => {}
                Exit::Syscall => return true,
                _ => self.has_ended = true,
            }
        }
        false
    }

    /// Where it is.
    #[must_use]
    pub fn pc(&self) -> u64 {
        self.replica.frame().pc
    }

    /// All its registers.
    #[must_use]
    pub fn registers(&self) -> Vec<RegWrite> {
        let mut all = Vec::new();
        Watched::new(self.header.architecture).all(self.replica.frame(), &mut all);
        all
    }

    /// How many instructions it has executed.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.replica.executed()
    }

    /// The first byte of memory that may be written, and is otherwise in the reference; `None` if all is the same.
    ///
    /// # Errors
    /// The reference cannot be read.
    pub fn memory_differs(&self, state: &mut dyn State) -> Result<Option<u64>, Error> {
        let (mut own, mut others) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
        for piece in self.writable_pieces() {
            let len = (piece.end - piece.start) as usize;
            let (own, others) = (&mut own[..len], &mut others[..len]);
            state.read(piece.start, others)?;
            if self.replica.read(piece.start, own) && own != others {
                let place = own.iter().zip(&*others).position(|(a, b)| a != b);
                return Ok(place.map(|place| piece.start + place as u64));
            }
        }
        Ok(None)
    }

    /// The memory that may be read and written and has contents, in pieces that are copied at once.
    fn writable_pieces(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let writable = self.maps.iter().filter(|mapping| mapping.read && mapping.write);
        let ranges: Vec<_> =
            writable.map(|mapping| mapping.range.start..filled(mapping, &mapping.range)).collect();
        ranges.into_iter().flat_map(|range| {
            let pieces = range.clone().step_by(PIECE as usize);
            pieces.map(move |start| start..range.end.min(start + PIECE))
        })
    }

    fn set_registers(&mut self, writes: &[RegWrite]) -> bool {
        let mut all = true;
        for write in writes {
            let number = self.numbers.get(&write.register);
            all &= number.is_some_and(|&number| self.replica.set_register(number, write.value));
        }
        self.queue.registers_changed();
        all
    }

    /// Copies a range of the reference's memory, as far as it is there.
    fn copy(&mut self, range: Range<u64>, state: &mut dyn State) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            let len = PIECE.min(range.end - at);
            let mut bytes = vec![0; len as usize];
            state.read(at, &mut bytes)?;
            if bytes.iter().any(|byte| *byte != 0) {
                self.replica.write(at, &bytes).map_err(wrong)?;
            }
            at += len;
        }
        Ok(())
    }

    /// Maps a part of one of the reference's mappings with what it contains.
    fn map(
        &mut self,
        range: Range<u64>,
        like: &Mapping,
        contents: Contents,
        state: &mut dyn State,
    ) -> Result<(), Error> {
        let access = access(like);
        let filled = Access { read: true, write: true, ..access };
        self.replica.map(range.clone(), filled).map_err(wrong)?;
        if like.read && contents == Contents::Copied {
            self.copy(range.start..range.end.min(like.filled), state)?;
        }
        if access != filled || like.filled < range.end {
            self.protect(range, like)?;
        }
        Ok(())
    }

    /// Lets be done with a part of a mapping what may be done with it, and nothing with what lies behind the end of its file.
    fn protect(&mut self, range: Range<u64>, like: &Mapping) -> Result<(), Error> {
        let end = like.filled.clamp(range.start, range.end);
        for (part, access) in
            [(range.start..end, access(like)), (end..range.end, Access::default())]
        {
            if !part.is_empty() {
                self.replica.protect(part, access).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Makes the memory map what the reference's is. What is new has the reference's contents, or zeros.
    fn follow_maps(&mut self, contents: Contents, state: &mut dyn State) -> Result<(), Error> {
        let mut theirs = state.mappings()?.ok_or_else(|| {
            failed("the reference does not tell what is mapped: its program cannot be repeated")
        })?;
        theirs.retain_mut(|mapping| {
            mapping.range.start = mapping.range.start.max(LOWEST);
            // x86-64's vsyscall page: what is there, nobody can read.
            !mapping.range.is_empty() && (mapping.read || mapping.range.end <= Replica::MEMORY_END)
        });
        let ours = std::mem::replace(&mut self.maps, theirs.clone());
        let mut edges: Vec<u64> = Vec::new();
        let ranges = ours.iter().chain(&theirs);
        edges.extend(ranges.flat_map(|mapping| [mapping.range.start, mapping.range.end]));
        edges.sort_unstable();
        edges.dedup();
        for edge in edges.windows(2) {
            let range = edge[0]..edge[1];
            match (maps::at(&ours, range.start), maps::at(&theirs, range.start)) {
                (None, None) => {}
                (Some(_), None) => self.replica.unmap(range).map_err(wrong)?,
                (None, Some(new)) => self.map(range, new, contents, state)?,
                (Some(old), Some(new)) if access(old) != access(new) => {
                    self.protect(range, new)?;
                }
                // The file has become longer or shorter.
                (Some(old), Some(new)) if filled(old, &range) != filled(new, &range) => {
                    self.map(range, new, Contents::Copied, state)?;
                }
                (Some(_), Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Does what a system call did to the reference's memory.
    fn follow_call(&mut self, event: &Event, state: &mut dyn State) -> Result<(), Error> {
        let architecture = self.header.architecture;
        let (number, args) = self.replica.system_call();
        let Some(convention) = kernel::convention(architecture) else { return Ok(()) };
        let result = event.writes.iter().find(|write| write.register == convention.result);
        let result = result.map_or(args[0], |write| write.value as u64);
        let call = Call { number, args, result };
        let name = kernel::name(architecture, number).unwrap_or_default();
        let sharing = sharing::of_call(name, &call, |addr, into| self.replica.read(addr, into));
        match sharing {
            Sharing::Nobody => {}
            // It has failed.
            _ if result > u64::MAX - 4096 => {}
            Sharing::Child => self.take_over_all(state)?,
            Sharing::Thread => {
                self.is_shared = Some(format!(
                    "a thread or a process with the same memory starts at {:#x}, and may write it at any time: {} \
                     instructions up to there agree, and what comes then is not compared",
                    event.pc, self.events
                ));
            }
        }
        if kernel::maps(name) && result <= u64::MAX - 4096 {
            self.follow_mapping_call(name, &call, state)?;
        }
        let replica = &self.replica;
        let ranges =
            kernel::written(architecture, &call, &mut |addr, into| replica.read(addr, into));
        ranges.into_iter().try_for_each(|range| self.take_over(range, state))
    }

    fn follow_mapping_call(
        &mut self,
        name: &str,
        call: &Call,
        state: &mut dyn State,
    ) -> Result<(), Error> {
        let whole = |len: u64| call.result..call.result.saturating_add(len.next_multiple_of(4096));
        match name {
            "mmap" => {
                let is_anonymous = call.args[FLAGS] & MAP_ANONYMOUS != 0;
                let contents = if is_anonymous { Contents::Zero } else { Contents::Copied };
                self.renew(&whole(call.args[1].min(Replica::MEMORY_END)), contents, state)
            }
            "mremap" => self.renew(
                &whole(call.args[NEW_LEN].min(Replica::MEMORY_END)),
                Contents::Copied,
                state,
            ),
            "brk" => self.follow_maps(Contents::Zero, state),
            _ => self.follow_maps(Contents::Copied, state),
        }
    }

    /// Maps a range anew, in place of what was there.
    fn renew(
        &mut self,
        range: &Range<u64>,
        contents: Contents,
        state: &mut dyn State,
    ) -> Result<(), Error> {
        let overlaps =
            |mapping: &Mapping| mapping.range.start < range.end && range.start < mapping.range.end;
        // What was there is forgotten, so that it counts as new.
        let mut kept = Vec::new();
        for mapping in std::mem::take(&mut self.maps) {
            if !overlaps(&mapping) {
                kept.push(mapping);
                continue;
            }
            let (start, end) = (mapping.range.start, mapping.range.end);
            for part in [start..range.start.max(start), range.end.min(end)..end] {
                if part.start < part.end {
                    kept.push(Mapping { range: part, ..mapping.clone() });
                }
            }
        }
        self.maps = kept;
        self.follow_maps(contents, state)
    }

    /// The instruction that was executed last raises a signal.
    fn raise(&mut self, exit: &Exit) {
        let pc = self.replica.frame().pc;
        let trap = match self.replica.raised(exit) {
            Some(Raised { addr, .. }) if self.is_behind_file(addr) => Info::BUS.trap(),
            Some(Raised { signal, code, addr }) => Info::of(signal, code, addr).trap(),
            None => Trap::default(),
        };
        self.queue.raised(pc, trap);
    }

    /// Whether a mapping has no more contents there.
    fn is_behind_file(&self, addr: u64) -> bool {
        maps::at(&self.maps, addr).is_some_and(|mapping| mapping.filled <= addr)
    }

    /// Enters the handler of a signal that the reference gets: takes over the frame that its kernel has written, and the registers.
    fn follow_signal(&mut self, event: &Event, state: &mut dyn State) -> Result<(), Error> {
        let architecture = self.header.architecture;
        let sp = kernel::stack_pointer(architecture);
        let value = |all: &[RegWrite]| {
            all.iter().find(|write| write.register == sp).map(|write| write.value as u64)
        };
        let before = value(&self.registers());
        if let Some((before, now)) = before.zip(value(&state.registers())) {
            let frame = kernel::signal_frame(architecture, (before, now), &mut |addr, into| {
                state.read(addr, into).is_ok()
            });
            self.take_over(frame, state)?;
        }
        self.set_registers(&event.writes);
        Ok(())
    }

    /// Whether another program has been executed: then what is behind the call is not where the reference goes on.
    fn is_left(&self, event: &Event, pc: u64) -> bool {
        let (number, _) = self.replica.system_call();
        let name = kernel::name(self.header.architecture, number);
        let len = event.insn.map_or(0, |insn| insn.bytes().len() as u64);
        name.is_some_and(kernel::executes) && pc != event.pc.wrapping_add(len)
    }

    /// Takes over all of the reference's state.
    fn begin_again(&mut self, state: &mut dyn State) -> Result<(), Error> {
        for old in std::mem::take(&mut self.maps) {
            self.replica.unmap(old.range).map_err(wrong)?;
        }
        self.follow_maps(Contents::Copied, state)?;
        self.set_registers(&state.registers());
        Ok(())
    }

    /// Writes all memory that may be written as it is in the reference: a child that has ended, or has executed another program, had it.
    fn take_over_all(&mut self, state: &mut dyn State) -> Result<(), Error> {
        let (mut own, mut others) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
        for piece in self.writable_pieces() {
            let len = (piece.end - piece.start) as usize;
            let (own, others) = (&mut own[..len], &mut others[..len]);
            state.read(piece.start, others)?;
            if !self.replica.read(piece.start, own) || own != others {
                self.replica.write(piece.start, others).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Writes a range as it is in the reference, if it is there.
    fn take_over(&mut self, range: Range<u64>, state: &mut dyn State) -> Result<(), Error> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        if state.read(range.start, &mut bytes).is_ok() {
            self.replica.write(range.start, &bytes).map_err(wrong)?;
        }
        Ok(())
    }

    /// Does what a recorded event says of memory.
    fn follow_record(&mut self, event: &Event) -> Result<(), Error> {
        for access in event.accesses.iter().filter(|access| access.kind == AccessKind::Store) {
            if let (Some(size), Some(value)) = (access.size, access.value) {
                let bytes = value.to_le_bytes();
                let len = usize::from(size).min(bytes.len());
                self.replica.write(access.addr, &bytes[..len]).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// What only the reference can say, before there is a next instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaits {
    Nothing,
    /// What the system call that was executed last has done.
    Call,
    /// What becomes of the signal that the last instruction has raised.
    Signal,
}

/// What new memory contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Contents {
    Zero,
    Copied,
}

/// How much of a part of a mapping has contents.
fn filled(mapping: &Mapping, part: &Range<u64>) -> u64 {
    mapping.filled.clamp(part.start, part.end)
}

fn access(mapping: &Mapping) -> Access {
    Access { read: mapping.read, write: mapping.write, execute: mapping.execute }
}

impl Source for Replayed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            event.clear();
            if self.queue.take(event, &mut self.block) {
                let (insn, insns) = match self.watches {
                    Watches::Instructions => (event.insn, 1),
                    Watches::Blocks => (self.block.last().copied(), self.block.len() as u64),
                };
                self.events += insns;
                let last = Event { insn, ..Event::default() };
                let open = guest::outside(self.header.architecture, &last);
                self.awaits = match open {
                    _ if event.trap.is_some() => Awaits::Signal,
                    Some(Outside::Kernel) => Awaits::Call,
                    _ => Awaits::Nothing,
                };
                return Ok(true);
            }
            if let Some(why) = &self.is_shared {
                return Err(failed(why.clone()));
            }
            match self.awaits {
                _ if self.has_ended => return Ok(false),
                Awaits::Nothing => {}
                Awaits::Call => {
                    return Err(failed(
                        "a system call's result is awaited: only a reference that is the first side can give it",
                    ));
                }
                // The reference has not entered a handler.
                Awaits::Signal => return Ok(false),
            }
            match self.replica.run() {
                Exit::Interrupted | Exit::Syscall => {}
                exit => self.raise(&exit),
            }
        }
    }
}

impl Execution for Replayed {
    fn begin(&mut self, reference: &mut dyn Execution) -> Result<bool, Error> {
        let state = reference.state().ok_or_else(|| {
            failed("a tier can only repeat what is live: qemu, gdb:…, or interp as the reference")
        })?;
        self.begin_again(state)?;
        let pc = state.pc().ok_or_else(|| failed("the reference has ended"))?;
        self.replica.set_pc(GuestVirt(pc));
        Ok(true)
    }

    fn adopt(&mut self, event: &Event, reference: &mut dyn Execution) -> Result<bool, Error> {
        let is_signal = event.delivered().is_some();
        let is_call =
            !is_signal && guest::outside(self.header.architecture, event) == Some(Outside::Kernel);
        self.awaits = Awaits::Nothing;
        match reference.state() {
            Some(state) => {
                let Some(pc) = state.pc() else {
                    self.has_ended = true;
                    return Ok(true);
                };
                if is_call && self.is_left(event, pc) {
                    self.begin_again(state)?;
                } else if is_call {
                    self.follow_call(event, state)?;
                }
                if is_signal {
                    self.follow_signal(event, state)?;
                }
                self.replica.set_pc(GuestVirt(pc));
            }
            None => self.follow_record(event)?,
        }
        Ok(self.set_registers(&event.writes))
    }

    fn is_led(&self) -> bool {
        true
    }

    fn memory(&mut self, addr: u64, into: &mut [u8]) -> bool {
        // It does not run ahead of what was told of blocks.
        self.watches == Watches::Blocks && self.replica.read(addr, into)
    }

    fn block(&self) -> Option<&[Insn]> {
        (self.watches == Watches::Blocks).then_some(&self.block)
    }

    fn state(&mut self) -> Option<&mut dyn State> {
        None
    }
}

impl Drop for Replayed {
    /// The addresses are free for whoever comes next.
    fn drop(&mut self) {
        for mapping in std::mem::take(&mut self.maps) {
            let _ = self.replica.unmap(mapping.range);
        }
    }
}

impl std::fmt::Debug for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replayed").field("replica", &self.replica).finish_non_exhaustive()
    }
}
