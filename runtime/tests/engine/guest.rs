//! A guest: memory with protections, and a small assembler.

#![expect(unsafe_code, reason = "maps and writes guest memory")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use ferry_runtime::{
    CodePages, Engine, EngineConfig, FetchFault, FetchFaultCause, LogItems, LogSink, Tier, Vcpu,
};
use ir::{BlockKey, Builder};
use translator::{Disassembled, Frontend, Limits, Translation, riscv64};

/// Pages of guest memory: code at the start, data from the middle on, then a hole.
pub(crate) const PAGES: u64 = 16;

/// Guest memory; the whole of it may be executed, read and written.
pub(crate) struct Memory {
    pub(crate) base: GuestVirt,
    protected: Mutex<Vec<GuestVirt>>,
    pub(crate) shared: AtomicBool,
    pub(crate) protections: AtomicU64,
}

impl Memory {
    fn new() -> Arc<Self> {
        base::sys::fault::install();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping. One page more, which is then taken away, makes the hole.
        let base = unsafe {
            let at =
                libc::mmap(std::ptr::null_mut(), 4096 * (PAGES as usize + 1), access, flags, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(
                libc::mprotect(at.byte_add(4096 * PAGES as usize), 4096, libc::PROT_NONE),
                0
            );
            GuestVirt(at as u64)
        };
        Arc::new(Self {
            base,
            protected: Mutex::default(),
            shared: AtomicBool::new(false),
            protections: AtomicU64::new(0),
        })
    }

    fn set_protection(&self, page: GuestVirt, protection: i32) {
        // SAFETY: one page of the mapping.
        assert_eq!(unsafe { libc::mprotect(page.0 as *mut _, 4096, protection) }, 0);
    }

    pub(crate) fn at(&self, offset: u64) -> GuestVirt {
        self.base.wrapping_add(offset)
    }

    /// Writes code as the kernel would: through any protection, without a word to the engine.
    pub(crate) fn put(&self, offset: u64, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let page = self.at(offset).page();
        let held = self.protected.lock().unwrap();
        self.set_protection(page, libc::PROT_READ | libc::PROT_WRITE);
        base::sys::access::copy_to_guest(self.at(offset), &bytes).unwrap();
        if held.contains(&page) {
            self.set_protection(page, libc::PROT_READ);
        }
    }

    pub(crate) fn word(&self, offset: u64) -> u64 {
        base::sys::access::load64(self.at(offset)).unwrap()
    }

    pub(crate) fn set_word(&self, offset: u64, value: u64) {
        base::sys::access::store64(self.at(offset), value).unwrap();
    }

    /// Keeps other threads from changing protections: for `fork`.
    pub(crate) fn hold(&self) -> std::sync::MutexGuard<'_, Vec<GuestVirt>> {
        self.protected.lock().unwrap()
    }

    fn is_mapped(&self, addr: GuestVirt) -> bool {
        addr.0.wrapping_sub(self.base.0) < PAGES * PAGE_SIZE
    }
}

impl CodePages for Memory {
    fn fetch(&self, addr: GuestVirt, buffer: &mut [u8]) -> Result<usize, FetchFault> {
        if !self.is_mapped(addr) {
            return Err(FetchFault { addr, cause: FetchFaultCause::Unmapped });
        }
        let rest = self.base.0 + PAGES * PAGE_SIZE - addr.0;
        let len = buffer.len().min(rest as usize);
        base::sys::access::copy_from_guest(&mut buffer[..len], addr).unwrap();
        Ok(len)
    }

    fn protect(&self, page: GuestVirt) {
        let mut protected = self.protected.lock().unwrap();
        if self.is_mapped(page) && !protected.contains(&page) {
            protected.push(page);
            self.protections.fetch_add(1, Ordering::Relaxed);
            self.set_protection(page, libc::PROT_READ);
        }
    }

    fn release(&self, page: GuestVirt) -> bool {
        let mut protected = self.protected.lock().unwrap();
        protected.retain(|&other| other != page);
        if self.is_mapped(page) {
            self.set_protection(page, libc::PROT_READ | libc::PROT_WRITE);
        }
        self.is_mapped(page)
    }

    fn is_shared(&self, _: GuestVirt) -> bool {
        self.shared.load(Ordering::Relaxed)
    }
}

fn riscv64() -> Arc<dyn Frontend> {
    Arc::new(riscv64::Frontend::new("max".parse().unwrap()))
}

/// RISC-V as if its fetches saw every store at once.
struct Coherent(Arc<dyn Frontend>);

