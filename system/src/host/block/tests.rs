use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use base::GuestPhys;
use proptest::prelude::*;
use softmmu::{GuestMemory, Ram};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::virtio::blk::{
    BlockAccess, BlockCompletion, BlockOp, BlockRequest, BlockResult, Durability, SECTOR, Unmap,
};
use crate::devices::virtio::testing::Told;
use crate::devices::virtio::{Buffer, Buffers};

const RAM: u64 = 0x8000_0000;

/// A directory that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferry-block-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A disk, and memory to move bytes through.
struct Disk {
    backend: Box<dyn BlockBackend>,
    memory: Arc<GuestMemory>,
    told: Arc<Told>,
}

fn options(path: &Path) -> BlockOptions {
    BlockOptions {
        path: path.to_path_buf(),
        format: None,
        access: ImageAccess::ReadWrite,
        execution: Execution::Immediate,
    }
}

impl Disk {
    fn open(options: &BlockOptions) -> Result<Self, ImageError> {
        let ram = Ram::new(GuestPhys(RAM), 1 << 20).unwrap();
        let memory = Arc::new(GuestMemory::new().insert_region(ram.region()).unwrap());
        let mut backend = open(options)?;
        let told = Arc::new(Told::default());
        backend.connect(told.notifier().0);
        Ok(Self { backend, memory, told })
    }

    fn at(path: &Path) -> Self {
        Self::open(&options(path)).unwrap()
    }

    fn sectors(&self) -> u64 {
        self.backend.info().sectors
    }

    fn ask(&mut self, op: BlockOp, offset: u64, len: u64, data: u64) -> BlockResult {
        // In pieces that fit nothing.
        let cuts = [0, data.min(7), data.min(600), data];
        let buffers: Buffers = cuts
            .windows(2)
            .map(|cut| Buffer { at: GuestPhys(RAM + cut[0]), len: (cut[1] - cut[0]) as u32 })
            .collect();
        let memory = Arc::clone(&self.memory);
        self.backend.submit(BlockRequest { tag: 9, op, offset, len, buffers, memory });
        self.backend.start();
        let BlockCompletion { tag, result } = wait(self.backend.as_mut(), &self.told);
        assert_eq!((tag, self.backend.completed()), (9, None));
        result
    }

    fn read(&mut self, offset: u64, len: u64) -> Result<Vec<u8>, BlockResult> {
        self.memory.write_slice(&vec![0xee; len as usize], GuestAddress(RAM)).unwrap();
        let result = self.ask(BlockOp::Read, offset, len, len);
        let mut bytes = vec![0; len as usize];
        self.memory.read_slice(&mut bytes, GuestAddress(RAM)).unwrap();
        if result == BlockResult::Done { Ok(bytes) } else { Err(result) }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> BlockResult {
        self.memory.write_slice(bytes, GuestAddress(RAM)).unwrap();
        let len = bytes.len() as u64;
        self.ask(BlockOp::Write(Durability::AtFlush), offset, len, len)
    }

    fn flush(&mut self) -> BlockResult {
        self.ask(BlockOp::Flush, 0, 0, 0)
    }

    fn zero(&mut self, offset: u64, len: u64, unmap: Unmap) -> BlockResult {
        self.ask(BlockOp::WriteZeroes(unmap, Durability::AtOnce), offset, len, 0)
    }
}

/// Waits for the only request there is. Nobody looks at the notifier's bits: it tells once.
fn wait(backend: &mut dyn BlockBackend, told: &Arc<Told>) -> BlockCompletion {
    loop {
        if let Some(completion) = backend.completed() {
            return completion;
        }
        told.wait_a_little();
    }
}

/// Runs qemu-img; `None`, with a word about it, where it is not installed.
#[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
fn qemu_img(scratch: &Scratch, arguments: &str) -> Option<String> {
    let output = Command::new("qemu-img")
        .args(arguments.split_whitespace())
        .current_dir(&scratch.0)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: qemu-img is not installed");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "qemu-img {arguments}: {said}");
    Some(said)
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 512) as u8 ^ (at % 239) as u8 ^ seed).collect()
}

