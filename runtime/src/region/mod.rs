//! Regions: how they are formed ([`form`]), compiled in the background ([`compile`], [`queue`]),
//! kept and linked ([`cache`]), entered ([`enter`]), and how the engine sees all that ([`promoter`]).

mod cache;
mod compile;
mod enter;
mod form;
mod promoter;
mod queue;

pub use compile::RegionConfig;
pub use promoter::RegionCompiler;
