//! The guest's memory map: what the guest sees ([`vma`]), kept in step with the host's own map.
//!
//! Guest addresses are host addresses, so every change is a host call on the same range, except
//! that the host never gets `PROT_EXEC` and that pages whose code has been translated lose their
//! host write permission while the guest's view keeps it ([`code`]).

mod advise;
mod aio;
mod bounds;
mod brk;
mod code;
mod map;
mod proc;
mod remap;
mod shm;
pub(crate) mod vma;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base::GuestVirt;
use base::addr::PAGE_SIZE;

use crate::engine::Engine;
use crate::locks::{Guard, Lock, Rank};
use crate::user::UserSlice;
use crate::window;

pub(crate) use bounds::Bounds;
pub(crate) use map::{MapRequest, STACK};
pub(crate) use remap::RemapRequest;
use vma::{Backing, Prot, Seal, Sharing, Vma, VmaTree};

/// The address space of this process. There is one, because guest addresses are host addresses.
static CURRENT: OnceLock<Arc<AddressSpace>> = OnceLock::new();

/// The guest's memory map.
pub(crate) struct AddressSpace {
    maps: Lock<Maps>,
    /// How many pages are write-protected for the translator: usually none, and then nothing needs
    /// to look.
    protected_count: AtomicUsize,
    /// Whether it may be written by a file (/proc/PID/mem).
    is_written_as_file: AtomicBool,
    /// The personality `READ_IMPLIES_EXEC`: what is mapped to be read may be executed, too.
    read_implies_exec: AtomicBool,
    /// Whom to tell when code may have changed.
    engine: OnceLock<Arc<Engine>>,
}

/// What the lock guards.
#[derive(Default)]
pub(crate) struct Maps {
    tree: VmaTree,
    /// Guest-writable pages that lost their host write permission because of translations.
    protected: BTreeSet<u64>,
    /// System V segments that are attached: start and end.
    attached: BTreeMap<u64, u64>,
    brk: brk::Brk,
    /// Mappings without an address are made below it; above only if there is no room.
    stack: Range<u64>,
    /// Whether `mlockall(MCL_FUTURE)` is in force: `MAP_LOCKED` or zero.
    lock_future: i32,
}

impl AddressSpace {
    /// The address space of this process, made at the first call.
    pub(crate) fn current() -> &'static Arc<Self> {
        CURRENT.get_or_init(|| Arc::new(Self::new()))
    }

    fn new() -> Self {
        let mut maps = Maps { stack: window::END.0..window::END.0, ..Maps::default() };
        for range in proc::host_mappings_in_window() {
            maps.note_foreign(range);
        }
        Self {
            maps: Lock::new(Rank::Memory, maps),
            protected_count: AtomicUsize::new(0),
            is_written_as_file: AtomicBool::new(false),
            read_implies_exec: AtomicBool::new(false),
            engine: OnceLock::new(),
        }
    }

    /// Says whom to tell when code may have changed. Once.
    pub(crate) fn set_engine(&self, engine: Arc<Engine>) {
        let _ = self.engine.set(engine);
    }

    /// Changes the personality `READ_IMPLIES_EXEC`, and says what it was.
    pub(crate) fn set_read_implies_exec(&self, on: bool) -> bool {
        self.read_implies_exec.swap(on, Ordering::Relaxed)
    }

    /// The personality `READ_IMPLIES_EXEC`.
    pub(crate) fn read_implies_exec(&self) -> bool {
        self.read_implies_exec.load(Ordering::Relaxed)
    }

    /// What a request for a protection is in this personality.
    pub(crate) fn implied(&self, wanted: Prot) -> Prot {
        let implies = wanted.may_read() && self.read_implies_exec();
        Prot(wanted.0 | if implies { Prot::EXEC } else { 0 })
    }

    /// Lets no other thread change the map: for `fork`.
    pub(crate) fn hold(&self) -> Guard<'_, Maps> {
        self.maps.lock()
    }

    /// Says where the stack is going to be, with what has to stay free below it.
    pub(crate) fn set_stack(&self, range: Range<u64>) {
        self.maps.lock().stack = range;
    }

    /// What the guest may do at this address, if anything is mapped there.
    #[cfg(test)]
    fn protection(&self, addr: GuestVirt) -> Option<Prot> {
        self.maps.lock().tree.find(addr.0).map(|(_, vma)| vma.prot)
    }

    /// After a change of mappings or contents that may have held code. Not under the lock: the
    /// engine asks back.
    fn code_changed(&self, range: Range<u64>) {
        if let Some(engine) = self.engine.get() {
            engine.mapping_changed(GuestVirt(range.start)..GuestVirt(range.end));
        }
    }
}

