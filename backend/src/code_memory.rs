//! Memory for finished code: shared memory mapped twice, once to write and once to execute, so that
//! no mapping is ever both. It is anonymous, as `perf` looks for the names of code only there. The
//! slots through which regions leave lie beside the executable view, within reach of 32-bit offsets.
//!
//! It is divided into segments that fill one after the other. When the last one is full, the owner
//! frees the oldest: it unlinks the segment's regions, waits until no CPU is inside, and calls
//! [`CodeMemory::free_segment`].

#![expect(unsafe_code, reason = "owns the mappings that hold generated code")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{CpuFrame, GuestVirt, HostPtr};

use crate::compiler::CompiledRegion;

/// Segments of a code memory.
pub const SEGMENTS: usize = 16;

/// Code bytes for each byte of slots. An exit has 8 bytes of slot, and 20 of thunk and some of a jump at the least.
const CODE_PER_SLOT_BYTE: usize = 4;
const ALIGN: usize = 32;
const EXIT_THUNK: usize = 20;
/// What the thunks of a region's exits have in common.
const EXIT_TAIL: usize = 26;
const ENTRY_THUNK: usize = 16;

/// Why code could not be placed, or the memory not be had.
#[derive(Debug, thiserror::Error)]
pub enum CodeMemoryError {
    /// The host refused the memory.
    #[error("cannot get {bytes} bytes of memory for translated code")]
    Host {
        /// How much was asked for.
        bytes: usize,
        /// The host's words.
        #[source]
        source: io::Error,
    },
    /// The current segment is full, and the next one is not free: free it and try again.
    #[error("segment {0} of the code memory must be freed first")]
    Full(usize),
    /// The region is larger than a segment.
    #[error("the region at {pc} needs {bytes} bytes, more than a segment of the code memory")]
    TooLarge {
        /// The region's first entry.
        pc: GuestVirt,
        /// How much it needs.
        bytes: usize,
    },
}

/// The mappings and how full they are. Not synchronised: its owner has a lock around it.
#[derive(Debug)]
pub struct CodeMemory {
    /// Slots, then code: one reservation.
    slots: NonNull<u8>,
    code: NonNull<u8>,
    /// The writable view of the code.
    writable: NonNull<u8>,
    code_size: usize,
    current: usize,
    used: [Usage; SEGMENTS],
}

// SAFETY: the mappings belong to this value alone, and all methods that change them take `&mut`.
unsafe impl Send for CodeMemory {}

#[derive(Clone, Copy, Default, Debug)]
struct Usage {
    code: usize,
    slots: usize,
}

/// A region in its place: thunks of its exits, which begin it, thunks of its entries, and its body. Small, as there is one for each
/// block of the baseline compiler.
#[derive(Debug)]
pub struct PlacedRegion {
    start: HostPtr,
    slots: HostPtr,
    segment: u32,
    /// Bytes of all of it.
    size: u32,
    /// Bytes before the thunks of its entries.
    thunks: u32,
    /// Bytes before its body.
    body: u32,
    entries: u32,
    exits: u32,
    /// How many executions a slot behind those of the exits counts down, if there is one.
    executions: Option<u32>,
    /// How many slots behind that hold targets of an indirect jump.
    targets: u8,
}

