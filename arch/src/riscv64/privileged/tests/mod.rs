//! Cases from the manual, one file a chapter.

mod access;
mod aia;
mod execute;
mod hostile;
mod interrupt;
mod mmu;
mod pmp;
mod status;
mod trap;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::CpuFrame;

use super::aia::{FileOp, InterruptFile};
use super::{
    CsrFeatures, FenceScope, Privilege, SystemContext, SystemHooks, TimeSource, key_flags, reset,
    slot,
};
use crate::riscv64::CpuModel;

/// A clock that stands still.
#[derive(Default)]
struct Clock(AtomicU64);

impl TimeSource for Clock {
    fn ticks(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn cycles(&self) -> u64 {
        100 * self.ticks()
    }
}

/// What a hart told its machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Translation,
    Fence(FenceScope),
    Timer(Option<u64>),
    File(InterruptFile, FileOp),
}

#[derive(Default)]
struct Hooks(Mutex<Vec<Told>>);

impl SystemHooks for Hooks {
    fn address_translation_changed(&self, _: &mut CpuFrame) {
        self.0.lock().unwrap().push(Told::Translation);
    }

    fn fence(&self, _: &mut CpuFrame, scope: FenceScope) {
        self.0.lock().unwrap().push(Told::Fence(scope));
    }

    fn timer_changed(&self, hart: u64, stimecmp: Option<u64>) {
        assert_eq!(hart, 5);
        self.0.lock().unwrap().push(Told::Timer(stimecmp));
    }

    /// Registers read as their numbers, the top as 1, and a claim as 2.
    fn interrupt_file(&self, hart: u64, file: InterruptFile, op: FileOp) -> Option<u64> {
        assert_eq!(hart, 5);
        self.0.lock().unwrap().push(Told::File(file, op));
        Some(match op {
            FileOp::Top => 1,
            FileOp::Claim => 2,
            FileOp::Register { select, .. } => select,
        })
    }
}

/// A hart after reset.
struct Hart {
    frame: Box<CpuFrame>,
    ctx: SystemContext,
    clock: Arc<Clock>,
    hooks: Arc<Hooks>,
}

impl Hart {
    fn new(cpu: &str) -> Self {
        let cpu: CpuModel = cpu.parse().unwrap();
        let (clock, hooks) = (Arc::<Clock>::default(), Arc::<Hooks>::default());
        let ctx = SystemContext {
            lines: AtomicU64::new(0),
            hart: 5,
            features: CsrFeatures::new(cpu.features().collect()),
            time: clock.clone(),
            hooks: hooks.clone(),
        };
        let mut frame = CpuFrame::new();
        reset(&mut frame, &ctx);
        Self { frame, ctx, clock, hooks }
    }

    fn at(level: Privilege) -> Self {
        let mut hart = Self::new("max");
        hart.set_level(level);
        hart
    }

    fn set_level(&mut self, level: Privilege) {
        level.enter(&mut self.frame);
    }

    fn level(&self) -> Privilege {
        Privilege::of(&self.frame)
    }

    fn set(&mut self, register: base::RegSlot, value: u64) {
        self.frame.set(register, value);
        self.frame.key_flags = key_flags(&self.frame);
    }

    fn or(&mut self, register: base::RegSlot, bits: u64) {
        self.set(register, self.frame.get(register) | bits);
    }

    fn mstatus(&self) -> u64 {
        self.frame.get(slot::MSTATUS)
    }

    /// What was told since the last time.
    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.hooks.0.lock().unwrap())
    }
}
