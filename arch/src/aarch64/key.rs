//! What beside FPCR ([`super::fpcr`]) is part of a translation's identity.

/// In a block key's flags: addresses may have tags, which are to be ignored (TCR_EL1.TBI0). It is set for a CPU at the
/// first fault of an address with a tag, and stays.
pub const TAGGED: u64 = 1 << 62;