impl Maps {
    /// A free range for a mapping that may lie anywhere.
    fn find_room(&mut self, len: u64, align: u64) -> Option<u64> {
        let (below, above) = (window::START.0..self.stack.start, self.stack.end..window::END.0);
        let found = self.tree.find_free(len, align, below);
        found.or_else(|| self.tree.find_free(len, align, above))
    }

    fn note_foreign(&mut self, range: Range<u64>) {
        let vma = Vma {
            end: range.end,
            prot: Prot::default(),
            sharing: Sharing::Private,
            backing: Backing::Foreign,
            seal: Seal::Open,
        };
        self.tree.insert(range.start, vma);
    }

    /// Whether any part of a range is the host's or sealed: what may not be changed.
    fn is_frozen(&self, range: Range<u64>) -> Option<syscalls::Errno> {
        self.tree.parts(range).iter().find_map(|(_, vma)| match (vma.backing, vma.seal) {
            (Backing::Foreign, _) => Some(syscalls::Errno::ENOMEM),
            (_, Seal::Sealed) => Some(syscalls::Errno::EPERM),
            _ => None,
        })
    }
}

/// Rounds up to whole pages; `None` beyond 2^64.
pub(crate) fn page_align(len: u64) -> Option<u64> {
    Some(len.checked_add(PAGE_SIZE - 1)? & !(PAGE_SIZE - 1))
}

/// Makes a buffer writable for Ferry and for the host kernel, as far as it is for the guest: drops
/// the translator's protection of its pages. Call it before the kernel writes to a guest buffer.
pub(crate) fn prepare_write(buffer: UserSlice) {
    let Some(space) = CURRENT.get() else { return };
    if space.protected_count.load(Ordering::Acquire) != 0 {
        space.unprotect(buffer.addr.page().0..buffer.addr.0.saturating_add(buffer.len));
    }
}

#[cfg(test)]
mod tests {
    use runtime::{CodePages, FetchFaultCause};
    use syscalls::Errno;

    use super::*;
    use crate::user::UserPtr;

    /// Tests share the process's address space, so each takes its own part of the window.
    const BASE: u64 = 0x10_0000_0000;

