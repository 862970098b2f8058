//! DHCP (RFC 2131, options of RFC 2132): the guest's device always gets the guest's address; a few
//! others behind it (containers, bridges) get the ones after it.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, Ipv4Address,
};

use super::super::config::{Access, Mac, UserConfig};
use super::addresses;

/// Where servers listen, and clients.
pub(super) const SERVER_PORT: u16 = 67;
pub(super) const CLIENT_PORT: u16 = 68;

/// Seconds of a lease.
const LEASE: u32 = 86400;
/// Clients at most.
const CLIENTS: usize = 16;

const OPTION_DNS: u8 = 6;
const OPTION_HOST_NAME: u8 = 12;
const OPTION_MTU: u8 = 26;

/// The server.
pub(super) struct Dhcp {
    clients: Vec<Mac>,
    access: Access,
    hostname: Option<String>,
    mtu: u16,
}

/// An answer and where it goes.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) mac: Mac,
    pub(super) to: Ipv4Addr,
    pub(super) bytes: Vec<u8>,
}

impl Dhcp {
    pub(super) fn new(config: &UserConfig) -> Self {
        let (access, mtu) = (config.access, config.mtu);
        Self { clients: vec![config.mac], access, hostname: config.hostname.clone(), mtu }
    }

    /// Answers a message of a client, if that is called for.
    pub(super) fn answer(&mut self, message: &[u8]) -> Option<Answer> {
        let packet = DhcpPacket::new_checked(message).ok()?;
        let request = DhcpRepr::parse(&packet).ok()?;
        let elsewhere =
            request.server_identifier.is_some_and(|server| server != addresses::GATEWAY);
        let mac = Mac(request.client_hardware_address.0);
        if elsewhere || !mac.is_unicast() || request.relay_agent_ip != Ipv4Addr::UNSPECIFIED {
            return None;
        }
        let lease = self.lease(mac)?;
        let kind = match request.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if asks_for(&request) == lease => DhcpMessageType::Ack,
            DhcpMessageType::Request => DhcpMessageType::Nak,
            DhcpMessageType::Inform => DhcpMessageType::Ack,
            _ => return None,
        };
        let known = request.client_ip == lease && kind == DhcpMessageType::Ack;
        let (to, mac) = if known { (lease, mac) } else { (Ipv4Addr::BROADCAST, Mac([0xff; 6])) };
        Some(Answer { mac, to, bytes: self.emit(&request, kind, lease) })
    }

    /// The address of a client; none if there are too many.
    fn lease(&mut self, mac: Mac) -> Option<Ipv4Addr> {
        let known = self.clients.iter().position(|&client| client == mac);
        let index = known.unwrap_or(self.clients.len());
        if index == CLIENTS {
            return None;
        }
        if known.is_none() {
            self.clients.push(mac);
        }
        let [a, b, c, first] = addresses::GUEST.octets();
        Some(Ipv4Addr::new(a, b, c, first + u8::try_from(index).ok()?))
    }

    fn emit(&self, request: &DhcpRepr<'_>, kind: DhcpMessageType, lease: Ipv4Addr) -> Vec<u8> {
        let inform = request.message_type == DhcpMessageType::Inform;
        let refused = kind == DhcpMessageType::Nak;
        let mtu = self.mtu.to_be_bytes();
        let dns = addresses::DNS.octets();
        let mut options = Vec::new();
        let open = self.access == Access::Open && !refused;
        if !refused {
            options.push(DhcpOption { kind: OPTION_MTU, data: &mtu });
        }
        if open {
            options.push(DhcpOption { kind: OPTION_DNS, data: &dns });
        }
        if let Some(name) = self.hostname.as_deref().filter(|_| !refused) {
            options.push(DhcpOption { kind: OPTION_HOST_NAME, data: name.as_bytes() });
        }
        let answer = DhcpRepr {
            message_type: kind,
            your_ip: if refused || inform { Ipv4Address::UNSPECIFIED } else { lease },
            server_ip: addresses::GATEWAY,
            router: open.then_some(addresses::GATEWAY),
            subnet_mask: (!refused).then_some(addresses::MASK),
            server_identifier: Some(addresses::GATEWAY),
            lease_duration: (!refused && !inform).then_some(LEASE),
            additional_options: &options,
            ..empty(request.transaction_id, request.client_hardware_address)
        };
        let mut bytes = vec![0; answer.buffer_len()];
        let emitted = answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]));
        debug_assert!(emitted.is_ok(), "the buffer has the length that was asked for");
        bytes
    }
}

/// The address that a client asks for, or has.
fn asks_for(request: &DhcpRepr<'_>) -> Ipv4Addr {
    request.requested_ip.unwrap_or(request.client_ip)
}

