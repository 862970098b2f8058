//! Mapping an ELF program's segments as the kernel's `binfmt_elf` does.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::Errno;

use super::{Elf, ElfError, Segment};
use crate::memory::vma::Prot;
use crate::memory::{AddressSpace, Bounds, MapRequest, page_align};
use crate::user::UserSlice;

/// Where a file was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loaded {
    /// What was added to every address of the file.
    pub(crate) bias: u64,
    /// Its first instruction.
    pub(crate) entry: GuestVirt,
    /// Its program headers: `AT_PHDR`.
    pub(crate) headers: GuestVirt,
    /// How many: `AT_PHNUM`.
    pub(crate) header_count: u16,
    /// One past its last byte, where the heap may start.
    pub(crate) end: GuestVirt,
}

impl Elf {
    /// All pages from the first to the last segment, without bias.
    fn span(&self) -> Range<u64> {
        let first = self.segments.first().map_or(0, |s| s.pages().start);
        let last = self.segments.last().map_or(0, |s| s.pages().end);
        first..last
    }

    /// Maps the segments: where the file says, or from about `wish` on if it may lie anywhere (null
    /// for "with the other mappings"). What may be executed has `code` beside.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn map(
        &self,
        file: &File,
        memory: &AddressSpace,
        wish: GuestVirt,
        code: Prot,
    ) -> Result<Loaded, ElfError> {
        let span = self.span();
        let fixed = if self.relocatable { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let at = if self.relocatable { wish } else { GuestVirt(span.start) };
        // One reservation for all, so that nothing else comes between the segments.
        let whole = MapRequest::anonymous(at, span.end - span.start);
        let flags = whole.flags | libc::MAP_NORESERVE | fixed;
        let base = memory
            .map(&MapRequest { prot: Prot::default(), flags, ..whole })
            .map_err(|errno| ElfError::NoRoom { addr: at.0, errno })?;
        let bias = base.0.wrapping_sub(span.start);
        let mut end = span.start;
        for segment in &self.segments {
            self.give_back_gap(memory, bias, end..segment.pages().start);
            let more = if segment.prot.may_execute() { code.0 } else { 0 };
            Segment { prot: Prot(segment.prot.0 | more), ..*segment }
                .map(file, memory, bias)
                .map_err(|errno| ElfError::NoRoom { addr: segment.vaddr + bias, errno })?;
            end = segment.pages().end;
        }
        let last = self.segments.last().map_or(0, |s| s.vaddr + s.mem_len);
        Ok(Loaded {
            bias,
            entry: GuestVirt(self.entry.wrapping_add(bias)),
            headers: GuestVirt(self.headers_at.wrapping_add(bias)),
            header_count: self.header_count,
            end: GuestVirt(last.wrapping_add(bias)),
        })
    }

    /// Gaps between segments of a program with fixed addresses are the program's to use.
    fn give_back_gap(&self, memory: &AddressSpace, bias: u64, gap: Range<u64>) {
        if !self.relocatable && gap.start < gap.end {
            let _ = memory.unmap(GuestVirt(gap.start + bias), gap.end - gap.start);
        }
    }
}

impl Segment {
    /// The whole pages that it covers, without bias.
    fn pages(&self) -> Range<u64> {
        let start = self.vaddr & !(PAGE_SIZE - 1);
        // Checked when it was read: vaddr + mem_len is far below 2^63.
        start..(self.vaddr + self.mem_len).next_multiple_of(PAGE_SIZE)
    }

    fn map(&self, file: &File, memory: &AddressSpace, bias: u64) -> Result<(), Errno> {
        let pages = self.pages();
        let start = pages.start + bias;
        let from_file = if self.file_len == 0 {
            0
        } else {
            page_align(self.vaddr - pages.start + self.file_len).ok_or(Errno::ENOMEM)?
        };
        if from_file != 0 {
            memory.map(&MapRequest {
                addr: GuestVirt(start),
                len: from_file,
                prot: self.prot,
                flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
                fd: file.as_raw_fd(),
                offset: self.offset - (self.vaddr - pages.start),
                name: None,
                bounds: Bounds::NONE,
            })?;
            self.clear_after_file(start + from_file, bias);
        }
        let zeros = pages.end - pages.start - from_file;
        if zeros != 0 {
            let request = MapRequest::anonymous(GuestVirt(start + from_file), zeros);
            let flags = request.flags | libc::MAP_FIXED;
            memory.map(&MapRequest { prot: self.prot, flags, ..request })?;
        }
        Ok(())
    }

    /// Zeroes the rest of the last page that comes from the file, which holds the file's next
    /// bytes. As in the kernel, a segment that cannot be written keeps them.
    fn clear_after_file(&self, page_end: u64, bias: u64) {
        let end = self.vaddr + self.file_len + bias;
        let len = page_end - end;
        if self.mem_len > self.file_len && len != 0 && self.prot.may_write() {
            let zeros = [0; PAGE_SIZE as usize];
            let _ = UserSlice { addr: GuestVirt(end), len }.write(&zeros[..len as usize]);
        }
    }
}
