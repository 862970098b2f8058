//! The packets.

/// A packet that means nothing: what is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What the tester asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// The trace ends: reset registers, memory, and the program counter to 0x80000000.
    EndOfTrace,
    /// Execute the instruction.
    Instruction,
}

/// `RVFI_DII_Instruction_Packet`: an instruction to be executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstructionPacket {
    /// The instruction, a compressed one in the lower half.
    pub insn: u32,
    /// When it shall be injected; the difference from the one before is a delay. Models ignore it.
    pub time: u16,
    /// What shall be done.
    pub command: Command,
}

impl InstructionPacket {
    /// Its size in bytes.
    pub const SIZE: usize = 8;

    /// As it is sent.
    #[must_use]
    pub const fn encode(&self) -> [u8; Self::SIZE] {
        let [i0, i1, i2, i3] = self.insn.to_le_bytes();
        let [t0, t1] = self.time.to_le_bytes();
        let command = match self.command {
            Command::EndOfTrace => 0,
            Command::Instruction => 1,
        };
        [i0, i1, i2, i3, t0, t1, command, 0]
    }

    /// From what was received.
    ///
    /// # Errors
    /// There is no such command.
    pub const fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, Malformed> {
        let [i0, i1, i2, i3, t0, t1, command, _] = *bytes;
        let command = match command {
            0 => Command::EndOfTrace,
            1 => Command::Instruction,
            _ => return Err(Malformed("a command that is neither 0 nor 1")),
        };
        let insn = u32::from_le_bytes([i0, i1, i2, i3]);
        Ok(Self { insn, time: u16::from_le_bytes([t0, t1]), command })
    }
}

/// What an instruction did, in either version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExecutionPacket {
    /// How many instructions retired so far.
    pub order: u64,
    /// The instruction.
    pub insn: u64,
    /// It raised an exception.
    pub trap: bool,
    /// It is the last one before the processor halts. Without an instruction, the answer to [`Command::EndOfTrace`].
    pub halt: bool,
    /// It is the first one of a trap handler.
    pub intr: bool,
    /// The level of privilege, in the second version.
    pub mode: Option<u8>,
    /// Its address.
    pub pc: u64,
    /// Where the next one is.
    pub next_pc: u64,
    /// Integer registers: always there in the first version.
    pub registers: Option<RegisterData>,
    /// Memory: always there in the first version.
    pub memory: Option<MemoryData>,
}

/// Integer registers that an instruction read and wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RegisterData {
    /// What was written: 0 if `rd` is.
    pub rd_value: u64,
    /// What was read.
    pub rs1_value: u64,
    /// What was read.
    pub rs2_value: u64,
    /// The register that was written, or 0.
    pub rd: u8,
    /// A register that was read; any, if there is none.
    pub rs1: u8,
    /// A register that was read; any, if there is none.
    pub rs2: u8,
}

/// Memory that an instruction read and wrote: up to 32 bytes, and 8 in the first version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryData {
    /// The address of the first byte.
    pub addr: u64,
    /// What was read.
    pub read: [u8; 32],
    /// What was written.
    pub written: [u8; 32],
    /// One bit for each byte that was read, from the address on.
    pub read_mask: u32,
    /// One bit for each byte that was written.
    pub write_mask: u32,
}

/// What marks the second version.
pub(super) const V2_MAGIC: [u8; 8] = *b"trace-v2";
const INTEGER_MAGIC: [u8; 8] = *b"int-data";
const MEMORY_MAGIC: [u8; 8] = *b"mem-data";

const V2_BASE: usize = 64;
const INTEGER_SIZE: usize = 40;
const MEMORY_SIZE: usize = 88;
/// Which data follow: integer registers and memory. Others have no layout.
const INTEGER_FOLLOWS: u64 = 1;
const MEMORY_FOLLOWS: u64 = 2;

/// Reads fields one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) =
            self.0.split_first_chunk().map_or(([0; N], &[][..]), |(field, rest)| (*field, rest));
        self.0 = rest;
        field
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("trap, halt or intr is neither 0 nor 1")),
        }
    }

    fn register(&mut self) -> u8 {
        self.u8()
    }
}

fn checked(registers: RegisterData) -> Result<RegisterData, Malformed> {
    match registers.rd {
        0..=31 => Ok(registers),
        _ => Err(Malformed("there is no register of rd's number")),
    }
}

fn word(bytes: &[u8; 32]) -> [u8; 8] {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    word
}

fn row(word: u64) -> [u8; 32] {
    let mut row = [0; 32];
    row[..8].copy_from_slice(&word.to_le_bytes());
    row
}

