use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::super::testing::{Driver, Transport};
use super::*;
use crate::host::block::{Image, ImmediateBlock, ThreadedBlock};

/// What a disk was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Read,
    Write,
    Flush,
    Discard,
    WriteZeroes,
}

/// A disk in memory that remembers what it was asked.
struct MemoryDisk {
    info: BlockInfo,
    bytes: Mutex<Vec<u8>>,
    asked: Mutex<Vec<Asked>>,
    full: AtomicBool,
    gate: AtomicU64,
}

impl MemoryDisk {
    fn new(sectors: u64, access: BlockAccess) -> Arc<Self> {
        Arc::new(Self {
            info: BlockInfo { sectors, access, physical_block: 4096 },
            bytes: Mutex::new(vec![0x11; (sectors * SECTOR) as usize]),
            asked: Mutex::default(),
            full: AtomicBool::new(false),
            gate: AtomicU64::new(u64::MAX),
        })
    }

    fn note(&self, asked: Asked, offset: u64) {
        // The first byte of the request's place says when it is done, in a test of order.
        while self.gate.load(Ordering::Acquire) < offset {
            std::thread::yield_now();
        }
        self.asked.lock().unwrap().push(asked);
    }
}

impl Image for MemoryDisk {
    fn info(&self) -> BlockInfo {
        self.info
    }

    fn read(&self, request: &BlockRequest) -> io::Result<()> {
        self.note(Asked::Read, request.offset);
        let disk = self.bytes.lock().unwrap();
        drop(request.buffers.write(&request.memory, 0, &disk[place(request.offset, request.len)]));
        Ok(())
    }

    fn write(&self, request: &BlockRequest) -> io::Result<()> {
        self.note(Asked::Write, request.offset);
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut disk = self.bytes.lock().unwrap();
        let place = place(request.offset, request.len);
        drop(request.buffers.read(&request.memory, 0, &mut disk[place]));
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.note(Asked::Flush, 0);
        Ok(())
    }

