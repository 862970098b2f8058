//! Backends as users name them.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::str::FromStr;

use super::terminal::TerminalSize;
use super::{CharBackend, Escape, Null, file, pty, stdio, unix};
use crate::devices::virtio::console::SizeSource;

/// Why there is no such backend.
#[derive(Debug, thiserror::Error)]
pub enum CharError {
    /// It is none of them.
    #[error("no console is called '{0}': there are null, stdio, pty, file:PATH and unix:PATH")]
    Unknown(String),
    /// The host refuses.
    #[error("cannot open the console {spec}")]
    Open {
        /// Which.
        spec: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CharSpec {
    /// `null`: nothing goes anywhere.
    Null,
    /// `stdio`: where Ferry was started.
    Stdio,
    /// `pty`: a pseudo-terminal.
    Pty,
    /// `file:PATH`: a file.
    File(PathBuf),
    /// `unix:PATH`: a socket that somebody listens at.
    Unix(PathBuf),
}

/// An open backend.
pub struct Opened {
    /// For a device.
    pub backend: Box<dyn CharBackend>,
    /// What the user has to open, if that is not known before.
    pub path: Option<PathBuf>,
    /// How large it is, if anybody knows: changes are told through the backend's notifier.
    pub size: Option<Box<dyn SizeSource>>,
}

impl FromStr for CharSpec {
    type Err = CharError;

    fn from_str(text: &str) -> Result<Self, CharError> {
        Ok(match text.split_once(':') {
            None if text == "null" => Self::Null,
            None if text == "stdio" => Self::Stdio,
            None if text == "pty" => Self::Pty,
            Some(("file", path)) if !path.is_empty() => Self::File(path.into()),
            Some(("unix", path)) if !path.is_empty() => Self::Unix(path.into()),
            _ => return Err(CharError::Unknown(text.to_owned())),
        })
    }
}

impl std::fmt::Display for CharSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Stdio => f.write_str("stdio"),
            Self::Pty => f.write_str("pty"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl CharSpec {
    /// Opens it. `escaped` is told of the user's keys for Ferry, see [`stdio`].
    ///
    /// # Errors
    /// The host refuses.
    pub fn open(&self, escaped: impl FnMut(Escape) + Send + 'static) -> Result<Opened, CharError> {
        self.try_open(escaped).map_err(|source| CharError::Open { spec: self.to_string(), source })
    }

    fn try_open(&self, escaped: impl FnMut(Escape) + Send + 'static) -> io::Result<Opened> {
        let mut path = None;
        let mut size: Option<Box<dyn SizeSource>> = None;
        let backend: Box<dyn CharBackend> = match self {
            Self::Null => Box::new(Null),
            Self::Stdio => {
                let pump = stdio(escaped)?;
                if io::stdin().is_terminal() {
                    size = Some(Box::new(TerminalSize));
                }
                Box::new(pump)
            }
            Self::Pty => {
                let pty = pty()?;
                path = Some(pty.path);
                Box::new(pty.pump)
            }
            Self::File(path) => Box::new(file(path)?),
            Self::Unix(path) => Box::new(unix(path)?),
        };
        Ok(Opened { backend, path, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for name in ["null", "stdio", "pty", "file:/tmp/log", "unix:a:b"] {
            assert_eq!(name.parse::<CharSpec>().unwrap().to_string(), name);
        }
        for name in ["", "tty", "null:", "file:", "unix", "pty:x"] {
            assert!(matches!(name.parse::<CharSpec>(), Err(CharError::Unknown(_))), "{name}");
        }
    }
}