#[test]
fn raw_images_are_their_bytes() {
    for execution in [Execution::Immediate, Execution::Threads] {
        let scratch = Scratch::new();
        let path = scratch.file("disk", &pattern(64 << 10, 1));
        let mut disk = Disk::open(&BlockOptions { execution, ..options(&path) }).unwrap();
        assert_eq!(disk.sectors(), 128);
        assert_eq!(disk.read(512, 2048).unwrap(), pattern(64 << 10, 1)[512..2560]);
        assert_eq!(disk.write(1024, &pattern(1536, 7)), BlockResult::Done);
        assert_eq!(disk.flush(), BlockResult::Done);
        assert_eq!(disk.zero(8192, 4096, Unmap::May), BlockResult::Done);
        assert_eq!(disk.zero(12288, 512, Unmap::No), BlockResult::Done);
        assert_eq!(disk.ask(BlockOp::Discard, 16384, 8192, 0), BlockResult::Done);
        assert_eq!(disk.ask(BlockOp::Discard, 0, 0, 0), BlockResult::Done);
        let read = disk.read(0, 64 << 10).unwrap();
        let mut expected = pattern(64 << 10, 1);
        expected[1024..2560].copy_from_slice(&pattern(1536, 7));
        expected[8192..12800].fill(0);
        assert_eq!(read[..16384], expected[..16384]);
        assert_eq!(read[24576..], expected[24576..]);
        drop(disk);
        assert_eq!(std::fs::read(&path).unwrap(), read);
    }
}

#[test]
fn reading_marks_pages_as_written_to() {
    let scratch = Scratch::new();
    let path = scratch.file("disk", &[1; 8192]);
    for execution in [Execution::Immediate, Execution::Threads] {
        let ram = Ram::new(GuestPhys(RAM), 1 << 16).unwrap();
        let memory = Arc::new(GuestMemory::new().insert_region(ram.region()).unwrap());
        let mut backend = open(&BlockOptions { execution, ..options(&path) }).unwrap();
        let buffers = Buffers::from_iter([Buffer { at: GuestPhys(RAM + 0x3ffe), len: 512 }]);
        let (op, offset, len) = (BlockOp::Read, 0, 512);
        let told = Arc::new(Told::default());
        backend.connect(told.notifier().0);
        backend.submit(BlockRequest { tag: 0, op, offset, len, buffers, memory });
        backend.start();
        assert_eq!(wait(backend.as_mut(), &told).result, BlockResult::Done);
        assert_eq!(ram.tracker().take_dirty(), [3, 4]);
    }
}

#[test]
fn a_ragged_end_is_zeros_until_it_is_written_to() {
    let scratch = Scratch::new();
    let path = scratch.file("disk", &[9; 700]);
    let mut disk = Disk::at(&path);
    assert_eq!(disk.sectors(), 2);
    let read = disk.read(0, 1024).unwrap();
    assert!(read[..700].iter().all(|&byte| byte == 9) && read[700..] == [0; 324]);
    assert_eq!(disk.zero(512, 512, Unmap::May), BlockResult::Done);
    assert_eq!(disk.read(512, 512).unwrap(), [0; 512]);
    assert_eq!(disk.write(512, &[3; 512]), BlockResult::Done);
    drop(disk);
    assert_eq!(std::fs::read(&path).unwrap(), [[9; 512], [3; 512]].concat());
}

