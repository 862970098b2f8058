//! The CPU frame: one guest CPU's registers and the few words through which the interpreter,
//! compiled code and the runtime speak to each other. All three address it by offset, so it is
//! `repr(C)` and the same for every guest; which slot is which register is said in `arch`.

use std::mem::offset_of;
use std::sync::atomic::AtomicU32;

use crate::intrinsic::Intrinsic;
use crate::wide::HostVector;

/// Register slots of a frame. A guest names as many as it has; RISC-V with its vector registers,
/// and x86-64 with 32 registers of 512 bits, both fit.
pub const SLOT_COUNT: usize = 512;

/// Temporaries of a frame, for tier 0 only. A translation block never needs more.
pub const TEMP_COUNT: usize = 512;

/// A 64-bit guest register slot, by index. A 128-bit register takes two consecutive slots, the
/// first one even.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct RegSlot(pub u16);

impl RegSlot {
    /// Bytes from the start of a [`CpuFrame`].
    #[inline]
    #[must_use]
    pub const fn offset(self) -> usize {
        self.0 as usize * 8
    }

    /// As an index into [`CpuFrame::slots`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The slot that is added to a translation's own pc to give the pc that the guest sees. Where
/// translations are found by virtual address it is always 0; where they are found by physical
/// address (whole machines) it is how far from there the guest has mapped the page.
pub const PC_DELTA: RegSlot = RegSlot(SLOT_COUNT as u16 - 1);

/// Names a helper: an index into the guest's table of [`Helper`]s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct HelperId(pub u16);

/// A function that IR calls where no IR operation says the same. It gets the frame and up to four
/// 64-bit arguments (unused ones are zero) and returns 64 bits. It never unwinds.
pub type HelperFn = unsafe extern "C" fn(*mut CpuFrame, u64, u64, u64, u64) -> u64;

/// A function that IR calls with vectors: the frame, a number and up to three vectors (unused ones are
/// zero). It never unwinds. Vectors travel in host registers.
#[expect(
    improper_ctypes_definitions,
    reason = "System V passes vectors in registers, as the back end does"
)]
pub type WideHelperFn =
    unsafe extern "C" fn(*mut CpuFrame, u64, HostVector, HostVector, HostVector) -> HostVector;

/// A helper's function.
#[derive(Clone, Copy, Debug)]
pub enum HelperCode {
    /// Of 64-bit arguments.
    Scalar(HelperFn),
    /// Of vectors.
    Wide(WideHelperFn),
}

impl HelperCode {
    /// Its address.
    #[must_use]
    pub fn address(self) -> usize {
        match self {
            Self::Scalar(function) => function as usize,
            Self::Wide(function) => function as usize,
        }
    }
}

/// What a helper may do besides computing its result. The optimiser and the register mapper
/// believe it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effects {
    /// The result depends on the arguments only, and there are no effects: may be merged, moved or
    /// dropped.
    Pure,
    /// Also reads and writes the guest's floating-point flags slot, and nothing else.
    FpFlags,
    /// May read and write any slot of the frame, but no guest memory, and never faults.
    Frame,
    /// May also access guest memory, and fault: returns after filling [`CpuFrame::fault`].
    Memory,
}

/// A helper's declaration, one row in the guest's table.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// As it stands in the IR's text form.
    pub name: &'static str,
    /// How many arguments it takes, 0 to 4. One of vectors takes all four, with zeros for unused ones.
    pub args: u8,
    /// What else it does.
    pub effects: Effects,
    /// Its function.
    pub code: HelperCode,
    /// What it computes, if compiled code may know better.
    pub intrinsic: Option<Intrinsic>,
}

/// How an indirect jump comes to a place, where that decides whether it may: one of three kinds that a guest knows
/// beside [`Approach::PLAIN`] (Arm's PSTATE.BTYPE). It is a constant of the jump. Jump caches remember
/// each kind apart, and a place only for the kinds that it admits; so it costs nothing where it is admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Approach(u8);

impl Approach {
    /// As direct jumps come, and what merely goes on: admitted everywhere.
    pub const PLAIN: Self = Self(0);
    /// How many there are.
    pub const COUNT: u8 = 4;