impl PlacedRegion {
    /// The segment that holds it.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.segment as usize
    }

    /// All of it: thunks, then the body.
    #[must_use]
    pub fn extent(&self) -> std::ops::Range<HostPtr> {
        self.start..self.at(self.size)
    }

    /// Where its body lies: [`crate::PcMap::guest_pc`] counts from its start.
    #[must_use]
    pub fn body(&self) -> std::ops::Range<HostPtr> {
        self.at(self.body)..self.at(self.size)
    }

    /// Where to enter, by entry number. The body serves as its only entry; several entries have a thunk each.
    #[must_use]
    pub fn entry(&self, number: usize) -> Option<HostPtr> {
        let thunk = || self.thunks + number as u32 * ENTRY_THUNK as u32;
        let offset = || if self.entries == 1 { self.body } else { thunk() };
        (number < self.entries as usize).then(|| self.at(offset()))
    }

    /// All of its entries, by number.
    pub fn entries(&self) -> impl Iterator<Item = HostPtr> + '_ {
        (0..self.entries as usize).filter_map(|number| self.entry(number))
    }

    fn at(&self, offset: u32) -> HostPtr {
        HostPtr(self.start.0 + offset as usize)
    }

    fn slot(&self, number: usize) -> Option<&AtomicUsize> {
        let slots = self.first_target() + usize::from(self.targets);
        let address = (number < slots).then(|| self.slots.0 + number * 8)?;
        // SAFETY: the slot lies in the slots' mapping, which is never unmapped, and is only ever
        // accessed atomically.
        Some(unsafe { &*(address as *const AtomicUsize) })
    }

    /// Links an exit to an entry of another region, or of the same. No effect beyond the last exit.
    pub fn link(&self, exit: usize, entry: HostPtr) {
        if let Some(slot) = self.slot(exit).filter(|_| exit < self.exits as usize) {
            slot.store(entry.0, Ordering::Release);
        }
    }

    /// Has a block of the baseline compiler be executed so often before it leaves through [`crate::baseline::UPGRADE`].
    pub fn set_executions(&self, executions: u32) {
        if let Some(slot) = self.slot(self.exits as usize) {
            slot.store(executions as usize, Ordering::Relaxed);
        }
    }

    /// The part of its executions that a block of the baseline compiler has had, in percent; `None` of regions, which count none.
    #[must_use]
    pub fn spent(&self) -> Option<u32> {
        let all = u64::from(self.executions?);
        let left = self.slot(self.exits as usize)?.load(Ordering::Relaxed) as i64;
        let had = all.saturating_sub(left.max(0) as u64);
        Some((had * 100 / all.max(1)) as u32)
    }

    fn first_target(&self) -> usize {
        self.exits as usize + usize::from(self.executions.is_some())
    }

    fn target_words(&self) -> impl Iterator<Item = &AtomicUsize> {
        let first = self.first_target();
        (first..first + usize::from(self.targets)).filter_map(|number| self.slot(number))
    }

    /// Where its indirect jump went lately, as far as it is known; in no order.
    #[must_use]
    pub fn targets(&self) -> Vec<GuestVirt> {
        let targets = self.target_words().map(|word| word.load(Ordering::Relaxed) as u64);
        targets.filter(|&target| target != 0).map(GuestVirt).collect()
    }

    /// Makes an exit come back to the runtime again.
    pub fn unlink(&self, exit: usize) {
        self.link(exit, HostPtr(self.start.0 + exit * EXIT_THUNK));
    }
}

impl CodeMemory {
    /// A code memory for about `bytes` of code.
    ///
    /// # Errors
    /// The host refuses it.
    pub fn new(bytes: usize) -> Result<Self, CodeMemoryError> {
        let page = base::addr::PAGE_SIZE as usize;
        let unit = SEGMENTS * page * CODE_PER_SLOT_BYTE;
        let code_size = bytes.div_ceil(unit).max(1) * unit;
        let slot_size = code_size / CODE_PER_SLOT_BYTE;
        let map = || -> io::Result<Self> {
            let slots = map_anonymous(slot_size + code_size, libc::MAP_PRIVATE)?;
            // SAFETY: within the reservation just made.
            let code = unsafe { slots.add(slot_size) };
            let writable = map_anonymous(code_size, libc::MAP_SHARED)?;
            view(writable, code_size, code)?;
            make_executable(code, code_size)?;
            let used = [Usage::default(); SEGMENTS];
            Ok(Self { slots, code, writable, code_size, current: 0, used })
        };
        map().map_err(|source| CodeMemoryError::Host { bytes: code_size, source })
    }

