//! Keeping an engine usable across `fork`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use crate::cpus::CpuShared;
use crate::engine::Engine;
use crate::epoch::IDLE;
use crate::pages::Translations;

/// Holds all locks of an engine while its process forks. Exactly one of [`ForkGuard::parent`] and
/// [`ForkGuard::child`] is called in each process.
#[derive(Debug)]
#[must_use]
pub struct ForkGuard<'a> {
    cpus: MutexGuard<'a, Vec<Arc<CpuShared>>>,
    translations: MutexGuard<'a, Translations>,
}

impl Engine {
    /// Takes the locks, so that no other thread holds one while the process forks. The calling
    /// thread's CPU must not be running.
    pub fn before_fork(&self) -> ForkGuard<'_> {
        let cpus = self.cpus.lock();
        let translations = self.translations();
        ForkGuard { cpus, translations }
    }
}

impl ForkGuard<'_> {
    /// In the parent: goes on as before.
    pub fn parent(self) {}

    /// In the child: the threads of all other CPUs are gone, whatever they were doing.
    pub fn child(mut self) {
        for cpu in self.cpus.iter() {
            cpu.seen.store(IDLE, Ordering::SeqCst);
        }
        // A thread that was making a page writable will not say that it is done.
        for page in self.translations.pages.values_mut() {
            page.releasing = 0;
            page.protected = page.protected && !page.blocks.is_empty();
        }
    }
}
