//! The text of `--net`: `none`, or `user` and its options.
//!
//! ```text
//! user[,hostfwd=tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT]...[,restrict=on|off]
//!     [,dns=ADDR[:PORT]]...[,hostname=NAME][,mtu=BYTES][,mac=XX:XX:XX:XX:XX:XX]
//! ```
//!
//! A forwarding without HOSTADDR listens on 127.0.0.1, so that other hosts reach the guest only if they
//! are meant to; `0.0.0.0` lets them. The colon before HOSTPORT may be left out with the address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

use super::user::addresses;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The guest's, if nobody names another.
    pub const DEFAULT: Self = Self([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);

    /// Whether it names one station.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Mac(text.into());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        let mac = Self(bytes);
        if parts.next().is_some() || !mac.is_unicast() {
            return Err(error());
        }
        Ok(mac)
    }
}

/// What is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// Connections
    Tcp,
    /// Datagrams
    Udp,
}

/// A port of the host that leads to one of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forward {
    /// What is forwarded.
    pub protocol: Protocol,
    /// Where the host listens. Port 0 lets the host choose.
    pub host: SocketAddrV4,
    /// Where it arrives.
    pub guest: SocketAddrV4,
}

/// What the guest may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Whatever the host reaches.
    #[default]
    Open,
    /// Nothing; it may only answer to what was forwarded to it.
    Restricted,
}

/// A network in user mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserConfig {
    /// What leads to the guest.
    pub forwards: Vec<Forward>,
    /// What the guest may reach.
    pub access: Access,
    /// The servers that answer the guest's questions; none means those of the host.
    pub dns: Vec<SocketAddr>,
    /// The name that the guest is given.
    pub hostname: Option<String>,
    /// Bytes of an IP packet.
    pub mtu: u16,
    /// The guest's Ethernet address.
    pub mac: Mac,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self {
            forwards: Vec::new(),
            access: Access::Open,
            dns: Vec::new(),
            hostname: None,
            mtu: 1500,
            mac: Mac::DEFAULT,
        }
    }
}

/// What stands behind a network device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetConfig {
    /// There is no network device.
    None,
    /// A network in user mode.
    User(UserConfig),
}

/// What is wrong with the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The first word
    #[error("unknown network `{0}`; there are `none` and `user`")]
    Kind(String),
    /// An option's name
    #[error("unknown option `{0}`; there are hostfwd, restrict, dns, hostname, mtu and mac")]
    Option(String),
    /// An option without `=`
    #[error("option `{0}` needs a value: {0}=…")]
    NoValue(String),
    /// Something after `none`
    #[error("`none` has no options")]
    NoneHasNoOptions,
    /// hostfwd
    #[error("hostfwd={text}: {problem}; it is tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT")]
    Forward {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: ForwardProblem,
    },
    /// The same port of the host twice
    #[error("hostfwd: {0} is forwarded twice")]
    Twice(SocketAddrV4),
    /// More forwardings than there may be
    #[error("more than {MAX_FORWARDS} hostfwd options")]
    TooManyForwards,
    /// restrict
    #[error("restrict={0}: it is `on` or `off`")]
    Restrict(String),
    /// dns
    #[error("dns={0}: it is an IP address, with a port if it is not 53")]
    Dns(String),
    /// hostname
    #[error("hostname={0}: it is 1 to 63 letters, digits and hyphens")]
    Hostname(String),
    /// mtu
    #[error("mtu={0}: it is a number from 576 to 65520")]
    Mtu(String),
    /// mac
    #[error("mac={0}: it is six bytes xx:xx:xx:xx:xx:xx, of one station (the first byte is even)")]
    Mac(String),
}

/// What is wrong with a forwarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ForwardProblem {
    /// Neither tcp nor udp
    #[error("the protocol is `tcp` or `udp`")]
    Protocol,
    /// No `-`
    #[error("the guest's side is missing")]
    NoGuest,
    /// The host's address
    #[error("the host's address is not one of IPv4")]
    HostAddress,
    /// The host's port
    #[error("the host's port is not a number from 0 to 65535")]
    HostPort,
    /// The guest's address
    #[error("the guest's address is not one of 10.0.2.4 to 10.0.2.254")]
    GuestAddress,
    /// The guest's port
    #[error("the guest's port is not a number from 1 to 65535")]
    GuestPort,
}