    /// The executable view.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<HostPtr> {
        let start = self.code.as_ptr() as usize;
        HostPtr(start)..HostPtr(start + self.code_size)
    }

    /// Bytes of code in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.iter().map(|u| u.code).sum()
    }

    fn segment_size(&self) -> usize {
        self.code_size / SEGMENTS
    }

    /// Places a region; its exits come back to the runtime, naming `number` in
    /// [`CpuFrame::region`].
    ///
    /// # Errors
    /// [`CodeMemoryError::Full`] asks to free a segment first.
    pub fn place(
        &mut self,
        region: &CompiledRegion,
        number: u32,
    ) -> Result<PlacedRegion, CodeMemoryError> {
        let layout = Layout::of(region);
        let at =
            self.allocate(&layout).ok_or(()).or_else(|()| self.next_segment(region, &layout))?;
        let code_start = self.code.as_ptr() as usize + at.code;
        let slots = self.slots.as_ptr() as usize + at.slots;
        let placed = PlacedRegion {
            start: HostPtr(code_start),
            slots: HostPtr(slots),
            segment: self.current as u32,
            size: layout.code as u32,
            thunks: layout.entries as u32,
            body: layout.body as u32,
            entries: region.entries.len() as u32,
            exits: region.exits.len() as u32,
            executions: region.executions,
            targets: region.targets,
        };
        let image = layout.image(region, number, code_start, slots);
        // SAFETY: `allocate` gave this range of the writable view to this region alone.
        unsafe {
            let to = self.writable.as_ptr().add(at.code);
            std::ptr::copy_nonoverlapping(image.as_ptr(), to, image.len());
        }
        (0..region.exits.len()).for_each(|exit| placed.unlink(exit));
        placed.set_executions(region.executions.unwrap_or_default());
        placed.target_words().for_each(|word| word.store(0, Ordering::Relaxed));
        Ok(placed)
    }

    fn allocate(&mut self, layout: &Layout) -> Option<Usage> {
        let size = self.segment_size();
        let used = &mut self.used[self.current];
        let code = used.code.next_multiple_of(ALIGN);
        let slots = used.slots;
        if code + layout.code > size || slots + layout.slots > size / CODE_PER_SLOT_BYTE {
            return None;
        }
        *used = Usage { code: code + layout.code, slots: slots + layout.slots };
        let first = self.current * size;
        Some(Usage { code: first + code, slots: first / CODE_PER_SLOT_BYTE + slots })
    }

    fn next_segment(
        &mut self,
        region: &CompiledRegion,
        layout: &Layout,
    ) -> Result<Usage, CodeMemoryError> {
        let size = self.segment_size();
        if layout.code > size || layout.slots > size / CODE_PER_SLOT_BYTE {
            let pc = region.entries.first().copied().unwrap_or_default();
            return Err(CodeMemoryError::TooLarge { pc, bytes: layout.code });
        }
        let next = (self.current + 1) % SEGMENTS;
        if self.used[next].code != 0 {
            return Err(CodeMemoryError::Full(next));
        }
        self.current = next;
        self.allocate(layout).ok_or(CodeMemoryError::Full(next))
    }

    /// Declares a segment free.
    ///
    /// # Safety
    /// No region in it is linked to, findable or running, on any CPU.
    pub unsafe fn free_segment(&mut self, segment: usize) {
        if let Some(used) = self.used.get_mut(segment) {
            *used = Usage::default();
        }
    }

    /// Copies the code for a child that is about to be forked: the child's view of this memory is
    /// the parent's own, and the parent goes on writing there.
    ///
    /// # Errors
    /// The host refuses the memory; there must be no fork then.
    pub fn copy_for_child(&self) -> Result<ChildCode, CodeMemoryError> {
        let size = self.code_size;
        let map = map_anonymous(size, libc::MAP_SHARED);
        let at = map.map_err(|source| CodeMemoryError::Host { bytes: size, source })?;
        for (segment, used) in self.used.iter().enumerate() {
            let start = segment * self.segment_size();
            // SAFETY: both mappings are that large, and nobody writes to either: the copy is new, and
            // this value is borrowed.
            unsafe {
                let from = self.writable.as_ptr().add(start);
                std::ptr::copy_nonoverlapping(from, at.as_ptr().add(start), used.code);
            }
        }
        Ok(ChildCode { at, size })
    }

    /// Makes the copy a forked child's code memory. The code stays valid, at the same addresses.
    ///
    /// # Errors
    /// The host refuses; the child must not run translated code then.
    ///
    /// # Safety
    /// Called in the child, before any other thread exists and outside translated code, with what
    /// [`CodeMemory::copy_for_child`] made right before the fork.
    pub unsafe fn become_child(&mut self, copy: ChildCode) -> Result<(), CodeMemoryError> {
        let size = self.code_size;
        let adopt = || {
            view(copy.at, size, self.writable)?;
            view(copy.at, size, self.code)?;
            make_executable(self.code, size)
        };
        adopt().map_err(|source| CodeMemoryError::Host { bytes: size, source })
    }
}

/// A copy of all code, for a child that is about to be forked.
#[derive(Debug)]
pub struct ChildCode {
    at: NonNull<u8>,
    size: usize,
}

impl Drop for ChildCode {
    fn drop(&mut self) {
        // SAFETY: a mapping of this value's own. What was made of it has views of its own.
        unsafe {
            libc::munmap(self.at.as_ptr().cast(), self.size);
        }
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        // SAFETY: both mappings were made by `new` with these sizes and belong to this value.
        unsafe {
            let slots = self.code_size / CODE_PER_SLOT_BYTE;
            libc::munmap(self.slots.as_ptr().cast(), slots + self.code_size);
            libc::munmap(self.writable.as_ptr().cast(), self.code_size);
        }
    }
}

/// How a region lies in its memory: exit thunks, entry thunks, body.
struct Layout {
    entries: usize,
    body: usize,
    code: usize,
    slots: usize,
}

impl Layout {
    fn of(region: &CompiledRegion) -> Self {
        let entries = region.exits.len() * EXIT_THUNK + EXIT_TAIL;
        let slots = region.exits.len()
            + usize::from(region.executions.is_some())
            + usize::from(region.targets);
        let thunks = if region.entries.len() > 1 { region.entries.len() } else { 0 };
        let body = (entries + thunks * ENTRY_THUNK).next_multiple_of(ALIGN);
        Self { entries, body, code: body + region.code.len(), slots: slots * 8 }
    }

