//! The host's sockets: non-blocking, and closed on exec.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, ipproto, sockopt,
};

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

fn family(addr: SocketAddr) -> AddressFamily {
    if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Whether an operation is only to be tried again later.
pub(super) fn is_transient(error: Errno) -> bool {
    matches!(error, Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM)
}

/// A socket for datagrams to and from one address.
pub(super) fn udp(to: SocketAddr) -> Result<OwnedFd> {
    let socket = rustix::net::socket_with(family(to), SocketType::DGRAM, FLAGS, None)?;
    rustix::net::connect(&socket, &to)?;
    Ok(socket)
}

/// A socket for datagrams that arrive at an address.
pub(super) fn udp_at(at: SocketAddrV4) -> Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
    rustix::net::bind(&socket, &at)?;
    Ok(socket)
}

/// A socket for echo requests to an address, where the host lets anybody have one (icmp(7)).
pub(super) fn ping(to: SocketAddrV4) -> Result<OwnedFd> {
    let protocol = Some(ipproto::ICMP);
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, protocol)?;
    rustix::net::connect(&socket, &to)?;
    Ok(socket)
}

/// A connection that is being made.
pub(super) fn tcp(to: SocketAddr) -> Result<OwnedFd> {
    let socket = rustix::net::socket_with(family(to), SocketType::STREAM, FLAGS, None)?;
    prepare(&socket)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// A socket that accepts connections.
pub(super) fn tcp_at(at: SocketAddrV4) -> Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

/// Where a socket is.
pub(super) fn local(socket: &OwnedFd) -> Result<SocketAddrV4> {
    SocketAddrV4::try_from(rustix::net::getsockname(socket)?)
}

/// The next connection, and where it comes from.
pub(super) fn accept(socket: &OwnedFd) -> Result<(OwnedFd, SocketAddrV4)> {
    let (connection, from) = rustix::net::acceptfrom_with(socket, FLAGS)?;
    prepare(&connection)?;
    Ok((connection, peer(from)?))
}

/// What all connections have: small writes are not held back, and a peer that vanishes is noticed.
fn prepare(socket: &OwnedFd) -> Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)
}

fn peer(from: Option<SocketAddrAny>) -> Result<SocketAddrV4> {
    from.ok_or(Errno::AFNOSUPPORT).and_then(SocketAddrV4::try_from)
}

pub(super) fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize> {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)
}

pub(super) fn send_to(socket: &OwnedFd, bytes: &[u8], to: SocketAddrV4) -> Result<usize> {
    rustix::net::sendto(socket, bytes, SendFlags::NOSIGNAL, &to)
}

pub(super) fn recv(socket: &OwnedFd, bytes: &mut [u8]) -> Result<usize> {
    rustix::net::recv(socket, bytes, RecvFlags::empty()).map(|(len, _)| len)
}

pub(super) fn recv_from(socket: &OwnedFd, bytes: &mut [u8]) -> Result<(usize, SocketAddrV4)> {
    let (len, _, from) = rustix::net::recvfrom(socket, bytes, RecvFlags::empty())?;
    Ok((len, peer(from)?))
}

/// How a connection that was being made has come out.
pub(super) fn outcome(socket: &OwnedFd) -> Result<()> {
    sockopt::socket_error(socket)?
}

/// Makes closing the connection reset it.
pub(super) fn reset_on_close(socket: &OwnedFd) {
    // Closing in the usual way is what remains if the host refuses.
    let _ = sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO));
}

/// Says that nothing more will be sent.
pub(super) fn finish(socket: &OwnedFd) {
    // A connection that is gone already needs it no more.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}