    /// By its number, of which two bits count.
    #[inline]
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self((number & (Self::COUNT as u64 - 1)) as u8)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// What is added to a block's key in jump caches. No program has code where an address has these bits: it lies below
    /// 2^47. The lowest leads to another entry, as far as code is aligned to 4 bytes.
    #[inline]
    #[must_use]
    pub const fn salt(self) -> u64 {
        const HALF: u64 = 1 << 55;
        match self.0 {
            0 => 0,
            1 => HALF | 1 << 47,
            2 => HALF | 1 << 54 | 2,
            _ => HALF | 1 << 54 | 1 << 47 | 2,
        }
    }
}

/// The approaches that a place admits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Admission(u8);

impl Admission {
    /// Every one.
    pub const ALL: Self = Self((1 << Approach::COUNT) - 1);
    /// [`Approach::PLAIN`] alone.
    pub const PLAIN: Self = Self(1);

    /// Every one, but jump caches may remember the place for [`Approach::PLAIN`] only: at once there is an exception
    /// whose report says how control came.
    pub const REPORTED: Self = Self(Self::PLAIN.0 | 1 << Approach::COUNT);

    /// And this one.
    #[must_use]
    pub const fn with(self, approach: Approach) -> Self {
        Self(self.0 | 1 << approach.0)
    }

    /// Whether it is [`Admission::REPORTED`].
    #[must_use]
    pub const fn is_reported(self) -> bool {
        self.0 == Self::REPORTED.0
    }

    /// Whether this one is among them, and may be remembered.
    #[inline]
    #[must_use]
    pub const fn has(self, approach: Approach) -> bool {
        self.0 >> approach.0 & 1 != 0
    }

    /// A bit for each, by its number.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits as [`Admission::bits`] gives them. [`Approach::PLAIN`] is always among them.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        let known = Self(bits | Self::PLAIN.0);
        if known.is_reported() { known } else { Self(known.0 & Self::ALL.0) }
    }
}

/// An entry of the per-CPU jump cache that compiled code probes inline at indirect branches.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct JumpCacheEntry {
    /// Block key (guest pc with the translation flags in its upper bits) plus [`Approach::salt`];
    /// [`JumpCacheEntry::EMPTY_KEY`] if empty.
    pub key: u64,
    /// Where the region's entry for it lies.
    pub code: *const u8,
}

impl JumpCacheEntry {
    /// A key that no block has: guest pcs of that form are never translated. A guest may jump there, though, so that
    /// the entry which this key would be in must be empty by another one.
    pub const EMPTY_KEY: u64 = u64::MAX;
    /// Entries of a jump cache (a power of two).
    pub const COUNT: usize = 4096;

    /// Which entry a key uses. Compiled code computes the same.
    #[inline]
    #[must_use]
    pub const fn index(key: u64) -> usize {
        (key >> 1) as usize & (Self::COUNT - 1)
    }
}

/// An entry of the jump cache that compiled code of a whole machine probes inline: what lies at a
/// virtual address, under [`CpuFrame::jump_environment`].
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct VirtualJumpEntry {
    /// The virtual pc.
    pub target: u64,
    /// The environment in which it lies there; 0 in none, since the contexts in environments begin with 1.
    pub environment: u64,
    /// Where the region's entry for it lies.
    pub code: *const u8,
    /// [`PC_DELTA`] there.
    pub delta: u64,
}

impl VirtualJumpEntry {
    /// Nothing.
    pub const EMPTY: Self =
        Self { target: u64::MAX, environment: 0, code: std::ptr::null(), delta: 0 };
    /// How far a pc is shifted left to give its entry's offset in bytes, before the mask: entries are
    /// chosen as by [`JumpCacheEntry::index`].
    pub const OFFSET_SHIFT: u32 = 4;
    /// The mask of an entry's offset.
    pub const OFFSET_MASK: u64 = (JumpCacheEntry::COUNT as u64 - 1) << 5;
}

/// A region that spans pages may be entered in an environment ([`CpuFrame::jump_environment`]): there they
/// lie as they did when it was made.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CheckedSpan {
    /// The region's span; 0 for none.
    pub span: u64,
    /// The environment.
    pub environment: u64,
}

impl CheckedSpan {
    /// Nothing.
    pub const EMPTY: Self = Self { span: 0, environment: 0 };
    /// Entries of a table (a power of two).
    pub const COUNT: usize = 1024;