#[test]
fn an_image_has_one_writer_or_many_readers() {
    let scratch = Scratch::new();
    let path = scratch.file("disk", &[0; 512]);
    let (alone, shared) =
        (options(&path), BlockOptions { access: ImageAccess::ReadOnly, ..options(&path) });
    let writer = Disk::at(&path);
    for options in [&alone, &shared] {
        let error = Disk::open(options).err().unwrap();
        assert!(matches!(&error, ImageError::Locked { .. }), "{error}");
        assert!(error.to_string().contains("in use"), "{error}");
    }
    drop(writer);
    let readers = [Disk::open(&shared).unwrap(), Disk::open(&shared).unwrap()];
    assert!(matches!(Disk::open(&alone), Err(ImageError::Locked { .. })));
    assert_eq!(readers[0].backend.info().access, BlockAccess::ReadOnly);
    drop(readers);
    assert!(Disk::open(&alone).is_ok());
}

#[test]
fn what_is_no_image_is_refused() {
    let scratch = Scratch::new();
    let open = |path: &Path| Disk::open(&options(path)).err().unwrap();
    assert!(matches!(open(&scratch.0.join("absent")), ImageError::Open { .. }));
    assert!(matches!(open(&scratch.0), ImageError::Kind { .. }));
    assert!(matches!(open(Path::new("/dev/null")), ImageError::Kind { .. }));
    let path = scratch.file("text", b"no image");
    let qcow2 = BlockOptions { format: Some(ImageFormat::Qcow2), ..options(&path) };
    assert!(matches!(Disk::open(&qcow2), Err(ImageError::Qcow2 { .. })));
    let path = scratch.file("empty", b"");
    assert_eq!(Disk::at(&path).sectors(), 0);
}

#[test]
fn a_guest_cannot_make_a_raw_image_look_like_qcow2() {
    let scratch = Scratch::new();
    let path = scratch.file("disk", &[0; 1024]);
    let mut header = [0; 512];
    header[..4].copy_from_slice(&QCOW2_MAGIC);
    let mut disk = Disk::at(&path);
    assert_eq!(disk.write(0, &header), BlockResult::Failed);
    assert_eq!(disk.write(512, &header), BlockResult::Done);
    assert_eq!(disk.read(0, 512).unwrap(), [0; 512]);
    drop(disk);
    let said = BlockOptions { format: Some(ImageFormat::Raw), ..options(&path) };
    let mut disk = Disk::open(&said).unwrap();
    assert_eq!(disk.write(0, &header), BlockResult::Done);
    drop(disk);
    assert_eq!(Disk::open(&said).unwrap().read(0, 512).unwrap(), header);
}

#[test]
fn a_flush_that_failed_fails_for_good() {
    let flushes = image::Flushes::default();
    assert!(flushes.run(|| Ok(())).is_ok());
    assert!(flushes.run(|| Err(io::ErrorKind::StorageFull.into())).is_err());
    assert!(flushes.run(|| Ok(())).is_err());
}

#[test]
fn qcow2_images_are_what_qemu_says_they_are() {
    let scratch = Scratch::new();
    let bytes = pattern(3 << 20, 5);
    scratch.file("raw", &bytes);
    for (name, how) in [
        ("plain", "-O qcow2"),
        ("small", "-O qcow2 -o cluster_size=512"),
        ("old", "-O qcow2 -o compat=0.10"),
        ("compressed", "-c -O qcow2"),
        ("extended", "-O qcow2 -o extended_l2=on,cluster_size=64k"),
        ("lazy", "-O qcow2 -o lazy_refcounts=on"),
    ] {
        if qemu_img(&scratch, &format!("convert -f raw {how} raw {name}")).is_none() {
            return;
        }
        let path = scratch.0.join(name);
        let mut disk = match Disk::open(&options(&path)) {
            Ok(disk) => disk,
            // What imago does not know is an error, not a wrong disk.
            Err(error) => {
                assert_eq!(name, "extended", "{error:?}");
                continue;
            }
        };
        assert_eq!(disk.sectors(), 6144);
        for offset in (0..3 << 20).step_by(1 << 19) {
            let expected = &bytes[offset..offset + (1 << 19)];
            assert!(disk.read(offset as u64, 1 << 19).unwrap() == expected, "{name} {offset}");
        }
        let mut expected = bytes.clone();
        let new = pattern(100 << 10, 77);
        assert_eq!(disk.write(1 << 20, &new), BlockResult::Done);
        expected[1 << 20..][..new.len()].copy_from_slice(&new);
        for (offset, len, unmap) in
            [(2 << 20, 300 << 10, Unmap::May), (512, 1024, Unmap::No), (1 << 16, 512, Unmap::May)]
        {
            assert_eq!(disk.zero(offset, len, unmap), BlockResult::Done, "{name} {offset}");
            expected[offset as usize..][..len as usize].fill(0);
        }
        assert_eq!(disk.flush(), BlockResult::Done);
        drop(disk);
        let said = qemu_img(&scratch, &format!("check -f qcow2 {name}")).unwrap();
        assert!(said.contains("No errors were found"), "{name}: {said}");
        qemu_img(&scratch, &format!("convert -f qcow2 -O raw {name} {name}.raw"));
        let is = std::fs::read(scratch.0.join(format!("{name}.raw"))).unwrap();
        assert!(is == expected, "{name}: as qemu reads it");
    }
}

