//! Ferry's ways to run a case.
#![expect(unsafe_code, reason = "runs translated code")]

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use backend::baseline::{self, BaselineOptions};
use backend::{CodeMemory, CompileOptions, CompiledRegion, Compiler, ExitCode, Region, entry};
use base::cpu::JumpCacheEntry;
use base::sys::access;
use base::sys::fault::{self, HostFault};
use base::{CpuFrame, GuestVirt};
use ir::Precision;
use ir::eval::{self, Denied};
use ir::interp::{self, Alone, Direct, Lowerer, Replay, Stop};
use ir::opt::{Optimiser, Options, Passes};
use ir::{BadJumps, Block, BlockKey, Builder, Terminator, Trap};
use translator::{Frontend, Limits, Translation};

use crate::guest::{Ferry, Guest, Misaligned};
use crate::machine::{CODE, End, Memory, PAGE, State};
use crate::watch::Watch;

/// Blocks after which a run counts as endless.
const MAX_STEPS: u32 = 300;

/// All that a run of guest code depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// What runs it.
    pub engine: Engine,
    /// How blocks are optimised.
    pub passes: Passes,
    /// How exact optimised blocks keep registers, and where compiled code has sync points.
    pub precision: Precision,
    /// Whether compiled code has the host's own instructions for intrinsics.
    pub intrinsics: Intrinsics,
}

/// What runs blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The evaluator: what the others are compared with.
    Evaluator,
    /// The interpreter.
    Interpreter,
    /// Blocks, compiled by the baseline compiler.
    Baseline,
    /// Regions, compiled.
    Region,
}

/// How compiled code computes what only some hosts have instructions for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intrinsics {
    /// By the host's instructions.
    Host,
    /// By helpers.
    Helpers,
}

/// A way to run guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    /// The interpreter, block by block.
    Interpreter,
    /// The baseline compiler, block by block.
    Baseline,
    /// Regions of all that the code's blocks lead to, compiled.
    Region,
    /// The interpreter on optimised blocks.
    OptimisedInterpreter,
    /// Regions of optimised blocks.
    OptimisedRegion,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Interpreter,
        Self::Baseline,
        Self::Region,
        Self::OptimisedInterpreter,
        Self::OptimisedRegion,
    ];

    /// As it stands in the names of tests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Baseline => "baseline",
            Self::Region => "region",
            Self::OptimisedInterpreter => "optimised-interpreter",
            Self::OptimisedRegion => "optimised-region",
        }
    }

    /// The tier of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// What it means.
    #[must_use]
    pub fn setup(self) -> Setup {
        let (engine, passes, precision) = match self {
            Self::Interpreter => (Engine::Interpreter, Passes::NONE, Precision::EveryAccess),
            Self::Baseline => (Engine::Baseline, Passes::NONE, Precision::EveryAccess),
            Self::Region => (Engine::Region, Passes::NONE, Precision::Replay),
            Self::OptimisedInterpreter => {
                (Engine::Interpreter, Passes::ALL, Precision::EveryAccess)
            }
            Self::OptimisedRegion => (Engine::Region, Passes::ALL, Precision::Replay),
        };
        Setup { engine, passes, precision, intrinsics: Intrinsics::Host }
    }
}

/// Runs code from a state, and says where it got to.
pub struct Runner {
    guest: &'static Guest,
    ferry: &'static Ferry,
    frontend: Box<dyn Frontend>,
    builder: Builder,
    lowerer: Lowerer,
    optimiser: Optimiser,
    compiler: Compiler,
    /// What the compiler was made for.
    compiles: (Precision, Intrinsics),
    code_memory: CodeMemory,
    frame: Box<CpuFrame>,
    /// What is being run.
    code: Vec<u8>,
    /// What the last run has left in its page.
    left: Vec<u8>,
    /// How far blocks and regions of it go.
    extent: Extent,
    /// Where its computed jumps have gone: regions that are made from now on expect them there.
    jumped: Vec<GuestVirt>,
    _jump_cache: Vec<JumpCacheEntry>,
    _helpers: Vec<usize>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// How far blocks and regions go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// As far as they can.
    Whole,
    /// One instruction, after which the next is fetched.
    Instruction,
}

