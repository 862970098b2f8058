//! Block device (virtio 1.2, 5.2). The disk behind it is a [`BlockBackend`], which moves bytes between
//! its image and guest memory by itself, and may finish requests in any order.

use std::collections::VecDeque;
use std::sync::Arc;

use base::GuestPhys;
use softmmu::GuestMemory;
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH,
    VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_TOPOLOGY,
    VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK,
    VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
    VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
    VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
};
use vm_memory::{Bytes, GuestAddress};

use super::buffers::Buffers;
use super::{Chain, Io, QueueError, VirtioDevice, id};
use crate::device::Notifier;

/// Bytes of a sector, the unit of all addresses.
pub const SECTOR: u64 = 512;

/// Entries of each queue.
const QUEUE_SIZE: u16 = 256;
/// Bytes of the header of a request: type, reserved, sector.
const HEADER: u64 = 16;
/// Bytes that say what to discard: sector, number of sectors, flags.
const RANGE: u64 = 16;
/// Bytes that one request moves at most: what is begun must end before a reset can.
const MAX_TRANSFER: u64 = 64 << 20;
/// Sectors that one request discards or fills with zeros, at most.
const MAX_RANGE: u32 = 1 << 22;

/// When the data of a write must have reached the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// At the next flush.
    AtFlush,
    /// Before it is complete.
    AtOnce,
}

/// Whether zeroed blocks may be taken from the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmap {
    /// They keep their place.
    No,
    /// They may be given back to the host.
    May,
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockOp {
    /// Disk to memory.
    Read,
    /// Memory to disk.
    Write(Durability),
    /// Whatever was completed before is to survive a crash.
    Flush,
    /// The bytes are not needed any more.
    Discard,
    /// The bytes become zeros.
    WriteZeroes(Unmap, Durability),
}

/// A request to a disk.
#[derive(Clone, Debug)]
pub struct BlockRequest {
    /// Identifies it among those that are not complete.
    pub tag: u32,
    /// What is asked.
    pub op: BlockOp,
    /// First byte on the disk: a multiple of [`SECTOR`].
    pub offset: u64,
    /// How many bytes: a multiple of [`SECTOR`]. The end is not behind the disk's.
    pub len: u64,
    /// Where they go or come from, `len` bytes; none for requests without data.
    pub buffers: Buffers,
    /// Where the buffers are.
    pub memory: Arc<GuestMemory>,
}

/// Whether a request has done what it was to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockResult {
    /// It has.
    Done,
    /// It has failed. Nothing is known of the bytes that it was to write.
    Failed,
    /// The disk cannot do such things.
    Unsupported,
}

/// A request that is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockCompletion {
    /// Which.
    pub tag: u32,
    /// How it ended.
    pub result: BlockResult,
}

/// What a disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockInfo {
    /// In [`SECTOR`]s.
    pub sectors: u64,
    /// Whether it can be written to.
    pub access: BlockAccess,
    /// Bytes that are best accessed at once; a power of two from [`SECTOR`] up.
    pub physical_block: u32,
}

/// Whether a disk can be written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockAccess {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// A disk.
pub trait BlockBackend: Send {
    /// What it is; it does not change.
    fn info(&self) -> BlockInfo;

    /// How it says that requests are complete. Called once, before anything else.
    fn connect(&mut self, notifier: Notifier);

    /// Takes a request. It may be complete when this returns.
    fn submit(&mut self, request: BlockRequest);

    /// All is submitted that there is for now: what waits for company can begin.
    fn start(&mut self);

    /// A request that is complete, each once. Those that become complete later are told through the
    /// notifier.
    fn completed(&mut self) -> Option<BlockCompletion>;

    /// Gives up the requests with these tags: when this returns, none of them reads or writes memory
    /// any more. Some may be complete, and some may have been done in part or not at all.
    fn cancel(&mut self, cancelled: &dyn Fn(u32) -> bool);
}

/// A chain that the disk works on: where its status goes, and how many bytes it has then.
#[derive(Clone, Copy, Default)]
struct Pending {
    status: GuestPhys,
    written: u32,
}

/// The device.
pub struct Blk {
    backend: Box<dyn BlockBackend>,
    info: BlockInfo,
    serial: [u8; VIRTIO_BLK_ID_BYTES as usize],
    /// By queue and head.
    pending: Vec<Vec<Pending>>,
    /// What was complete when another queue was reset.
    late: VecDeque<BlockCompletion>,
    write_cache: WriteCache,
}

