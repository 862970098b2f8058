//! What a campaign leaves behind: a directory that can be merged with those of other shards, machines and days.
//!
//! ```text
//! findings/KEY.SHARD.json    a root cause: what happens, where it enters, the shortest case
//! coverage/GUEST.SHARD.json  how often each class of each encoding was executed
//! paths/GUEST.SHARD.json     the ways that translators have gone, for each encoding
//! state/GUEST.SHARD.json     how far the shard is
//! ```
//!
//! Each shard writes its own files only, so that any number may share a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::blame::{Culprit, Kind};
use crate::coverage::{Counts, Coverage};
use crate::guest;
use crate::paths::Paths;

/// A difference, and all that are taken to be the same: those of one instruction, of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The guest.
    pub guest: String,
    /// The instruction after which the executions differ, by its name in the decoder's tables.
    pub instruction: String,
    /// In what they differ.
    pub kind: Kind,
    /// What was compared with Ferry's interpreter: `qemu`, `native`, or a tier.
    pub against: String,
    /// Where it enters.
    pub culprit: Culprit,
    /// The difference in words: Ferry's value, then what it should be.
    pub difference: String,
    /// The shortest case, a line for `testsuite/insn`.
    pub case: String,
    /// Who says what the case ends with.
    pub judge: String,
    /// Instructions in the case.
    pub instructions: usize,
    /// The campaign's seed, and the number of the program.
    pub seed: u64,
    /// The first program that showed it.
    pub program: u64,
    /// How many programs showed it.
    pub count: u64,
}

impl Finding {
    /// What tells root causes apart.
    #[must_use]
    pub fn key(&self) -> String {
        let name = self.instruction.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!("{}-{name}-{}", self.guest, self.kind.name())
    }

    /// In words, with the case.
    #[must_use]
    pub fn report(&self) -> String {
        let Self { instruction, kind, against, culprit, difference, case, count, .. } = self;
        format!(
            "{}: {instruction} ({}), {count} times\n  {against} and the interpreter differ: {difference}\n  enters in \
             {culprit}\n  case (results by {}):\n{case}\n",
            self.guest,
            kind.name(),
            self.judge,
        )
    }
}

/// How far a shard is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The campaign's seed.
    pub seed: u64,
    /// The number of the next program.
    pub next: u64,
    /// Programs that were run.
    pub programs: u64,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file or directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: not a file of a campaign: {source}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It belongs to another campaign.
    #[error("{}: of a campaign with seed {found:#x}: name that seed, or another directory", path.display())]
    Seed {
        /// Which file says so.
        path: PathBuf,
        /// Its seed.
        found: u64,
    },
}

/// What a shard has left.
#[derive(Clone, PartialEq, Debug)]
pub struct Left {
    /// How far it is.
    pub progress: Progress,
    /// What it has executed.
    pub counts: Counts,
    /// The ways that its translator has gone.
    pub paths: Paths,
    /// What it has found.
    pub findings: Vec<Finding>,
}

/// A directory of results.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Makes it if it is absent.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn create(root: &Path) -> Result<Self, DirectoryError> {
        for name in ["findings", "coverage", "paths", "state"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|source| DirectoryError::Io { path, source })?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// One that is there.
    ///
    /// # Errors
    /// It is not.
    pub fn open(root: &Path) -> Result<Self, DirectoryError> {
        let path = root.join("findings");
        fs::read_dir(&path).map_err(|source| DirectoryError::Io { path, source })?;
        Ok(Self { root: root.to_owned() })
    }

    /// Writes a shard's finding.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn write_finding(&self, finding: &Finding, shard: &str) -> Result<(), DirectoryError> {
        self.write("findings", &format!("{}.{shard}", finding.key()), finding)
    }

    /// Writes a shard's coverage.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn write_coverage(
        &self,
        guest: &str,
        shard: &str,
        counts: &Counts,
    ) -> Result<(), DirectoryError> {
        self.write("coverage", &format!("{guest}.{shard}"), counts)
    }

    /// Writes the ways that a shard's translator has gone.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn write_paths(
        &self,
        guest: &str,
        shard: &str,
        paths: &Paths,
    ) -> Result<(), DirectoryError> {
        self.write("paths", &format!("{guest}.{shard}"), paths)
    }

    /// Writes how far a shard is.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn write_progress(
        &self,
        guest: &str,
        shard: &str,
        progress: &Progress,
    ) -> Result<(), DirectoryError> {
        self.write("state", &format!("{guest}.{shard}"), progress)
    }

    /// How far a shard is, and what it has left; `None` if it has not begun.
    ///
    /// # Errors
    /// See [`DirectoryError`]; the campaign has another seed.
    pub fn resume(
        &self,
        guest: &str,
        shard: &str,
        seed: u64,
    ) -> Result<Option<Left>, DirectoryError> {
        let name = format!("{guest}.{shard}.json");
        let path = self.root.join("state").join(&name);
        let Some(progress) = read_if_there::<Progress>(&path)? else { return Ok(None) };
        if progress.seed != seed {
            return Err(DirectoryError::Seed { path, found: progress.seed });
        }
        let counts = read_if_there(&self.root.join("coverage").join(&name))?.unwrap_or_default();
        let paths = read_if_there(&self.root.join("paths").join(&name))?.unwrap_or_default();
        let ending = format!(".{shard}.json");
        let mut findings = Vec::new();
        for path in self.files("findings")? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(&format!("{guest}-")) && name.ends_with(&ending) {
                findings.extend(read_if_there(&path)?);
            }
        }
        Ok(Some(Left { progress, counts, paths, findings }))
    }

    fn write(
        &self,
        directory: &str,
        name: &str,
        value: &impl Serialize,
    ) -> Result<(), DirectoryError> {
        let path = self.root.join(directory).join(format!("{name}.json"));
        let format = |source| DirectoryError::Format { path: path.clone(), source };
        let text = serde_json::to_string_pretty(value).map_err(format)? + "\n";
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        // Whole or not at all, whenever the shard is killed.
        let partial = path.with_extension("partial");
        fs::write(&partial, text).map_err(failed)?;
        fs::rename(&partial, &path).map_err(failed)
    }

    fn files(&self, directory: &str) -> Result<Vec<PathBuf>, DirectoryError> {
        let path = self.root.join(directory);
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            // What is not there is empty: an older directory has fewer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let entries = entries.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        Ok(paths)
    }
}

fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DirectoryError> {
    let path = path.to_owned();
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| DirectoryError::Format { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DirectoryError::Io { path, source }),
    }
}

/// What several directories have found together.
#[derive(Debug, Default)]
pub struct Merged {
    /// By key: the shortest case of each, with all counts.
    pub findings: BTreeMap<String, Finding>,
    /// By guest.
    pub coverage: BTreeMap<String, Counts>,
    /// Ways of translators, by guest.
    pub paths: BTreeMap<String, Paths>,
    /// Programs that were run, by guest.
    pub programs: BTreeMap<String, u64>,
}

impl Merged {
    /// Adds what a directory has. Adding one twice counts twice.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn add(&mut self, directory: &Directory) -> Result<(), DirectoryError> {
        for path in directory.files("findings")? {
            if let Some(finding) = read_if_there(&path)? {
                self.add_finding(finding);
            }
        }
        for path in directory.files("coverage")? {
            let mine = self.coverage.entry(guest_of(&path)).or_default();
            for (name, classes) in read_if_there::<Counts>(&path)?.unwrap_or_default() {
                let encoding = mine.entry(name).or_default();
                for (class, count) in classes {
                    let sum = encoding.entry(class).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
        for path in directory.files("paths")? {
            let paths = read_if_there(&path)?.unwrap_or_default();
            self.paths.entry(guest_of(&path)).or_default().merge(&paths);
        }
        for path in directory.files("state")? {
            let progress: Progress = read_if_there(&path)?.unwrap_or_default();
            let sum = self.programs.entry(guest_of(&path)).or_default();
            *sum = sum.saturating_add(progress.programs);
        }
        Ok(())
    }

    fn add_finding(&mut self, finding: Finding) {
        let key = finding.key();
        let Some(known) = self.findings.get_mut(&key) else {
            self.findings.insert(key, finding);
            return;
        };
        let count = known.count.saturating_add(finding.count);
        let weight = |finding: &Finding| (finding.instructions, finding.case.len());
        if weight(&finding) < weight(known) {
            *known = finding;
        }
        known.count = count;
    }

    /// Writes everything into one directory, as of one shard.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn write(&self, directory: &Directory) -> Result<(), DirectoryError> {
        for finding in self.findings.values() {
            directory.write_finding(finding, "merged")?;
        }
        for (guest, counts) in &self.coverage {
            directory.write_coverage(guest, "merged", counts)?;
        }
        for (guest, paths) in &self.paths {
            directory.write_paths(guest, "merged", paths)?;
        }
        for (guest, &programs) in &self.programs {
            let progress = Progress { programs, ..Progress::default() };
            directory.write_progress(guest, "merged", &progress)?;
        }
        Ok(())
    }

    /// All of it in words.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = String::new();
        for finding in self.findings.values() {
            text += &finding.report();
        }
        for (guest, programs) in &self.programs {
            text += &format!("{guest}: {programs} programs\n");
        }
        for (name, counts) in &self.coverage {
            let guest = guest::ALL.into_iter().find(|guest| guest.name == name);
            if let Some(mut coverage) = guest.and_then(Coverage::new) {
                coverage.add(counts);
                let [executed, encodings, seen, classes] = coverage.totals();
                text += &format!(
                    "{name}: {executed} of {encodings} encodings, {seen} of {classes} classes\n"
                );
            }
        }
        for (guest, paths) in &self.paths {
            text += &paths.report(guest);
        }
        text + &format!("{} root causes\n", self.findings.len())
    }
}

/// `aarch64` of `…/aarch64.0of4.json`.
fn guest_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}
