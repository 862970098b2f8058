//! The one place where the runtime's engine is set up: everything else in this crate uses these
//! names.

use std::fs::File;
use std::sync::Arc;

use runtime::{
    CodePages, CompileOptions, EngineConfig, LogError, LogItem, LogItems, LogSink, Observation,
    PerfMap, Precision, RegionCompiler, RegionConfig,
};
use translator::Frontend;

use crate::config::{self, Config, LogStart, StatsFormat, Tier};
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
    /// No memory for compiled code.
    #[error(transparent)]
    Compiler(#[from] runtime::RegionCompilerError),
    /// The map for `perf` cannot be written.
    #[error("cannot write /tmp/perf-PID.map")]
    PerfMap(#[source] std::io::Error),
    /// `FERRY_PRECISION` is none of its values.
    #[error("FERRY_PRECISION={0:?}: there are none, every-access and replay")]
    Precision(String),
}

/// Makes the engine that the user's settings ask for.
///
/// # Errors
/// The settings of the log are wrong.
pub(crate) fn make(
    frontend: Arc<dyn Frontend>,
    config: &Config,
    observation: Observation,
    fds: &OwnFds,
    code_pages: Arc<dyn CodePages>,
) -> Result<Arc<Engine>, EngineError> {
    let defaults = EngineConfig::default();
    let log = config.log_items.join(",").parse::<LogItems>()?;
    if let Some(item) = log.of_machines() {
        return Err(LogError::MachinesOnly(item.name()).into());
    }
    let engine_config = EngineConfig {
        tier: match config.tier {
            Tier::Auto => runtime::Tier::Auto,
            Tier::Interp => runtime::Tier::Interp,
            Tier::Baseline => runtime::Tier::Baseline,
            Tier::Jit => runtime::Tier::Jit,
        },
        observation,
        log,
        sink: sink(config, fds)?,
        baseline_threshold: number("FERRY_BASELINE_THRESHOLD").or(defaults.baseline_threshold),
        hot_threshold: number("FERRY_HOT_THRESHOLD").unwrap_or(defaults.hot_threshold),
        ..defaults
    };
    let regions = regions(config, engine_config.log)?;
    let engine = Engine::new(frontend, engine_config, code_pages)?;
    if config.tier != Tier::Interp && observation != Observation::Instructions {
        engine.set_promoter(RegionCompiler::new(regions)?);
    }
    Ok(engine)
}

/// How regions are compiled. `FERRY_PRECISION`, `FERRY_COMPILE_WORKERS`, `FERRY_BASELINE_THRESHOLD` and `FERRY_HOT_THRESHOLD`
/// are for measuring and for tests.
fn regions(config: &Config, log: LogItems) -> Result<RegionConfig, EngineError> {
    let perf_map = match config.perf_map {
        config::PerfMap::On => Some(PerfMap::new().map_err(EngineError::PerfMap)?),
        config::PerfMap::Off => None,
    };
    let options = CompileOptions {
        precision: precision()?,
        count_instructions: config.stats.is_some(),
        listing: log.has(LogItem::Clif) || log.has(LogItem::OutAsm),
        ..CompileOptions::for_host()
    };
    let defaults = RegionConfig::default();
    // Compiling everything at once leaves nothing to do in the background.
    let workers = match config.tier {
        Tier::Jit => 0,
        _ => number("FERRY_COMPILE_WORKERS").map_or(defaults.workers, |n| n as usize),
    };
    Ok(RegionConfig { workers, options, perf_map, ..defaults })
}

fn precision() -> Result<Precision, EngineError> {
    let Some(value) = std::env::var_os("FERRY_PRECISION") else { return Ok(Precision::default()) };
    match value.to_str() {
        Some("none") => Ok(Precision::None),
        Some("every-access") => Ok(Precision::EveryAccess),
        Some("replay") => Ok(Precision::Replay),
        _ => Err(EngineError::Precision(value.to_string_lossy().into_owned())),
    }
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
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