/// What one step came to.
enum Step {
    At(GuestVirt),
    End(End),
}

thread_local! {
    /// The frame that compiled code of this thread runs on, and the host pc at which it faulted.
    static RUNNING: Cell<(*const CpuFrame, usize)> = const { Cell::new((std::ptr::null(), 0)) };
}

/// Leaves compiled code that faulted.
fn leave_compiled_code(_: &HostFault, context: &mut libc::ucontext_t) -> bool {
    let (frame, _) = RUNNING.get();
    if frame.is_null() {
        return false;
    }
    let registers = &mut context.uc_mcontext.gregs;
    RUNNING.set((frame, registers[libc::REG_RIP as usize] as usize));
    // SAFETY: `run_region` sets the frame for as long as it is inside.
    let exit = entry::fault_exit(unsafe { &*frame });
    registers[libc::REG_RIP as usize] = exit.pc as i64;
    registers[libc::REG_RSP as usize] = exit.sp as i64;
    registers[libc::REG_RAX as usize] = exit.result as i64;
    true
}

impl Runner {
    /// A runner of a CPU with all extensions; `None` of a guest that Ferry does not have.
    ///
    /// # Panics
    /// If the host refuses memory for code.
    #[must_use]
    pub fn new(guest: &'static Guest) -> Option<Self> {
        let ferry = guest.ferry.as_ref()?;
        let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
        let mut jump_cache = vec![empty; JumpCacheEntry::COUNT];
        let helpers: Vec<_> = ferry.ir.helpers.iter().map(|helper| helper.code.address()).collect();
        let mut frame = CpuFrame::new();
        frame.jump_cache = jump_cache.as_mut_ptr();
        frame.helpers = helpers.as_ptr();
        frame.fp_slow = Some(backend::fp_slow::call);
        let compiles = (Precision::default(), Intrinsics::Host);
        Some(Self {
            guest,
            ferry,
            frontend: (ferry.frontend)(),
            builder: Builder::new(),
            lowerer: Lowerer::new(),
            optimiser: Optimiser::new(),
            compiler: compiler(ferry, compiles),
            compiles,
            code_memory: CodeMemory::new(16 << 20).expect("code memory"),
            frame,
            code: Vec::new(),
            extent: Extent::Whole,
            jumped: Vec::new(),
            left: Vec::new(),
            _jump_cache: jump_cache,
            _helpers: helpers,
        })
    }

    /// Runs `code` from `before`.
    ///
    /// # Panics
    /// If Ferry itself refuses the code.
    pub fn run(&mut self, tier: Tier, code: &[u8], before: &State) -> (State, End) {
        self.run_as(tier.setup(), code, before)
    }

    /// Runs `code` from `before`, in any setup.
    ///
    /// # Panics
    /// If Ferry itself refuses the code.
    pub fn run_as(&mut self, setup: Setup, code: &[u8], before: &State) -> (State, End) {
        let mut memory = Memory::lock();
        fault::set_hook(leave_compiled_code);
        let compiles = (setup.precision, setup.intrinsics);
        if setup.engine == Engine::Region && compiles != self.compiles {
            self.compiler = compiler(self.ferry, compiles);
            self.compiles = compiles;
        }
        code.clone_into(&mut self.code);
        memory.load(self.ferry, code, before, &mut self.frame);
        self.extent = Extent::Whole;
        let mut end = self.run_to_end(setup, code.len());
        self.left = fetch(PAGE);
        if self.frontend.is_coherent() && !self.left.starts_with(code) {
            // Fetches should have seen it at once.
            memory.load(self.ferry, code, before, &mut self.frame);
            self.extent = Extent::Instruction;
            end = self.run_to_end(setup, code.len());
            self.left = fetch(PAGE);
        }
        (memory.save(self.ferry, self.guest, &self.frame), end)
    }

