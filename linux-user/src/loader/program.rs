//! From a path to what can be executed: scripts are followed to their interpreters, and what
//! cannot be executed is said exactly.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use syscalls::{Errno, Sysno};

use super::elf::{Elf, ElfError, Machine};
use super::script;
use crate::abi::{self, Architecture};
use crate::fs::FsContext;
use crate::host::{self, Arg};

/// Scripts on the way to an ELF program, at most: as in the kernel.
const SCRIPT_DEPTH: usize = 5;

/// Why a path cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// `ENOENT`
    #[error("{}: no such file; check the path, which with --root starts at that directory", .0.display())]
    NotFound(PathBuf),
    /// `ENOTDIR`
    #[error("{}: no such file: what comes before the last / is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// `ETXTBSY`
    #[error("{}: it is open for writing; close it there first", .0.display())]
    Busy(PathBuf),
    /// Any other error of opening it.
    #[error("{}: cannot be opened: {}", .0.display(), .1)]
    Unopened(PathBuf, Errno),
    /// A directory.
    #[error("{}: this is a directory; name a program in it", .0.display())]
    Directory(PathBuf),
    /// A device, a FIFO, …
    #[error("{}: this is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// No permission to execute it, or to read it.
    #[error("{}: permission denied; `chmod +rx` makes it a program", .0.display())]
    Permission(PathBuf),
    /// Neither ELF nor a script.
    #[error(
        "{}: neither an ELF program nor a script with `#!`; to run a shell script, name its shell",
        .0.display()
    )]
    NotAProgram(PathBuf),
    /// A file that is empty.
    #[error("{}: the file is empty; build or copy it again", .0.display())]
    Empty(PathBuf),
    /// Scripts that lead to scripts.
    #[error("{}: its `#!` interpreters lead on to scripts without end", .0.display())]
    ScriptLoop(PathBuf),
    /// An ELF file that cannot be loaded.
    #[error("{}: {}", .0.display(), .1)]
    BadElf(PathBuf, String),
    /// For a machine that Ferry does not emulate.
    #[error("{}: this is {machine}; ferry runs {supported} programs", path.display())]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// What it is for.
        machine: String,
        /// The guests of this Ferry.
        supported: String,
    },
    /// Its `PT_INTERP` or `#!` line names something that is not there.
    #[error(
        "{}: its interpreter {} is not there{searched}; give the system that it belongs to \
         with --root DIR, or its libraries with -L DIR{hint}",
        path.display(),
        interpreter.display()
    )]
    NoInterpreter {
        /// The file.
        path: PathBuf,
        /// What it names.
        interpreter: PathBuf,
        /// Where it was looked for besides.
        searched: String,
        /// A directory that would do.
        hint: String,
    },
}

impl ProgramError {
    /// What execve(2) says.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::NotFound(_) | Self::NoInterpreter { .. } => Errno::ENOENT,
            Self::NoDirectory(_) => Errno::ENOTDIR,
            Self::Busy(_) => Errno::ETXTBSY,
            Self::Unopened(_, errno) => *errno,
            Self::Directory(_) | Self::NotRegular(_) | Self::Permission(_) => Errno::EACCES,
            Self::ScriptLoop(_) => Errno::ELOOP,
            _ => Errno::ENOEXEC,
        }
    }

    /// What a shell exits with: 127 for "not found", else 126.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if matches!(self.errno(), Errno::ENOENT | Errno::ENOTDIR) { 127 } else { 126 }
    }
}

/// A program, ready to be loaded.
#[derive(Debug)]
pub(crate) struct Executable {
    /// The ELF file.
    pub(crate) file: File,
    /// Its headers.
    pub(crate) elf: Elf,
    /// Its path as the guest names it.
    pub(crate) path: PathBuf,
    /// Its arguments: those given, or with a script's interpreter before them.
    pub(crate) argv: Vec<Vec<u8>>,
}