#[test]
fn images_stand_on_others() {
    let scratch = Scratch::new();
    let bytes = pattern(1 << 20, 5);
    let raw = scratch.file("raw", &bytes);
    let create = |name: &str, behind: &str, format: &str, size: &str| {
        let said = format!("create -f qcow2 -F {format} -b {behind} {name} {size}");
        qemu_img(&scratch, &said)
    };
    // The upper one is larger than what it stands on.
    if create("middle", "raw", "raw", "").is_none() {
        return;
    }
    create("top", "middle", "qcow2", "2M");
    let mut disk = Disk::at(&scratch.0.join("top"));
    assert_eq!(disk.sectors(), 4096);
    assert!(disk.read(0, 1 << 19).unwrap() == bytes[..1 << 19]);
    assert_eq!(disk.read((1 << 20) - 512, 1024).unwrap()[512..], [0; 512]);
    assert_eq!(disk.write(512, &[3; 512]), BlockResult::Done);
    assert_eq!(disk.zero(4096, 512, Unmap::May), BlockResult::Done);
    assert_eq!(disk.ask(BlockOp::Discard, 8192, 512, 0), BlockResult::Done);
    assert_eq!(disk.flush(), BlockResult::Done);
    let mut expected = bytes.clone();
    expected[512..1024].fill(3);
    expected[4096..4608].fill(0);
    assert!(disk.read(0, 8192).unwrap() == expected[..8192]);
    // Nobody may write to what it stands on, but others may stand there too.
    for name in ["middle", "raw"] {
        let error = Disk::open(&options(&scratch.0.join(name))).err().unwrap();
        assert!(matches!(error, ImageError::Locked { .. }), "{name}: {error}");
    }
    create("other", "middle", "qcow2", "");
    assert!(Disk::at(&scratch.0.join("other")).read(0, 512).unwrap() == bytes[..512]);
    drop(disk);
    assert!(std::fs::read(raw).unwrap() == bytes, "what stands behind stays as it is");
    qemu_img(&scratch, "check -f qcow2 top");
    qemu_img(&scratch, "convert -f qcow2 -O raw top top.raw");
    assert!(std::fs::read(scratch.0.join("top.raw")).unwrap()[..8192] == expected[..8192]);
}