/// What a write means (5.2.5.1), as the configuration's `writeback` says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteCache {
    Writethrough,
    Writeback,
}

/// How many queues a device has.
const MAX_QUEUES: u16 = 16;

impl Blk {
    /// A device with so many queues (1 to 16), and a serial number of which 20 bytes count.
    #[must_use]
    pub fn new(backend: Box<dyn BlockBackend>, queues: u16, serial: &str) -> Self {
        let mut bytes = [0; VIRTIO_BLK_ID_BYTES as usize];
        bytes.iter_mut().zip(serial.bytes()).for_each(|(to, from)| *to = from);
        let queues = usize::from(queues.clamp(1, MAX_QUEUES));
        Self {
            info: backend.info(),
            backend,
            serial: bytes,
            pending: vec![vec![Pending::default(); QUEUE_SIZE.into()]; queues],
            late: VecDeque::new(),
            write_cache: WriteCache::Writeback,
        }
    }

    /// When writes must have reached the disk.
    fn durability(&self, io: &Io<'_>) -> Durability {
        // A driver that does not know of flushing cannot ask for it (5.2.6.2).
        let cached = io.has_feature(VIRTIO_BLK_F_FLUSH)
            && (!io.has_feature(VIRTIO_BLK_F_CONFIG_WCE)
                || self.write_cache == WriteCache::Writeback);
        if cached { Durability::AtFlush } else { Durability::AtOnce }
    }

    /// Begins what a chain asks for (5.2.6).
    fn begin(&mut self, queue: u16, chain: Chain, io: &mut Io<'_>) -> Result<(), QueueError> {
        let Chain { head, mut readable, mut writable } = chain;
        let mut header = [0; HEADER as usize];
        if readable.read(io.memory(), 0, &mut header)? != header.len() {
            return Err(QueueError::Request("a block request without a header"));
        }
        readable.advance(HEADER);
        let status = writable.take_last();
        let status = status.ok_or(QueueError::Request("a block request without a status"))?;
        let written = u32::try_from(writable.len() + 1).unwrap_or(u32::MAX);
        self.pending[usize::from(queue)][usize::from(head)] = Pending { status, written };
        let tag = u32::from(queue) << 16 | u32::from(head);
        match self.asked(header, readable, writable, io)? {
            Asked::Answer(result) => self.finish(BlockCompletion { tag, result }, io),
            Asked::Request { op, offset, len, buffers } => {
                let memory = Arc::clone(io.shared_memory());
                self.backend.submit(BlockRequest { tag, op, offset, len, buffers, memory });
                Ok(())
            }
        }
    }

    fn asked(
        &self,
        header: [u8; HEADER as usize],
        readable: Buffers,
        writable: Buffers,
        io: &Io<'_>,
    ) -> Result<Asked, QueueError> {
        let [kind, _, low, high] = words(header);
        let sector = u64::from(high) << 32 | u64::from(low);
        Ok(match kind {
            VIRTIO_BLK_T_IN => self.transfer(BlockOp::Read, sector, writable),
            VIRTIO_BLK_T_OUT => {
                self.transfer(BlockOp::Write(self.durability(io)), sector, readable)
            }
            VIRTIO_BLK_T_FLUSH => {
                Asked::Request { op: BlockOp::Flush, offset: 0, len: 0, buffers: Buffers::new() }
            }
            VIRTIO_BLK_T_DISCARD | VIRTIO_BLK_T_WRITE_ZEROES => {
                let mut range = [0; RANGE as usize];
                let read = readable.read(io.memory(), 0, &mut range)?;
                // One range to a request, as `max_discard_seg` says.
                let one = readable.len() == RANGE && read == range.len();
                if one { self.range(kind, range, io) } else { Asked::Answer(BlockResult::Failed) }
            }
            VIRTIO_BLK_T_GET_ID => {
                writable.write(io.memory(), 0, &self.serial)?;
                Asked::Answer(BlockResult::Done)
            }
            _ => Asked::Answer(BlockResult::Unsupported),
        })
    }

