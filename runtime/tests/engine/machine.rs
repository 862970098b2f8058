//! CPUs of a whole machine on one piece of RAM, each at its own pc, without address translation.

#![expect(unsafe_code, reason = "stores as a CPU does that has looked at the page before")]

use std::sync::{Arc, Mutex, Weak};

use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestPhys, GuestVirt};
use ferry_runtime::{
    Addresses, CodePages, CompileOptions, Engine, EngineConfig, Exit, FetchFault, FetchFaultCause,
    MemoryModel, RegionCompiler, RegionConfig, Vcpu,
};
use softmmu::{
    AccessKind, Backing, GuestFault, GuestMmu, MemoryMap, Ram, Register, Softmmu, Space, Walk,
};
use translator::riscv64::Frontend;

/// Where RAM begins.
pub(crate) const RAM: u64 = 0x8000_0000;
const PAGES: u64 = 16;

type Hook = Box<dyn FnOnce() + Send>;

/// Code in RAM, and what happens at the next fetch, after the bytes were read.
pub(crate) struct Code {
    ram: Ram,
    on_fetch: Mutex<Option<Hook>>,
    fetches: Mutex<u64>,
}

impl CodePages for Code {
    fn fetch(&self, addr: GuestVirt, buffer: &mut [u8]) -> Result<usize, FetchFault> {
        let len = buffer.len().min((PAGE_SIZE - addr.page_offset()) as usize);
        let read = self.ram.read(addr.0.wrapping_sub(RAM), &mut buffer[..len]);
        read.map_err(|_| FetchFault { addr, cause: FetchFaultCause::Unmapped })?;
        *self.fetches.lock().unwrap() += 1;
        let hook = self.on_fetch.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
        Ok(len)
    }

    fn protect(&self, page: GuestVirt) {
        self.ram.tracker().set_code((page.0 - RAM) / PAGE_SIZE);
    }

    fn release(&self, page: GuestVirt) -> bool {
        self.ram.tracker().clear_code((page.0 - RAM) / PAGE_SIZE);
        true
    }

    fn is_shared(&self, _: GuestVirt) -> bool {
        false
    }
}

/// All addresses are physical.
struct Flat(Weak<Engine>);

impl GuestMmu for Flat {
    fn space(&self, _: &CpuFrame) -> Space {
        Space { asid: 0, view: 0, code: 0 }
    }

    fn walk(
        &mut self,
        _: &mut CpuFrame,
        _: &MemoryMap,
        addr: GuestVirt,
        _: u64,
        _: AccessKind,
    ) -> Result<Walk, GuestFault> {
        Ok(Walk {
            phys: GuestPhys(addr.page().0),
            size: PAGE_SIZE,
            readable: true,
            writable: true,
            executable: true,
            global: true,
            whole: true,
        })
    }

    fn access_fault(&self, addr: GuestVirt, _: AccessKind) -> GuestFault {
        GuestFault { cause: 7, addr }
    }

    fn read_device(&mut self, _: &mut CpuFrame, _: Register) -> Option<u64> {
        None
    }

    fn write_device(&mut self, _: &mut CpuFrame, _: Register, _: u64) -> Option<()> {
        None
    }

    fn code_written(&mut self, at: GuestPhys, len: u64) {
        self.0.upgrade().unwrap().code_written(at, len);
    }
}

/// RAM and an engine.
pub(crate) struct Machine {
    pub(crate) engine: Arc<Engine>,
    code: Arc<Code>,
    map: Arc<MemoryMap>,
}

impl Machine {
    pub(crate) fn new(config: EngineConfig, prepare: impl FnOnce(&Engine)) -> Self {
        base::sys::fault::install();
        let ram = Ram::new(GuestPhys(RAM), PAGES * PAGE_SIZE).unwrap();
        let mut map = MemoryMap::new();
        let backing = Backing::Ram { ram: ram.clone(), offset: 0 };
        map.insert(GuestPhys(RAM), ram.size(), backing).unwrap();
        let code = Arc::new(Code { ram, on_fetch: Mutex::default(), fetches: Mutex::default() });
        let config = EngineConfig { addresses: Addresses::Physical, ..config };
        let frontend = Arc::new(Frontend::new("max".parse().unwrap()));
        let engine = Engine::new(frontend, config, Arc::clone(&code) as _).unwrap();
        prepare(&engine);
        Self { engine, code, map: Arc::new(map) }
    }

    /// One whose CPUs compile what is hot for themselves.
    pub(crate) fn compiling(config: EngineConfig) -> Self {
        Self::new(config, |engine| {
            let options =
                CompileOptions { memory: MemoryModel::Softmmu, ..CompileOptions::for_host() };
            let regions = RegionConfig { workers: 0, options, ..RegionConfig::default() };
            engine.set_promoter(RegionCompiler::new(regions).unwrap());
        })
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let mmu = Box::new(Flat(Arc::downgrade(&self.engine)));
        let softmmu = Box::new(Softmmu::new(Arc::clone(&self.map), mmu));
        let mut vcpu = self.engine.new_system_vcpu(softmmu);
        let (softmmu, frame) = vcpu.system_mut().unwrap();
        softmmu.follow(frame);
        Cpu(vcpu)
    }

    /// Writes code as a device would.
    pub(crate) fn put(&self, offset: u64, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.code.ram.write(offset, &bytes).unwrap();
    }

    /// A store of a CPU that looked at the page while no code was known there.
    pub(crate) fn unnoticed_store(&self, offset: u64, word: u32) -> impl FnOnce() + Send + use<> {
        let ram = self.code.ram.clone();
        move || {
            assert!(offset + 4 <= ram.size());
            // SAFETY: within RAM, as asserted, which `ram` keeps.
            unsafe { ((ram.host().0 as u64 + offset) as *mut u32).write_volatile(word) };
        }
    }

    /// What happens at the next fetch of code, when the bytes have been read.
    pub(crate) fn on_fetch(&self, hook: impl FnOnce() + Send + 'static) {
        *self.code.on_fetch.lock().unwrap() = Some(Box::new(hook));
    }

    /// How often code was fetched.
    pub(crate) fn fetches(&self) -> u64 {
        *self.code.fetches.lock().unwrap()
    }
}

/// A CPU.
pub(crate) struct Cpu(pub(crate) Vcpu);

impl Cpu {
    pub(crate) fn set_x(&mut self, n: u8, value: u64) {
        self.0.frame_mut().set(arch::riscv64::slot::x(n), value);
    }

    /// Runs from an offset in RAM until it makes an environment call; then x5.
    pub(crate) fn call(&mut self, offset: u64) -> u64 {
        self.0.frame_mut().pc = RAM + offset;
        loop {
            match self.0.run() {
                Exit::Interrupted => {}
                Exit::Syscall => return self.0.frame().get(arch::riscv64::slot::x(5)),
                exit => panic!("{exit:?}"),
            }
        }
    }
}
