//! Where the guest's packets may go: the only place that turns a guest's address into a host's.

use std::net::Ipv4Addr;

use super::super::config::Access;
use super::addresses;

/// Where something that the guest addresses is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The name server that we are.
    Dns,
    /// An address of the host or beyond it.
    Host(Ipv4Addr),
    /// Nowhere: who sent it is told.
    Forbidden,
    /// Several at once, or none: nobody is told.
    Nowhere,
}

/// Who may send where.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    access: Access,
    /// What the guest calls an address of the host, and that address.
    aliases: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Policy {
    pub(super) fn new(access: Access) -> Self {
        Self { access, aliases: vec![(addresses::GATEWAY, Ipv4Addr::LOCALHOST)] }
    }

    /// Adds an address by which the guest reaches one of the host's.
    #[cfg(test)]
    pub(super) fn with_alias(mut self, guest: Ipv4Addr, host: Ipv4Addr) -> Self {
        self.aliases.push((guest, host));
        self
    }

    pub(super) fn place(&self, addr: Ipv4Addr) -> Place {
        if addr.is_multicast() || addr == addresses::BROADCAST || addr.is_broadcast() {
            return Place::Nowhere;
        }
        if self.access == Access::Restricted {
            return Place::Forbidden;
        }
        if addr == addresses::DNS {
            return Place::Dns;
        }
        if let Some(&(_, host)) = self.aliases.iter().find(|(alias, _)| *alias == addr) {
            return Place::Host(host);
        }
        if is_routable(addr) { Place::Host(addr) } else { Place::Forbidden }
    }

    /// How the guest sees a host's address from which something comes.
    pub(super) fn alias_of(&self, host: Ipv4Addr) -> Ipv4Addr {
        let alias = self.aliases.iter().find(|(_, address)| *address == host);
        let loopback = || if host.is_loopback() { addresses::GATEWAY } else { host };
        alias.map_or_else(loopback, |&(alias, _)| alias)
    }
}

/// Addresses that mean something else to the host than to the guest are not passed on: 0/8 (which the
/// host takes for its loopback), the host's loopback itself, the host's own links (where clouds keep
/// credentials), the guest's network, and reserved ones.
fn is_routable(addr: Ipv4Addr) -> bool {
    let first = addr.octets()[0];
    first != 0
        && first < 224
        && !addr.is_loopback()
        && !addr.is_link_local()
        && !addresses::is_local(addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_where_they_should() {
        let cases = [
            ("10.0.2.2", Place::Host(Ipv4Addr::LOCALHOST)),
            ("10.0.2.3", Place::Dns),
            ("10.0.2.15", Place::Forbidden),
            ("10.0.2.255", Place::Nowhere),
            ("255.255.255.255", Place::Nowhere),
            ("224.0.0.251", Place::Nowhere),
            ("240.0.0.1", Place::Forbidden),
            ("0.0.0.0", Place::Forbidden),
            ("0.1.2.3", Place::Forbidden),
            ("127.0.0.1", Place::Forbidden),
            ("127.255.0.1", Place::Forbidden),
            ("169.254.169.254", Place::Forbidden),
            ("192.0.2.1", Place::Host(Ipv4Addr::new(192, 0, 2, 1))),
            ("10.0.3.1", Place::Host(Ipv4Addr::new(10, 0, 3, 1))),
        ];
        for (addr, place) in cases {
            let addr = addr.parse().unwrap();
            assert_eq!(Policy::new(Access::Open).place(addr), place, "{addr}");
            let restricted = Policy::new(Access::Restricted).place(addr);
            assert!(matches!(restricted, Place::Forbidden | Place::Nowhere), "{addr}");
        }
    }

    #[test]
    fn the_loopback_is_seen_as_the_gateway() {
        let policy = Policy::new(Access::Open);
        assert_eq!(policy.alias_of(Ipv4Addr::new(127, 0, 0, 9)), addresses::GATEWAY);
        let other = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(policy.alias_of(other), other);
    }
}