    fn transfer(&self, op: BlockOp, sector: u64, buffers: Buffers) -> Asked {
        let len = buffers.len();
        if len == 0 || len > MAX_TRANSFER || !len.is_multiple_of(SECTOR) {
            return Asked::Answer(BlockResult::Failed);
        }
        self.request(op, sector, len, buffers)
    }

    /// `struct virtio_blk_discard_write_zeroes` (5.2.6).
    fn range(&self, kind: u32, range: [u8; RANGE as usize], io: &Io<'_>) -> Asked {
        let [low, high, sectors, flags] = words(range);
        let sector = u64::from(high) << 32 | u64::from(low);
        let unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0;
        let discard = kind == VIRTIO_BLK_T_DISCARD;
        if flags & !VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0 || discard && unmap {
            return Asked::Answer(BlockResult::Unsupported);
        }
        if sectors > MAX_RANGE {
            return Asked::Answer(BlockResult::Failed);
        }
        let unmap = if unmap { Unmap::May } else { Unmap::No };
        let zero = BlockOp::WriteZeroes(unmap, self.durability(io));
        let op = if discard { BlockOp::Discard } else { zero };
        self.request(op, sector, u64::from(sectors) * SECTOR, Buffers::new())
    }

    /// A request for what lies on the disk, if it does and may be changed.
    fn request(&self, op: BlockOp, sector: u64, len: u64, buffers: Buffers) -> Asked {
        let end = sector.checked_add(len / SECTOR);
        let inside = end.is_some_and(|end| end <= self.info.sectors);
        let allowed = op == BlockOp::Read || self.info.access == BlockAccess::ReadWrite;
        if !inside || !allowed {
            return Asked::Answer(BlockResult::Failed);
        }
        Asked::Request { op, offset: sector * SECTOR, len, buffers }
    }

    /// Gives a chain back.
    fn finish(&mut self, completion: BlockCompletion, io: &mut Io<'_>) -> Result<(), QueueError> {
        let (queue, head) = split(completion.tag);
        let pending = self.pending.get(usize::from(queue));
        let Some(&Pending { status, written }) = pending.and_then(|all| all.get(usize::from(head)))
        else {
            return Ok(());
        };
        let result = match completion.result {
            BlockResult::Done => VIRTIO_BLK_S_OK,
            BlockResult::Failed => VIRTIO_BLK_S_IOERR,
            BlockResult::Unsupported => VIRTIO_BLK_S_UNSUPP,
        };
        let stored = io.memory().write_obj(result as u8, GuestAddress(status.0));
        stored.map_err(|_| QueueError::Buffer(status))?;
        io.complete(queue, head, written)
    }

    fn finish_all(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        while let Some(completion) = self.late.pop_front().or_else(|| self.backend.completed()) {
            self.finish(completion, io)?;
        }
        Ok(())
    }
}

/// What becomes of a chain.
enum Asked {
    /// There is an answer already.
    Answer(BlockResult),
    /// The disk is asked.
    Request { op: BlockOp, offset: u64, len: u64, buffers: Buffers },
}

/// Queue and head of a tag.
fn split(tag: u32) -> (u16, u16) {
    ((tag >> 16) as u16, tag as u16)
}

/// Little-endian words.
fn words(bytes: [u8; 16]) -> [u32; 4] {
    let value = u128::from_le_bytes(bytes);
    [0, 32, 64, 96].map(|shift| (value >> shift) as u32)
}

/// `struct virtio_blk_config` (5.2.4), by offset.
mod config {
    pub(super) const CAPACITY: usize = 0;
    pub(super) const SEG_MAX: usize = 12;
    pub(super) const BLK_SIZE: usize = 20;
    pub(super) const PHYSICAL_BLOCK_EXP: usize = 24;
    pub(super) const MIN_IO_SIZE: usize = 26;
    pub(super) const WRITEBACK: usize = 32;
    pub(super) const NUM_QUEUES: usize = 34;
    pub(super) const MAX_DISCARD_SECTORS: usize = 36;
    pub(super) const MAX_DISCARD_SEG: usize = 40;
    pub(super) const DISCARD_SECTOR_ALIGNMENT: usize = 44;
    pub(super) const MAX_WRITE_ZEROES_SECTORS: usize = 48;
    pub(super) const MAX_WRITE_ZEROES_SEG: usize = 52;
    pub(super) const WRITE_ZEROES_MAY_UNMAP: usize = 56;
    pub(super) const END: usize = 60;
}