    /// Runs `code` from `before` by the interpreter, one instruction at a time, and shows each: its address, its
    /// bytes, the frame after it, and where it goes on or how it ended.
    pub fn step(
        &mut self,
        code: &[u8],
        before: &State,
        mut see: impl FnMut(GuestVirt, &[u8], &CpuFrame, Result<GuestVirt, End>),
    ) {
        let mut memory = Memory::lock();
        memory.load(self.ferry, code, before, &mut self.frame);
        let (mut pc, length) = (CODE, code.len());
        for _ in 0..MAX_STEPS {
            if !contains(length, pc) {
                return;
            }
            let fetched = fetch(length);
            let at = pc.0.wrapping_sub(CODE.0) as usize;
            let bytes = (self.ferry.disassemble)(pc, &fetched[at..]).1;
            let key = BlockKey::new(pc, self.frame.key_flags);
            let Some(block) = self.translate(length, key, Limits::STEP) else { return };
            let stop = self.interpret_block(&block, &mut Direct);
            let step = self.after(stop);
            let next = match step {
                Step::At(next) => Ok(next),
                Step::End(end) => Err(end),
            };
            see(pc, &fetched[at..length.min(at + bytes)], &self.frame, next);
            match step {
                Step::At(next) => pc = next,
                Step::End(_) => return,
            }
        }
    }

    /// The translations of all that control can reach in `code` from `before`, as nothing has optimised them.
    pub fn blocks(&mut self, code: &[u8], before: &State) -> Vec<Block> {
        let mut memory = Memory::lock();
        memory.load(self.ferry, code, before, &mut self.frame);
        self.extent = Extent::Whole;
        self.jumped.clear();
        self.reachable(Tier::Interpreter.setup(), code.len(), CODE)
    }

