//! Keeping an engine usable across `fork`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use crate::cpus::CpuShared;
use crate::debug::PointSet;
use crate::engine::Engine;
use crate::epoch::IDLE;
use crate::pages::Translations;
use crate::promote::{ForkError, Held};

/// Holds all locks of an engine while its process forks. Exactly one of [`ForkGuard::parent`] and
/// [`ForkGuard::child`] is called in each process.
#[must_use]
pub struct ForkGuard<'a> {
    promoter: Option<Box<dyn Held + 'a>>,
    cpus: MutexGuard<'a, Vec<Arc<CpuShared>>>,
    translations: MutexGuard<'a, Translations>,
    _points: MutexGuard<'a, Arc<PointSet>>,
}

impl Engine {
    /// Makes ready for another process that runs in the same memory, and may end at any time.
    pub fn before_sharing(self: &Arc<Self>) {
        if let Some(promoter) = self.promoter() {
            promoter.before_sharing(self);
        }
    }

    /// Takes the locks, so that no other thread holds one while the process forks. The calling
    /// thread's CPU must not be running.
    ///
    /// # Errors
    /// There is no memory for what the child needs.
    pub fn before_fork(&self) -> Result<ForkGuard<'_>, ForkError> {
        let promoter = self.promoter().map(|promoter| promoter.before_fork()).transpose()?;
        let cpus = self.cpus.lock();
        let translations = self.translations();
        Ok(ForkGuard { promoter, cpus, translations, _points: self.points.lock() })
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
        if let Some(promoter) = self.promoter.take() {
            promoter.child();
        }
    }
}
