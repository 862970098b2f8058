//! The kernel's modules: their dependencies, and their content unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, file_error, host_program};

/// One module in the order in which it can be loaded.
#[derive(Debug, Clone)]
pub(super) struct Module {
    /// The name of its file, without compression: `virtio_blk.ko`.
    pub(super) file_name: String,
    /// The module itself, unpacked.
    pub(super) content: Vec<u8>,
}

/// The directory of the one kernel version that `root` has.
///
/// # Errors
/// [`Error::Content`] when there is none.
pub(super) fn directory(root: &Path) -> Result<PathBuf, Error> {
    let parent = root.join("usr/lib/modules");
    let mut entries = fs::read_dir(&parent).map_err(file_error(&parent))?.flatten();
    entries
        .next()
        .map(|entry| entry.path())
        .ok_or(Error::Content { path: parent, what: "a kernel's modules" })
}

/// Writes `modules.dep` and the other indices, as the kernel package's script would have done.
///
/// # Errors
/// When depmod is absent or fails.
pub(super) fn index(root: &Path) -> Result<(), Error> {
    let directory = directory(root)?;
    if directory.join("modules.dep.bin").exists() {
        return Ok(());
    }
    let version = directory.file_name().unwrap_or_default();
    host_program(Command::new("depmod").arg("-b").arg(root).arg(version), "depmod", "kmod")
        .map(drop)
}

/// `wanted` and what they depend on, dependencies first.
///
/// # Errors
/// When one does not exist or cannot be unpacked.
pub(super) fn load(root: &Path, wanted: &[&str]) -> Result<Vec<Module>, Error> {
    let directory = directory(root)?;
    let index = directory.join("modules.dep");
    let text = fs::read_to_string(&index).map_err(file_error(&index))?;
    let order = order(&text, wanted)
        .map_err(|name| Error::Module { name: name.to_owned(), path: index })?;
    order
        .iter()
        .map(|path| {
            let file = directory.join(path);
            Ok(Module { file_name: plain_name(path).to_owned(), content: unpack(&file)? })
        })
        .collect()
}

/// Paths below the modules' directory; the name of a module that does not exist as the error.
fn order<'a>(index: &str, wanted: &[&'a str]) -> Result<Vec<String>, &'a str> {
    let dependencies: BTreeMap<&str, Vec<&str>> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, rest)| (path, rest.split_whitespace().collect()))
        .collect();
    let mut order: Vec<String> = vec![];
    for name in wanted {
        let file = format!("{name}.ko");
        let path = dependencies.keys().find(|path| plain_name(path) == file).ok_or(*name)?;
        // depmod lists what is needed first last.
        let needed = dependencies[path].iter().rev().chain([path]);
        for path in needed {
            if !order.iter().any(|known| known == path) {
                order.push((*path).to_owned());
            }
        }
    }
    Ok(order)
}

fn plain_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".xz").unwrap_or(name)
}

fn unpack(file: &Path) -> Result<Vec<u8>, Error> {
    if file.extension().is_some_and(|extension| extension == "xz") {
        host_program(Command::new("xz").arg("-dc").arg(file), "xz", "xz-utils")
    } else {
        fs::read(file).map_err(file_error(file))
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    const INDEX: &str = "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
                         kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\n\
                         kernel/drivers/block/virtio_blk.ko.xz: kernel/lib/crc16.ko.xz\n";

    #[test]
    fn dependencies_come_first_and_once() {
        let order = order(INDEX, &["ext4", "virtio_blk"]).expect("both exist");
        assert_eq!(
            order,
            [
                "kernel/lib/crc16.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/drivers/block/virtio_blk.ko.xz"
            ]
        );
    }

    #[test]
    fn unknown_modules_are_named() {
        assert_eq!(order(INDEX, &["ext5"]), Err("ext5"));
    }
}
