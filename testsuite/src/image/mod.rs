//! What whole machines boot: the stock Debian kernel, an initramfs, a disk, and firmware.
//!
//! The packages stand in `testsuite/debian/trixie-riscv64-machine.*`, everything that is ours in
//! `testsuite/image`. Products are kept in the test cache under a name that changes with what went
//! into them. Nothing here needs root.
//!
//! With `eval "$(cargo debian-image)"` in the environment, these are how the reference boots them,
//! to a shell that `poweroff` ends, and to a login as root with the password `ferry`:
//!
//! ```text
//! qemu-system-riscv64 -M virt -cpu max -smp 2 -m 1G -nographic -no-reboot \
//!     -kernel $KERNEL -initrd $INITRAMFS -append "console=ttyS0"
//! qemu-system-riscv64 -M virt -cpu max -smp 2 -m 2G -nographic -no-reboot \
//!     -kernel $KERNEL -initrd $INITRAMFS -append "console=ttyS0 root=/dev/vda" \
//!     -drive file=$DISK,format=raw,if=none,id=disk,snapshot=on -device virtio-blk-pci,drive=disk \
//!     -netdev user,id=net,hostfwd=tcp:127.0.0.1:2007-:7 -device virtio-net-pci,netdev=net
//! qemu-system-riscv64 -M virt -m 512M -nographic -bios $OPENSBI -kernel $UBOOT
//! ```

pub mod cpio;
mod ext4;
mod initramfs;
mod modules;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{self, Manifest, Root};
use crate::{cache, host_program};

/// The manifest of the packages.
pub const MANIFEST: &str = "trixie-riscv64-machine";
/// The manifest of UEFI firmware.
pub const EFI_MANIFEST: &str = "trixie-riscv64-efi";
/// The password of `root` and `user` on the disk.
pub const PASSWORD: &str = "ferry";

/// Files to boot a machine with.
#[derive(Debug, Clone)]
pub struct Images {
    /// Linux's `Image`.
    pub kernel: PathBuf,
    /// Busybox and the modules for the disk; without `root=`, a shell.
    pub initramfs: PathBuf,
    /// Raw, ext4 without partitions. Copy it before writing to it.
    pub disk: PathBuf,
    /// `fw_dynamic`: for a next stage that the machine loads.
    pub opensbi: PathBuf,
    /// U-Boot for S mode.
    pub uboot: PathBuf,
}

/// UEFI firmware, for both banks of flash.
#[derive(Debug, Clone)]
pub struct Efi {
    /// Its code.
    pub code: PathBuf,
    /// Its variables as they are at first. Copy it before it is used.
    pub variables: PathBuf,
}

impl Efi {
    fn of(root: &Root) -> Self {
        let directory = root.path.join("usr/share/qemu-efi-riscv64");
        let file = |part: &str| directory.join(format!("RISCV_VIRT_{part}.fd"));
        Self { code: file("CODE"), variables: file("VARS") }
    }
}

/// UEFI firmware; fetched, if that is allowed and it is not in the cache.
///
/// # Errors
/// When it cannot be had.
pub fn efi(report: &dyn Fn(&str)) -> Result<Option<Efi>, Error> {
    let manifest = Manifest::read(EFI_MANIFEST)?;
    let root = match cache::full_run() {
        true => Some(debian::prepare(&manifest, report)?),
        false => debian::existing(&manifest)?,
    };
    Ok(root.as_ref().map(Efi::of))
}

/// Why there are no images.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The packages cannot be had.
    #[error(transparent)]
    Debian(#[from] debian::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The packages do not contain what they should.
    #[error("{path} does not contain {what}")]
    Content {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The kernel has no such module.
    #[error("{path} has no module {name}")]
    Module {
        /// The module.
        name: String,
        /// The index.
        path: PathBuf,
    },
    /// A program that is needed is not there, or failed.
    #[error(transparent)]
    Program(#[from] host_program::Error),
}

/// The images, if they are in the cache and up to date.
///
/// # Errors
/// When the manifest cannot be read.
pub fn existing() -> Result<Option<Images>, Error> {
    let manifest = Manifest::read(MANIFEST)?;
    let Some(root) = debian::existing(&manifest)? else { return Ok(None) };
    let images = places(&root, &fingerprint(&manifest)?)?;
    Ok((images.initramfs.exists() && images.disk.exists()).then_some(images))
}

/// The images; fetches and builds what is not in the cache.
///
/// # Errors
/// When packages cannot be had, or a program that is needed is absent or fails.
pub fn prepare(report: &dyn Fn(&str)) -> Result<Images, Error> {
    let manifest = Manifest::read(MANIFEST)?;
    let root = debian::prepare(&manifest, report)?;
    let images = places(&root, &fingerprint(&manifest)?)?;
    let directory = cache::directory();
    let lock_path = directory.join("images.lock");
    let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
    lock.lock().map_err(file_error(&lock_path))?;
    modules::index(&root.path)?;
    build(&images.initramfs, report, &|path| {
        fs::write(path, initramfs::build(&root.path)?).map_err(file_error(path))
    })?;
    build(&images.disk, report, &|path| ext4::build(&root.path, path))?;
    Ok(images)
}

/// Builds under another name, so that what has the right name is complete.
fn build(
    path: &Path,
    report: &dyn Fn(&str),
    build: &dyn Fn(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    report(&format!("building {}", path.display()));
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    build(&partial)?;
    fs::rename(&partial, path).map_err(file_error(path))
}

fn places(root: &Root, fingerprint: &str) -> Result<Images, Error> {
    let directory = cache::subdirectory("images").map_err(file_error(&cache::directory()))?;
    Ok(Images {
        kernel: kernel(&root.path)?,
        initramfs: directory.join(format!("initramfs-{fingerprint}.cpio")),
        disk: directory.join(format!("disk-{fingerprint}.ext4")),
        opensbi: root.path.join("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"),
        uboot: root.path.join("usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"),
    })
}

fn kernel(root: &Path) -> Result<PathBuf, Error> {
    let boot = root.join("boot");
    let entries = fs::read_dir(&boot).map_err(file_error(&boot))?.flatten();
    let kernel = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinu"))
    };
    let found = entries.map(|entry| entry.path()).find(kernel);
    found.ok_or(Error::Content { path: boot, what: "a kernel" })
}

/// Changes with the packages, with our files, and with the code that puts them together.
fn fingerprint(manifest: &Manifest) -> Result<String, Error> {
    let mut parts = vec![
        manifest.lock.fingerprint().into_bytes(),
        include_bytes!("cpio.rs").to_vec(),
        include_bytes!("ext4.rs").to_vec(),
        include_bytes!("initramfs.rs").to_vec(),
        include_bytes!("modules.rs").to_vec(),
    ];
    add_files(&source(""), &mut parts)?;
    Ok(cache::fingerprint(parts.iter().map(Vec::as_slice)))
}

fn add_files(directory: &Path, parts: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(file_error(directory))?.flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(&path, parts)?;
        } else {
            parts.push(path.file_name().unwrap_or_default().as_encoded_bytes().to_vec());
            parts.push(fs::read(&path).map_err(file_error(&path))?);
        }
    }
    Ok(())
}

/// A file or directory of `testsuite/image`.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("image").join(name)
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |source| Error::File { path: path.to_owned(), source }
}

/// A program of the host, which must succeed; its standard output.
fn host_program(
    command: &mut Command,
    program: &'static str,
    package: &'static str,
) -> Result<Vec<u8>, Error> {
    Ok(host_program::succeed(command, program, package)?)
}
