//! A program's thread without a kernel: its memory and registers are given to it, and so is what its system calls do.
//!
//! For comparisons, which repeat here what another execution did. A process has one, as guest addresses are the
//! host's; and it executes nothing else.

use std::ops::Range;
use std::sync::Arc;

use arch::debug::DebugValue;
use base::{CpuFrame, GuestVirt};
use runtime::{
    BlockEnds, CompileOptions, EngineConfig, Exit, Interrupter, Observation, Observer, Passes,
    Precision, RegionCompiler, RegionCompilerError, RegionConfig, Tier,
};
use syscalls::Errno;

use crate::abi::{self, Abi, CpuError};
use crate::engine::{Engine, Vcpu};
use crate::memory::vma::Prot;
use crate::memory::{AddressSpace, Bounds, MapRequest};
use crate::signal::{Trap, describe};
use crate::user::UserSlice;
use crate::window;

/// How its instructions are executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaTier {
    /// Interpreted.
    Interpreted,
    /// Compiled by the baseline compiler.
    Baseline,
    /// Compiled.
    Compiled {
        /// What the optimiser does.
        passes: Passes,
        /// How faults are exact.
        precision: Precision,
        /// Whether intrinsics are computed by the host's instructions.
        intrinsics: bool,
    },
}

/// Why there can be no replica.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Ferry runs no such programs.
    #[error("programs of {0} cannot be run")]
    Architecture(String),
    /// The CPU model.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] runtime::EngineError),
    /// No memory for compiled code.
    #[error(transparent)]
    Compiler(#[from] RegionCompilerError),
    /// What is to be mapped cannot be.
    #[error("cannot map {start:#x} to {end:#x} for the program: {errno}")]
    Map {
        /// Its first byte.
        start: u64,
        /// After its last.
        end: u64,
        /// The host's word.
        errno: Errno,
    },
    /// What is to be written is not mapped.
    #[error("cannot write memory of the program at {0:#x}")]
    Write(u64),
}

/// What may be done with memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Access {
    /// It may be read.
    pub read: bool,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

impl Access {
    fn prot(self) -> Prot {
        let bits = [(self.read, Prot::READ), (self.write, Prot::WRITE), (self.execute, Prot::EXEC)];
        Prot(bits.iter().filter(|(is_there, _)| *is_there).map(|(_, bit)| bit).sum())
    }
}

/// A signal that an instruction raises (sigaction(2), "siginfo_t").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    /// `si_signo`
    pub signal: u8,
    /// `si_code`
    pub code: i32,
    /// `si_addr`
    pub addr: u64,
}

/// The thread.
pub struct Replica {
    cpu: Vcpu,
    abi: Box<dyn Abi>,
    memory: Arc<AddressSpace>,
}

impl Replica {
    /// No program of Ferry's has memory from here on.
    pub const MEMORY_END: u64 = window::END.0;

    /// A CPU of this architecture and model, without memory, whose instructions can be observed.
    ///
    /// # Errors
    /// There is no such architecture or CPU, or no memory for it.
    pub fn new(
        architecture: &str,
        model: Option<&str>,
        tier: ReplicaTier,
    ) -> Result<Self, ReplicaError> {
        let observation = match tier {
            ReplicaTier::Interpreted => Observation::Instructions,
            ReplicaTier::Baseline | ReplicaTier::Compiled { .. } => Observation::Compiled,
        };
        Self::observed(architecture, model, tier, (observation, None))
    }

    /// The same, but blocks are executed whole, and can be observed: as they are at full speed, except that they end after some
    /// instructions, too.
    ///
    /// # Errors
    /// As [`Replica::new`].
    pub fn by_block(
        architecture: &str,
        model: Option<&str>,
        tier: ReplicaTier,
        ends: BlockEnds,
    ) -> Result<Self, ReplicaError> {
        Self::observed(architecture, model, tier, (Observation::Blocks, Some(ends)))
    }

    /// The same at full speed: nothing can be observed, and what is compiled is compiled together.
    ///
    /// # Errors
    /// As [`Replica::new`].
    pub fn unobserved(
        architecture: &str,
        model: Option<&str>,
        tier: ReplicaTier,
    ) -> Result<Self, ReplicaError> {
        Self::observed(architecture, model, tier, (Observation::None, None))
    }

    fn observed(
        architecture: &str,
        model: Option<&str>,
        tier: ReplicaTier,
        (observation, ends): (Observation, Option<BlockEnds>),
    ) -> Result<Self, ReplicaError> {
        base::sys::fault::install();
        let known = abi::by_name(architecture)
            .ok_or_else(|| ReplicaError::Architecture(architecture.to_owned()))?;
        let abi = (known.on_cpu)(model)?;
        let memory = Arc::clone(AddressSpace::current());
        let allowed = match tier {
            ReplicaTier::Interpreted => Tier::Interp,
            ReplicaTier::Baseline => Tier::Baseline,
            ReplicaTier::Compiled { .. } => Tier::Jit,
        };
        let config = EngineConfig { observation, ends, tier: allowed, ..EngineConfig::default() };
        let engine = Engine::new(abi.frontend(), config, memory.clone())?;
        let count_instructions = observation == Observation::None;
        let host = CompileOptions { count_instructions, ..CompileOptions::for_host() };
        let default = RegionConfig { workers: 0, ..RegionConfig::default() };
        let regions = match tier {
            ReplicaTier::Interpreted => None,
            ReplicaTier::Baseline => Some(RegionConfig { options: host, ..default }),
            ReplicaTier::Compiled { passes, precision, intrinsics } => {
                let options = CompileOptions { precision, intrinsics, ..host };
                Some(RegionConfig { passes, options, ..default })
            }
        };
        if let Some(regions) = regions {
            engine.set_promoter(RegionCompiler::new(regions)?);
        }
        memory.set_engine(Arc::clone(&engine));
        let mut cpu = engine.new_vcpu();
        // For what debuggers cannot set.
        abi.start_program(cpu.frame_mut(), GuestVirt(0), GuestVirt(0));
        Ok(Self { cpu, abi, memory })
    }

