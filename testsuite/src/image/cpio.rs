//! Archives in cpio's "newc" format, which Linux unpacks into its initramfs.
//!
//! Format: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`. Writing one needs no
//! privileges: device nodes are headers like any other.

/// What a file of the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Directory,
    /// A regular file that may be executed.
    Program(&'a [u8]),
    /// A regular file.
    File(&'a [u8]),
    /// A symbolic link, and where it leads.
    Link(&'a str),
    /// A character device: major and minor number.
    Device(u32, u32),
}

/// An archive that is being written. All files belong to root.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

const TRAILER: &str = "TRAILER!!!";

impl Archive {
    /// Adds a file. Directories must be added before what is in them.
    ///
    /// # Panics
    /// When the content is larger than the format's 4 GiB.
    pub fn add(&mut self, path: &str, kind: Kind<'_>) {
        self.files += 1;
        let (mode, content, device) = match kind {
            Kind::Directory => (0o040_755, &[][..], (0, 0)),
            Kind::Program(content) => (0o100_755, content, (0, 0)),
            Kind::File(content) => (0o100_644, content, (0, 0)),
            Kind::Link(target) => (0o120_777, target.as_bytes(), (0, 0)),
            Kind::Device(major, minor) => (0o020_600, &[][..], (major, minor)),
        };
        self.record(self.files, path, mode, content, device);
    }

    fn record(&mut self, inode: u32, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        let number = |value: usize| u32::try_from(value).expect("the format has 32-bit sizes");
        // Inode, mode, uid, gid, links, time, size, the device it is on, the device it is, name.
        let fields = [
            inode,
            mode,
            0,
            0,
            1,
            0,
            number(content.len()),
            0,
            0,
            device.0,
            device.1,
            number(path.len() + 1),
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The archive's bytes. Archives may follow each other in one file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.record(0, TRAILER, 0, &[], (0, 0));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn headers_are_as_the_format_has_them() {
        let mut archive = Archive::default();
        archive.add("dev", Kind::Directory);
        archive.add("dev/console", Kind::Device(5, 1));
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("07070100000001000041ed"));
        assert!(text.contains("0000000500000001"));
        assert!(text.ends_with("TRAILER!!!\0\0\0\0") || text.ends_with("TRAILER!!!\0"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn cpio_reads_it_where_it_is_installed() {
        let mut archive = Archive::default();
        archive.add("bin", Kind::Directory);
        archive.add("bin/tool", Kind::Program(b"#!/bin/sh\n"));
        archive.add("bin/link", Kind::Link("tool"));
        archive.add("odd", Kind::File(b"12345"));
        let spawned = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = spawned else { return };
        child.stdin.take().expect("piped").write_all(&archive.finish()).expect("cpio reads");
        let output = child.wait_with_output().expect("cpio ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "bin\nbin/tool\nbin/link\nodd\n");
    }
}