/// Forwardings at most.
pub const MAX_FORWARDS: usize = 256;

impl FromStr for NetConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut parts = text.split(',');
        match parts.next() {
            Some("none") if parts.next().is_none() => Ok(Self::None),
            Some("none") => Err(ConfigError::NoneHasNoOptions),
            Some("user") => {
                let mut config = UserConfig::default();
                parts.try_for_each(|part| config.set(part))?;
                Ok(Self::User(config))
            }
            other => Err(ConfigError::Kind(other.unwrap_or_default().into())),
        }
    }
}

impl UserConfig {
    fn set(&mut self, option: &str) -> Result<(), ConfigError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value),
            None => (option, ""),
        };
        let known = ["hostfwd", "restrict", "dns", "hostname", "mtu", "mac"].contains(&name);
        if known && value.is_empty() {
            return Err(ConfigError::NoValue(name.into()));
        }
        match name {
            "hostfwd" => return self.add_forward(value),
            "restrict" => self.access = access(value)?,
            "dns" => self.dns.push(server(value)?),
            "hostname" => self.hostname = Some(hostname(value)?),
            "mtu" => self.mtu = mtu(value)?,
            "mac" => self.mac = value.parse()?,
            _ => return Err(ConfigError::Option(name.into())),
        }
        Ok(())
    }

    fn add_forward(&mut self, text: &str) -> Result<(), ConfigError> {
        let forward = text
            .parse::<Forward>()
            .map_err(|problem| ConfigError::Forward { text: text.into(), problem })?;
        let same =
            |other: &Forward| (other.protocol, other.host) == (forward.protocol, forward.host);
        if forward.host.port() != 0 && self.forwards.iter().any(same) {
            return Err(ConfigError::Twice(forward.host));
        }
        if self.forwards.len() >= MAX_FORWARDS {
            return Err(ConfigError::TooManyForwards);
        }
        self.forwards.push(forward);
        Ok(())
    }
}

impl FromStr for Forward {
    type Err = ForwardProblem;

    fn from_str(text: &str) -> Result<Self, ForwardProblem> {
        let (protocol, rest) = text.split_once(':').ok_or(ForwardProblem::Protocol)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(ForwardProblem::Protocol),
        };
        let (host, guest) = rest.split_once('-').ok_or(ForwardProblem::NoGuest)?;
        let (addr, port) = host.rsplit_once(':').unwrap_or(("", host));
        let addr = optional(addr, Ipv4Addr::LOCALHOST).ok_or(ForwardProblem::HostAddress)?;
        let port = port.parse().map_err(|_| ForwardProblem::HostPort)?;
        let host = SocketAddrV4::new(addr, port);
        let (addr, port) = guest.rsplit_once(':').unwrap_or(("", guest));
        let addr = optional(addr, addresses::GUEST)
            .filter(|&addr| addresses::is_guest(addr))
            .ok_or(ForwardProblem::GuestAddress)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or(ForwardProblem::GuestPort)?;
        Ok(Self { protocol, host, guest: SocketAddrV4::new(addr, port) })
    }
}

/// The address in the text, or the default for an empty one.
fn optional(text: &str, default: Ipv4Addr) -> Option<Ipv4Addr> {
    if text.is_empty() { Some(default) } else { text.parse().ok() }
}

fn access(text: &str) -> Result<Access, ConfigError> {
    match text {
        "on" => Ok(Access::Restricted),
        "off" => Ok(Access::Open),
        _ => Err(ConfigError::Restrict(text.into())),
    }
}

fn server(text: &str) -> Result<SocketAddr, ConfigError> {
    let addr = text.parse::<IpAddr>().map(|addr| SocketAddr::new(addr, 53));
    addr.or_else(|_| text.parse()).map_err(|_| ConfigError::Dns(text.into()))
}

fn hostname(text: &str) -> Result<String, ConfigError> {
    let fits = text.len() <= 63 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { Ok(text.into()) } else { Err(ConfigError::Hostname(text.into())) }
}

fn mtu(text: &str) -> Result<u16, ConfigError> {
    let mtu = text.parse().ok().filter(|mtu| (576..=65520).contains(mtu));
    mtu.ok_or_else(|| ConfigError::Mtu(text.into()))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