    /// The bytes of the whole region for its address.
    fn image(&self, region: &CompiledRegion, number: u32, start: usize, slots: usize) -> Vec<u8> {
        let mut image = vec![0xcc; self.code];
        let exits = region.exits.len() * EXIT_THUNK;
        write_exit_tail(&mut image[exits..self.entries], number);
        for (exit, thunk) in image[..exits].chunks_exact_mut(EXIT_THUNK).enumerate() {
            let target = region.exits[exit].target;
            write_exit_thunk(thunk, exit as u32, target, exits - exit * EXIT_THUNK);
        }
        if region.entries.len() > 1 {
            for n in 0..region.entries.len() {
                let at = self.entries + n * ENTRY_THUNK;
                write_entry_thunk(&mut image[at..at + ENTRY_THUNK], n as u32, self.body - at);
            }
        }
        image[self.body..].copy_from_slice(&region.code);
        for relocation in &region.relocations {
            let at = self.body + relocation.offset as usize;
            let place = (start + at) as i64;
            let value = slots as i64 + relocation.addend - place;
            image[at..at + 4].copy_from_slice(&(value as i32).to_le_bytes());
        }
        image
    }
}

/// `mov rcx, target; mov eax, exit; jmp tail`, the tail being `distance` bytes from the thunk's start.
fn write_exit_thunk(thunk: &mut [u8], exit: u32, target: GuestVirt, distance: usize) {
    thunk[..2].copy_from_slice(&[0x48, 0xb9]);
    thunk[2..10].copy_from_slice(&target.0.to_le_bytes());
    thunk[10] = 0xb8;
    thunk[11..15].copy_from_slice(&exit.to_le_bytes());
    thunk[15] = 0xe9;
    thunk[16..20].copy_from_slice(&(distance as i32 - EXIT_THUNK as i32).to_le_bytes());
}

/// `mov [frame.pc], rcx; mov [frame.exit], eax; mov [frame.region], number; xor eax, eax; ret`, the frame being in rdi: returns
/// [`crate::ExitCode::Unlinked`].
fn write_exit_tail(tail: &mut [u8], number: u32) {
    tail[..3].copy_from_slice(&[0x48, 0x89, 0x8f]);
    tail[3..7].copy_from_slice(&CpuFrame::PC.to_le_bytes());
    tail[7..9].copy_from_slice(&[0x89, 0x87]);
    tail[9..13].copy_from_slice(&CpuFrame::EXIT.to_le_bytes());
    write_store(&mut tail[13..23], CpuFrame::REGION, number);
    tail[23..26].copy_from_slice(&[0x31, 0xc0, 0xc3]);
}

/// `mov dword ptr [rdi + offset], value`
fn write_store(bytes: &mut [u8], offset: i32, value: u32) {
    bytes[..2].copy_from_slice(&[0xc7, 0x87]);
    bytes[2..6].copy_from_slice(&offset.to_le_bytes());
    bytes[6..10].copy_from_slice(&value.to_le_bytes());
}

/// `mov esi, number; jmp body`, the body being `distance` bytes from the thunk's start.
fn write_entry_thunk(thunk: &mut [u8], number: u32, distance: usize) {
    thunk[0] = 0xbe;
    thunk[1..5].copy_from_slice(&number.to_le_bytes());
    thunk[5] = 0xe9;
    thunk[6..10].copy_from_slice(&(distance as i32 - 10).to_le_bytes());
}

/// Maps new memory where the host likes.
fn map_anonymous(size: usize, sharing: libc::c_int) -> io::Result<NonNull<u8>> {
    let flags = sharing | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping where the host likes.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) })
}

/// Maps shared memory a second time, over a mapping of ours.
fn view(of: NonNull<u8>, size: usize, at: NonNull<u8>) -> io::Result<()> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let (from, to) = (of.as_ptr().cast(), at.as_ptr().cast::<libc::c_void>());
    // SAFETY: callers name only mappings of their own to map over. An old size of zero leaves the old
    // mapping of shared memory as it is.
    mapped(unsafe { libc::mremap(from, 0, size, flags, to) }).map(|_| ())
}

/// Lets a view be executed, and no longer written to.
fn make_executable(at: NonNull<u8>, size: usize) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: callers name a mapping of their own in which nothing is referred to.
    match unsafe { libc::mprotect(at.as_ptr().cast(), size, access) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn mapped(at: *mut libc::c_void) -> io::Result<NonNull<u8>> {
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))
}
