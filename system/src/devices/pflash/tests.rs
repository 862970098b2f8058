//! Flash as drivers use it.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::devices::bench::{Bench, any_access};

const SIZE: usize = 2 * SECTOR as usize;

/// A copy of the contents, kept by what the flash says of its changes.
#[derive(Clone)]
struct Copy(Arc<Mutex<Vec<u8>>>);

impl FlashBackend for Copy {
    fn store(&mut self, offset: u64, bytes: &[u8]) {
        self.0.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

fn flash() -> (Bench<Pflash>, Copy) {
    let contents = vec![0xff; SIZE];
    let copy = Copy(Arc::new(Mutex::new(contents.clone())));
    (Bench::new(Pflash::new(contents, Box::new(copy.clone())).unwrap()), copy)
}

/// A command to both chips.
fn send(flash: &mut Bench<Pflash>, offset: u64, command: u8) {
    flash.write32(offset, u64::from(command) * 0x1_0001);
}

fn status(flash: &mut Bench<Pflash>) -> u64 {
    send(flash, 0, command::READ_STATUS);
    flash.read32(0)
}

#[test]
fn the_query_describes_the_chips() {
    let (mut flash, _) = flash();
    send(&mut flash, 0x55 * 4, command::READ_QUERY);
    let mut field = |address: u64| flash.read32(4 * address);
    assert_eq!([0x10, 0x11, 0x12].map(&mut field), [0x51_0051, 0x52_0052, 0x59_0059]);
    assert_eq!([0x31, 0x32, 0x33].map(&mut field), [0x50_0050, 0x52_0052, 0x49_0049]);
    // A chip has half of 512 KiB, in two blocks of 128 KiB; buffers take 2 KiB.
    let expected = [18, 1, 0, 0, 2, 11].map(|value: u64| value * 0x1_0001);
    assert_eq!([0x27, 0x2d, 0x2e, 0x2f, 0x30, 0x2a].map(&mut field), expected);
    assert_eq!((flash.read(0x42, Width::B2), flash.read(0x40, Width::B1)), (0x51, 0x51));
    send(&mut flash, 0, command::READ_IDENTIFIER);
    assert_eq!(flash.read(0, Width::B8), 0x0018_0018_0089_0089);
    send(&mut flash, 0, command::READ_ARRAY);
    assert_eq!(flash.read32(0x40), 0xffff_ffff);
}

#[test]
fn programming_clears_bits_and_erasing_sets_them() {
    let (mut flash, copy) = flash();
    for value in [0xffff_00ff, 0xf0f0_ffff] {
        send(&mut flash, 0x100, command::PROGRAM);
        flash.write32(0x100, value);
    }
    assert_eq!(status(&mut flash), 0x80_0080);
    send(&mut flash, 0, command::READ_ARRAY);
    assert_eq!((flash.read32(0x100), flash.read32(0x104)), (0xf0f0_00ff, 0xffff_ffff));
    assert_eq!(copy.0.lock().unwrap()[0x100..0x104], [0xff, 0, 0xf0, 0xf0]);
    send(&mut flash, 0, command::BLOCK_ERASE);
    send(&mut flash, 0, command::CONFIRM);
    send(&mut flash, 0, command::READ_ARRAY);
    assert_eq!(flash.read32(0x100), 0xffff_ffff);
    assert!(copy.0.lock().unwrap().iter().all(|&byte| byte == 0xff));
}

#[test]
fn the_buffer_is_programmed_when_it_is_confirmed() {
    let (mut flash, _) = flash();
    send(&mut flash, SECTOR, command::WRITE_TO_BUFFER);
    assert_eq!(flash.read32(SECTOR), 0x80_0080);
    send(&mut flash, SECTOR, 2);
    (0..3).for_each(|word| flash.write32(SECTOR + 4 * word, 0x1111_1111 * word));
    send(&mut flash, SECTOR, command::CONFIRM);
    assert_eq!(status(&mut flash), 0x80_0080);
    send(&mut flash, 0, command::READ_ARRAY);
    let words = [0, 4, 8, 12].map(|offset| flash.read32(SECTOR + offset));
    assert_eq!(words, [0, 0x1111_1111, 0x2222_2222, 0xffff_ffff]);
}

#[test]
fn wrong_sequences_change_nothing() {
    let (mut flash, copy) = flash();
    let steps: [&[(u64, u8)]; 4] = [
        &[(0, command::BLOCK_ERASE), (0, command::READ_ARRAY)],
        &[(0, command::WRITE_TO_BUFFER), (0, 0), (0, 0), (0, command::READ_ARRAY)],
        &[(0, command::WRITE_TO_BUFFER), (0, 0), (SECTOR, 0)],
        &[(0, command::LOCK_SETUP), (0, 0x77)],
    ];
    for sequence in steps {
        sequence.iter().for_each(|&(offset, value)| send(&mut flash, offset, value));
        assert_eq!(status(&mut flash), 0xb0_00b0, "{sequence:?}");
        send(&mut flash, 0, command::CLEAR_STATUS);
        assert_eq!(status(&mut flash), 0x80_0080);
    }
    send(&mut flash, 0, command::WRITE_TO_BUFFER);
    flash.write32(0, 0x400_0400);
    assert_eq!(status(&mut flash), 0xb0_00b0, "more than the buffer takes");
    assert!(copy.0.lock().unwrap().iter().all(|&byte| byte == 0xff));
}

#[test]
fn locked_blocks_stay_as_they_are() {
    let (mut flash, copy) = flash();
    send(&mut flash, SECTOR, command::LOCK_SETUP);
    send(&mut flash, SECTOR, command::LOCK);
    send(&mut flash, SECTOR, command::PROGRAM);
    flash.write32(SECTOR, 0);
    assert_eq!(status(&mut flash), 0x92_0092);
    send(&mut flash, 0, command::READ_IDENTIFIER);
    assert_eq!((flash.read32(8), flash.read32(SECTOR + 8)), (0, 0x1_0001));
    assert_eq!(copy.0.lock().unwrap()[SECTOR as usize], 0xff);
    send(&mut flash, SECTOR, command::LOCK_SETUP);
    send(&mut flash, SECTOR, command::CONFIRM);
    send(&mut flash, SECTOR, command::PROGRAM);
    flash.write(SECTOR + 1, Width::B1, 0x42);
    assert_eq!(copy.0.lock().unwrap()[SECTOR as usize..][..3], [0xff, 0x42, 0xff]);
}

#[test]
fn sizes_are_powers_of_two() {
    for size in [0, 1000, SECTOR as usize / 2, 3 * SECTOR as usize] {
        let made = Pflash::new(vec![0; size], Box::new(()));
        assert_eq!(made.err(), Some(SizeError(size)));
    }
}

proptest! {
    #[test]
    fn no_access_panics_and_the_backend_knows_all(accesses in prop::collection::vec((any_access(0, SIZE as u64), any::<u64>(), 0_usize..16), 0..200)) {
        let commands = [0xff, 0x90, 0x98, 0x70, 0x50, 0x40, 0x10, 0xe8, 0x20, 0x60, 0x01, 0xd0, 0, 2];
        let (mut flash, copy) = flash();
        for (access, value, command) in accesses {
            let value = commands.get(command).map_or(value, |command| value >> 16 << 16 | command);
            let _ = flash.try_write(access, value);
            let _ = flash.try_read(access);
        }
        prop_assert!(*copy.0.lock().unwrap() == flash.device.contents);
    }
}
