//! Packets that the protocol's crate does not answer: `vKill`, what signal a process has stopped by, its memory map as a file, and a debugger's choice between virtual and physical
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
    /// A part of the memory map is asked for: from this byte on, so many.
    MemoryMap(usize, usize),
}

/// The crate takes it for an end of the connection, which gdb reports as an error.
const KILL: &[u8] = b"vKill;";
/// Debuggers that ask for it want all of it.
const SIGNAL_INFO: &[u8] = b"qXfer:siginfo:read::0,";

/// The only file that can be opened, /proc/self/maps, to be read; and its descriptor. That no others can be is no failure of theirs: the
/// protocol's crate says that it has none.
const OPEN_MAP: &[u8] = b"vFile:open:2f70726f632f73656c662f6d617073,0,0";
const READ_MAP: &[u8] = b"vFile:pread:1,";
const CLOSE_MAP: &[u8] = b"vFile:close:1";

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
        if let Some(range) = body.strip_prefix(READ_MAP).and_then(range)
            && is_intact(&packet)
        {
            return Some(Incoming::MemoryMap(range.0, range.1));
        }
        let is_of_processes = !has_physical && matches!(body, OPEN_MAP | CLOSE_MAP);
        let is_known = has_physical || is_of_processes || body.starts_with(KILL);
        let is_ours = is_known && is_intact(&packet);
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

    /// The answer to [`Incoming::SignalInfo`]: all of it, or an error where there is none.
    pub(super) fn signal_info(&self, info: Option<&[u8]>) -> Vec<u8> {
        match info {
            Some(info) => self.binary_packet("l", info),
            None => self.packet("E01").into_bytes(),
        }
    }

    /// The answer to [`Incoming::MemoryMap`].
    pub(super) fn file_part(&self, part: &[u8]) -> Vec<u8> {
        self.binary_packet(&format!("F{:x};", part.len()), part)
    }

    /// Text and bytes, of which those are escaped that packets cannot hold.
    fn binary_packet(&self, text: &str, bytes: &[u8]) -> Vec<u8> {
        let ack: &[u8] = if self.has_no_acks { b"" } else { b"+" };
        let mut body = text.as_bytes().to_vec();
        for &byte in bytes {
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
            OPEN_MAP => Some("F1"),
            CLOSE_MAP => Some("F0"),
            _ if body.starts_with(KILL) => Some("OK"),
            _ => None,
        }
    }
}

/// `COUNT,OFFSET`, as offset and count.
fn range(text: &[u8]) -> Option<(usize, usize)> {
    let (count, offset) = std::str::from_utf8(text).ok()?.split_once(',')?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    Some((number(offset)?, number(count)?))
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
    fn the_memory_map_is_a_file() {
        let mut packets = Packets::default();
        let mut ask = |text: &str| {
            let packet = format!("${text}#{:02x}", sum(text.as_bytes()));
            let taken = packet.bytes().filter_map(|byte| packets.take(byte, false));
            taken.collect::<Vec<_>>()
        };
        let open = "vFile:open:2f70726f632f73656c662f6d617073,0,0";
        assert_eq!(ask(open), [Incoming::Answer("+$F1#77".to_owned())]);
        assert_eq!(ask("vFile:pread:1,600,20"), [Incoming::MemoryMap(0x20, 0x600)]);
        assert_eq!(ask("vFile:close:1"), [Incoming::Answer("+$F0#76".to_owned())]);
        let other = "vFile:open:2f6574632f706173737764,0,0";
        assert!(matches!(ask(other)[..], [Incoming::Pass(_)]));
        assert_eq!(Packets::default().file_part(b"a}"), b"+$F2;a}]#ee");
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
