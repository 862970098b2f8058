//! The initramfs: busybox, the kernel modules that a root file system needs, and a first process
//! that goes on with `root=` or opens a shell.

use std::fs;
use std::path::Path;

use super::cpio::{Archive, Kind};
use super::{Error, file_error, modules, source};

/// Loaded in this order; `crc32c_generic` is asked for by name only, from ext4.
const MODULES: [&str; 6] =
    ["virtio_mmio", "virtio_blk", "virtio_net", "virtio-rng", "crc32c_generic", "ext4"];
const DIRECTORIES: [&str; 9] =
    ["bin", "dev", "etc", "lib", "lib/modules", "proc", "usr", "usr/share", "usr/share/udhcpc"];

/// The archive for the kernel of the unpacked Debian system `root`.
///
/// # Errors
/// When something that goes in is absent.
pub(super) fn build(root: &Path) -> Result<Vec<u8>, Error> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.add(directory, Kind::Directory);
    }
    // The kernel opens it for the first process, before /dev is mounted.
    archive.add("dev/console", Kind::Device(5, 1));
    archive.add("bin/busybox", Kind::Program(&read(&root.join("usr/bin/busybox"))?));
    archive.add("init", Kind::Program(&read(&source("initramfs/init"))?));
    archive.add("etc/inittab", Kind::File(&read(&source("initramfs/inittab"))?));
    archive.add("etc/passwd", Kind::File(b"root::0:0:root:/:/bin/sh\n"));
    let udhcpc = read(&source("initramfs/udhcpc"))?;
    archive.add("usr/share/udhcpc/default.script", Kind::Program(&udhcpc));
    // Debian's busybox looks here.
    archive.add("etc/udhcpc", Kind::Directory);
    archive.add("etc/udhcpc/default.script", Kind::Program(&udhcpc));
    let mut order = String::new();
    for module in modules::load(root, &MODULES)? {
        archive.add(&format!("lib/modules/{}", module.file_name), Kind::File(&module.content));
        order.push_str(&module.file_name);
        order.push('\n');
    }
    archive.add("lib/modules/order", Kind::File(order.as_bytes()));
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(file_error(path))
}
