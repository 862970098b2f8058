//! A disk image with an ext4 file system, made from a directory without privileges.
//!
//! `mke2fs -d` copies the directory. Where this runs as an ordinary user, it does so in a user
//! namespace of its own (or under fakeroot, where the system allows none), so that all files are
//! root's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, file_error, host_program, source};

/// Of the image, which is sparse.
const SIZE: &str = "2G";
/// The same image every time.
const IDENTITY: &str = "6a3c2f4e-5b1d-4c7a-9e8f-0123456789ab";
/// Not for everyone to read.
const SECRET: [&str; 1] = ["etc/shadow"];

/// Writes `image` from `root`, an unpacked Debian system, and our own configuration.
///
/// # Errors
/// When the disk is full, or mke2fs is absent or fails.
pub(super) fn build(root: &Path, image: &Path) -> Result<(), Error> {
    let staging = image.with_extension("staging");
    remove(&staging)?;
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto", "--"]).arg(root).arg(&staging);
    host_program(&mut copy, "cp", "coreutils")?;
    let result = configure(&staging).and_then(|()| make(&staging, image));
    remove(&staging)?;
    result
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(file_error(directory)),
    }
}

/// What the packages' own scripts would have set up, as far as a boot to a login needs it.
fn configure(root: &Path) -> Result<(), Error> {
    copy_tree(&source("root"), root)?;
    for name in SECRET {
        let path = root.join(name);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(file_error(&path))?;
    }
    let links = source("root.links");
    let text = fs::read_to_string(&links).map_err(file_error(&links))?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((link, target)) = line.split_once(' ') {
            make_link(&root.join(link), target)?;
        }
    }
    // With these newer than /usr, systemd does not rebuild caches and users at the first boot.
    for name in ["etc/.updated", "var/.updated"] {
        let path = root.join(name);
        fs::write(&path, "").map_err(file_error(&path))?;
    }
    Ok(())
}

fn make_link(link: &Path, target: &str) -> Result<(), Error> {
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).map_err(file_error(parent))?;
    }
    if fs::symlink_metadata(link).is_ok() {
        if link.is_dir() && !link.is_symlink() {
            remove(link)?;
        } else {
            fs::remove_file(link).map_err(file_error(link))?;
        }
    }
    symlink(target, link).map_err(file_error(link))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(file_error(to))?;
    for entry in fs::read_dir(from).map_err(file_error(from))?.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            // A package may have put a link there.
            let _ = fs::remove_file(&target);
            fs::copy(&path, &target).map_err(file_error(&target))?;
        }
    }
    Ok(())
}

fn make(directory: &Path, image: &Path) -> Result<(), Error> {
    let program = mke2fs();
    let mut arguments: Vec<&OsStr> =
        ["-q", "-t", "ext4", "-L", "ferry", "-U", IDENTITY, "-E"].map(OsStr::new).to_vec();
    let hash_seed = format!("root_owner=0:0,hash_seed={IDENTITY}");
    arguments.extend([OsStr::new(&hash_seed), OsStr::new("-d"), directory.as_os_str()]);
    arguments.extend([image.as_os_str(), OsStr::new(SIZE)]);
    let run = |wrapper: &[&str]| {
        let mut words = wrapper.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&arguments);
        host_program(&mut command, "mke2fs", "e2fsprogs").map(drop)
    };
    if owner_is_root(directory)? {
        return run(&[]);
    }
    run(&["unshare", "--map-root-user"]).or_else(|_| run(&["fakeroot"]))
}

fn owner_is_root(directory: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(directory).map_err(file_error(directory))?.uid() == 0)
}

/// Debian keeps it where ordinary users' PATH does not look.
fn mke2fs() -> PathBuf {
    let known = ["/usr/sbin/mke2fs", "/sbin/mke2fs"].map(PathBuf::from);
    known.into_iter().find(|path| path.exists()).unwrap_or_else(|| "mke2fs".into())
}
