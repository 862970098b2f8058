//! DNS (RFC 1035): questions are passed on to a server of the host's, one after the other until one
//! answers; if none does, the guest is told so.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::addresses;
use super::link::Link;
use super::poller::{Poller, Token};
use super::socket;

/// Where servers listen.
pub(super) const PORT: u16 = 53;

/// Questions that wait at most.
const QUESTIONS: usize = 128;
/// How long a server has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// Servers at most, as resolv.conf(5) has it.
const SERVERS: usize = 3;
const HEADER: usize = 12;
/// What a question may be long without TCP, with all extensions.
const LONGEST: usize = 4096;

const RESPONSE: u8 = 0x80;
const OPCODE_AND_RECURSION_DESIRED: u8 = 0x79;
const RECURSION_AVAILABLE: u8 = 0x80;
const SERVFAIL: u8 = 2;

struct Question {
    guest: SocketAddrV4,
    bytes: Vec<u8>,
    /// How many servers have been asked.
    asked: usize,
    socket: OwnedFd,
    deadline: Instant,
}

/// The forwarder.
pub(super) struct Dns {
    servers: Vec<SocketAddr>,
    questions: HashMap<Token, Question>,
}

impl Dns {
    pub(super) fn new(mut servers: Vec<SocketAddr>) -> Self {
        servers.truncate(SERVERS);
        Self { servers, questions: HashMap::new() }
    }

    /// Whom connections to the name server are passed on to.
    pub(super) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Takes a question from the guest.
    pub(super) fn ask(
        &mut self,
        guest: SocketAddrV4,
        bytes: &[u8],
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        if !is_question(bytes) || self.repeats(guest, bytes) {
            return;
        }
        let bytes = bytes.to_vec();
        if self.questions.len() >= QUESTIONS {
            return refuse(guest, &bytes, link);
        }
        self.ask_next(guest, bytes, 0, poller, link, now);
    }

    /// Whether the same question waits already.
    fn repeats(&self, guest: SocketAddrV4, bytes: &[u8]) -> bool {
        self.questions.values().any(|waiting| waiting.guest == guest && waiting.bytes == bytes)
    }

    /// Asks the next server that can be asked; if there is none, the guest is told.
    fn ask_next(
        &mut self,
        guest: SocketAddrV4,
        bytes: Vec<u8>,
        mut asked: usize,
        poller: &mut Poller,
        link: &mut Link,
        now: Instant,
    ) {
        while asked < self.servers.len() * ROUNDS {
            let server = self.servers[asked % self.servers.len()];
            asked += 1;
            let Ok(socket) = socket::udp(server) else { continue };
            if socket::send(&socket, &bytes).is_err() {
                continue;
            }
            let Ok(token) = poller.add(&socket) else { continue };
            let question = Question { guest, bytes, asked, socket, deadline: now + PATIENCE };
            self.questions.insert(token, question);
            return;
        }
        refuse(guest, &bytes, link);
    }

    /// Takes the answer, if the event is for a question of ours.
    pub(super) fn event(
        &mut self,
        token: Token,
        poller: &mut Poller,
        link: &mut Link,
        scratch: &mut [u8],
        now: Instant,
    ) {
        let Some(question) = self.questions.get(&token) else { return };
        loop {
            match socket::recv(&question.socket, scratch) {
                Ok(len) if answers(&question.bytes, &scratch[..len]) => {
                    let from = (addresses::DNS, PORT);
                    let to = (*question.guest.ip(), question.guest.port());
                    link.send_udp(from, to, &scratch[..len]);
                    self.questions.remove(&token);
                    return;
                }
                // Somebody else's answer: the right one may follow.
                Ok(_) => {}
                Err(error) if socket::is_transient(error) => return,
                Err(_) => return self.give_up(token, poller, link, now),
            }
        }
    }

    /// The server does not answer: asks the next.
    fn give_up(&mut self, token: Token, poller: &mut Poller, link: &mut Link, now: Instant) {
        if let Some(Question { guest, bytes, asked, .. }) = self.questions.remove(&token) {
            self.ask_next(guest, bytes, asked, poller, link, now);
        }
    }