    /// Which entry a span uses.
    #[must_use]
    pub const fn index(span: u64) -> usize {
        span as usize & (Self::COUNT - 1)
    }
}

/// An entry of the software TLB of a CPU in a whole machine: one page of RAM, for reading, writing or
/// both. Compiled code and the interpreter probe it inline; `softmmu` fills it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct TlbEntry {
    /// The page's address with [`CpuFrame::tlb_context`] in its low bits, if it may be read.
    pub read: u64,
    /// The same, if it may be written without anybody being told.
    pub write: u64,
    /// What added to a guest address in the page gives the host address.
    pub addend: u64,
    /// The guest-physical address of the page.
    pub phys: u64,
}

impl TlbEntry {
    /// An entry that matches nothing: no context is 0.
    pub const EMPTY: Self = Self { read: 0, write: 0, addend: 0, phys: 0 };
    /// Bits of a guest address that are an offset in the page, and hold the context in a tag.
    pub const CONTEXT_MASK: u64 = crate::addr::PAGE_SIZE - 1;
    /// How far an address is shifted right to give an entry's offset in bytes, before the mask.
    pub const INDEX_SHIFT: u32 = crate::addr::PAGE_SIZE.trailing_zeros() - 5;

    /// The tag that an access of `bytes` bytes at `addr` must find. One that crosses into the next page
    /// finds none, since its entry is chosen by its first byte and its tag made from its last.
    #[inline(always)]
    #[must_use]
    pub const fn wanted(addr: u64, bytes: u64, context: u64) -> u64 {
        addr.wrapping_add(bytes - 1) & !Self::CONTEXT_MASK | context
    }

    /// Where in a table with this mask an address's entry lies, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn offset(addr: u64, mask: u64) -> u64 {
        addr >> Self::INDEX_SHIFT & mask
    }
}

/// What an access that the TLB does not know asks for: see [`CpuFrame::memory_slow`].
pub type MemorySlowFn = unsafe extern "C" fn(*mut CpuFrame, addr: u64, what: u64) -> u64;

/// One guest CPU's state as the engines see it. `slots` comes first: a slot's offset is eight
/// times its index, and the lowest 16 slots are reached with short displacements.
#[repr(C, align(64))]
pub struct CpuFrame {
    /// Guest registers.
    pub slots: [u64; SLOT_COUNT],
    /// Temporaries of tier 0.
    pub temps: [u64; TEMP_COUNT],
    /// Guest pc: exact whenever the engines are not running.
    pub pc: u64,
    /// Translation flags that are part of a block's key (a guest's rounding mode, privilege, …),
    /// already shifted into the key's upper bits.
    pub key_flags: u64,
    /// Nonzero asks the CPU to leave translated code at its next poll: a sum of
    /// [`CpuFrame::INTERRUPT_REQUEST`] and its like. Set by any thread or signal handler.
    pub interrupt: AtomicU32,
    /// The sync point that compiled code last passed, by its index in the running region.
    pub sync_point: u32,
    /// The region that compiled code last entered, by its index in the code cache.
    pub region: u32,
    /// The exit through which compiled code left, by its index in the region.
    pub exit: u32,
    /// The jump cache of this CPU.
    pub jump_cache: *mut JumpCacheEntry,
    /// What the slow path of floating point computed for compiled code.
    pub fp_result: u64,
    /// Where it finds vectors as operands, and leaves one as result (the first).
    pub fp_wide: [[u64; 2]; 3],
    /// Set by a helper with [`Effects::Memory`] that could not finish: nonzero if it faulted.
    pub fault: u64,
    /// The guest address at which it, or an access of compiled code, faulted.
    pub fault_addr: u64,
    /// Instructions that compiled code retired, when counting is on.
    pub retired: u64,
    /// In a whole machine, probes of the TLB, when they are counted.
    pub tlb_probes: u64,
    /// The host's stack pointer at the entry to compiled code: where a fault comes back to.
    pub host_sp: u64,
    /// The slow path of floating point in compiled code: changes no register.
    pub fp_slow: Option<unsafe extern "C" fn()>,
    /// Addresses of the guest's helpers, by id: compiled code calls through it and so holds no host address.
    pub helpers: *const usize,
    /// Whatever the guest's system layer hangs on the CPU (a pointer for its helpers).
    pub context: *mut u8,
    /// In a whole machine, the TLB in use.
    pub tlb: *mut TlbEntry,
    /// Its size in bytes less that of one entry.
    pub tlb_mask: u64,
    /// The address space in use, in bits of [`TlbEntry::CONTEXT_MASK`]. Never 0 in a whole machine.
    pub tlb_context: u64,
    /// What jump caches of a whole machine remember beside the pc: address space and translation
    /// flags, and how often all was forgotten.
    pub jump_environment: u64,
    /// In a whole machine, finds the host address for an access that the TLB does not know; `what` is
    /// its size in bytes, plus [`CpuFrame::SLOW_WRITE`] if it writes. 0 if the access must be made
    /// by tier 0, be it that it faults, meets a device or crosses into another page.
    pub memory_slow: Option<MemorySlowFn>,
    /// In a whole machine, the memory behind the TLB.
    pub softmmu: *mut u8,
    /// The way of compiled code to [`CpuFrame::memory_slow`]: changes no register, and leaves the answer in
    /// [`CpuFrame::host_address`].
    pub memory_slow_call: Option<unsafe extern "C" fn()>,
    /// What [`CpuFrame::memory_slow`] answered compiled code.
    pub host_address: u64,
    /// Where compiled code asked.
    pub slow_pc: u64,
    /// In a whole machine, the jump cache of compiled code.
    pub virtual_jumps: *mut VirtualJumpEntry,
    /// In a whole machine, what was checked of regions that span pages.
    pub checked_spans: *mut CheckedSpan,
    /// The span that compiled code could not be entered for.
    pub unchecked_span: u64,
    /// In a whole machine, set with `fault` by a helper that has done nothing and leaves its instruction to
    /// whoever runs the CPU, as a translation would that ends before it.
    pub left_to_machine: u64,
    /// The number of the [`Approach`] by which control came to `pc`, as long as nothing there has been executed. 0
    /// while translated code runs.
    pub approach: u64,
    /// The instruction of the indirect jump by which translated code was left last, where the guest's jumps may fault
    /// by their target.
    pub jumped_from: u64,
}

