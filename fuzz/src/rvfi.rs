//! A RISC-V hart that is told what to execute: the model's end of RVFI-DII ("RVFI-DII Specification" of TestRIG, and its second
//! version as the Sail model has it).
//!
//! The hart starts at machine level at 0x80000000, where [`RAM_BYTES`] of memory are, and no device. Blocks of one
//! instruction are run by the evaluator, so that nothing of the injected code need be in memory. Addresses are physical:
//! satp can be written, but does not translate. Instructions that reach memory by a helper (AMOCAS.Q, and CBO.ZERO if it is
//! one) are illegal.

#![expect(unsafe_code, reason = "blocks are evaluated on a frame of its own")]

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arch::riscv64::privileged::{
    Cause, CsrFeatures, Exception, FenceScope, Privilege, SystemContext, SystemHooks, TimeSource,
    execute, key, reset, trap,
};
use arch::riscv64::{CpuModel, slot};
use base::cpu::Effects;
use base::{CpuFrame, GuestVirt};
use decoders::riscv64::length;
use ir::eval::{self, Denied};
use ir::{Block, BlockKey, Builder, Trap};
use trace::formats::rvfi::{Command, ExecutionPacket, InstructionPacket, MemoryData, RegisterData};
use translator::{Frontend as _, Limits, Translation, riscv64};

/// Where the hart starts, and its memory.
pub const RESET: GuestVirt = GuestVirt(0x8000_0000);
/// How much memory there is. The first version asks for 64 KiB at least; models of the second have this.
pub const RAM_BYTES: usize = 8 << 20;

/// `VERS` in place of an instruction asks which versions there are.
const ASK_VERSIONS: u32 = 0x5645_5253;
/// The command that chooses one.
const CHOOSE_VERSION: u8 = b'v';
/// `halt` of the answer: halted, and the second version is known.
const KNOWS_VERSION_2: u8 = 3;
/// Where `halt` stands in a packet of the first version.
const HALT_AT: usize = 86;

/// Why a session ended otherwise than by the client's leaving.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection broke.
    #[error("the connection: {0}")]
    Io(#[from] io::Error),
    /// A packet means nothing.
    #[error("packet {number}: {message}")]
    Packet {
        /// Counted from 1.
        number: u64,
        /// Why.
        message: String,
    },
}

/// Answers a client until it leaves. Returns how many instructions it had executed.
///
/// # Errors
/// See [`SessionError`].
pub fn serve(mut connection: impl Read + Write) -> Result<u64, SessionError> {
    let mut hart = Hart::new();
    let (mut version, mut number, mut executed) = (1, 0, 0);
    loop {
        let mut bytes = [0; InstructionPacket::SIZE];
        if !read_packet(&mut connection, &mut bytes)? {
            return Ok(executed);
        }
        number += 1;
        let refused = |message: String| SessionError::Packet { number, message };
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match bytes[6] {
            CHOOSE_VERSION if matches!(word, 1 | 2) => {
                version = word;
                connection.write_all(b"version=")?;
                connection.write_all(&u64::from(version).to_le_bytes())?;
                continue;
            }
            CHOOSE_VERSION => return Err(refused(format!("there is no version {word}"))),
            0 if word == ASK_VERSIONS => {
                let mut answer = ExecutionPacket::default().encode_v1();
                answer[HALT_AT] = KNOWS_VERSION_2;
                connection.write_all(&answer)?;
                continue;
            }
            _ => {}
        }
        let packet =
            InstructionPacket::decode(&bytes).map_err(|error| refused(error.to_string()))?;
        let answer = match packet.command {
            Command::EndOfTrace => {
                hart = Hart::new();
                ExecutionPacket { halt: true, ..ExecutionPacket::default() }
            }
            Command::Instruction => {
                executed += 1;
                hart.execute(packet.insn)
            }
        };
        match version {
            1 => connection.write_all(&answer.encode_v1())?,
            _ => connection.write_all(&answer.encode_v2())?,
        }
    }
}

