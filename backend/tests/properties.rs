//! Random blocks: compiled code leaves the guest exactly as the evaluator does, under every way of
//! keeping it precise.

#![expect(unsafe_code, reason = "runs generated code on mapped memory")]

use std::sync::Mutex;

use base::cpu::JumpCacheEntry;
use base::sys::fault::{self, HostFault};
use base::{CpuFrame, GuestVirt};
use ferry_backend::baseline::{self, BaselineOptions};
use ferry_backend::{
    CodeMemory, CompileOptions, CompiledRegion, Compiler, ExitCode, Region, entry,
};
use ir::eval::Exit;
use ir::interp::Lowerer;
use ir::testing::{ARM_GUEST, Choices, GUEST, Outcome, Sandbox, block, outcome};
use ir::{Block, Guest, Precision};
use proptest::prelude::*;

/// One at a time: the sandbox is one fixed page.
static TURN: Mutex<()> = Mutex::new(());
/// The frame that is running, for the fault hook.
static RUNNING: std::sync::atomic::AtomicPtr<CpuFrame> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

fn on_fault(_: &HostFault, context: &mut libc::ucontext_t) -> bool {
    // SAFETY: set before compiled code runs, to a frame that outlives it.
    let frame = unsafe { &mut *RUNNING.load(std::sync::atomic::Ordering::Relaxed) };
    let out = entry::fault_exit(frame);
    let registers = &mut context.uc_mcontext.gregs;
    frame.fault = registers[libc::REG_RIP as usize] as u64;
    registers[libc::REG_RIP as usize] = out.pc as i64;
    registers[libc::REG_RSP as usize] = out.sp as i64;
    registers[libc::REG_RAX as usize] = out.result as i64;
    true
}

/// The sandbox as memory of this process.
struct Page;

impl Page {
    fn new() -> Self {
        let at = Outcome::SANDBOX.0 as *mut libc::c_void;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: replaces nothing.
        let mapped = unsafe { libc::mmap(at, Outcome::SANDBOX_BYTES, access, flags, -1, 0) };
        assert_eq!(mapped, at, "the sandbox's page is free");
        Self
    }

    fn contents(&self) -> Sandbox {
        let mut sandbox = Sandbox::new(Outcome::SANDBOX, Outcome::SANDBOX_BYTES);
        for offset in (0..Outcome::SANDBOX_BYTES as u64).step_by(8) {
            let addr = Outcome::SANDBOX.wrapping_add(offset);
            // SAFETY: within the page.
            let word = unsafe { (addr.0 as *const u64).read() };
            ir::eval::Memory::store(&mut sandbox, addr, 8, word.into())
                .expect("within the sandbox");
        }
        sandbox
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the page of `new`.
        unsafe { libc::munmap(Outcome::SANDBOX.0 as *mut _, Outcome::SANDBOX_BYTES) };
    }
}

struct Jit {
    outcome: Outcome,
    exit: ExitCode,
    fault_pc: Option<GuestVirt>,
}

/// What makes host code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Region(Precision),
    Baseline,
}

/// `None` for what tier 0 has not, either: random blocks go beyond what translators write.
fn compile(guest: &'static Guest, block: &Block, way: Way) -> Option<CompiledRegion> {
    let precision = match way {
        Way::Region(precision) => precision,
        Way::Baseline => {
            let code = Lowerer::new().lower(guest, block, 1).ok()?;
            let options = BaselineOptions { executions: 1, count_instructions: true };
            return Some(baseline::compile(&code, options));
        }
    };
    let options = CompileOptions { precision, ..CompileOptions::for_host() };
    let mut compiler = Compiler::new(guest, options).expect("a compiler");
    Some(compiler.compile(&Region::new(vec![block.clone()], vec![0])).expect("a region"))
}

