//! The directory outside the source tree that holds what tests fetch and build.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// `$FERRY_TEST_CACHE`, or `ferry-tests` under the user's cache directory.
#[must_use]
pub fn directory() -> PathBuf {
    if let Some(explicit) = env::var_os("FERRY_TEST_CACHE") {
        return explicit.into();
    }
    let home =
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("ferry-tests")
}

/// A subdirectory of [`directory`], made when absent.
///
/// # Errors
/// When it cannot be made.
pub fn subdirectory(name: &str) -> io::Result<PathBuf> {
    let path = directory().join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// A name for `parts` that changes when any of them does (64-bit FNV-1a, not for adversaries).
#[must_use]
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    for part in parts {
        part.len().to_le_bytes().into_iter().for_each(&mut add);
        part.iter().copied().for_each(&mut add);
    }
    format!("{hash:016x}")
}

/// The root of the source tree.
#[must_use]
pub fn source_tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Whether the full suites were asked for: they may fetch packages and take minutes.
#[must_use]
pub fn full_run() -> bool {
    is_set("FERRY_TEST_FULL")
}

/// Whether even what takes an hour is wanted: as many operands of each instruction as are worth trying.
#[must_use]
pub fn long_run() -> bool {
    is_set("FERRY_TEST_LONG")
}

/// Whether an environment variable that is a switch is on.
#[must_use]
pub fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0")
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn fingerprint_sees_where_parts_end() {
        let joined: [&[u8]; 2] = [b"ab", b"c"];
        let split: [&[u8]; 2] = [b"a", b"bc"];
        assert_ne!(fingerprint(joined), fingerprint(split));
        assert_eq!(fingerprint(joined), fingerprint(joined));
    }
}