#[test]
fn images_that_cannot_be_behind_others_are_refused() {
    let scratch = Scratch::new();
    scratch.file("raw", &[0; 4096]);
    if qemu_img(&scratch, "create -f qcow2 -F raw -b raw self 1M").is_none() {
        return;
    }
    let rebase = |name: &str, behind: &str, format: &str| {
        qemu_img(&scratch, &format!("rebase -u -F {format} -b {behind} {name}"));
    };
    let refused = |name: &str, access| {
        let options = BlockOptions { access, ..options(&scratch.0.join(name)) };
        let error = Disk::open(&options).err().unwrap_or_else(|| panic!("{name} is opened"));
        assert!(matches!(&error, ImageError::Qcow2 { .. }), "{name}: {error}");
    };
    // Itself: its own lock, or the limit.
    rebase("self", "self", "qcow2");
    refused("self", ImageAccess::ReadWrite);
    refused("self", ImageAccess::ReadOnly);
    rebase("self", "/dev/zero", "raw");
    refused("self", ImageAccess::ReadOnly);
    rebase("self", "absent", "raw");
    refused("self", ImageAccess::ReadOnly);
    rebase("self", "raw", "vmdk");
    refused("self", ImageAccess::ReadOnly);
}

/// A small image that qemu has made, with data, zeros and compressed clusters.
fn specimen() -> Option<Vec<u8>> {
    static MADE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let scratch = Scratch::new();
        scratch.file("raw", &pattern(40 << 10, 5));
        qemu_img(&scratch, "convert -c -f raw -O qcow2 -o cluster_size=4096 raw image")?;
        Disk::at(&scratch.0.join("image")).write(8192, &[1; 512]);
        Some(std::fs::read(scratch.0.join("image")).unwrap())
    });
    made.clone()
}

/// Uses whatever is at a path; it may fail, but nothing else.
fn survive(path: &Path) {
    for access in [ImageAccess::ReadOnly, ImageAccess::ReadWrite] {
        if let Ok(disk) = Disk::open(&BlockOptions { access, ..options(path) }) {
            use_all(disk);
        }
    }
}

fn use_all(mut disk: Disk) {
    let end = disk.sectors().min(80);
    for sector in (0..end).step_by(8) {
        let len = SECTOR * (end - sector).min(8);
        let _ = disk.read(sector * SECTOR, len);
        let _ = disk.write(sector * SECTOR, &vec![7; len as usize]);
        let _ = disk.zero(sector * SECTOR, SECTOR, Unmap::May);
    }
    let _ = disk.flush();
}

