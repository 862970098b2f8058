//! qcow2 images ("qcow2: Image format", QEMU's documentation) with wrong structures, and a guest that reads and writes
//! them.

use std::path::PathBuf;
use std::sync::Arc;

use base::GuestPhys;
use ferry_system::devices::virtio::blk::{
    BlockBackend, BlockOp, BlockRequest, Durability, SECTOR, Unmap,
};
use ferry_system::devices::virtio::{Buffer, Buffers};
use ferry_system::host::block::{self, BlockOptions, Execution, ImageAccess, ImageFormat};
use softmmu::{GuestMemory, Ram};

use crate::harness::Random;

const RAM: u64 = 0x8000_0000;
const CLUSTER_BITS: u32 = 9;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Bytes of the disk.
const SIZE: u64 = 64 << 10;
/// Clusters of the image before the data's: header, table and block of reference counts, L1, two of L2.
const TABLES: usize = 6;
/// Data clusters that there are.
const DATA: usize = 40;

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A good image of version 3.
fn good() -> Vec<u8> {
    let mut image = vec![0; CLUSTER * (TABLES + DATA)];
    let cluster = |number: usize| (number * CLUSTER) as u64;
    put(&mut image, 0, b"QFI\xfb\0\0\0\x03");
    put(&mut image, 20, &CLUSTER_BITS.to_be_bytes());
    put(&mut image, 24, &SIZE.to_be_bytes());
    put(&mut image, 36, &2_u32.to_be_bytes());
    put(&mut image, 40, &cluster(3).to_be_bytes());
    put(&mut image, 48, &cluster(1).to_be_bytes());
    put(&mut image, 56, &1_u32.to_be_bytes());
    // 16 bits a reference count; bytes of the header.
    put(&mut image, 96, &4_u32.to_be_bytes());
    put(&mut image, 100, &104_u32.to_be_bytes());
    put(&mut image, CLUSTER, &cluster(2).to_be_bytes());
    for number in 0..TABLES + DATA {
        put(&mut image, 2 * CLUSTER + 2 * number, &1_u16.to_be_bytes());
    }
    const COPIED: u64 = 1 << 63;
    for table in 0..2 {
        put(&mut image, 3 * CLUSTER + 8 * table, &(cluster(4 + table) | COPIED).to_be_bytes());
    }
    for data in 0..DATA {
        // Every other cluster is there, in both tables.
        let at = 4 * CLUSTER + 16 * data;
        put(&mut image, at, &(cluster(TABLES + data) | COPIED).to_be_bytes());
    }
    image
}

/// Makes some of it wrong.
fn spoil(image: &mut Vec<u8>, random: &Random) {
    for _ in 0..random.below(6) {
        match random.below(6) {
            // A field of the header.
            0 => {
                let at = 4 * random.below(28) as usize;
                // A disk of petabytes is no mistake, and takes its time.
                if !(24..32).contains(&at) {
                    put(image, at, &(random.odd_word() as u32).to_be_bytes());
                }
            }
            // An entry of a table, by an address that may be a table's.
            1 | 2 => {
                let at =
                    CLUSTER * random.below(TABLES as u64) as usize + 8 * random.below(64) as usize;
                let flags = random.word() & (0xc << 60 | 1);
                let clusters = random.below((TABLES + DATA + 3) as u64);
                let address = clusters * CLUSTER as u64 + random.choose(&[0, 0, 0, 1, 256]);
                if at >= CLUSTER {
                    put(image, at, &(address | flags).to_be_bytes());
                }
            }
            3 => {
                let at = random.below(image.len() as u64 - 8) as usize;
                if !(17..32).contains(&at) {
                    put(image, at, &random.odd_word().to_be_bytes());
                }
            }
            4 => {
                let at = random.below((TABLES * CLUSTER) as u64) as usize;
                if !(24..32).contains(&at) {
                    image[at] ^= 1 << random.below(8);
                }
            }
            _ if random.once_in(4) => {
                let len = random.below(image.len() as u64).max(8) as usize;
                image.resize(len.max(256), 0);
                return;
            }
            _ => {}
        }
    }
}

/// Opens an image, if it can be opened, and uses it.
pub(crate) fn case(random: &Random) {
    let path: PathBuf =
        std::env::temp_dir().join(format!("ferry-fuzz-{}.qcow2", std::process::id()));
    let mut image = good();
    spoil(&mut image, random);
    std::fs::write(&path, &image).unwrap();
    let options = BlockOptions {
        path: path.clone(),
        format: Some(ImageFormat::Qcow2),
        access: random.choose(&[
            ImageAccess::ReadWrite,
            ImageAccess::ReadWrite,
            ImageAccess::ReadOnly,
        ]),
        execution: Execution::Immediate,
    };
    if let Ok(mut disk) = block::open(&options) {
        (0..20).for_each(|_| ask(disk.as_mut(), random));
    }
    // Where nothing was wrong, it can be opened again.
    std::fs::remove_file(&path).unwrap();
}

fn ask(disk: &mut dyn BlockBackend, random: &Random) {
    let ram = Ram::new(GuestPhys(RAM), 1 << 16).unwrap();
    let memory = Arc::new(GuestMemory::new().insert_region(ram.region()).unwrap());
    let sectors = disk.info().sectors.min(1 << 20);
    let first = random.below(sectors);
    let count = random.below(40).min(sectors - first);
    let (offset, len) = (first * SECTOR, count * SECTOR);
    let op = match random.below(16) {
        0..=5 => BlockOp::Read,
        6..=11 => BlockOp::Write(Durability::AtFlush),
        12 => BlockOp::Write(Durability::AtOnce),
        13 | 14 => {
            BlockOp::WriteZeroes(random.choose(&[Unmap::May, Unmap::No]), Durability::AtFlush)
        }
        _ => random.choose(&[BlockOp::Flush, BlockOp::Discard]),
    };
    let has_data = matches!(op, BlockOp::Read | BlockOp::Write(_));
    let data = Buffer { at: GuestPhys(RAM), len: len as u32 };
    let buffers = Buffers::from_iter((has_data && len > 0).then_some(data));
    let (offset, len) = if op == BlockOp::Flush { (0, 0) } else { (offset, len) };
    disk.submit(BlockRequest { tag: 1, op, offset, len, buffers, memory });
    disk.start();
    assert!(disk.completed().is_some(), "each request is answered");
}