/// A message that says nothing.
fn empty<'a>(transaction_id: u32, client_hardware_address: EthernetAddress) -> DhcpRepr<'a> {
    DhcpRepr {
        message_type: DhcpMessageType::Discover,
        transaction_id,
        secs: 0,
        client_hardware_address,
        client_ip: Ipv4Address::UNSPECIFIED,
        your_ip: Ipv4Address::UNSPECIFIED,
        server_ip: Ipv4Address::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Address::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(options: &str) -> Dhcp {
        match format!("user{options}").parse() {
            Ok(super::super::super::NetConfig::User(config)) => Dhcp::new(&config),
            other => panic!("{other:?}"),
        }
    }

    fn message(kind: DhcpMessageType, mac: Mac, requested: Option<Ipv4Addr>) -> Vec<u8> {
        let repr = DhcpRepr {
            message_type: kind,
            requested_ip: requested,
            ..empty(7, EthernetAddress(mac.0))
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        bytes
    }

    fn option(bytes: &[u8], kind: u8) -> Option<Vec<u8>> {
        let packet = DhcpPacket::new_checked(bytes).unwrap();
        packet.options().find(|option| option.kind == kind).map(|option| option.data.to_vec())
    }

    #[test]
    fn a_client_is_offered_its_address_and_gets_it() {
        let mut dhcp = server(",hostname=box");
        let offer = dhcp.answer(&message(DhcpMessageType::Discover, Mac::DEFAULT, None)).unwrap();
        let packet = DhcpPacket::new_checked(&offer.bytes[..]).unwrap();
        let repr = DhcpRepr::parse(&packet).unwrap();
        assert_eq!(repr.message_type, DhcpMessageType::Offer);
        assert_eq!((repr.your_ip, repr.transaction_id), (addresses::GUEST, 7));
        assert_eq!(
            (repr.router, repr.subnet_mask),
            (Some(addresses::GATEWAY), Some(addresses::MASK))
        );
        assert_eq!(repr.lease_duration, Some(LEASE));
        assert_eq!(option(&offer.bytes, OPTION_HOST_NAME).unwrap(), b"box");
        assert_eq!(option(&offer.bytes, OPTION_DNS).unwrap(), [10, 0, 2, 3]);
        assert_eq!(option(&offer.bytes, OPTION_MTU).unwrap(), [5, 220]);
        let ask = message(DhcpMessageType::Request, Mac::DEFAULT, Some(addresses::GUEST));
        let ack = dhcp.answer(&ask).unwrap();
        let packet = DhcpPacket::new_checked(&ack.bytes[..]).unwrap();
        assert_eq!(DhcpRepr::parse(&packet).unwrap().message_type, DhcpMessageType::Ack);
    }

    #[test]
    fn another_address_is_refused() {
        let wrong = Some(Ipv4Addr::new(10, 0, 2, 99));
        let nak =
            server("").answer(&message(DhcpMessageType::Request, Mac::DEFAULT, wrong)).unwrap();
        let packet = DhcpPacket::new_checked(&nak.bytes[..]).unwrap();
        let repr = DhcpRepr::parse(&packet).unwrap();
        assert_eq!((repr.message_type, repr.router), (DhcpMessageType::Nak, None));
        assert_eq!(repr.your_ip, Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn a_restricted_guest_gets_no_router() {
        let discover = message(DhcpMessageType::Discover, Mac::DEFAULT, None);
        let offer = server(",restrict=on").answer(&discover).unwrap();
        assert_eq!((option(&offer.bytes, 3), option(&offer.bytes, OPTION_DNS)), (None, None));
        assert!(option(&offer.bytes, 1).is_some());
    }

    #[test]
    fn clients_are_counted() {
        let mut dhcp = server("");
        for index in 1..CLIENTS {
            let mac = Mac([2, 0, 0, 0, 0, index as u8]);
            let offer = dhcp.answer(&message(DhcpMessageType::Discover, mac, None)).unwrap();
            let packet = DhcpPacket::new_checked(&offer.bytes[..]).unwrap();
            let lease = DhcpRepr::parse(&packet).unwrap().your_ip;
            assert_eq!(lease, Ipv4Addr::new(10, 0, 2, 15 + index as u8));
        }
        let one_more = message(DhcpMessageType::Discover, Mac([2; 6]), None);
        assert!(dhcp.answer(&one_more).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_message_has_an_answer(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
            at in 0usize..300,
        ) {
            let mut dhcp = server("");
            let _ = dhcp.answer(&bytes);
            let mut request = message(DhcpMessageType::Request, Mac::DEFAULT, None);
            let at = at % request.len();
            for (to, from) in request[at..].iter_mut().zip(&bytes) {
                *to = *from;
            }
            let _ = dhcp.answer(&request);
        }
    }
}
