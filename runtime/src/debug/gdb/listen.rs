//! Sockets that others connect to: by TCP on this host, or by path.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `PORT`, which is this host's only, or `IP:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// What is wrong with an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no address: give PORT, IP:PORT or unix:PATH")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let local = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let port = text.strip_prefix(':').unwrap_or(text).parse().map(local);
        let address = port.or_else(|_| text.parse());
        address.map(Self::Tcp).map_err(|_| AddressError(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens. That with a path is removed when this is dropped.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// By path.
    Unix(UnixListener, SocketPath),
}

/// A socket's path, which is removed when this is dropped.
#[derive(Debug)]
pub struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens. A socket at that path to which nobody listens any more is replaced.
    ///
    /// # Errors
    /// The host's.
    pub fn bind(address: &Address) -> io::Result<Self> {
        let path = match address {
            Address::Tcp(address) => return Ok(Self::Tcp(TcpListener::bind(address)?)),
            Address::Unix(path) => path,
        };
        let listener = UnixListener::bind(path).or_else(|error| {
            let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            let is_left_over = UnixStream::connect(path).is_err_and(refused);
            if error.kind() != io::ErrorKind::AddrInUse || !is_left_over {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        })?;
        Ok(Self::Unix(listener, SocketPath(path.clone())))
    }

    /// Where it listens: with the port that the host chose, if it was 0.
    ///
    /// # Errors
    /// The host's.
    pub fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Self::Unix(_, path) => Address::Unix(path.0.clone()),
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The host's.
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Packets are small, and each waits for its answer.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept()?.0)),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// By path.
    Unix(UnixStream),
}

impl Stream {
    /// Lets writing fail if nobody reads for so long.
    ///
    /// # Errors
    /// The host's.
    pub fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Self::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }

    /// Ends it for all who hold it.
    pub fn shutdown(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => { stream }.read(buffer),
            Stream::Unix(stream) => { stream }.read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => { stream }.write(bytes),
            Stream::Unix(stream) => { stream }.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves a descriptor to where its owner wants it.
pub type Move<'a> = &'a dyn Fn(OwnedFd) -> io::Result<OwnedFd>;

impl Listener {
    /// The same socket at another descriptor.
    ///
    /// # Errors
    /// What `to` says.
    pub fn moved(self, to: Move<'_>) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(to(listener.into())?.into()),
            Self::Unix(listener, path) => Self::Unix(to(listener.into())?.into(), path),
        })
    }
}

impl Stream {
    /// The same connection at another descriptor.
    ///
    /// # Errors
    /// What `to` says.
    pub fn moved(self, to: Move<'_>) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(to(stream.into())?.into()),
            Self::Unix(stream) => Self::Unix(to(stream.into())?.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert_eq!("1234".parse(), Ok(tcp("127.0.0.1:1234")));
        assert_eq!(":1234".parse(), Ok(tcp("127.0.0.1:1234")));
        assert_eq!("[::1]:7".parse(), Ok(tcp("[::1]:7")));
        assert_eq!("unix:/tmp/x".parse(), Ok(Address::Unix("/tmp/x".into())));
        for text in ["", "unix:", "65536", "host:1", "-1"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.to_owned())));
        }
    }

    #[test]
    fn a_left_over_socket_is_replaced_and_a_living_one_is_not() {
        let path = std::env::temp_dir().join(format!("ferry-listen-{}", std::process::id()));
        drop(UnixListener::bind(&path).unwrap());
        let address = Address::Unix(path.clone());
        let listener = Listener::bind(&address).unwrap();
        assert!(Listener::bind(&address).is_err());
        drop(listener);
        assert!(!path.exists());
    }
}
