//! Regions: how they are formed ([`form`]), compiled in the background ([`compile`], [`queue`]),
//! or block by block at once ([`quick`]), kept and linked ([`cache`]), entered ([`enter`]), and how the engine sees all that ([`promoter`]).

mod cache;
mod compile;
mod enter;
mod form;
mod promoter;
mod queue;
mod quick;

pub use compile::RegionConfig;
pub use promoter::RegionCompiler;