impl ExecutionPacket {
    /// The size of the first version in bytes.
    pub const V1_SIZE: usize = 88;
    /// The size of the longest packet of the second version.
    pub const V2_MOST: usize = V2_BASE + INTEGER_SIZE + MEMORY_SIZE;

    /// As the first version has it; the level of privilege and more than 8 bytes of memory are lost.
    #[must_use]
    pub fn encode_v1(&self) -> [u8; Self::V1_SIZE] {
        let registers = self.registers.unwrap_or_default();
        let memory = self.memory.unwrap_or_default();
        let words = [self.order, self.pc, self.next_pc, self.insn]
            .into_iter()
            .chain([registers.rs1_value, registers.rs2_value, registers.rd_value, memory.addr])
            .map(u64::to_le_bytes)
            .chain([word(&memory.read), word(&memory.written)]);
        let masks = [memory.read_mask, memory.write_mask].map(|mask| mask.to_le_bytes()[0]);
        let flags = [self.trap, self.halt, self.intr].map(u8::from);
        let bytes =
            masks.into_iter().chain([registers.rs1, registers.rs2, registers.rd]).chain(flags);
        let mut packet = [0; Self::V1_SIZE];
        packet.iter_mut().zip(words.flatten().chain(bytes)).for_each(|(place, byte)| *place = byte);
        packet
    }

    /// From the first version.
    ///
    /// # Errors
    /// It is no packet.
    pub fn decode_v1(bytes: &[u8; Self::V1_SIZE]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let [order, pc, next_pc, insn] = std::array::from_fn(|_| fields.u64());
        let [rs1_value, rs2_value, rd_value, addr] = std::array::from_fn(|_| fields.u64());
        let (read, written) = (row(fields.u64()), row(fields.u64()));
        let (read_mask, write_mask) = (fields.u8().into(), fields.u8().into());
        let [rs1, rs2, rd] = std::array::from_fn(|_| fields.register());
        let (trap, halt, intr) = (fields.flag()?, fields.flag()?, fields.flag()?);
        let registers = checked(RegisterData { rd_value, rs1_value, rs2_value, rd, rs1, rs2 })?;
        let memory = MemoryData { addr, read, written, read_mask, write_mask };
        let (registers, memory) = (Some(registers), Some(memory));
        Ok(Self { order, insn, trap, halt, intr, mode: None, pc, next_pc, registers, memory })
    }

    /// As the second version has it.
    #[must_use]
    pub fn encode_v2(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(Self::V2_MOST);
        let size = V2_BASE
            + self.registers.map_or(0, |_| INTEGER_SIZE)
            + self.memory.map_or(0, |_| MEMORY_SIZE);
        let follows = u64::from(self.registers.is_some()) | u64::from(self.memory.is_some()) << 1;
        packet.extend(V2_MAGIC);
        packet.extend((size as u64).to_le_bytes());
        packet.extend([self.order, self.insn].map(u64::to_le_bytes).concat());
        packet.extend([self.trap, self.halt, self.intr].map(u8::from));
        // The level of privilege, the width of registers (64 bits), that the packet is valid, and padding.
        packet.extend([self.mode.unwrap_or(3), 2, 1, 0, 0]);
        packet.extend([self.pc, self.next_pc, follows].map(u64::to_le_bytes).concat());
        if let Some(registers) = self.registers {
            packet.extend(INTEGER_MAGIC);
            let values = [registers.rd_value, registers.rs1_value, registers.rs2_value];
            packet.extend(values.map(u64::to_le_bytes).concat());
            packet.extend([registers.rd, registers.rs1, registers.rs2, 0, 0, 0, 0, 0]);
        }
        if let Some(memory) = self.memory {
            packet.extend(MEMORY_MAGIC);
            packet.extend(memory.read);
            packet.extend(memory.written);
            packet.extend([memory.read_mask, memory.write_mask].map(u32::to_le_bytes).concat());
            packet.extend(memory.addr.to_le_bytes());
        }
        packet
    }

    /// How long a packet of the second version is that begins so.
    ///
    /// # Errors
    /// It is no packet, or of data without a layout.
    pub fn v2_size(beginning: &[u8; V2_BASE]) -> Result<usize, Malformed> {
        let mut fields = Fields(beginning);
        if fields.take() != V2_MAGIC {
            return Err(Malformed("the packet does not begin with `trace-v2`"));
        }
        let size = fields.u64();
        let follows = u64::from_le_bytes(Fields(&beginning[V2_BASE - 8..]).take());
        if follows & !(INTEGER_FOLLOWS | MEMORY_FOLLOWS) != 0 {
            return Err(Malformed(
                "the packet has data other than of integer registers and memory",
            ));
        }
        let integer = if follows & INTEGER_FOLLOWS != 0 { INTEGER_SIZE } else { 0 };
        let memory = if follows & MEMORY_FOLLOWS != 0 { MEMORY_SIZE } else { 0 };
        let expected = V2_BASE + integer + memory;
        match usize::try_from(size) {
            Ok(size) if size == expected => Ok(size),
            _ => Err(Malformed("the packet's size is not that of its parts")),
        }
    }

