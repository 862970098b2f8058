//! Programs that speak to a tester ("HTIF"): a hart that stores to `tohost` serves the request before it
//! goes on.
//!
//! The page of `tohost` is watched as pages with translated code are, so that stores elsewhere cost
//! nothing. A store there rings; it has been made when the hart next leaves its code, soon after.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use base::GuestPhys;
use base::addr::PAGE_SIZE;
use softmmu::{GuestMemory, Place};
use vm_memory::{Bytes, GuestAddress};

use crate::device::{Notifier, Width};
use crate::devices::htif::{Answer, Htif};
use crate::host::chars::CharBackend;
use crate::machine::Shared;
use crate::riscv64::boot::Loaded;
use crate::riscv64::layout;

/// Bytes of `tohost`.
const BYTES: u64 = 8;

/// The tester of a machine.
#[derive(Default)]
pub(super) struct Tester {
    /// 0 if there is none.
    tohost: AtomicU64,
    fromhost: AtomicU64,
    rung: AtomicBool,
    htif: OnceLock<Mutex<Htif>>,
}

impl Tester {
    /// Serves what the file names, if it does and if it lies in RAM; else nothing any more.
    pub(super) fn watch(&self, shared: &Arc<Shared>, loaded: Option<Loaded>) {
        let tohost = loaded.and_then(|loaded| loaded.tohost).unwrap_or_default();
        let fromhost = loaded.and_then(|loaded| loaded.fromhost).unwrap_or_default();
        self.rung.store(false, Ordering::SeqCst);
        self.tohost.store(0, Ordering::SeqCst);
        self.fromhost.store(fromhost.0, Ordering::SeqCst);
        let console = UartLine(Arc::downgrade(shared));
        self.htif.get_or_init(|| Mutex::new(Htif::new(Box::new(console))));
        let bus = shared.bus();
        if let Ok(Place::Ram { ram, offset }) = bus.map().resolve(tohost, BYTES) {
            ram.tracker().watch(offset / PAGE_SIZE);
            self.tohost.store(tohost.0, Ordering::SeqCst);
        }
    }

    /// A hart is about to store there. Whether that rings, and the hart is to leave its code soon.
    pub(super) fn notice(&self, at: GuestPhys, len: u64) -> bool {
        let tohost = self.tohost.load(Ordering::Relaxed);
        let is_hit = tohost != 0 && at.0 < tohost + BYTES && tohost < at.0.saturating_add(len);
        if is_hit {
            self.rung.store(true, Ordering::SeqCst);
        }
        is_hit
    }

    /// On a hart's thread, outside its code: serves what was stored, if it rang.
    pub(super) fn serve(&self, shared: &Shared) {
        if self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst) {
            self.answer(shared, |htif, tohost, memory| {
                let value = memory.read_obj::<u64>(tohost).unwrap_or_default();
                let _ = memory.write_obj(0_u64, tohost);
                htif.store(value, memory)
            });
        }
    }

    /// After devices were served: a character may have come in that the program waits for.
    pub(super) fn input(&self, shared: &Shared) {
        if self.tohost.load(Ordering::Relaxed) != 0 {
            self.answer(shared, |htif, _, _| Answer {
                fromhost: htif.input(),
                ..Answer::default()
            });
        }
    }

    fn answer(
        &self,
        shared: &Shared,
        question: impl FnOnce(&mut Htif, GuestAddress, &GuestMemory) -> Answer,
    ) {
        let Some(htif) = self.htif.get() else { return };
        let memory = shared.bus().memory().clone();
        let tohost = GuestAddress(self.tohost.load(Ordering::SeqCst));
        let mut htif = htif.lock().unwrap_or_else(PoisonError::into_inner);
        let Answer { effect, fromhost } = question(&mut htif, tohost, &memory);
        if let Some(value) = fromhost {
            // A program without a place for answers wants none.
            let at = GuestAddress(self.fromhost.load(Ordering::SeqCst));
            let _ = memory.write_obj(value, at);
        }
        drop(htif);
        shared.act(effect);
    }
}

/// The serial line, as a program would use it that has no better way.
struct UartLine(Weak<Shared>);

/// The UART's line status register.
const LSR: u64 = 5;
/// In it: data ready.
const DATA_READY: u64 = 1;

impl UartLine {
    fn byte(shared: &Shared) -> Option<u8> {
        let now = shared.clock().now();
        let mut bus = shared.bus();
        let status = bus.read(layout::UART.wrapping_add(LSR), Width::B1, now).ok()?;
        let byte = (status & DATA_READY != 0).then(|| bus.read(layout::UART, Width::B1, now));
        shared.settle(&mut bus);
        byte?.ok().map(|byte| byte as u8)
    }
}

impl CharBackend for UartLine {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let now = shared.clock().now();
        let mut bus = shared.bus();
        for &byte in bytes {
            // A console that takes no more loses the byte, as a serial line would.
            let _ = bus.write(layout::UART, Width::B1, byte.into(), now);
        }
        shared.settle(&mut bus);
        bytes.len()
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let bytes = std::iter::from_fn(|| Self::byte(&shared));
        buffer.iter_mut().zip(bytes).map(|(place, byte)| *place = byte).count()
    }

    fn connect(&mut self, _: Notifier) {}
}