#[test]
fn a_truncated_image_fails_and_no_more() {
    let scratch = Scratch::new();
    let Some(image) = specimen() else { return };
    for len in (0..image.len()).step_by(509) {
        survive(&scratch.file("short", &image[..len]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is wrong with an image, requests fail and Ferry goes on.
    #[test]
    fn a_corrupt_image_fails_and_no_more(
        changes in prop::collection::vec((prop_oneof![0usize..120, 0usize..0x8000], any::<u8>()), 1..6),
    ) {
        let scratch = Scratch::new();
        let Some(mut image) = specimen() else { return Ok(()) };
        for (at, byte) in changes {
            // A file of petabytes is no mistake of the image's, but the test's.
            if let Some(place) = image.get_mut(at).filter(|_| !(24..32).contains(&at)) {
                *place = byte;
            }
        }
        survive(&scratch.file("corrupt", &image));
    }
}

/// A sector, how many, and what to do there.
type Change = (u64, u64, u8);

/// Makes changes all at once, each in a part of the disk of its own; says what the disk must be then.
fn change_at_once(disk: &mut Disk, before: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut expected = before.to_vec();
    for (part, &(sector, sectors, kind)) in (0..).zip(changes) {
        let (offset, len) = ((part * 64 + sector) * SECTOR, sectors * SECTOR);
        let place = offset as usize..(offset + len) as usize;
        let op = match kind % 4 {
            0 => BlockOp::Write(Durability::AtFlush),
            1 => BlockOp::Write(Durability::AtOnce),
            2 => BlockOp::WriteZeroes(Unmap::May, Durability::AtFlush),
            _ => BlockOp::WriteZeroes(Unmap::No, Durability::AtFlush),
        };
        let at = GuestPhys(RAM + offset);
        let mut buffers = Buffers::new();
        if kind % 4 < 2 {
            let bytes = pattern(len as usize, kind);
            disk.memory.write_slice(&bytes, GuestAddress(at.0)).unwrap();
            expected[place].copy_from_slice(&bytes);
            buffers.push(Buffer { at, len: len as u32 });
        } else {
            expected[place].fill(0);
        }
        let memory = Arc::clone(&disk.memory);
        disk.backend.submit(BlockRequest { tag: part as u32, op, offset, len, buffers, memory });
    }
    disk.backend.start();
    let mut tags: Vec<u32> = changes
        .iter()
        .map(|_| {
            let BlockCompletion { tag, result } = wait(disk.backend.as_mut(), &disk.told);
            assert_eq!(result, BlockResult::Done);
            tag
        })
        .collect();
    tags.sort_unstable();
    assert!(tags.into_iter().eq(0..changes.len() as u32));
    expected
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Threads that change an image at the same time do not come between each other.
    #[test]
    fn requests_at_the_same_time_keep_apart(
        rounds in prop::collection::vec(
            prop::collection::vec((0u64..40, 1u64..24, any::<u8>()), 1..20), 1..5,
        ),
        qcow2 in any::<bool>(),
    ) {
        let scratch = Scratch::new();
        let mut bytes = pattern(20 * 64 * 512, 9);
        let mut path = scratch.file("raw", &bytes);
        if qcow2 {
            let how = "convert -f raw -O qcow2 -o cluster_size=4096 raw image";
            if qemu_img(&scratch, how).is_none() {
                return Ok(());
            }
            path = scratch.0.join("image");
        }
        let options = BlockOptions { execution: Execution::Threads, ..options(&path) };
        let mut disk = Disk::open(&options).unwrap();
        for changes in rounds {
            bytes = change_at_once(&mut disk, &bytes, &changes);
            prop_assert!(disk.read(0, bytes.len() as u64).unwrap() == bytes);
        }
        prop_assert_eq!(disk.flush(), BlockResult::Done);
        drop(disk);
        if qcow2 {
            let said = qemu_img(&scratch, "check -f qcow2 image").unwrap();
            prop_assert!(said.contains("No errors were found"), "{}", said);
            qemu_img(&scratch, "convert -f qcow2 -O raw image raw");
        }
        prop_assert!(std::fs::read(scratch.0.join("raw")).unwrap() == bytes);
    }
}

#[test]
fn requests_that_are_given_up_touch_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("disk", &[5; 1 << 20]);
    let threads = BlockOptions { execution: Execution::Threads, ..options(&path) };
    let mut disk = Disk::open(&threads).unwrap();
    for round in 0..20 {
        disk.memory.write_slice(&[0; 1 << 20], GuestAddress(RAM)).unwrap();
        for tag in 0..8 {
            let buffers = Buffers::from_iter([Buffer {
                at: GuestPhys(RAM + (u64::from(tag) << 17)),
                len: 1 << 17,
            }]);
            let (op, offset, len) = (BlockOp::Read, 0, 1 << 17);
            let memory = Arc::clone(&disk.memory);
            disk.backend.submit(BlockRequest { tag, op, offset, len, buffers, memory });
        }
        if round % 2 == 0 {
            disk.backend.start();
        }
        disk.backend.cancel(&|tag| tag != 7);
        let seen = |disk: &Disk| {
            let mut bytes = vec![0; 7 << 17];
            disk.memory.read_slice(&mut bytes, GuestAddress(RAM)).unwrap();
            bytes
        };
        let now = seen(&disk);
        // The last one is not given up.
        disk.backend.start();
        while wait(disk.backend.as_mut(), &disk.told).tag != 7 {}
        assert!(seen(&disk) == now);
        let last = disk.memory.read_obj::<u64>(GuestAddress(RAM + (7 << 17))).unwrap();
        assert_eq!(last, 0x0505_0505_0505_0505);
    }
}
