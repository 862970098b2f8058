//! How exact compiled code keeps guest registers at faults.

/// Where slots must be exact: which slot writes may go, and where registers are written back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    /// Not at faults: for measuring what exactness costs. Slot writes go as under
    /// [`Precision::Replay`].
    None,
    /// A fault shows the slots as the faulting operation finds them, so every operation that may
    /// fault reads all slots. For measuring, and for blocks that are interpreted.
    EveryAccess,
    /// A fault discards what ran since the last *sync point*, and the interpreter runs from there
    /// on, by the blocks as they were before the optimiser. So a fault shows slots that the
    /// interpreter computed, and of compiled code's only those that it started with.
    ///
    /// Sync points lie at the starts of guest instructions. Those that may have one read all
    /// slots: instructions that store, access memory atomically or call a helper with effects on
    /// slots or memory; those that check an alignment, since a check that fails is no fault and
    /// leaves with the slots as they are; and the first one that accesses memory at all, loads
    /// included, after something that cannot be done twice (atomics, such helpers, a store after a
    /// load in one instruction, an operation that names the floating-point flags) or after the start
    /// of the block, since that may have come before. Other loads read nothing.
    ///
    /// A dead write between two sync points is invisible then: the interpreter does it again on
    /// the way to a fault, and on every other way it is overwritten before anybody looks. Whoever
    /// puts sync points elsewhere (at a load from a device) must say
    /// [`Precision::EveryAccess`].
    #[default]
    Replay,
}