    fn space() -> &'static Arc<AddressSpace> {
        base::sys::fault::install();
        AddressSpace::current()
    }

    fn map_fixed(addr: u64, pages: u64) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let request = MapRequest::anonymous(GuestVirt(addr), pages * PAGE_SIZE);
        assert_eq!(space().map(&MapRequest { flags, ..request }), Ok(GuestVirt(addr)));
    }

    fn word(addr: u64) -> UserPtr<u64> {
        UserPtr::new(GuestVirt(addr))
    }

    #[test]
    fn mappings_come_and_go_on_the_host_too() {
        let at = BASE;
        map_fixed(at, 4);
        word(at + 8).write(7).unwrap();
        space().unmap(GuestVirt(at + PAGE_SIZE), PAGE_SIZE).unwrap();
        assert_eq!(word(at + PAGE_SIZE).read(), Err(Errno::EFAULT));
        map_fixed(at, 4);
        assert_eq!(word(at + 8).read(), Ok(0), "a fixed mapping replaces, holes included");
        space().protect_range(GuestVirt(at), PAGE_SIZE, Prot(Prot::READ)).unwrap();
        assert_eq!(word(at).write(1), Err(Errno::EFAULT));
        let beyond = space().protect_range(GuestVirt(at), 5 * PAGE_SIZE, Prot(Prot::READ));
        assert_eq!(beyond, Err(Errno::ENOMEM));
    }

    #[test]
    fn fixed_addresses_are_kept_inside_the_window() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let at = |addr| {
            let request = MapRequest::anonymous(GuestVirt(addr), 2 * PAGE_SIZE);
            space().map(&MapRequest { flags, ..request })
        };
        assert_eq!(at(window::END.0), Err(Errno::ENOMEM));
        assert_eq!(at(window::END.0 - PAGE_SIZE), Err(Errno::ENOMEM));
        assert_eq!(at(0), Err(Errno::EPERM));
        assert_eq!(at(BASE + 1), Err(Errno::EINVAL));
        assert_eq!(space().unmap(window::END, PAGE_SIZE), Err(Errno::EINVAL));
    }

    #[test]
    fn what_the_host_has_there_is_not_replaced() {
        let at = BASE + 0x100_0000;
        map::reserve_on_host(&(at..at + PAGE_SIZE)).unwrap();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let request = MapRequest::anonymous(GuestVirt(at), 2 * PAGE_SIZE);
        assert_eq!(space().map(&MapRequest { flags, ..request }), Err(Errno::ENOMEM));
        let wish = space().map(&request).unwrap();
        assert_ne!(wish, GuestVirt(at));
        space().unmap(wish, 2 * PAGE_SIZE).unwrap();
        assert_eq!(space().unmap(GuestVirt(at), PAGE_SIZE), Ok(()));
        let held = map::reserve_on_host(&(at..at + PAGE_SIZE));
        assert_eq!(held, Err(Errno::EEXIST), "munmap left the host's mapping alone");
        map::release_on_host(&(at..at + PAGE_SIZE));
    }

    #[test]
    fn protected_pages_are_writable_for_the_guest_but_fault() {
        let at = BASE + 0x200_0000;
        map_fixed(at, 2);
        let page = GuestVirt(at);
        space().protect(page);
        assert_eq!(base::sys::access::store64(page, 1), Err(base::sys::access::Faulted));
        assert_eq!(space().protection(page), Some(Prot(3)));
        assert_eq!(word(at).write(5), Ok(()), "Ferry writes as the kernel would");
        space().protect(page);
        assert!(space().release(page));
        assert_eq!(base::sys::access::store64(page, 6), Ok(()));
        space().protect_range(page, PAGE_SIZE, Prot(Prot::READ)).unwrap();
        assert!(!space().release(page), "the guest may not write there");
    }

    #[test]
    fn fetch_stops_where_code_stops() {
        let at = BASE + 0x300_0000;
        map_fixed(at, 2);
        word(at + PAGE_SIZE - 8).write(0x1122).unwrap();
        let mut bytes = [0; 16];
        let fetch = |addr, bytes: &mut [u8]| space().fetch(GuestVirt(addr), bytes);
        let cause = |result: Result<usize, runtime::FetchFault>| result.unwrap_err().cause;
        assert_eq!(cause(fetch(at, &mut bytes)), FetchFaultCause::NotExecutable);
        space().protect_range(GuestVirt(at), PAGE_SIZE, Prot(Prot::EXEC)).unwrap();
        assert_eq!(fetch(at + PAGE_SIZE - 8, &mut bytes), Ok(8));
        assert_eq!(bytes[..2], [0x22, 0x11]);
        assert_eq!(cause(fetch(at - 4, &mut bytes)), FetchFaultCause::Unmapped);
        space().protect_range(GuestVirt(at), 2 * PAGE_SIZE, Prot(5)).unwrap();
        assert_eq!(fetch(at + PAGE_SIZE - 8, &mut bytes), Ok(16));
    }

    #[test]
    fn remapping_grows_moves_and_shrinks() {
        let at = BASE + 0x400_0000;
        map_fixed(at, 1);
        word(at).write(42).unwrap();
        let remap = |old: u64, old_pages: u64, new_pages: u64, flags, to: u64| {
            space().remap(&RemapRequest {
                old: GuestVirt(old),
                old_len: old_pages * PAGE_SIZE,
                new_len: new_pages * PAGE_SIZE,
                flags,
                to: GuestVirt(to),
                bounds: Bounds::NONE,
            })
        };
        assert_eq!(remap(at, 1, 3, 0, 0), Ok(GuestVirt(at)));
        map_fixed(at + 3 * PAGE_SIZE, 1);
        assert_eq!(remap(at, 3, 4, 0, 0), Err(Errno::ENOMEM), "something is in the way");
        space().protect_range(GuestVirt(at + 3 * PAGE_SIZE), PAGE_SIZE, Prot(1)).unwrap();
        let moved = remap(at, 3, 8, libc::MREMAP_MAYMOVE, 0).unwrap();
        assert_eq!(word(moved.0).read(), Ok(42));
        assert_eq!(word(at).read(), Err(Errno::EFAULT));
        let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        assert_eq!(remap(moved.0, 8, 2, fixed, at), Ok(GuestVirt(at)));
        assert_eq!((word(at).read(), space().protection(moved)), (Ok(42), None));
        assert_eq!(remap(at, 2, 1, 0, 0), Ok(GuestVirt(at)));
        assert_eq!(space().protection(GuestVirt(at + PAGE_SIZE)), None);
    }

    #[test]
    fn limits_bind_what_is_mapped_and_moved() {
        let at = BASE + 0x900_0000;
        map_fixed(at, 1);
        let mapped = |bounds| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let request = MapRequest::anonymous(GuestVirt(at), 2 * PAGE_SIZE);
            space().map(&MapRequest { flags, bounds, ..request })
        };
        // Other tests map at the same time, so a limit is either nothing or plenty.
        let bound = |space, data| Bounds { space, data };
        assert_eq!(mapped(bound(0, u64::MAX)), Err(Errno::ENOMEM));
        assert_eq!(mapped(bound(u64::MAX, 0)), Err(Errno::ENOMEM));
        assert_eq!(mapped(bound(1 << 45, 1 << 45)), Ok(GuestVirt(at)));
        let read_only =
            MapRequest { prot: Prot(Prot::READ), ..MapRequest::anonymous(GuestVirt(0), 1) };
        let constant =
            space().map(&MapRequest { bounds: bound(u64::MAX, 0), ..read_only }).unwrap();
        space().unmap(constant, PAGE_SIZE).unwrap();
        let grown = |new_len| {
            let old = GuestVirt(at);
            let (flags, to) = (libc::MREMAP_MAYMOVE, GuestVirt(0));
            let bounds = bound(0, u64::MAX);
            space().remap(&RemapRequest { old, old_len: 2 * PAGE_SIZE, new_len, flags, to, bounds })
        };
        assert_eq!(grown(3 * PAGE_SIZE), Err(Errno::ENOMEM));
        assert_eq!(grown(PAGE_SIZE), Ok(GuestVirt(at)));
    }

    #[test]
    fn the_heap_moves_and_stops_at_the_next_mapping() {
        let at = BASE + 0x500_0000;
        space().set_brk_start(GuestVirt(at + 16));
        assert_eq!(space().set_brk(GuestVirt(0), Bounds::NONE), GuestVirt(at + 16));
        let end = GuestVirt(at + 3 * PAGE_SIZE + 5);
        assert_eq!(space().set_brk(end, Bounds::NONE), end);
        word(at + 3 * PAGE_SIZE).write(1).unwrap();
        map_fixed(at + 5 * PAGE_SIZE, 1);
        assert_eq!(space().set_brk(GuestVirt(at + 6 * PAGE_SIZE), Bounds::NONE), end);
        assert_eq!(space().set_brk(GuestVirt(at + 16), Bounds::NONE), GuestVirt(at + 16));
        assert_eq!(word(at + 3 * PAGE_SIZE).read(), Err(Errno::EFAULT));
    }

    #[test]
    fn sealed_memory_cannot_be_changed() {
        let at = BASE + 0x600_0000;
        map_fixed(at, 2);
        space().seal(GuestVirt(at), PAGE_SIZE).unwrap();
        assert_eq!(space().unmap(GuestVirt(at), 2 * PAGE_SIZE), Err(Errno::EPERM));
        let changed = space().protect_range(GuestVirt(at), PAGE_SIZE, Prot(1));
        assert_eq!(changed, Err(Errno::EPERM));
        let discarded = space().advise(GuestVirt(at), PAGE_SIZE, libc::MADV_DONTNEED);
        assert_eq!(discarded, Err(Errno::EPERM));
    }

    #[test]
    fn segments_are_attached_and_detached() {
        use crate::host::{self, args};
        use syscalls::Sysno;
        let id =
            host::call(Sysno::shmget, args![libc::IPC_PRIVATE, 5000_u64, 0o600]).unwrap() as i32;
        let at = space().attach(id, 5000, GuestVirt(0), 0).unwrap();
        word(at.0).write(77).unwrap();
        let again = GuestVirt(BASE + 0x800_0000);
        assert_eq!(space().attach(id, 5000, again, libc::SHM_RDONLY), Ok(again));
        assert_eq!(word(again.0).read(), Ok(77));
        assert_eq!(space().protection(again), Some(Prot(Prot::READ)));
        assert_eq!(space().attach(id, 5000, again, 0), Err(Errno::EINVAL), "something is there");
        assert_eq!(space().attach(id, 5000, again, libc::SHM_REMAP), Ok(again));
        host::call(Sysno::shmctl, args![id, libc::IPC_RMID, 0_u64]).unwrap();
        assert_eq!(space().detach(again), Ok(()));
        assert_eq!((word(again.0).read(), space().protection(again)), (Err(Errno::EFAULT), None));
        assert_eq!(space().detach(again), Err(Errno::EINVAL));
        assert_eq!(space().detach(at), Ok(()));
    }

    #[test]
    fn proc_shows_the_guests_own_view() {
        let at = BASE + 0x700_0000;
        map_fixed(at, 2);
        space().protect_range(GuestVirt(at), PAGE_SIZE, Prot(7)).unwrap();
        space().protect(GuestVirt(at));
        let text = space().proc_maps(str::to_owned);
        let line = format!("{at:08x}-{:08x} rwxp 00000000 00:00 0 \n", at + PAGE_SIZE);
        assert!(text.contains(&line), "{text}");
        assert!(!text.contains("[vvar]"), "nothing of the host's:\n{text}");
        let smaps = space().proc_smaps(str::to_owned);
        assert!(smaps.contains(&line) && smaps.contains("\nRss: "), "{smaps}");
    }
}
