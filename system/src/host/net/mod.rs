//! Networks behind a machine's network device, on the host.

pub mod config;
pub mod queue;
pub mod user;

pub use config::{Access, ConfigError, Mac, NetConfig, Protocol, UserConfig};
pub use user::UserNet;

pub use crate::devices::virtio::net::backend::*;