    /// Has its instructions observed.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.cpu.set_observer(observer);
    }

    /// What makes [`Replica::run`] return.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.cpu.interrupter()
    }

    /// How many instructions it has executed.
    #[must_use]
    pub fn executed(&self) -> u64 {
        let stats = self.cpu.engine().stats();
        stats.interpreted_insns + stats.compiled_insns
    }

    /// Its registers.
    #[must_use]
    pub fn frame(&self) -> &CpuFrame {
        self.cpu.frame()
    }

    /// Where it goes on.
    pub fn set_pc(&mut self, pc: GuestVirt) {
        self.cpu.frame_mut().pc = pc.0;
    }

    /// The registers that can be set: gdb's numbers and names.
    #[must_use]
    pub fn registers(&self) -> Vec<(u32, String)> {
        let registers = self.abi.debug_registers().registers.into_iter();
        registers.map(|register| (register.number, register.name)).collect()
    }

    /// Sets the register of gdb's number. Whether there is one.
    pub fn set_register(&mut self, number: u32, value: u128) -> bool {
        let value = DebugValue::from([value as u64, (value >> 64) as u64]);
        self.abi.write_debug_register(self.cpu.frame_mut(), number, value)
    }

    /// Runs until something is to be seen to.
    pub fn run(&mut self) -> Exit {
        loop {
            let exit = self.cpu.run();
            if !self.abi.retry(self.cpu.frame_mut(), &exit) {
                return exit;
            }
        }
    }

    /// The signal that an exit means, for this one or none; the frame's pc becomes what the kernel says that it was.
    pub fn raised(&mut self, exit: &Exit) -> Option<Raised> {
        let exit = self.abi.explain(self.cpu.frame(), *exit);
        let pc = GuestVirt(self.cpu.frame().pc);
        let info = match self.abi.exception(self.cpu.frame_mut(), &exit, Trap::default()) {
            Some(exception) => exception.info,
            None => describe(&exit, pc, &*self.abi)?,
        };
        Some(Raised {
            signal: u8::try_from(info.signal()).ok()?,
            code: info.code(),
            addr: info.addr().0,
        })
    }

    /// The system call that it has just executed: its number, and its arguments.
    #[must_use]
    pub fn system_call(&self) -> (u64, [u64; 6]) {
        let (number, args) = self.abi.syscall_arguments(self.cpu.frame());
        (number, args.0)
    }

    /// The instruction that it executes next may have changed without a notice: forgets translations of a range.
    pub fn code_changed(&self, range: Range<u64>) {
        let engine = self.cpu.engine();
        engine.mapping_changed(GuestVirt(range.start)..GuestVirt(range.end));
    }

    /// Maps zeros, in place of what was there.
    ///
    /// # Errors
    /// The host cannot map that.
    pub fn map(&mut self, range: Range<u64>, access: Access) -> Result<(), ReplicaError> {
        let request = MapRequest {
            prot: access.prot(),
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            bounds: Bounds::NONE,
            ..MapRequest::anonymous(GuestVirt(range.start), range.end - range.start)
        };
        let mapped = self.memory.map(&request);
        mapped.map(|_| ()).map_err(|errno| failed(range, errno))
    }

    /// Unmaps.
    ///
    /// # Errors
    /// The host refuses.
    pub fn unmap(&mut self, range: Range<u64>) -> Result<(), ReplicaError> {
        let (at, len) = (GuestVirt(range.start), range.end - range.start);
        self.memory.unmap(at, len).map_err(|errno| failed(range, errno))
    }

    /// Changes what may be done with memory.
    ///
    /// # Errors
    /// It is not mapped.
    pub fn protect(&mut self, range: Range<u64>, access: Access) -> Result<(), ReplicaError> {
        let (at, len) = (GuestVirt(range.start), range.end - range.start);
        let changed = self.memory.protect_range(at, len, access.prot());
        changed.map_err(|errno| failed(range, errno))
    }

    /// Writes memory that may be written, as the kernel does.
    ///
    /// # Errors
    /// It may not.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), ReplicaError> {
        let buffer = UserSlice::new(GuestVirt(addr), bytes.len() as u64);
        let written = buffer.and_then(|buffer| buffer.write(bytes));
        written.map(|_| ()).map_err(|_| ReplicaError::Write(addr))
    }

    /// Reads memory. Whether it is all there.
    #[must_use]
    pub fn read(&self, addr: u64, into: &mut [u8]) -> bool {
        let buffer = UserSlice::new(GuestVirt(addr), into.len() as u64);
        match buffer.and_then(UserSlice::read) {
            Ok(bytes) => {
                into.copy_from_slice(&bytes);
                true
            }
            Err(_) => false,
        }
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("cpu", &self.cpu).finish_non_exhaustive()
    }
}

fn failed(range: Range<u64>, errno: Errno) -> ReplicaError {
    ReplicaError::Map { start: range.start, end: range.end, errno }
}