macro_rules! frame_offsets {
    ($($(#[$doc:meta])* $name:ident = $field:ident;)*) => {
        impl CpuFrame {
            $($(#[$doc])* pub const $name: i32 = {
                let offset = offset_of!(CpuFrame, $field);
                assert!(offset < 1 << 20);
                offset as i32
            };)*
        }
    };
}

frame_offsets! {
    /// Offset of `pc` in bytes.
    PC = pc;
    /// Offset of `key_flags` in bytes.
    KEY_FLAGS = key_flags;
    /// Offset of `interrupt` in bytes.
    INTERRUPT = interrupt;
    /// Offset of `sync_point` in bytes.
    SYNC_POINT = sync_point;
    /// Offset of `region` in bytes.
    REGION = region;
    /// Offset of `exit` in bytes.
    EXIT = exit;
    /// Offset of `jump_cache` in bytes.
    JUMP_CACHE = jump_cache;
    /// Offset of `fp_result` in bytes.
    FP_RESULT = fp_result;
    /// Offset of `fp_wide` in bytes.
    FP_WIDE = fp_wide;
    /// Offset of `fault` in bytes.
    FAULT = fault;
    /// Offset of `retired` in bytes.
    RETIRED = retired;
    /// Offset of `tlb_probes` in bytes.
    TLB_PROBES = tlb_probes;
    /// Offset of `host_sp` in bytes.
    HOST_SP = host_sp;
    /// Offset of `fp_slow` in bytes.
    FP_SLOW = fp_slow;
    /// Offset of `helpers` in bytes.
    HELPERS = helpers;
    /// Offset of `fault_addr` in bytes.
    FAULT_ADDR = fault_addr;
    /// Offset of `tlb` in bytes.
    TLB = tlb;
    /// Offset of `tlb_mask` in bytes.
    TLB_MASK = tlb_mask;
    /// Offset of `tlb_context` in bytes.
    TLB_CONTEXT = tlb_context;
    /// Offset of `jump_environment` in bytes.
    JUMP_ENVIRONMENT = jump_environment;
    /// Offset of `memory_slow_call` in bytes.
    MEMORY_SLOW_CALL = memory_slow_call;
    /// Offset of `host_address` in bytes.
    HOST_ADDRESS = host_address;
    /// Offset of `slow_pc` in bytes.
    SLOW_PC = slow_pc;
    /// Offset of `virtual_jumps` in bytes.
    VIRTUAL_JUMPS = virtual_jumps;
    /// Offset of `checked_spans` in bytes.
    CHECKED_SPANS = checked_spans;
    /// Offset of `unchecked_span` in bytes.
    UNCHECKED_SPAN = unchecked_span;
    /// Offset of `approach` in bytes.
    APPROACH = approach;
    /// Offset of `jumped_from` in bytes.
    JUMPED_FROM = jumped_from;
}

impl CpuFrame {
    /// In `interrupt`: somebody wants the CPU's attention.
    pub const INTERRUPT_REQUEST: u32 = 1;
    /// In `interrupt`: the guest synchronises its instruction stream (RISC-V FENCE.I). Whatever
    /// was translated from memory whose writers go unnoticed must be compared with it before the
    /// next block is looked up. Set by the CPU itself, just before it ends its block with a look-up.
    pub const INTERRUPT_SYNC_CODE: u32 = 2;
    /// In `interrupt`: translations were dropped. The CPU must forget all it remembers of them
    /// before it enters another block.
    pub const INTERRUPT_FORGET: u32 = 4;
    /// In `interrupt`: pages that the TLB holds as writable hold translated code now, or are to be
    /// tracked again. The CPU must forget which pages it may write to.
    pub const INTERRUPT_WRITE_PROTECT: u32 = 8;

    /// In the last argument of [`CpuFrame::memory_slow`]: the access writes.
    pub const SLOW_WRITE: u64 = 1 << 8;
    /// In the last argument of [`CpuFrame::memory_slow`]: a helper reads and writes at once. If it cannot,
    /// the reason is remembered as that of a fault.
    pub const SLOW_ATOMIC: u64 = 1 << 9;
    /// In the last argument of [`CpuFrame::memory_slow`]: a helper that asked by
    /// [`CpuFrame::SLOW_ATOMIC`] has made its access.
    pub const SLOW_ATOMIC_DONE: u64 = 1 << 10;
    /// The last argument of [`CpuFrame::memory_slow`] where no access is asked for: a helper has changed
    /// what the guest's addresses mean.
    pub const SLOW_SWITCH: u64 = 1 << 11;

    /// A frame of zeros, on the heap (it is over 8 KiB).
    #[must_use]
    pub fn new() -> Box<Self> {
        Box::new(Self {
            slots: [0; SLOT_COUNT],
            temps: [0; TEMP_COUNT],
            pc: 0,
            key_flags: 0,
            interrupt: AtomicU32::new(0),
            sync_point: 0,
            region: 0,
            exit: 0,
            jump_cache: std::ptr::null_mut(),
            fp_result: 0,
            fp_wide: [[0; 2]; 3],
            fault: 0,
            fault_addr: 0,
            retired: 0,
            tlb_probes: 0,
            host_sp: 0,
            fp_slow: None,
            helpers: std::ptr::null(),
            context: std::ptr::null_mut(),
            tlb: std::ptr::null_mut(),
            tlb_mask: 0,
            tlb_context: 0,
            jump_environment: 0,
            memory_slow: None,
            softmmu: std::ptr::null_mut(),
            memory_slow_call: None,
            host_address: 0,
            slow_pc: 0,
            virtual_jumps: std::ptr::null_mut(),
            checked_spans: std::ptr::null_mut(),
            unchecked_span: 0,
            left_to_machine: 0,
            approach: 0,
            jumped_from: 0,
        })
    }

    /// The value of a register slot.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: RegSlot) -> u64 {
        self.slots[slot.index()]
    }

    /// Writes a register slot.
    #[inline]
    pub fn set(&mut self, slot: RegSlot, value: u64) {
        self.slots[slot.index()] = value;
    }

    /// Reads a wide register slot: its own 64 bits, and above them those of the next.
    #[inline]
    #[must_use]
    pub fn get_wide(&self, slot: RegSlot) -> u128 {
        u128::from(self.slots[slot.index()]) | u128::from(self.slots[slot.index() + 1]) << 64
    }

    /// Writes a wide register slot.
    #[inline]
    pub fn set_wide(&mut self, slot: RegSlot, value: u128) {
        self.slots[slot.index()] = value as u64;
        self.slots[slot.index() + 1] = (value >> 64) as u64;
    }
}
