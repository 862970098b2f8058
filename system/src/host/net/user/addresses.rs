//! The guest's network: 10.0.2.0/24, laid out as users of QEMU know it.

use std::net::Ipv4Addr;

use super::super::config::Mac;

/// The router. Its ports are those of the host's loopback.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The DNS server.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The guest.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Everybody in the network.
pub const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 255);
/// The network's mask.
pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// The Ethernet address under which an address of ours answers.
#[must_use]
pub fn our_mac(addr: Ipv4Addr) -> Mac {
    let [a, b, c, d] = addr.octets();
    Mac([0x52, 0x55, a, b, c, d])
}

/// Whether an address is in the guest's network.
#[must_use]
pub fn is_local(addr: Ipv4Addr) -> bool {
    addr & MASK == GATEWAY & MASK
}

/// Whether an address is ours to answer for.
#[must_use]
pub fn is_ours(addr: Ipv4Addr) -> bool {
    addr == GATEWAY || addr == DNS
}

/// Whether an address can be one of the guest's.
#[must_use]
pub fn is_guest(addr: Ipv4Addr) -> bool {
    is_local(addr) && (4..=254).contains(&addr.octets()[3])
}
