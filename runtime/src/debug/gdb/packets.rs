//! Packets that the protocol's crate does not answer: `vKill`, what signal a process has stopped by, and a debugger's choice between virtual and physical
//! memory (`maintenance packet Qqemu.PhyMemMode:1`), under the name that QEMU gave it.

/// What memory packets mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum AddressMode {
    #[default]
    Virtual,
    Physical,
}

/// Takes the packets apart that are for it from what comes in.
#[derive(Debug, Default)]
pub(super) struct Packets {
    /// A packet in the making, from its `$` on.
    packet: Vec<u8>,
    has_no_acks: bool,
    pub(super) mode: AddressMode,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Incoming {
    /// These bytes are for the protocol's crate.
    Pass(Vec<u8>),
    /// This is the answer.
    Answer(String),
    /// The guest is to be killed once this has been answered.
    Kill(String),
    /// `siginfo_t` is asked for.
    SignalInfo,
}

/// The crate takes it for an end of the connection, which gdb reports as an error.
const KILL: &[u8] = b"vKill;";
/// Debuggers that ask for it want all of it.
const SIGNAL_INFO: &[u8] = b"qXfer:siginfo:read::0,";

/// A packet is no longer than that: what is not one is passed on.
const LONGEST: usize = 1 << 16;

impl Packets {
    /// Takes a byte. Whole packets come out, and what lies between them.
    pub(super) fn take(&mut self, byte: u8, has_physical: bool) -> Option<Incoming> {
        if self.packet.is_empty() && byte != b'$' {
            return Some(Incoming::Pass(vec![byte]));
        }
        self.packet.push(byte);
        let is_whole = self.packet.iter().rev().nth(2) == Some(&b'#');
        if !is_whole && self.packet.len() < LONGEST {
            return None;
        }
        let packet = std::mem::take(&mut self.packet);
        let body = packet.get(1..packet.len() - 3).unwrap_or_default();
        if body.starts_with(SIGNAL_INFO) && is_intact(&packet) {
            return Some(Incoming::SignalInfo);
        }
        let is_ours = (has_physical || body.starts_with(KILL)) && is_intact(&packet);
        let Some(answer) = is_ours.then(|| self.answer(body)).flatten() else {
            self.has_no_acks |= body == b"QStartNoAckMode";
            return Some(Incoming::Pass(packet));
        };
        let text = self.packet(answer);
        Some(if body.starts_with(KILL) { Incoming::Kill(text) } else { Incoming::Answer(text) })
    }

    /// An answer as a packet, behind the acknowledgement of the question.
    fn packet(&self, answer: &str) -> String {
        let ack = if self.has_no_acks { "" } else { "+" };
        let sum = sum(answer.as_bytes());
        format!("{ack}${answer}#{sum:02x}")
    }

    /// The answer to [`Incoming::SignalInfo`]: all of it, or an error where there is none. Bytes that packets cannot hold
    /// are escaped.
    pub(super) fn signal_info(&self, info: Option<&[u8]>) -> Vec<u8> {
        let ack: &[u8] = if self.has_no_acks { b"" } else { b"+" };
        let mut body = match info {
            Some(_) => vec![b'l'],
            None => b"E01".to_vec(),
        };
        for &byte in info.unwrap_or_default() {
            match byte {
                b'}' | b'#' | b'$' | b'*' => body.extend([b'}', byte ^ 0x20]),
                _ => body.push(byte),
            }
        }
        let end = format!("#{:02x}", sum(&body));
        [ack, b"$", &body, end.as_bytes()].concat()
    }

    fn answer(&mut self, body: &[u8]) -> Option<&'static str> {
        match body {
            b"qqemu.PhyMemMode" if self.mode == AddressMode::Physical => Some("1"),
            b"qqemu.PhyMemMode" => Some("0"),
            b"Qqemu.PhyMemMode:0" => {
                self.mode = AddressMode::Virtual;
                Some("OK")
            }
            b"Qqemu.PhyMemMode:1" => {
                self.mode = AddressMode::Physical;
                Some("OK")
            }
            _ if body.starts_with(KILL) => Some("OK"),
            _ => None,
        }
    }
}

fn sum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}

/// Whether the checksum is right.
fn is_intact(packet: &[u8]) -> bool {
    let (body, end) = packet.split_at(packet.len() - 3);
    let digits = std::str::from_utf8(&end[1..]).ok();
    digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) == Some(sum(&body[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(packets: &mut Packets, text: &str) -> Vec<Incoming> {
        text.bytes().filter_map(|byte| packets.take(byte, true)).collect()
    }

    #[test]
    fn what_is_known_of_a_signal_is_told_in_one_piece() {
        let mut packets = Packets::default();
        let sum = sum(b"qXfer:siginfo:read::0,80");
        let question = format!("$qXfer:siginfo:read::0,80#{sum:02x}");
        assert_eq!(feed(&mut packets, &question), [Incoming::SignalInfo]);
        assert_eq!(packets.signal_info(Some(b"\x0b#")), b"+$l\x0b}\x03#f7");
        assert_eq!(packets.signal_info(None), b"+$E01#a6");
    }

    #[test]
    fn physical_memory_is_chosen_and_the_rest_passed_on() {
        let mut packets = Packets::default();
        assert_eq!(feed(&mut packets, "+"), [Incoming::Pass(b"+".to_vec())]);
        let answer = |text: &str| [Incoming::Answer(text.to_owned())];
        assert_eq!(feed(&mut packets, "$qqemu.PhyMemMode#2c"), answer("+$0#30"));
        assert_eq!(feed(&mut packets, "$Qqemu.PhyMemMode:1#77"), answer("+$OK#9a"));
        assert_eq!(packets.mode, AddressMode::Physical);
        let start = "$QStartNoAckMode#b0";
        assert_eq!(feed(&mut packets, start), [Incoming::Pass(start.into())]);
        assert_eq!(feed(&mut packets, "$qqemu.PhyMemMode#2c"), answer("$1#31"));
        let broken = "$Qqemu.PhyMemMode:0#00";
        assert_eq!(feed(&mut packets, broken), [Incoming::Pass(broken.into())]);
        assert_eq!(feed(&mut packets, "\u{3}"), [Incoming::Pass(vec![3])]);
    }
}