impl VirtioDevice for Blk {
    fn name(&self) -> &'static str {
        "virtio-blk"
    }

    fn device_id(&self) -> u16 {
        id::BLOCK
    }

    fn pci_class(&self) -> u32 {
        0x01_0000
    }

    fn features(&self) -> u64 {
        let always = [VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_TOPOLOGY];
        let queues = (self.pending.len() > 1).then_some(VIRTIO_BLK_F_MQ);
        let access: &[u32] = match self.info.access {
            BlockAccess::ReadOnly => &[VIRTIO_BLK_F_RO],
            BlockAccess::ReadWrite => &[
                VIRTIO_BLK_F_FLUSH,
                VIRTIO_BLK_F_CONFIG_WCE,
                VIRTIO_BLK_F_DISCARD,
                VIRTIO_BLK_F_WRITE_ZEROES,
            ],
        };
        let all = always.iter().chain(&queues).chain(access);
        all.fold(0, |features, bit| features | 1 << bit)
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; self.pending.len()]
    }

    fn config(&self) -> Vec<u8> {
        let mut bytes = vec![0; config::END];
        let mut put = |at: usize, value: &[u8]| bytes[at..][..value.len()].copy_from_slice(value);
        let per_block = (self.info.physical_block / SECTOR as u32).max(1);
        let writeback = self.write_cache == WriteCache::Writeback;
        put(config::CAPACITY, &self.info.sectors.to_le_bytes());
        // Header and status take a descriptor each.
        put(config::SEG_MAX, &u32::from(QUEUE_SIZE - 2).to_le_bytes());
        put(config::BLK_SIZE, &(SECTOR as u32).to_le_bytes());
        put(config::PHYSICAL_BLOCK_EXP, &[per_block.ilog2() as u8]);
        put(config::MIN_IO_SIZE, &(per_block as u16).to_le_bytes());
        put(config::WRITEBACK, &[u8::from(writeback)]);
        put(config::NUM_QUEUES, &(self.pending.len() as u16).to_le_bytes());
        put(config::MAX_DISCARD_SECTORS, &MAX_RANGE.to_le_bytes());
        put(config::MAX_DISCARD_SEG, &1_u32.to_le_bytes());
        put(config::DISCARD_SECTOR_ALIGNMENT, &per_block.to_le_bytes());
        put(config::MAX_WRITE_ZEROES_SECTORS, &MAX_RANGE.to_le_bytes());
        put(config::MAX_WRITE_ZEROES_SEG, &1_u32.to_le_bytes());
        put(config::WRITE_ZEROES_MAY_UNMAP, &[1]);
        bytes
    }

    fn write_config(&mut self, offset: u64, bytes: &[u8], io: &mut Io<'_>) {
        let writable = io.has_feature(VIRTIO_BLK_F_CONFIG_WCE);
        if let (true, config::WRITEBACK, &[value]) = (writable, offset as usize, bytes) {
            let cached = value & 1 != 0;
            self.write_cache =
                if cached { WriteCache::Writeback } else { WriteCache::Writethrough };
        }
    }

    fn connect(&mut self, notifier: Notifier) {
        self.backend.connect(notifier);
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        let mut answer = Ok(());
        while answer.is_ok() {
            match io.pop(queue) {
                Ok(Some(chain)) => answer = self.begin(queue, chain, io),
                Ok(None) => break,
                Err(error) => answer = Err(error),
            }
        }
        // What was submitted before a chain that breaks the rules is done all the same.
        self.backend.start();
        answer.and(self.finish_all(io))
    }

    fn wake(&mut self, io: &mut Io<'_>) -> Result<(), QueueError> {
        self.finish_all(io)
    }

    fn reset_queue(&mut self, queue: u16) {
        self.backend.cancel(&|tag| split(tag).0 == queue);
        self.late.extend(std::iter::from_fn(|| self.backend.completed()));
        self.late.retain(|completion| split(completion.tag).0 != queue);
    }

    fn reset(&mut self) {
        self.backend.cancel(&|_| true);
        while self.backend.completed().is_some() {}
        self.late.clear();
        self.write_cache = WriteCache::Writeback;
    }
}

#[cfg(test)]
#[path = "blk_tests.rs"]
mod tests;