impl Frontend for Coherent {
    fn guest(&self) -> &'static ir::Guest {
        self.0.guest()
    }

    fn max_insn_bytes(&self) -> usize {
        self.0.max_insn_bytes()
    }

    fn translate(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        self.0.translate(builder, key, code, limits)
    }

    fn is_coherent(&self) -> bool {
        true
    }

    fn disassemble(&self, pc: GuestVirt, code: &[u8]) -> Disassembled {
        self.0.disassemble(pc, code)
    }
}

/// A guest with one CPU, whose code starts at offset 0.
pub(crate) struct Guest {
    pub(crate) memory: Arc<Memory>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) cpu: Vcpu,
}

pub(crate) fn interpreted() -> EngineConfig {
    EngineConfig { tier: Tier::Interp, ..EngineConfig::default() }
}

impl Guest {
    pub(crate) fn new(code: &[u32]) -> Self {
        Self::with(interpreted(), code)
    }

    pub(crate) fn with(config: EngineConfig, code: &[u32]) -> Self {
        Self::prepared(config, code, |_| {})
    }

    /// `prepare` sees the engine before its first CPU is made.
    pub(crate) fn prepared(
        config: EngineConfig,
        code: &[u32],
        prepare: impl FnOnce(&Engine),
    ) -> Self {
        Self::translated(riscv64(), config, code, prepare)
    }

    /// One whose fetches see every store at once.
    pub(crate) fn coherent(config: EngineConfig, code: &[u32]) -> Self {
        Self::translated(Arc::new(Coherent(riscv64())), config, code, |_| {})
    }

    fn translated(
        frontend: Arc<dyn Frontend>,
        config: EngineConfig,
        code: &[u32],
        prepare: impl FnOnce(&Engine),
    ) -> Self {
        let memory = Memory::new();
        memory.put(0, code);
        let engine = Engine::new(frontend, config, Arc::clone(&memory) as _).unwrap();
        prepare(&engine);
        let mut cpu = engine.new_vcpu();
        cpu.frame_mut().pc = memory.base.0;
        Self { memory, engine, cpu }
    }

    pub(crate) fn logging(items: LogItems, path: &std::path::Path, code: &[u32]) -> Self {
        let sink = LogSink::file(path).unwrap();
        Self::with(EngineConfig { log: items, sink, ..interpreted() }, code)
    }

    pub(crate) fn x(&self, n: u8) -> u64 {
        self.cpu.frame().get(arch::riscv64::slot::x(n))
    }

    pub(crate) fn set_x(&mut self, n: u8, value: u64) {
        self.cpu.frame_mut().set(arch::riscv64::slot::x(n), value);
    }

    /// The pc's offset from the start of memory.
    pub(crate) fn pc(&self) -> u64 {
        self.cpu.frame().pc - self.memory.base.0
    }

    pub(crate) fn set_pc(&mut self, offset: u64) {
        self.cpu.frame_mut().pc = self.memory.at(offset).0;
    }
}

pub(crate) const ECALL: u32 = 0x0000_0073;
pub(crate) const EBREAK: u32 = 0x0010_0073;
pub(crate) const FENCE_I: u32 = 0x0000_100f;
pub(crate) const ILLEGAL: u32 = 0;

fn i_type(opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    (imm as u32 & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

pub(crate) fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    i_type(0x13, 0, rd, rs1, imm)
}

pub(crate) fn ld(rd: u32, rs1: u32, imm: i32) -> u32 {
    i_type(0x03, 3, rd, rs1, imm)
}

pub(crate) fn jalr(rd: u32, rs1: u32, imm: i32) -> u32 {
    i_type(0x67, 0, rd, rs1, imm)
}

pub(crate) fn add(rd: u32, rs1: u32, rs2: u32) -> u32 {
    rs2 << 20 | rs1 << 15 | rd << 7 | 0x33
}

fn s_type(funct3: u32, rs2: u32, rs1: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 0x1f) << 7 | 0x23
}

pub(crate) fn sd(rs2: u32, rs1: u32, imm: i32) -> u32 {
    s_type(3, rs2, rs1, imm)
}

pub(crate) fn sw(rs2: u32, rs1: u32, imm: i32) -> u32 {
    s_type(2, rs2, rs1, imm)
}

pub(crate) fn bne(rs1: u32, rs2: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let high = (imm >> 12 & 1) << 31 | (imm >> 5 & 0x3f) << 25;
    high | rs2 << 20 | rs1 << 15 | 1 << 12 | (imm >> 1 & 0xf) << 8 | (imm >> 11 & 1) << 7 | 0x63
}

pub(crate) fn jal(rd: u32, offset: i32) -> u32 {
    let imm = offset as u32;
    let high = (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20;
    high | (imm >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

/// Counts x1 down to zero, adding 3 to x2 each time; then a system call.
pub(crate) fn countdown() -> [u32; 4] {
    [addi(2, 2, 3), addi(1, 1, -1), bne(1, 0, -8), ECALL]
}
