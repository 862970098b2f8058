//! Reading execution packets, one after another.

use std::io::{BufRead, Read};

use super::packet::{ExecutionPacket, Malformed, MemoryData, V2_MAGIC};
use crate::formats::riscv_insn;
use crate::formats::text::{Peeked, peek};
use crate::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Privilege, RegWrite, Register,
    Source, Trap, Writes,
};

/// Reads execution packets, of the version of the first one.
pub(crate) struct RvfiSource<R> {
    reader: Peeked<R>,
    header: Header,
    version: Version,
    /// Where the next packet begins.
    offset: u64,
    packet: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// Whether these bytes begin a file of packets.
pub(in crate::formats) fn is_beginning(bytes: &[u8]) -> bool {
    // Numbers of instructions are small at first, which text is not.
    let is_first = |packet: &[u8; ExecutionPacket::V1_SIZE]| {
        packet[5..8] == [0; 3] && ExecutionPacket::decode_v1(packet).is_ok()
    };
    bytes.starts_with(&V2_MAGIC) || bytes.first_chunk().is_some_and(is_first)
}

impl<R: BufRead> RvfiSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let (version, size) = match prefix.starts_with(&V2_MAGIC) {
            true => (Version::Second, prefix.first_chunk().map(ExecutionPacket::v2_size)),
            false => (Version::First, Some(Ok(ExecutionPacket::V1_SIZE))),
        };
        let at_start = |Malformed(reason)| Error::Byte { offset: 0, reason: reason.to_owned() };
        let size = size.transpose().map_err(at_start)?.filter(|size| *size <= prefix.len());
        let size = size.ok_or_else(|| Error::CutShort("within the first packet".to_owned()))?;
        let first = decode(version, &prefix[..size]).map_err(at_start)?;
        if first.order.swap_bytes() < first.order && first.order >> 40 != 0 {
            let reason = "the first instruction's number is that of a big-endian packet".to_owned();
            return Err(Error::Byte { offset: 0, reason });
        }
        let has_memory = first.memory.is_some();
        let carries = Carries {
            insn: true,
            privilege: version == Version::Second,
            int: if first.registers.is_some() { Writes::Every } else { Writes::Unknown },
            loads: has_memory,
            load_values: has_memory,
            stores: has_memory,
            store_values: has_memory,
            traps: true,
            ..Carries::default()
        };
        let header = Header { architecture: Architecture::Riscv64, carries, program: None };
        Ok(Self { reader, header, version, offset: 0, packet: Vec::new() })
    }

    /// Adds bytes to the packet. `false` if there are none.
    fn read(&mut self, size: usize) -> Result<bool, Error> {
        let wanted = size as u64 - self.packet.len() as u64;
        let read = self.reader.by_ref().take(wanted).read_to_end(&mut self.packet)?;
        match read as u64 {
            0 if self.packet.is_empty() => Ok(false),
            read if read == wanted => Ok(true),
            _ => Err(Error::CutShort(format!("within the packet at byte {:#x}", self.offset))),
        }
    }

    fn packet(&mut self) -> Result<Option<ExecutionPacket>, Error> {
        self.packet.clear();
        let base = match self.version {
            Version::First => ExecutionPacket::V1_SIZE,
            Version::Second => 64,
        };
        if !self.read(base)? {
            return Ok(None);
        }
        let offset = self.offset;
        let at = |Malformed(reason)| Error::Byte { offset, reason: reason.to_owned() };
        if let (Version::Second, Some(beginning)) = (self.version, self.packet.first_chunk()) {
            let size = ExecutionPacket::v2_size(beginning).map_err(at)?;
            if size != base {
                self.read(size)?;
            }
        }
        let packet = decode(self.version, &self.packet).map_err(at)?;
        self.offset += self.packet.len() as u64;
        Ok(Some(packet))
    }
}

fn decode(version: Version, bytes: &[u8]) -> Result<ExecutionPacket, Malformed> {
    match (version, bytes.first_chunk()) {
        (Version::First, Some(packet)) => ExecutionPacket::decode_v1(packet),
        (Version::First, None) => Err(Malformed("the packet is too short")),
        (Version::Second, _) => ExecutionPacket::decode_v2(bytes),
    }
}

impl<R: BufRead> Source for RvfiSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            let Some(packet) = self.packet()? else { return Ok(false) };
            // The answer to the end of an injected trace.
            if packet.halt && packet.insn == 0 && packet.pc == 0 {
                continue;
            }
            fill_in(event, &packet);
            return Ok(true);
        }
    }
}

fn fill_in(event: &mut Event, packet: &ExecutionPacket) {
    event.clear();
    event.order = Some(packet.order);
    event.pc = packet.pc;
    event.insn = riscv_insn(packet.insn);
    event.privilege = packet.mode.map(Privilege);
    event.trap = packet.trap.then(Trap::default);
    if let Some(registers) = packet.registers.filter(|registers| registers.rd != 0) {
        let register = Register::int(registers.rd.into());
        event.writes.push(RegWrite { register, value: registers.rd_value.into() });
    }
    if let Some(MemoryData { addr, read, written, read_mask, write_mask }) = packet.memory {
        accesses(AccessKind::Load, addr, &read, read_mask, &mut event.accesses);
        accesses(AccessKind::Store, addr, &written, write_mask, &mut event.accesses);
    }
}

/// One access for each row of ones in the mask, but of 16 bytes at most.
fn accesses(kind: AccessKind, addr: u64, bytes: &[u8; 32], mask: u32, accesses: &mut Vec<Access>) {
    let mut first = 0;
    while first < 32 {
        let len = (mask >> first).trailing_ones().min(16);
        let row = &bytes[first as usize..(first + len) as usize];
        if len != 0 {
            let value = row.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
            let size = u8::try_from(len).ok();
            let addr = addr.wrapping_add(first.into());
            accesses.push(Access { kind, addr, phys: None, size, value: Some(value) });
        }
        first += len.max(1);
    }
}

#[cfg(test)]
mod tests;
