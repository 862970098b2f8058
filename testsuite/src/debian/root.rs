//! Turns pinned packages into a directory that serves as `/` of a foreign system.
//!
//! Packages are unpacked, not installed: their maintainer scripts do not run. The few things that
//! those would have set up and that the suites need are made here.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Error, Manifest, Mirror, Package, file_error};
use crate::cache;
use crate::host_program::{self, stderr_of};

/// Directories that Debian's merged /usr replaces by links into it.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// Mount points, and directories that no package ships.
const DIRECTORIES: [&str; 8] = ["proc", "sys", "dev", "run", "root", "tmp", "var/tmp", "etc"];
/// Documentation, which no test reads.
const EXCLUDED: [&str; 5] = [
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/lintian",
];
/// Links below usr/ that update-alternatives would have made.
const ALTERNATIVES: [(&str, &str); 12] = [
    ("bin/awk", "gawk"),
    ("bin/cc", "gcc"),
    ("bin/c++", "g++"),
    ("bin/java", "../lib/jvm/java-21-openjdk-amd64/bin/java"),
    ("bin/java", "../lib/jvm/java-21-openjdk-arm64/bin/java"),
    ("bin/lua", "lua5.4"),
    ("bin/nc", "busybox"),
    ("bin/php", "php8.4"),
    ("lib/aarch64-linux-gnu/libblas.so.3", "blas/libblas.so.3"),
    ("lib/aarch64-linux-gnu/liblapack.so.3", "lapack/liblapack.so.3"),
    ("lib/x86_64-linux-gnu/libblas.so.3", "blas/libblas.so.3"),
    ("lib/x86_64-linux-gnu/liblapack.so.3", "lapack/liblapack.so.3"),
];
const FILES: [(&str, &str); 6] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/hostname", "localhost\n"),
    ("etc/resolv.conf", ""),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// A complete root directory.
#[derive(Debug, Clone)]
pub struct Root {
    /// Where it is on the host.
    pub path: PathBuf,
}

/// The root directory for `manifest`, if it is in the cache.
///
/// # Errors
/// When links that it lacks, because it was made before they were known of, cannot be made.
pub fn existing(manifest: &Manifest) -> Result<Option<Root>, Error> {
    let path = place(manifest);
    if !path.is_dir() {
        return Ok(None);
    }
    link_alternatives(&path).map_err(file_error(&path))?;
    Ok(Some(Root { path }))
}

/// The root directory for `manifest`; fetches and unpacks what is not in the cache.
///
/// # Errors
/// When packages cannot be had, or are not what was pinned.
pub fn prepare(manifest: &Manifest, report: &dyn Fn(&str)) -> Result<Root, Error> {
    let directory = cache::directory();
    fs::create_dir_all(&directory).map_err(file_error(&directory))?;
    let lock_path = directory.join("debian.lock");
    let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
    lock.lock().map_err(file_error(&lock_path))?;
    if let Some(root) = existing(manifest)? {
        return Ok(root);
    }
    let archive = directory.join("packages");
    fetch(&manifest.lock.packages, &archive, report)?;
    let path = place(manifest);
    let partial = path.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(file_error(&partial))?;
    }
    report(&format!("unpacking {} packages into {}", manifest.lock.packages.len(), path.display()));
    lay_out(&partial).map_err(file_error(&partial))?;
    for package in &manifest.lock.packages {
        unpack(&archive.join(package.file_name()), &partial)?;
    }
    finish(&partial).map_err(file_error(&partial))?;
    fs::rename(&partial, &path).map_err(file_error(&path))?;
    Ok(Root { path })
}

fn place(manifest: &Manifest) -> PathBuf {
    let wanted = &manifest.wanted;
    let name = format!("{}-{}-{}", wanted.suite, wanted.architecture, manifest.lock.fingerprint());
    cache::directory().join(name)
}

fn fetch(packages: &[Package], archive: &Path, report: &dyn Fn(&str)) -> Result<(), Error> {
    fs::create_dir_all(archive).map_err(file_error(archive))?;
    let absent: Vec<&Package> =
        packages.iter().filter(|package| !archive.join(package.file_name()).exists()).collect();
    if !absent.is_empty() {
        let bytes: u64 = absent.iter().map(|package| package.size).sum();
        report(&format!("fetching {} packages, {} MB", absent.len(), bytes / 1_000_000));
        Mirror::of_host()?.fetch(&absent, archive)?;
    }
    packages.iter().try_for_each(|package| verify(package, &archive.join(package.file_name())))
}

/// A cached file may have been cut short since it was fetched; it is removed, to be fetched again.
fn verify(package: &Package, file: &Path) -> Result<(), Error> {
    let output =
        host_program::run(Command::new("sha256sum").arg("--").arg(file), "sha256sum", "coreutils")?;
    let found = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    if found == package.sha256 {
        return Ok(());
    }
    fs::remove_file(file).map_err(file_error(file))?;
    Err(Error::Checksum { path: file.to_owned(), expected: package.sha256.clone(), found })
}

fn lay_out(root: &Path) -> io::Result<()> {
    for name in MERGED {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name))?;
    }
    ["tmp", "var/tmp"].iter().try_for_each(|name| {
        fs::set_permissions(root.join(name), PermissionsExt::from_mode(0o1777))
    })
}

fn unpack(package: &Path, root: &Path) -> Result<(), Error> {
    let missing =
        |source| host_program::Error::Missing { program: "dpkg-deb", package: "dpkg", source };
    let mut source = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--no-same-owner", "--keep-directory-symlink"]).arg("-C").arg(root);
    tar.args(EXCLUDED.map(|path| format!("--exclude={path}")));
    if let Some(stream) = source.stdout.take() {
        tar.stdin(stream);
    }
    let output = host_program::run(&mut tar, "tar", "tar")?;
    let unpacked = source.wait().map_err(missing)?.success() && output.status.success();
    if unpacked {
        Ok(())
    } else {
        let (program, stderr) = ("tar", stderr_of(&output));
        Err(host_program::Error::Failed { program, stderr }.into())
    }
}

fn finish(root: &Path) -> io::Result<()> {
    link_alternatives(root)?;
    FILES.iter().try_for_each(|(path, text)| fs::write(root.join(path), text))
}

fn link_alternatives(root: &Path) -> io::Result<()> {
    for (name, target) in ALTERNATIVES {
        let link = root.join("usr").join(name);
        let is_there = link.parent().is_some_and(|directory| directory.join(target).exists());
        if is_there && fs::symlink_metadata(&link).is_err() {
            match symlink(target, &link) {
                // Another run has just made it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
    }
    Ok(())
}