impl Executable {
    /// The guest architecture that it is for.
    ///
    /// # Errors
    /// None that Ferry emulates.
    pub(crate) fn architecture(&self) -> Result<&'static Architecture, ProgramError> {
        let found = abi::ALL.iter().find(|abi| abi.elf_machine == self.elf.machine.number);
        found.ok_or_else(|| machine_error(&self.path, self.elf.machine))
    }

    /// Whether the host runs it without Ferry.
    pub(crate) fn is_native(&self) -> bool {
        let machine = self.elf.machine;
        machine.number == goblin::elf::header::EM_X86_64 && machine.little_endian
    }

    /// Whether it is one of this architecture's.
    pub(crate) fn is_for(&self, architecture: &Architecture) -> bool {
        let machine = self.elf.machine;
        machine.number == architecture.elf_machine && machine.little_endian
    }
}

/// Follows a path to an ELF program, through scripts.
///
/// # Errors
/// It cannot be executed.
pub(crate) fn resolve(
    fs: &FsContext,
    path: &Path,
    argv: Vec<Vec<u8>>,
) -> Result<Executable, ProgramError> {
    let file = open(fs, path)?;
    resolve_file(fs, path, file, argv)
}

/// As [`resolve`], for a file that is open.
///
/// # Errors
/// It cannot be executed.
pub(crate) fn resolve_file(
    fs: &FsContext,
    path: &Path,
    file: File,
    argv: Vec<Vec<u8>>,
) -> Result<Executable, ProgramError> {
    let (mut file, mut path, mut argv) = (file, path.to_owned(), argv);
    for _ in 0..=SCRIPT_DEPTH {
        check_kind(&file, &path)?;
        match read_shebang(&file, &path)? {
            None => {
                let elf = read_elf(&file, &path)?;
                return Ok(Executable { file, elf, path, argv });
            }
            Some(shebang) => {
                let interpreter = PathBuf::from(OsStr::from_bytes(&shebang.interpreter));
                file = open(fs, &interpreter).map_err(|error| match error {
                    ProgramError::NotFound(_) => no_interpreter(fs, &path, &interpreter, None),
                    other => other,
                })?;
                let rest = argv.into_iter().skip(1);
                argv = std::iter::once(shebang.interpreter)
                    .chain(shebang.argument)
                    .chain([path.as_os_str().as_bytes().to_vec()])
                    .chain(rest)
                    .collect();
                path = interpreter;
            }
        }
    }
    Err(ProgramError::ScriptLoop(path))
}

/// Opens and reads the ELF interpreter of a program, if it has one.
///
/// # Errors
/// It is not there, or no program for the same machine.
pub(crate) fn open_interpreter(
    fs: &FsContext,
    program: &Executable,
) -> Result<Option<(File, Elf)>, ProgramError> {
    let Some(name) = &program.elf.interpreter else {
        check_properties(&program.elf, &program.path)?;
        return Ok(None);
    };
    let path = PathBuf::from(OsStr::from_bytes(name));
    let file = open(fs, &path).map_err(|error| match error {
        ProgramError::NotFound(_) => {
            no_interpreter(fs, &program.path, &path, Some(program.elf.machine))
        }
        other => other,
    })?;
    check_kind(&file, &path)?;
    let elf = read_elf(&file, &path)?;
    if elf.machine == program.elf.machine {
        check_properties(&elf, &path)?;
        return Ok(Some((file, elf)));
    }
    let text = format!("its interpreter {} is {}", path.display(), elf.machine);
    Err(ProgramError::BadElf(program.path.clone(), text))
}

/// What the kernel's `parse_elf_properties` says, of a program's interpreter or else the program itself. Of these
/// architectures it reads arm64's only.
fn check_properties(elf: &Elf, path: &Path) -> Result<(), ProgramError> {
    match &elf.properties {
        Err(error) if elf.machine.number == goblin::elf::header::EM_AARCH64 => {
            Err(ProgramError::BadElf(path.to_owned(), error.to_string()))
        }
        _ => Ok(()),
    }
}

fn open(fs: &FsContext, path: &Path) -> Result<File, ProgramError> {
    fs.open_program(path).map_err(|errno| match errno {
        Errno::ENOENT => ProgramError::NotFound(path.to_owned()),
        Errno::ENOTDIR => ProgramError::NoDirectory(path.to_owned()),
        Errno::EACCES => ProgramError::Permission(path.to_owned()),
        Errno::EISDIR => ProgramError::Directory(path.to_owned()),
        other => ProgramError::Unopened(path.to_owned(), other),
    })
}

