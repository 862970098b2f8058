//! ARP (RFC 826): we answer for our own addresses and for no others.

use std::net::Ipv4Addr;

use smoltcp::wire::{ArpOperation, ArpRepr, EthernetAddress};

use super::super::config::Mac;
use super::addresses;

/// What a message teaches: an address and who has it.
pub(super) fn teaches(arp: &ArpRepr) -> Option<(Ipv4Addr, Mac)> {
    let ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, .. } = *arp else {
        return None;
    };
    let mac = Mac(source_hardware_addr.0);
    (addresses::is_guest(source_protocol_addr) && mac.is_unicast())
        .then_some((source_protocol_addr, mac))
}

/// The answer, if it is ours to give.
pub(super) fn answer(arp: &ArpRepr) -> Option<ArpRepr> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = *arp
    else {
        return None;
    };
    if !addresses::is_ours(target_protocol_addr) {
        return None;
    }
    Some(ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(addresses::our_mac(target_protocol_addr).0),
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: Ipv4Addr) -> ArpRepr {
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(Mac::DEFAULT.0),
            source_protocol_addr: addresses::GUEST,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        }
    }

    #[test]
    fn only_our_addresses_are_answered_for() {
        for addr in [addresses::GATEWAY, addresses::DNS] {
            let Some(ArpRepr::EthernetIpv4 { source_hardware_addr, target_protocol_addr, .. }) =
                answer(&request(addr))
            else {
                panic!("no answer for {addr}");
            };
            assert_eq!(source_hardware_addr.0, addresses::our_mac(addr).0);
            assert_eq!(target_protocol_addr, addresses::GUEST);
        }
        for addr in [addresses::GUEST, Ipv4Addr::new(10, 0, 2, 4), Ipv4Addr::new(192, 0, 2, 1)] {
            assert_eq!(answer(&request(addr)), None);
        }
    }

    #[test]
    fn an_answer_is_not_answered() {
        let reply = answer(&request(addresses::GATEWAY)).unwrap();
        assert_eq!(answer(&reply), None);
        assert_eq!(teaches(&reply), None);
        let learned = teaches(&request(addresses::GATEWAY));
        assert_eq!(learned, Some((addresses::GUEST, Mac::DEFAULT)));
    }
}
