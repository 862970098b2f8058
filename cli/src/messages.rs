//! What Ferry has to say of itself while it runs: messages on standard error, of the levels that `FERRY_MESSAGES` names
//! (`debug`, or `error,ferry_system=debug`: the syntax of `tracing_subscriber::EnvFilter`).

use tracing_subscriber::EnvFilter;

/// What is shown without the variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Messages {
    /// A program's standard error is its own: only that Ferry fails.
    OfProgram,
    /// Also what goes wrong without Ferry failing.
    Warnings,
}

/// Shows messages from now on. Of a variable that is no filter, what is wrong is said in its place.
pub(crate) fn show(messages: Messages) {
    let default = match messages {
        Messages::OfProgram => "error",
        Messages::Warnings => "warn",
    };
    let filter = match std::env::var("FERRY_MESSAGES") {
        Ok(text) => EnvFilter::try_new(text).unwrap_or_else(|error| {
            crate::complain(&format_args!("FERRY_MESSAGES: {error}"));
            EnvFilter::new(default)
        }),
        Err(_) => EnvFilter::new(default),
    };
    let format = tracing_subscriber::fmt::format().compact().without_time().with_target(false);
    let shown = tracing_subscriber::fmt()
        .event_format(format.with_ansi(false))
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // Nobody has set another one.
    let _ = shown.try_init();
}