fn check_kind(file: &File, path: &Path) -> Result<(), ProgramError> {
    let metadata = file.metadata();
    let kind = metadata.as_ref().map(std::fs::Metadata::file_type);
    match kind {
        Ok(kind) if kind.is_dir() => Err(ProgramError::Directory(path.to_owned())),
        Ok(kind) if !kind.is_file() || kind.is_fifo() => {
            Err(ProgramError::NotRegular(path.to_owned()))
        }
        Ok(_) if !may_execute(file) => Err(ProgramError::Permission(path.to_owned())),
        Ok(_) if is_being_written(file) => Err(ProgramError::Busy(path.to_owned())),
        Ok(_) => Ok(()),
        Err(_) => Err(ProgramError::Unopened(path.to_owned(), Errno::EIO)),
    }
}

fn may_execute(file: &File) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    let flags = libc::AT_EMPTY_PATH | libc::AT_EACCESS;
    let answer = host::call(
        Sysno::faccessat2,
        [Arg::from(file.as_fd()), Arg::from(c""), Arg::from(libc::X_OK), Arg::from(flags)],
    );
    match answer {
        // Hosts before Linux 5.8.
        Err(Errno::ENOSYS) => file.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0),
        answer => answer.is_ok(),
    }
}

/// Whether somebody has the file open for writing: then execve(2) would refuse it. Only hosts since
/// Linux 6.14 can be asked.
fn is_being_written(file: &File) -> bool {
    use std::os::fd::AsFd;
    const AT_EXECVE_CHECK: i32 = 0x10000;
    // No arguments at all would be noted in the kernel's log.
    let (argv, envp) = ([c"".as_ptr() as u64, 0], [0_u64; 1]);
    let flags = libc::AT_EMPTY_PATH | AT_EXECVE_CHECK;
    let answer = host::call(
        Sysno::execveat,
        [
            Arg::from(file.as_fd()),
            Arg::from(c""),
            Arg::reads(&argv),
            Arg::reads(&envp),
            Arg::from(flags),
        ],
    );
    answer == Err(Errno::ETXTBSY)
}

fn read_shebang(file: &File, path: &Path) -> Result<Option<script::Shebang>, ProgramError> {
    let mut start = [0; script::LINE_LIMIT];
    let got = file.read_at(&mut start, 0).unwrap_or(0);
    if got == 0 {
        return Err(ProgramError::Empty(path.to_owned()));
    }
    let shebang = script::parse(&start[..got]);
    if shebang.is_none() && start.starts_with(b"#!") {
        return Err(ProgramError::NotAProgram(path.to_owned()));
    }
    Ok(shebang)
}

fn read_elf(file: &File, path: &Path) -> Result<Elf, ProgramError> {
    Elf::read(file).map_err(|error| match error {
        ElfError::NotElf => ProgramError::NotAProgram(path.to_owned()),
        ElfError::OtherMachine(machine) => machine_error(path, machine),
        other => ProgramError::BadElf(path.to_owned(), other.to_string()),
    })
}

fn machine_error(path: &Path, machine: Machine) -> ProgramError {
    let (path, machine_text) = (path.to_owned(), machine.to_string());
    let names: Vec<&str> = abi::ALL.iter().map(|abi| abi.name).collect();
    ProgramError::OtherMachine { path, machine: machine_text, supported: names.join(", ") }
}

fn no_interpreter(
    fs: &FsContext,
    path: &Path,
    interpreter: &Path,
    machine: Option<Machine>,
) -> ProgramError {
    let abi =
        machine.and_then(|machine| abi::ALL.iter().find(|abi| abi.elf_machine == machine.number));
    // Where Debian's cross-compilers keep a guest's libraries.
    let packaged = abi.map(|abi| format!("/usr/{}-linux-gnu", abi.name));
    let hint = packaged.filter(|dir| Path::new(dir).is_dir());
    ProgramError::NoInterpreter {
        path: path.to_owned(),
        interpreter: interpreter.to_owned(),
        searched: fs
            .searched()
            .map_or(String::new(), |dir| format!(", nor below {}", dir.display())),
        hint: hint.map_or(String::new(), |dir| format!(", here perhaps -L {dir}")),
    }
}