    /// From the second version.
    ///
    /// # Errors
    /// It is no packet, or not a whole one.
    pub fn decode_v2(bytes: &[u8]) -> Result<Self, Malformed> {
        let beginning = bytes.first_chunk().ok_or(Malformed("the packet is too short"))?;
        if bytes.len() != Self::v2_size(beginning)? {
            return Err(Malformed("the packet is too short"));
        }
        let mut fields = Fields(&bytes[16..]);
        let (order, insn) = (fields.u64(), fields.u64());
        let (trap, halt, intr) = (fields.flag()?, fields.flag()?, fields.flag()?);
        let [mode, width, _valid, _, _]: [u8; 5] = fields.take();
        if width == 1 {
            return Err(Malformed("registers of 32 bits: only 64-bit RISC-V is understood"));
        }
        let (pc, next_pc, follows) = (fields.u64(), fields.u64(), fields.u64());
        let mut packet = Self {
            order,
            insn,
            trap,
            halt,
            intr,
            mode: Some(mode),
            pc,
            next_pc,
            ..Self::default()
        };
        if follows & INTEGER_FOLLOWS != 0 {
            if fields.take() != INTEGER_MAGIC {
                return Err(Malformed(
                    "the data of integer registers do not begin with `int-data`",
                ));
            }
            let [rd_value, rs1_value, rs2_value] = std::array::from_fn(|_| fields.u64());
            let [rd, rs1, rs2, ..]: [u8; 8] = fields.take();
            packet.registers =
                Some(checked(RegisterData { rd_value, rs1_value, rs2_value, rd, rs1, rs2 })?);
        }
        if follows & MEMORY_FOLLOWS != 0 {
            if fields.take() != MEMORY_MAGIC {
                return Err(Malformed("the data of memory do not begin with `mem-data`"));
            }
            let (read, written) = (fields.take(), fields.take());
            let (read_mask, write_mask, addr) = (fields.u32(), fields.u32(), fields.u64());
            packet.memory = Some(MemoryData { addr, read, written, read_mask, write_mask });
        }
        Ok(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> ExecutionPacket {
        let registers =
            RegisterData { rd_value: 7, rs1_value: 5, rs2_value: 6, rd: 10, rs1: 1, rs2: 2 };
        let memory = MemoryData {
            addr: 0x8000_1000,
            read: row(0x1122),
            written: row(0x33),
            read_mask: 3,
            write_mask: 1,
        };
        ExecutionPacket {
            order: 9,
            insn: 0x13,
            trap: true,
            pc: 0x8000_0000,
            next_pc: 0x8000_0004,
            registers: Some(registers),
            memory: Some(memory),
            ..ExecutionPacket::default()
        }
    }

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        let bytes = packet().encode_v1();
        let at = |offset: usize| u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
        assert_eq!([at(0), at(8), at(16), at(24)], [9, 0x8000_0000, 0x8000_0004, 0x13]);
        assert_eq!([at(32), at(40), at(48)], [5, 6, 7]);
        assert_eq!([at(56), at(64), at(72)], [0x8000_1000, 0x1122, 0x33]);
        assert_eq!(bytes[80..], [3, 1, 1, 2, 10, 1, 0, 0]);
        let insn = InstructionPacket { insn: 0x13, time: 0x102, command: Command::Instruction };
        assert_eq!(insn.encode(), [0x13, 0, 0, 0, 2, 1, 1, 0]);
        assert_eq!(InstructionPacket::decode(&insn.encode()), Ok(insn));
        let bytes = packet().encode_v2();
        assert_eq!((bytes.len(), &bytes[..9], bytes[56]), (192, &b"trace-v2\xc0"[..], 3));
    }

    #[test]
    fn packets_are_decoded_as_they_were_encoded() {
        let packet = packet();
        assert_eq!(ExecutionPacket::decode_v1(&packet.encode_v1()), Ok(packet));
        for (registers, memory) in
            [(packet.registers, packet.memory), (None, packet.memory), (None, None)]
        {
            let packet = ExecutionPacket { registers, memory, mode: Some(1), ..packet };
            assert_eq!(ExecutionPacket::decode_v2(&packet.encode_v2()), Ok(packet));
        }
        let mut cut = packet.encode_v2();
        cut.pop();
        assert!(ExecutionPacket::decode_v2(&cut).is_err());
    }
}