fn run(guest: &'static Guest, block: &Block, mut choices: Choices<'_>, way: Way) -> Option<Jit> {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    fault::install();
    fault::set_hook(on_fault);
    let page = Page::new();
    let compiled = compile(guest, block, way)?;
    let mut memory = CodeMemory::new(1 << 16).expect("code memory");
    let placed = memory.place(&compiled, 0).expect("a place");
    let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
    let mut jump_cache = vec![empty; JumpCacheEntry::COUNT];
    let helpers: Vec<usize> = GUEST.helpers.iter().map(|h| h.code.address()).collect();
    let mut frame = Outcome::start(&mut choices);
    frame.jump_cache = jump_cache.as_mut_ptr();
    frame.helpers = helpers.as_ptr();
    frame.fp_slow = Some(ferry_backend::fp_slow::call);
    RUNNING.store(&raw mut *frame, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: the region was just placed and the frame is ours.
    let raw = unsafe { entry::enter(&mut *frame, placed.entry(0).unwrap().0 as *const u8) };
    let exit = ExitCode::from_raw(raw);
    let offset = (frame.fault as usize).wrapping_sub(placed.body().start.0) as u32;
    let fault_pc = (exit == ExitCode::Fault).then(|| compiled.pcs.guest_pc(offset)).flatten();
    let pc = match exit {
        ExitCode::Unlinked => compiled.exits[frame.exit as usize].target,
        _ => GuestVirt(frame.pc),
    };
    let outcome = Outcome::of(Exit::Goto(pc), &frame, page.contents());
    Some(Jit { outcome, exit, fault_pc })
}

/// Whether the way out is the one that the evaluator took.
fn is_same_exit(block: &Block, wanted: Exit, jit: &Jit) -> bool {
    let Exit::Goto(pc) = jit.outcome.exit else { return false };
    match wanted {
        Exit::Goto(to) => {
            matches!(jit.exit, ExitCode::Unlinked | ExitCode::Indirect)
                && pc == to
                && to != block.key.pc()
        }
        Exit::Lookup(to) => jit.exit == ExitCode::Lookup && pc == to,
        Exit::Trap(_, to) => pc == to,
        // The interpreter is to find out what is wrong at that pc.
        Exit::Misaligned { pc: at, .. } => jit.exit == ExitCode::Interpret && pc == at,
        Exit::Fault { pc: at, .. } => {
            jit.fault_pc == Some(at) || (jit.exit == ExitCode::Interpret && pc == at)
        }
    }
}

fn check(
    guest: &'static Guest,
    numbers: &[u32],
    seed: &[u32],
    way: Way,
) -> Result<(), TestCaseError> {
    let block = block(&mut Choices::new(numbers));
    let wanted = outcome(guest, &block, Choices::new(seed), 0);
    // A misaligned atomic is no fault on this host, and guests check first.
    let Some(jit) = run(guest, &block, Choices::new(seed), way) else { return Ok(()) };
    let text = || block.display(&GUEST).to_string();
    prop_assert!(
        is_same_exit(&block, wanted.exit, &jit),
        "{:?} but {:?} {:?} {:?}\n{}",
        wanted.exit,
        jit.exit,
        jit.outcome.exit,
        jit.fault_pc,
        text()
    );
    // What a region holds at a fault is only what replay needs.
    if jit.exit != ExitCode::Fault || way == Way::Baseline {
        prop_assert_eq!(&jit.outcome.slots, &wanted.slots, "{}", text());
    }
    prop_assert!(jit.outcome.memory == wanted.memory, "memory differs\n{}", text());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { ..ProptestConfig::with_cases(300) })]

    #[test]
    fn compiled_blocks_do_what_the_evaluator_does(
        numbers in prop::collection::vec(any::<u32>(), 0..250),
        seed in prop::collection::vec(any::<u32>(), 80),
        mode in 0..3_usize,
        arm in any::<bool>(),
    ) {
        let precision = [Precision::Replay, Precision::EveryAccess, Precision::None][mode];
        check(if arm { &ARM_GUEST } else { &GUEST }, &numbers, &seed, Way::Region(precision))?;
    }

    #[test]
    fn quickly_compiled_blocks_do_it_too(
        numbers in prop::collection::vec(any::<u32>(), 0..250),
        seed in prop::collection::vec(any::<u32>(), 80),
        arm in any::<bool>(),
    ) {
        check(if arm { &ARM_GUEST } else { &GUEST }, &numbers, &seed, Way::Baseline)?;
    }
}