    /// Ferry's part of the guest.
    #[must_use]
    pub fn ferry(&self) -> &'static Ferry {
        self.ferry
    }

    /// Whether the last run has left other code in memory than it began with, these bytes aside, on a guest whose fetches
    /// need not see that before a fence; or anything but breakpoints behind it, where a processor would go on.
    #[must_use]
    pub fn has_spoilt_code(&self, aside: &Range<usize>) -> bool {
        let (left, behind) = self.left.split_at(self.code.len());
        let mut bytes = self.code.iter().zip(left).enumerate();
        let is_spoilt = !self.frontend.is_coherent()
            && bytes.any(|(at, (before, after))| before != after && !aside.contains(&at));
        let breakpoints = self.guest.breakpoint.iter().cycle().skip(self.code.len());
        is_spoilt || behind.iter().zip(breakpoints).any(|(left, breakpoint)| left != breakpoint)
    }

    /// The floating-point flags of a state, as the guest's slot holds them.
    pub fn flags_of(&mut self, state: &State) -> u64 {
        let mut frame = CpuFrame::new();
        (self.ferry.load)(&state.words, &mut frame);
        frame.get(self.ferry.ir.fp_flags)
    }

    fn run_to_end(&mut self, setup: Setup, code: usize) -> End {
        let mut pc = CODE;
        self.jumped.clear();
        for _ in 0..MAX_STEPS {
            let step = match setup.engine {
                _ if !contains(code, pc) => return End::Stopped(pc),
                Engine::Evaluator => self.evaluate(code, pc),
                Engine::Interpreter => self.interpret(setup, code, pc),
                Engine::Baseline => self.run_baseline(setup, code, pc),
                Engine::Region => self.run_region(setup, code, pc),
            };
            match step {
                Step::At(next) => pc = next,
                Step::End(end) => return end,
            }
        }
        End::Endless
    }

    fn limits(&self) -> Limits {
        match self.extent {
            Extent::Whole => Limits::default(),
            Extent::Instruction => Limits::STEP,
        }
    }

    fn translate_for(&mut self, setup: Setup, code: usize, key: BlockKey) -> Option<Block> {
        let mut block = self.translate(code, key, self.limits())?;
        if setup.passes != Passes::NONE {
            let options = Options { passes: setup.passes, precision: setup.precision };
            self.optimiser.optimise(&mut block, self.ferry.ir, options);
        }
        Some(block)
    }

    /// Of the code as it is now: programs may change it.
    fn translate(&mut self, code: usize, key: BlockKey, limits: Limits) -> Option<Block> {
        let offset = key.pc().0.wrapping_sub(CODE.0) as usize;
        let mut code = fetch(code);
        let rest = code.get(offset..)?;
        let mut translation = self.frontend.translate(&self.builder, key, rest, limits);
        if let Translation::Unfetchable(_) = translation {
            // Behind the code lie breakpoints, with which its last bytes may make an instruction.
            let behind = self.guest.breakpoint.iter().cycle().take(self.frontend.max_insn_bytes());
            code.extend(behind);
            let rest = &code[offset..];
            translation = self.frontend.translate(&self.builder, key, rest, Limits::STEP);
        }
        match translation {
            Translation::Done { next } => Some(self.builder.finish(next)),
            Translation::Unfetchable(_) => None,
        }
    }

    fn evaluate(&mut self, code: usize, pc: GuestVirt) -> Step {
        let key = BlockKey::new(pc, self.frame.key_flags);
        let Some(block) = self.translate(code, key, self.limits()) else {
            return Step::End(End::Stopped(pc));
        };
        let garbage = 0x5bad_5bad_5bad_5bad;
        // SAFETY: the frame is this runner's own, with what the guest's helpers expect.
        let exit =
            unsafe { eval::run(&block, self.ferry.ir, &mut self.frame, &mut Guarded, garbage) };
        match exit {
            eval::Exit::Goto(pc) => Step::At(pc),
            eval::Exit::Lookup(pc) => self.after(Stop::Lookup(pc)),
            eval::Exit::Trap(trap, pc) => self.after(Stop::Trap(trap, pc)),
            eval::Exit::Misaligned { pc, addr } => self.after_misaligned(pc, addr),
            eval::Exit::Fault { pc, addr } => self.after_fault(pc, addr),
        }
    }

    fn interpret(&mut self, setup: Setup, code: usize, pc: GuestVirt) -> Step {
        let key = BlockKey::new(pc, self.frame.key_flags);
        let Some(block) = self.translate_for(setup, code, key) else {
            return Step::End(End::Stopped(pc));
        };
        let stop = self.interpret_block(&block, &mut Direct);
        self.after(stop)
    }

    fn interpret_block<M: interp::Memory>(&mut self, block: &Block, memory: &mut M) -> Stop {
        let code = self.lowerer.lower(self.ferry.ir, block, i32::MAX).expect("a good block");
        self.interpret_code(&code, memory)
    }

    fn interpret_code<M: interp::Memory>(&mut self, code: &interp::Code, memory: &mut M) -> Stop {
        let frame = &raw mut *self.frame;
        let mut context = interp::Context { frame, memory, jumps: &Alone, retired: 0 };
        // SAFETY: the frame is this runner's own, and the code was lowered for its guest.
        unsafe { interp::run(&mut context, code.entry()) }
    }

    fn after(&mut self, stop: Stop) -> Step {
        match stop {
            Stop::Unlinked { target: pc, .. } => Step::At(pc),
            Stop::Indirect(pc) => self.after_jump(GuestVirt(self.frame.jumped_from), pc),
            Stop::Lookup(pc) => {
                // FENCE.I: nothing is kept from one block to the next.
                *self.frame.interrupt.get_mut() = 0;
                Step::At(pc)
            }
            Stop::Trap(Trap::Illegal, pc) => Step::End(End::Illegal(pc)),
            Stop::Trap(Trap::System, pc) => Step::End((self.ferry.system)(pc)),
            Stop::Trap(Trap::Breakpoint, pc) => Step::End(self.breakpoint(pc)),
            Stop::Trap(Trap::Syscall, pc) => Step::End(End::Syscall(pc)),
            Stop::Misaligned { pc, addr } => self.after_misaligned(pc, addr),
            Stop::Trap(Trap::Misaligned, pc) => self.after_misaligned(pc, pc),
            Stop::Fault(pc) => self.after_fault(pc, fault::last_fault().addr),
            Stop::HelperFault { pc, addr } => self.after_fault(pc, addr),
            Stop::Attention(_) | Stop::Interrupted(_) => unreachable!("a block alone"),
        }
    }

    /// An indirect jump to where no code can be may fault.
    fn after_jump(&mut self, from: GuestVirt, to: GuestVirt) -> Step {
        if BlockKey::can_name(to) || self.ferry.ir.bad_jumps == BadJumps::Target {
            if contains(self.code.len(), to) && !self.jumped.contains(&to) {
                self.jumped.push(to);
            }
            return Step::At(to);
        }
        let at = from.0.wrapping_sub(CODE.0) as usize;
        let behind = self.guest.breakpoint.iter().cycle().take(self.frontend.max_insn_bytes());
        let code: Vec<_> = self.code.iter().chain(behind).skip(at).copied().collect();
        self.frontend.take_jump_back(&mut self.frame, from, &code);
        // A general-protection fault, which tells no address.
        Step::End(End::Fault { pc: from, addr: GuestVirt(0) })
    }

    /// One of which only prefixes are in the code is the breakpoint behind it.
    fn breakpoint(&self, pc: GuestVirt) -> End {
        let at = pc.0.wrapping_sub(CODE.0) as usize;
        let breakpoint = self.guest.breakpoint;
        let bytes = [self.code.get(at..).unwrap_or_default(), breakpoint].concat();
        let length = (self.ferry.disassemble)(pc, &bytes).1;
        match pc.wrapping_add((length - breakpoint.len().min(length)) as u64) {
            last if contains(self.code.len(), last) => End::Breakpoint(pc),
            last => End::Stopped(last),
        }
    }

    fn after_fault(&mut self, pc: GuestVirt, addr: GuestVirt) -> Step {
        if (self.ferry.translated_otherwise)(&mut self.frame, addr) {
            return Step::At(pc);
        }
        Step::End(End::Fault { pc, addr })
    }

    fn after_misaligned(&mut self, pc: GuestVirt, addr: GuestVirt) -> Step {
        let at = pc.0.wrapping_sub(CODE.0) as usize;
        let code = self.code.get(at..).unwrap_or_default();
        match (self.ferry.misaligned)(&mut self.frame, code, addr) {
            Misaligned::Again => Step::At(pc),
            Misaligned::Fault => Step::End(End::Misaligned { pc }),
            Misaligned::Illegal => Step::End(End::Illegal(pc)),
            Misaligned::Other(End::Fault { addr, .. }) => Step::End(End::Fault { pc, addr }),
            Misaligned::Other(End::Arithmetic { code, .. }) => {
                Step::End(End::Arithmetic { pc, code })
            }
            Misaligned::Other(end) => Step::End(end),
        }
    }

    /// All blocks that control can reach from `pc` without leaving the code, as one region.
    fn region(&mut self, setup: Setup, code: usize, pc: GuestVirt) -> Option<Region> {
        let blocks = self.reachable(setup, code, pc);
        if blocks.is_empty() {
            return None;
        }
        let mut jumps = HashMap::new();
        if self.extent == Extent::Whole {
            let indirect = |(_, block): &(usize, &Block)| {
                matches!(block.terminator, Terminator::Indirect { .. })
            };
            let computed = blocks.iter().enumerate().filter(indirect);
            jumps.extend(computed.map(|(at, _)| (at, self.jumped.clone())));
        }
        let mut region = Region::with_jumps(blocks, vec![0], jumps);
        if setup.passes.has(Passes::DEAD) {
            region.drop_dead_writes(self.ferry.ir, setup.precision);
        }
        Some(region)
    }

    fn reachable(&mut self, setup: Setup, code: usize, pc: GuestVirt) -> Vec<Block> {
        let flags = self.frame.key_flags;
        let mut blocks: Vec<Block> = Vec::new();
        let mut wanted = VecDeque::from([pc]);
        while let Some(pc) = wanted.pop_front() {
            if !contains(code, pc) || blocks.iter().any(|block| block.key.pc() == pc) {
                continue;
            }
            let key = BlockKey::new(pc, flags);
            let Some(block) = self.translate_for(setup, code, key) else { continue };
            if self.extent == Extent::Whole {
                wanted.extend(block.successors());
                if let Terminator::Indirect { .. } = block.terminator {
                    wanted.extend(&self.jumped);
                }
                wanted.extend(block.terminator.return_point());
            }
            blocks.push(block);
        }
        blocks
    }

    fn run_region(&mut self, setup: Setup, code: usize, pc: GuestVirt) -> Step {
        let Some(region) = self.region(setup, code, pc) else {
            return Step::End(End::Stopped(pc));
        };
        let compiled = self.compiler.compile(&region).expect("a region");
        self.run_compiled(&compiled, code)
    }

    fn run_baseline(&mut self, setup: Setup, code: usize, pc: GuestVirt) -> Step {
        let key = BlockKey::new(pc, self.frame.key_flags);
        let Some(block) = self.translate_for(setup, code, key) else {
            return Step::End(End::Stopped(pc));
        };
        let lowered = self.lowerer.lower(self.ferry.ir, &block, i32::MAX).expect("a good block");
        let options = BaselineOptions { executions: u32::MAX, count_instructions: false };
        let compiled = baseline::compile(&lowered, options);
        self.run_compiled(&compiled, code)
    }

    fn run_compiled(&mut self, compiled: &CompiledRegion, code: usize) -> Step {
        let placed = self.place(compiled);
        let (exit, fault_at) = self.enter(placed.entry(0).expect("an entry").0 as *const u8);
        let pc = GuestVirt(self.frame.pc);
        match exit {
            ExitCode::Unlinked => Step::At(compiled.exits[self.frame.exit as usize].target),
            ExitCode::Indirect => self.after_jump(GuestVirt(self.frame.jumped_from), pc),
            // No region of a process spans pages.
            ExitCode::Lookup | ExitCode::Unchecked => self.after(Stop::Lookup(pc)),
            ExitCode::Interrupted if self.was_watched_in_vain() => Step::End(End::Endless),
            // The look-up of a FENCE.I may come after a poll.
            ExitCode::Interrupted => self.after(Stop::Lookup(pc)),
            ExitCode::Interpret => self.interpret(Tier::Interpreter.setup(), code, pc),
            ExitCode::Syscall => Step::End(End::Syscall(pc)),
            ExitCode::Illegal => Step::End(End::Illegal(pc)),
            ExitCode::System => Step::End((self.ferry.system)(pc)),
            ExitCode::Breakpoint => Step::End(self.breakpoint(pc)),
            ExitCode::Misaligned => self.after_misaligned(pc, pc),
            ExitCode::Fault => {
                let offset = fault_at.wrapping_sub(placed.body().start.0) as u32;
                let fault_pc = compiled.pcs.guest_pc(offset).expect("a guest instruction");
                let sync_point = match compiled.executions {
                    Some(_) => fault_pc,
                    None => compiled.sync_points[self.frame.sync_point as usize],
                };
                self.replay(code, sync_point, fault_pc)
            }
        }
    }

    /// Whether compiled code has been made to leave, since it did not end.
    fn was_watched_in_vain(&mut self) -> bool {
        *self.frame.interrupt.get_mut() & CpuFrame::INTERRUPT_REQUEST != 0
    }

    fn place(&mut self, compiled: &CompiledRegion) -> backend::PlacedRegion {
        loop {
            match self.code_memory.place(compiled, 0) {
                Ok(placed) => return placed,
                Err(backend::CodeMemoryError::Full(segment)) => {
                    // SAFETY: nothing of what was placed before is linked, or run again.
                    unsafe { self.code_memory.free_segment(segment) };
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn enter(&mut self, code: *const u8) -> (ExitCode, usize) {
        *self.frame.interrupt.get_mut() &= !CpuFrame::INTERRUPT_REQUEST;
        let frame = &raw mut *self.frame;
        RUNNING.set((frame, 0));
        // SAFETY: the frame is this runner's.
        let _watch = unsafe { Watch::over(frame) };
        // SAFETY: the code was just placed for this frame, which nobody else uses.
        let raw = unsafe { entry::enter(frame, code) };
        let (_, fault_at) = RUNNING.replace((std::ptr::null(), 0));
        (ExitCode::from_raw(raw), fault_at)
    }

    /// Repeats what compiled code did since its last sync point, up to the fault, by blocks that are
    /// not optimised.
    fn replay(&mut self, code: usize, sync_point: GuestVirt, fault_pc: GuestVirt) -> Step {
        let fault_addr = fault::last_fault().addr;
        let mut memory = Direct;
        let mut replay = Replay::new(&mut memory, fault_addr);
        let mut pc = sync_point;
        for step in 0..MAX_STEPS {
            let key = BlockKey::new(pc, self.frame.key_flags);
            let Some(block) = self.translate(code, key, Limits::default()) else {
                return Step::End(End::Stopped(pc));
            };
            let lowered = self.lowerer.lower(self.ferry.ir, &block, i32::MAX).expect("a block");
            if step == 0 || replay.is_suppressing() {
                // SAFETY: `lowered` exists while it runs.
                unsafe { replay.enter(lowered.entry(), fault_pc) };
            }
            let stop = self.interpret_code(&lowered, &mut replay);
            match self.after(stop) {
                Step::At(next) if contains(code, next) => pc = next,
                // The fault did not come again: the case goes on from here.
                step => return step,
            }
        }
        Step::End(End::Endless)
    }
}

/// Whether the pc is in code of this length.
fn contains(code: usize, pc: GuestVirt) -> bool {
    (pc.0.wrapping_sub(CODE.0) as usize) < code
}

/// Code of this length as it is in memory now.
fn fetch(length: usize) -> Vec<u8> {
    let mut code = vec![0; length];
    // The page is mapped for as long as anybody runs.
    let _ = access::copy_from_guest(&mut code, CODE);
    code
}

fn compiler(ferry: &'static Ferry, (precision, intrinsics): (Precision, Intrinsics)) -> Compiler {
    let intrinsics = intrinsics == Intrinsics::Host;
    let options = CompileOptions { precision, intrinsics, ..CompileOptions::for_host() };
    Compiler::new(ferry.ir, options).expect("a compiler for this host")
}

/// Memory for the evaluator.
struct Guarded;

impl eval::Memory for Guarded {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        match bytes {
            1 => access::load8(addr).map(u128::from),
            2 => access::load16(addr).map(u128::from),
            4 => access::load32(addr).map(u128::from),
            8 => access::load64(addr).map(u128::from),
            _ => access::load128(addr),
        }
        .map_err(|_| Denied(fault::last_fault().addr))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        match bytes {
            1 => access::store8(addr, value as u8),
            2 => access::store16(addr, value as u16),
            4 => access::store32(addr, value as u32),
            8 => access::store64(addr, value as u64),
            _ => access::store128(addr, value),
        }
        .map_err(|_| Denied(fault::last_fault().addr))
    }
}
