//! The one place where the runtime's engine is set up: everything else in this crate uses these
//! names.

use std::fs::File;
use std::sync::Arc;

use runtime::{CodePages, EngineConfig, LogError, LogItems, LogSink};
use translator::Frontend;

use crate::config::{Config, LogStart, StatsFormat, Tier};
use crate::fds::OwnFds;

pub(crate) use runtime::{Engine, Interrupter, Vcpu};

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine itself.
    #[error(transparent)]
    Engine(#[from] runtime::EngineError),
    /// `-d` or `-D`
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Makes the engine that the user's settings ask for.
///
/// # Errors
/// The settings of the log are wrong.
pub(crate) fn make(
    frontend: Arc<dyn Frontend>,
    config: &Config,
    fds: &OwnFds,
    code_pages: Arc<dyn CodePages>,
) -> Result<Arc<Engine>, EngineError> {
    let config = EngineConfig {
        tier: match config.tier {
            Tier::Auto => runtime::Tier::Auto,
            Tier::Interp => runtime::Tier::Interp,
            Tier::Jit => runtime::Tier::Jit,
        },
        log: config.log_items.join(",").parse::<LogItems>()?,
        sink: sink(config, fds)?,
        ..EngineConfig::default()
    };
    Ok(Engine::new(frontend, config, code_pages)?)
}

/// Where the log goes: to a descriptor that the guest neither sees nor can redirect.
fn sink(config: &Config, fds: &OwnFds) -> Result<LogSink, LogError> {
    let Some(path) = &config.log_file else { return Ok(LogSink::stderr()) };
    let error = |source| LogError::Open { path: path.display().to_string(), source };
    if config.log_start == LogStart::Afresh {
        File::create(path).map_err(error)?;
    }
    let file = File::options().create(true).append(true).open(path).map_err(error)?;
    let adopted = fds.adopt(file.into());
    adopted.map(|fd| LogSink::open(fd.into())).map_err(|errno| error(errno.into()))
}

/// What the engine has done, as the user wants to read it.
pub(crate) fn statistics(engine: &Engine, format: StatsFormat) -> String {
    let stats = engine.stats();
    match format {
        StatsFormat::Text => stats.to_string(),
        // Numbers under plain names: nothing in it can fail to be written.
        StatsFormat::Json => serde_json::to_string(&stats).unwrap_or_default() + "\n",
    }
}