/// Whether there was one.
fn read_packet(connection: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < bytes.len() {
        match connection.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// A machine without devices: time is what was executed.
#[derive(Debug, Default)]
struct Nothing(AtomicU64);

impl TimeSource for Nothing {
    fn ticks(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn cycles(&self) -> u64 {
        self.ticks()
    }

    fn passes_by_itself(&self) -> bool {
        false
    }
}

impl SystemHooks for Nothing {
    fn address_translation_changed(&self, _: &mut CpuFrame) {}

    fn fence(&self, _: &mut CpuFrame, _: FenceScope) {}

    fn timer_changed(&self, _: u64, _: Option<u64>) {}
}

/// The hart.
struct Hart {
    frame: Box<CpuFrame>,
    context: Box<SystemContext>,
    time: Arc<Nothing>,
    frontend: riscv64::Frontend,
    builder: Builder,
    memory: Ram,
    retired: u64,
    traps: bool,
}

impl Hart {
    fn new() -> Self {
        let cpu = CpuModel::default();
        let time = Arc::new(Nothing::default());
        let context = Box::new(SystemContext {
            lines: AtomicU64::new(0),
            hart: 0,
            features: CsrFeatures::new(cpu.features().collect()),
            time: Arc::<Nothing>::clone(&time),
            hooks: Arc::new(Nothing::default()),
        });
        let mut frame = CpuFrame::new();
        frame.context = (&raw const *context).cast_mut().cast();
        reset(&mut frame, &context);
        frame.pc = RESET.0;
        Self {
            frame,
            context,
            time,
            frontend: riscv64::Frontend::new_system(cpu),
            builder: Builder::new(),
            memory: Ram { bytes: vec![0; RAM_BYTES], last: MemoryData::default(), stores: false },
            retired: 0,
            traps: false,
        }
    }

    /// An integer register, x0 among them.
    fn x(&self, n: u8) -> u64 {
        if n == 0 { 0 } else { self.frame.get(slot::x(n)) }
    }

    /// Executes one instruction, whatever is in memory at the pc.
    fn execute(&mut self, insn: u32) -> ExecutionPacket {
        let bytes = length(insn as u16) as usize;
        let insn = if bytes == 2 { insn & 0xffff } else { insn };
        let (pc, level) = (self.frame.pc, Privilege::of(&self.frame));
        self.time.0.fetch_add(1, Ordering::Relaxed);
        let read = [15, 20].map(|at| (insn >> at & 31) as u8);
        let values = read.map(|n| self.x(n));
        (self.memory.last, self.memory.stores, self.traps) = (MemoryData::default(), false, false);
        let rd = self.run(insn, bytes);
        self.frame.key_flags = key::key_flags(&self.frame);
        let rd = rd.filter(|_| !self.traps).unwrap_or(0);
        let memory = self.memory.last;
        self.retired += u64::from(!self.traps);
        let touched = memory.read_mask | memory.write_mask != 0;
        ExecutionPacket {
            order: self.retired,
            insn: insn.into(),
            trap: self.traps,
            mode: Some(level as u8),
            pc,
            next_pc: self.frame.pc,
            registers: Some(RegisterData {
                rd_value: self.x(rd),
                rs1_value: values[0],
                rs2_value: values[1],
                rd,
                rs1: read[0],
                rs2: read[1],
            }),
            memory: touched.then_some(memory),
            ..ExecutionPacket::default()
        }
    }

    /// Returns the integer register that it writes.
    fn run(&mut self, insn: u32, bytes: usize) -> Option<u8> {
        let pc = GuestVirt(self.frame.pc);
        let block_key = BlockKey::new(pc, self.frame.key_flags);
        let code = insn.to_le_bytes();
        let translated = BlockKey::can_name(pc).then(|| {
            self.frontend.translate(&self.builder, block_key, &code[..bytes], Limits::STEP)
        });
        let Some(Translation::Done { next }) = translated else {
            self.raise(Exception::FetchAccess, pc.0);
            return None;
        };
        let block = self.builder.finish(next);
        if self.reaches_memory_unseen(&block) {
            self.raise(Exception::IllegalInstruction, insn.into());
            return None;
        }
        let guest = self.frontend.guest();
        let memory = &mut self.memory;
        // SAFETY: the frame is this hart's own, and its context is that of a hart.
        let exit = unsafe { eval::run(&block, guest, &mut self.frame, memory, 0x5bad_5bad) };
        match exit {
            eval::Exit::Goto(pc) | eval::Exit::Lookup(pc) => self.frame.pc = pc.0,
            eval::Exit::Trap(Trap::Illegal, _) => {
                self.raise(Exception::IllegalInstruction, insn.into());
            }
            eval::Exit::Trap(Trap::Breakpoint, pc) => self.raise(Exception::Breakpoint, pc.0),
            eval::Exit::Trap(Trap::Syscall, _) => {
                self.raise(Exception::call_from(Privilege::of(&self.frame)), 0);
            }
            eval::Exit::Trap(Trap::System, _) => return self.system(insn),
            eval::Exit::Trap(Trap::Misaligned, pc) => {
                self.raise(Exception::StoreMisaligned, pc.0);
            }
            eval::Exit::Misaligned { addr, .. } => {
                let is_load = insn & 0xf900_007f == 0x1000_002f;
                let exception = match is_load {
                    true => Exception::LoadMisaligned,
                    false => Exception::StoreMisaligned,
                };
                self.raise(exception, addr.0);
            }
            eval::Exit::Fault { addr, .. } => {
                let exception = match self.memory.stores {
                    true => Exception::StoreAccess,
                    false => Exception::LoadAccess,
                };
                self.raise(exception, addr.0);
            }
        }
        // The last register that it names as a result.
        let written = block.insts.iter().rev().find_map(|inst| inst.dst.as_slot());
        written.filter(|slot| (1..32).contains(&slot.0)).map(|slot| slot.0 as u8)
    }

    /// A helper would reach memory where the host has it.
    fn reaches_memory_unseen(&self, block: &Block) -> bool {
        let guest = self.frontend.guest();
        let mut calls = block.insts.iter().filter(|inst| inst.op.info().shape.is_call());
        calls.any(|call| guest.effects(call) == Effects::Memory)
    }

    fn system(&mut self, insn: u32) -> Option<u8> {
        let outcome = match self.frontend.system_insn(insn) {
            Some(insn) => execute(&mut self.frame, &self.context, insn),
            None => execute::illegal(insn),
        };
        match outcome {
            execute::Outcome::Trap { cause, tval } => {
                self.traps = true;
                trap::enter(&mut self.frame, cause, tval);
            }
            execute::Outcome::Access(_) => execute::complete(&mut self.frame),
            _ => {}
        }
        Some((insn >> 7 & 31) as u8)
    }

    fn raise(&mut self, exception: Exception, tval: u64) {
        self.traps = true;
        trap::enter(&mut self.frame, Cause::Exception(exception), tval);
    }
}

/// Memory that remembers the last access.
struct Ram {
    bytes: Vec<u8>,
    last: MemoryData,
    /// Whether the last access was a store.
    stores: bool,
}

impl Ram {
    fn place(&mut self, addr: GuestVirt, bytes: u32) -> Result<&mut [u8], Denied> {
        let start = usize::try_from(addr.0.wrapping_sub(RESET.0)).map_err(|_| Denied(addr))?;
        let end = start.checked_add(bytes as usize).ok_or(Denied(addr))?;
        self.bytes.get_mut(start..end).ok_or(Denied(addr))
    }
}

impl eval::Memory for Ram {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        self.stores = false;
        let place = self.place(addr, bytes)?;
        let mut value = [0; 16];
        value[..place.len()].copy_from_slice(place);
        self.last.addr = addr.0;
        self.last.read[..16].copy_from_slice(&value);
        self.last.read_mask = (1 << bytes) - 1;
        Ok(u128::from_le_bytes(value))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        self.stores = true;
        let value = value.to_le_bytes();
        let place = self.place(addr, bytes)?;
        place.copy_from_slice(&value[..bytes as usize]);
        self.last.addr = addr.0;
        self.last.written[..bytes as usize].copy_from_slice(&value[..bytes as usize]);
        self.last.write_mask = (1 << bytes) - 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    struct Client(TcpStream);

    impl Client {
        fn connect() -> (Self, thread::JoinHandle<Result<u64, SessionError>>) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let server = thread::spawn(move || serve(listener.accept().unwrap().0));
            (Self(TcpStream::connect(addr).unwrap()), server)
        }

        fn send(&mut self, insn: u32, command: Command) {
            self.0.write_all(&InstructionPacket { insn, time: 0, command }.encode()).unwrap();
        }

        fn v1(&mut self, insn: u32) -> ExecutionPacket {
            self.send(insn, Command::Instruction);
            let mut bytes = [0; ExecutionPacket::V1_SIZE];
            self.0.read_exact(&mut bytes).unwrap();
            ExecutionPacket::decode_v1(&bytes).unwrap()
        }

        fn v2(&mut self, insn: u32) -> ExecutionPacket {
            self.send(insn, Command::Instruction);
            let mut start = [0; 64];
            self.0.read_exact(&mut start).unwrap();
            let size = ExecutionPacket::v2_size(&start).unwrap();
            let mut bytes = start.to_vec();
            bytes.resize(size, 0);
            self.0.read_exact(&mut bytes[64..]).unwrap();
            ExecutionPacket::decode_v2(&bytes).unwrap()
        }
    }

    #[test]
    fn a_client_injects_instructions_in_the_first_version() {
        let (mut client, server) = Client::connect();
        // addi a0,zero,5; lui a1,0x80001; sd a0,8(a1); ld a2,8(a1); c.addi a0,-1
        let first = client.v1(0x0050_0513);
        assert_eq!((first.order, first.pc, first.next_pc), (1, 0x8000_0000, 0x8000_0004));
        let rd = |packet: &ExecutionPacket| packet.registers.map(|r| (r.rd, r.rd_value));
        assert_eq!(rd(&first), Some((10, 5)));
        assert_eq!(rd(&client.v1(0x8000_15b7)), Some((11, 0xffff_ffff_8000_1000)));
        // slli a1,a1,32; srli a1,a1,32
        client.v1(0x0205_9593);
        assert_eq!(rd(&client.v1(0x0205_d593)), Some((11, 0x8000_1000)));
        let memory = client.v1(0x00a5_b423).memory.unwrap();
        assert_eq!((memory.addr, memory.write_mask, memory.written[0]), (0x8000_1008, 0xff, 5));
        let load = client.v1(0x0085_b603);
        assert_eq!((rd(&load), load.memory.unwrap().read_mask), (Some((12, 5)), 0xff));
        let compressed = client.v1(0x157d);
        assert_eq!((rd(&compressed), compressed.next_pc - compressed.pc), (Some((10, 4)), 2));
        // ld a0,0(zero): no memory is there. mtvec is 0.
        let fault = client.v1(0x0000_3503);
        assert!(fault.trap && fault.next_pc == 0 && rd(&fault) == Some((0, 0)));
        // csrr a0,mcause
        assert_eq!(rd(&client.v1(0x3420_2573)), Some((10, 5)));
        client.send(0, Command::EndOfTrace);
        let mut bytes = [0; ExecutionPacket::V1_SIZE];
        client.0.read_exact(&mut bytes).unwrap();
        assert!(ExecutionPacket::decode_v1(&bytes).unwrap().halt);
        // All is as at the start.
        assert_eq!(client.v1(0x0000_0513).pc, 0x8000_0000);
        drop(client);
        assert_eq!(server.join().unwrap().unwrap(), 10);
    }

    #[test]
    fn the_second_version_is_negotiated() {
        let (mut client, server) = Client::connect();
        client.send(ASK_VERSIONS, Command::EndOfTrace);
        let mut bytes = [0; ExecutionPacket::V1_SIZE];
        client.0.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[HALT_AT], 3);
        client.0.write_all(&[2, 0, 0, 0, 0, 0, b'v', 0]).unwrap();
        let mut answer = [0; 16];
        client.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"version=\x02\0\0\0\0\0\0\0");
        // jal ra,8; ecall: to mtvec, at machine level.
        let jump = client.v2(0x0080_00ef);
        assert_eq!((jump.next_pc, jump.mode, jump.memory), (0x8000_0008, Some(3), None));
        assert_eq!(jump.registers.map(|r| (r.rd, r.rd_value)), Some((1, 0x8000_0004)));
        assert!(client.v2(0x0000_0073).trap);
        client.0.write_all(&[9, 0, 0, 0, 0, 0, b'v', 0]).unwrap();
        let error = server.join().unwrap().unwrap_err().to_string();
        assert_eq!(error, "packet 5: there is no version 9");
    }
}