    /// When something is to be done if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.questions.values().map(|question| question.deadline).min()
    }

    /// Asks the next server where one has not answered in time.
    pub(super) fn expire(&mut self, poller: &mut Poller, link: &mut Link, now: Instant) {
        let late =
            |(token, question): (&Token, &Question)| (question.deadline <= now).then_some(*token);
        let late: Vec<_> = self.questions.iter().filter_map(late).collect();
        for token in late {
            self.give_up(token, poller, link, now);
        }
    }
}

fn refuse(guest: SocketAddrV4, question: &[u8], link: &mut Link) {
    let answer = failure(question);
    link.send_udp((addresses::DNS, PORT), (*guest.ip(), guest.port()), &answer);
}

/// Whether a message asks something that can be passed on.
fn is_question(bytes: &[u8]) -> bool {
    (HEADER..=LONGEST).contains(&bytes.len()) && bytes[2] & RESPONSE == 0
}

/// Whether a message answers a question: it has its number, and repeats what was asked.
fn answers(question: &[u8], answer: &[u8]) -> bool {
    if answer.len() < HEADER || answer[2] & RESPONSE == 0 || answer[..2] != question[..2] {
        return false;
    }
    let asked = question_section(question);
    // A server that fails may leave the question out.
    answer[4..6] == [0, 0] || question_section(answer).eq_ignore_ascii_case(asked)
}

/// The first question of a message: name, type and class; empty if there is none.
fn question_section(message: &[u8]) -> &[u8] {
    let mut at = HEADER;
    if message.get(4..6).is_none_or(|count| count == [0, 0]) {
        return &[];
    }
    while let Some(&len @ 1..=63) = message.get(at) {
        at += 1 + usize::from(len);
    }
    match message.get(at) {
        Some(0) => message.get(HEADER..at + 5).unwrap_or_default(),
        _ => &[],
    }
}

/// The answer to a question that nobody answers: SERVFAIL.
fn failure(question: &[u8]) -> Vec<u8> {
    let mut answer = question[..HEADER].to_vec();
    answer[2] = RESPONSE | (question[2] & OPCODE_AND_RECURSION_DESIRED);
    answer[3] = RECURSION_AVAILABLE | SERVFAIL;
    let section = question_section(question);
    answer[4..].fill(0);
    answer[5] = u8::from(!section.is_empty());
    answer.extend_from_slice(section);
    answer
}

/// The servers in the text of resolv.conf(5).
pub(super) fn servers_in(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A scope (`%eth0`) cannot be passed on; such a server is left out.
        address.parse::<IpAddr>().ok().map(|addr| SocketAddr::new(addr, PORT))
    };
    let mut servers: Vec<_> = text.lines().filter_map(server).collect();
    let named = text.lines().any(|line| line.trim_start().starts_with("nameserver"));
    if !named {
        // What the resolver does without any.
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x01a\x02bc\0\0\x01\0\x01\0\0\x29";

    #[test]
    fn a_failure_repeats_the_question() {
        let answer = failure(QUESTION);
        assert_eq!(answer, b"\x12\x34\x81\x82\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01");
        assert!(answers(QUESTION, &answer));
    }

    #[test]
    fn answers_to_something_else_do_not_count() {
        let mut answer = failure(QUESTION);
        answer[13] = b'A';
        assert!(answers(QUESTION, &answer), "names have no case");
        answer[13] = b'x';
        assert!(!answers(QUESTION, &answer), "another name");
        let mut answer = failure(QUESTION);
        answer[1] ^= 1;
        assert!(!answers(QUESTION, &answer), "another number");
        assert!(!answers(QUESTION, QUESTION), "a question");
    }

    #[test]
    fn servers_are_found_in_resolv_conf() {
        let text = "# nameserver 192.0.2.9\nsearch a.example\nnameserver 192.0.2.1\n\
                    nameserver\t2001:db8::1 \nnameserver fe80::1%eth0\noptions edns0\n";
        let expected = ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
        assert_eq!(servers_in(text), expected);
        assert_eq!(servers_in(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    proptest::proptest! {
        #[test]
        fn any_question_can_fail(bytes in proptest::collection::vec(proptest::num::u8::ANY, 12..80)) {
            let answer = failure(&bytes);
            proptest::prop_assert!(answers(&bytes, &answer));
            let _ = is_question(&bytes);
        }
    }
}