    fn discard(&self, offset: u64, _: u64) -> io::Result<()> {
        self.note(Asked::Discard, offset);
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_zeroes(&self, offset: u64, len: u64, _: Unmap) -> io::Result<()> {
        self.note(Asked::WriteZeroes, offset);
        self.bytes.lock().unwrap()[place(offset, len)].fill(0);
        Ok(())
    }
}

fn place(offset: u64, len: u64) -> std::ops::Range<usize> {
    offset as usize..(offset + len) as usize
}

fn immediate(disk: &Arc<MemoryDisk>, queues: u16) -> Box<Blk> {
    let image = Arc::clone(disk) as Arc<dyn Image>;
    Box::new(Blk::new(Box::new(ImmediateBlock::new(image)), queues, "a-serial-number-too-long"))
}

fn threaded(disk: &Arc<MemoryDisk>) -> Box<Blk> {
    let image = Arc::clone(disk) as Arc<dyn Image>;
    Box::new(Blk::new(Box::new(ThreadedBlock::new(image)), 2, "serial"))
}

/// A request: where its status will be.
fn ask(
    driver: &mut Driver,
    queue: u16,
    kind: u32,
    sector: u64,
    out: &[u8],
    into: &[(u64, u32)],
) -> u64 {
    let mut header = kind.to_le_bytes().to_vec();
    header.extend([0; 4]);
    header.extend(sector.to_le_bytes());
    let header = driver.place_bytes(&header);
    let out_at = driver.place_bytes(out);
    let status = driver.room(1);
    let readable = [(header, 16), (out_at, out.len() as u32)];
    let readable = if out.is_empty() { &readable[..1] } else { &readable[..] };
    let mut writable = into.to_vec();
    writable.push((status, 1));
    driver.add(queue, readable, &writable);
    status
}

/// A request that is waited for: its status.
fn done(driver: &mut Driver, kind: u32, sector: u64, out: &[u8], into: &[(u64, u32)]) -> u8 {
    let status = ask(driver, 0, kind, sector, out, into);
    driver.kick(0);
    let used = driver.wait_used(0, 1);
    let written = into.iter().map(|&(_, len)| len).sum::<u32>() + 1;
    assert_eq!((used.len(), used[0].1), (1, written));
    driver.bytes(status, 1)[0]
}

#[test]
fn requests_move_bytes() {
    for (transport, threads) in Transport::ALL.into_iter().flat_map(|t| [(t, false), (t, true)]) {
        let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
        let device = if threads { threaded(&disk) } else { immediate(&disk, 1) };
        let mut driver = Driver::started(transport, device, u64::MAX);
        let pattern: Vec<u8> = (0..1536_u32).map(|byte| (byte % 251) as u8).collect();
        assert_eq!(done(&mut driver, 1, 3, &pattern, &[]), 0);
        let (first, second) = (driver.room(1000), driver.room(1048));
        assert_eq!(done(&mut driver, 0, 2, &[], &[(first, 1000), (second, 1048)]), 0);
        let read = [driver.bytes(first, 1000), driver.bytes(second, 1048)].concat();
        assert_eq!((&read[..512], &read[512..]), (&[0x11; 512][..], &pattern[..]));
        assert_eq!(done(&mut driver, 4, 0, &[], &[]), 0);
        let serial = driver.room(20);
        assert_eq!(done(&mut driver, 8, 0, &[], &[(serial, 20)]), 0);
        let expected = if threads {
            &b"serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..]
        } else {
            b"a-serial-number-too-"
        };
        assert_eq!(driver.bytes(serial, 20), expected);
        assert!(driver.take_interrupts() >= 1);
    }
}

#[test]
fn ranges_are_zeroed_and_discarded() {
    let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
    let mut driver = Driver::started(Transport::PciMsix, immediate(&disk, 1), u64::MAX);
    let range = |sector: u64, sectors: u32, flags: u32| {
        let mut bytes = sector.to_le_bytes().to_vec();
        bytes.extend(sectors.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes
    };
    assert_eq!(done(&mut driver, 13, 0, &range(1, 2, 0), &[]), 0);
    assert_eq!(done(&mut driver, 13, 0, &range(4, 1, 1), &[]), 0);
    let disk_bytes = disk.bytes.lock().unwrap().clone();
    assert!(disk_bytes[512..1536].iter().all(|&byte| byte == 0));
    assert_eq!((disk_bytes[511], disk_bytes[1536], disk_bytes[4 * 512]), (0x11, 0x11, 0));
    // This disk cannot discard; flags that are not known; beyond the end; too many at once.
    assert_eq!(done(&mut driver, 11, 0, &range(1, 2, 0), &[]), 2);
    assert_eq!(done(&mut driver, 11, 0, &range(1, 2, 1), &[]), 2);
    assert_eq!(done(&mut driver, 13, 0, &range(1, 2, 2), &[]), 2);
    assert_eq!(done(&mut driver, 13, 0, &range(63, 2, 0), &[]), 1);
    assert_eq!(done(&mut driver, 13, 0, &range(u64::MAX, 2, 0), &[]), 1);
    assert_eq!(done(&mut driver, 13, 0, &range(0, u32::MAX, 0), &[]), 1);
    assert_eq!(done(&mut driver, 13, 0, &[range(0, 1, 0), range(1, 1, 0)].concat(), &[]), 1);
    assert_eq!(done(&mut driver, 13, 0, &[0; 15], &[]), 1);
}

#[test]
fn what_cannot_be_done_is_an_error_for_the_guest() {
    let disk = MemoryDisk::new(8, BlockAccess::ReadWrite);
    let mut driver = Driver::started(Transport::Mmio, immediate(&disk, 1), u64::MAX);
    let at = driver.room(1024);
    for (sector, len) in [(8, 512), (7, 1024), (u64::MAX, 512), (0, 511), (1 << 55, 512)] {
        assert_eq!(done(&mut driver, 0, sector, &[], &[(at, len)]), 1, "{sector} {len}");
    }
    assert_eq!(done(&mut driver, 0, 0, &[], &[]), 1);
    assert_eq!(done(&mut driver, 2, 0, &[], &[]), 2);
    disk.full.store(true, Ordering::Relaxed);
    assert_eq!(done(&mut driver, 1, 0, &[7; 512], &[]), 1);
    assert_eq!(driver.status(), 15);
    let disk = MemoryDisk::new(8, BlockAccess::ReadOnly);
    let mut driver = Driver::started(Transport::Mmio, immediate(&disk, 1), u64::MAX);
    assert_eq!(driver.offered() >> 5 & 1, 1);
    assert_eq!(done(&mut driver, 1, 0, &[7; 512], &[]), 1);
    assert_eq!(disk.bytes.lock().unwrap()[0], 0x11);
}

#[test]
fn a_request_without_header_or_status_needs_a_reset() {
    for transport in Transport::ALL {
        for (header, status) in [(15, 1), (16, 0)] {
            let disk = MemoryDisk::new(8, BlockAccess::ReadWrite);
            let mut driver = Driver::started(transport, immediate(&disk, 1), u64::MAX);
            let at = driver.place_bytes(&[0; 32]);
            driver.add(0, &[(at, header)], &[(at + 16, status)]);
            driver.kick(0);
            assert_eq!(driver.status(), 15 | 0x40);
            assert!(driver.take_config_interrupt());
            let status = ask(&mut driver, 0, 4, 0, &[], &[]);
            driver.kick(0);
            assert_eq!((driver.used(0), driver.bytes(status, 1)[0]), (vec![], 0xee));
            driver.start(u64::MAX);
            assert_eq!(done(&mut driver, 4, 0, &[], &[]), 0);
        }
    }
}

#[test]
fn the_configuration_says_what_the_disk_is() {
    let mut disk = MemoryDisk::new(0, BlockAccess::ReadWrite);
    Arc::get_mut(&mut disk).unwrap().info.sectors = 0x1234_5678;
    for transport in Transport::ALL {
        let mut driver = Driver::started(transport, immediate(&disk, 3), u64::MAX);
        let config = driver.config(0, 64);
        assert_eq!(config[..8], 0x1234_5678_u64.to_le_bytes());
        assert_eq!((config[12], config[20..24].to_vec(), config[24]), (254, vec![0, 2, 0, 0], 3));
        assert_eq!((config[32], config[34], config[40], config[56]), (1, 3, 1, 1));
        assert_eq!(config[60..], [0; 4]);
        assert!((0..3).all(|queue| driver.max_size(queue) == 256) && driver.max_size(3) == 0);
    }
}

#[test]
fn without_a_write_cache_writes_are_durable_at_once() {
    let disk = MemoryDisk::new(8, BlockAccess::ReadWrite);
    let mut driver = Driver::started(Transport::PciIntx, immediate(&disk, 1), u64::MAX);
    done(&mut driver, 1, 0, &[0; 512], &[]);
    driver.write_config(32, 0);
    assert_eq!(driver.config(32, 1), [0]);
    done(&mut driver, 1, 0, &[0; 512], &[]);
    // A driver that cannot flush.
    driver.start(!(1 << 9));
    assert_eq!(driver.config(32, 1), [1]);
    done(&mut driver, 1, 0, &[0; 512], &[]);
    let asked = [Asked::Write, Asked::Write, Asked::Flush, Asked::Write, Asked::Flush];
    assert_eq!(*disk.asked.lock().unwrap(), asked);
}

#[test]
fn a_batch_is_one_interrupt() {
    for transport in Transport::ALL {
        let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
        let mut driver = Driver::started(transport, immediate(&disk, 1), u64::MAX);
        let at = driver.room(512);
        assert!(!driver.wants_kick(0));
        for sector in 0..40 {
            ask(&mut driver, 0, 0, sector, &[], &[(at, 512)]);
            assert_eq!(driver.wants_kick(0), sector == 0);
        }
        driver.kick(0);
        assert_eq!((driver.used(0).len(), driver.take_interrupts()), (40, 1));
        // Nobody has asked for an interrupt since: the driver looks by itself.
        ask(&mut driver, 0, 0, 0, &[], &[(at, 512)]);
        driver.kick(0);
        assert_eq!(driver.take_interrupts(), 1);
        ask(&mut driver, 0, 0, 0, &[], &[(at, 512)]);
        driver.kick(0);
        assert_eq!(driver.take_interrupts(), 0);
        assert_eq!(driver.used(0).len(), 2);
    }
}

#[test]
fn requests_may_overtake_each_other() {
    let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
    disk.gate.store(0, Ordering::Release);
    let mut driver = Driver::started(Transport::PciMsix, threaded(&disk), u64::MAX);
    let at = driver.room(512);
    let slow = ask(&mut driver, 0, 0, 9, &[], &[(at, 512)]);
    driver.kick(0);
    let fast = ask(&mut driver, 0, 0, 0, &[], &[(at, 512)]);
    driver.kick(0);
    assert_eq!(driver.wait_used(0, 1), [(3, 513)]);
    assert_eq!((driver.bytes(slow, 1)[0], driver.bytes(fast, 1)[0]), (0xee, 0));
    disk.gate.store(u64::MAX, Ordering::Release);
    assert_eq!(driver.wait_used(0, 1), [(0, 513)]);
    assert_eq!(driver.bytes(slow, 1)[0], 0);
}

#[test]
fn after_a_reset_nothing_touches_memory() {
    let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
    let mut driver = Driver::started(Transport::Mmio, threaded(&disk), u64::MAX);
    let at = driver.room(512 * 60);
    for sector in 0..60 {
        ask(&mut driver, 0, 0, sector, &[], &[(at + 512 * sector, 512)]);
    }
    driver.kick(0);
    driver.set_status(0);
    let before = driver.bytes(at, 512 * 60);
    assert_eq!(driver.status(), 0);
    driver.wake();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(driver.bytes(at, 512 * 60), before);
    driver.start(u64::MAX);
    assert_eq!(done(&mut driver, 4, 0, &[], &[]), 0);
}

#[test]
fn one_queue_is_reset_while_another_goes_on() {
    for transport in Transport::ALL {
        let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
        let mut driver = Driver::started(transport, threaded(&disk), u64::MAX);
        let at = driver.room(512);
        for queue in [0, 1, 0, 1, 1] {
            ask(&mut driver, queue, 0, 5, &[], &[(at, 512)]);
        }
        driver.kick(0);
        driver.kick(1);
        driver.restart_queue(0);
        assert_eq!(driver.wait_used(1, 3).len(), 3);
        assert_eq!(driver.used(0), []);
        assert_eq!(done(&mut driver, 4, 0, &[], &[]), 0);
    }
}

#[test]
fn queues_that_run_cannot_be_moved() {
    for transport in Transport::ALL {
        let disk = MemoryDisk::new(64, BlockAccess::ReadWrite);
        let mut driver = Driver::started(transport, immediate(&disk, 1), u64::MAX);
        driver.set_up(0, 4, 0xdead_0000);
        assert!(driver.is_enabled(0));
        assert_eq!(done(&mut driver, 4, 0, &[], &[]), 0);
        assert_eq!(driver.status(), 15);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in a request, the device answers it, or needs a reset, and touches only what it names.
    #[test]
    fn any_request_is_answered(
        requests in prop::collection::vec(
            (0u32..16, prop_oneof![0u64..70, any::<u64>()], 0u32..1100, 0u32..1100, 0u32..18), 1..12,
        ),
        access in prop_oneof![Just(BlockAccess::ReadOnly), Just(BlockAccess::ReadWrite)],
    ) {
        let disk = MemoryDisk::new(64, access);
        let mut driver = Driver::started(Transport::Mmio, immediate(&disk, 1), u64::MAX);
        for (kind, sector, out, into, header) in requests {
            let mut bytes = kind.to_le_bytes().to_vec();
            bytes.extend([0; 4]);
            bytes.extend(sector.to_le_bytes());
            bytes.resize(16 + out as usize, 3);
            let from = driver.place_bytes(&bytes);
            let to = driver.room(u64::from(into) + 64);
            driver.add(0, &[(from, header.min(16) + out)], &[(to, into)]);
            driver.kick(0);
            prop_assert_eq!(driver.bytes(to + u64::from(into), 64), vec![0xee; 64]);
        }
    }
}
