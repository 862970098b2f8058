//! Programs: ELF files, their interpreters, scripts, the vdso and the initial stack.

pub(crate) mod elf;
mod program;
mod script;
pub(crate) mod stack;
mod symbol;
pub(crate) mod vdso;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::{Errno, Sysno};

pub use program::ProgramError;
pub(crate) use program::{Executable, open_interpreter, resolve, resolve_file};
pub(crate) use symbol::symbol;

use crate::abi::Abi;
use crate::host::{self, Arg};
use crate::memory::vma::Prot;
use crate::memory::{AddressSpace, MapRequest, STACK};
use crate::user::UserSlice;
use elf::{Elf, Loaded};
use stack::{StackContents, StackImage, at};

/// Unmapped below the stack, so that running over it is noticed (the kernel's `stack_guard_gap`).
const STACK_GUARD: u64 = 1 << 20;
/// The stack where the limit allows more.
const STACK_MAX: u64 = 256 << 20;
/// The stack where the limit allows less.
const STACK_MIN: u64 = 128 << 10;
/// `AT_CLKTCK`, the same everywhere.
const CLOCK_TICKS: u64 = 100;

/// A program in memory, about to start.
#[derive(Debug)]
pub(crate) struct Image {
    /// The first instruction: the interpreter's, if there is one.
    pub(crate) entry: GuestVirt,
    /// What was added to every address of the program's file.
    pub(crate) bias: u64,
    /// The stack pointer.
    pub(crate) sp: GuestVirt,
    /// The auxiliary vector, as /proc/self/auxv shows it.
    pub(crate) auxv: Vec<u8>,
    /// The vdso's code that returns from a signal handler.
    pub(crate) sigreturn: Option<GuestVirt>,
}

/// What cannot be known from the file.
pub(crate) struct Environment<'a> {
    /// Its architecture.
    pub(crate) abi: &'static dyn Abi,
    /// `NAME=value` strings.
    pub(crate) envp: &'a [Vec<u8>],
    /// The path that was executed, before scripts were followed: `AT_EXECFN`.
    pub(crate) execfn: &'a [u8],
    /// The soft limit of the stack's size, in bytes.
    pub(crate) stack_limit: u64,
}

/// Maps a program, its interpreter, the vdso and the stack into an empty address space.
///
/// # Errors
/// They do not fit.
pub(crate) fn load(
    program: &Executable,
    interpreter: Option<&(File, Elf)>,
    environment: &Environment<'_>,
    memory: &AddressSpace,
) -> Result<Image, ProgramError> {
    let bad = |error: String| ProgramError::BadElf(program.path.clone(), error);
    // Where malformed ones matter, the program is not loaded.
    let code_of = |elf: &Elf| {
        elf.properties.as_ref().map_or(Prot::default(), |of| environment.abi.code_protections(of))
    };
    let stack_len = environment.stack_limit.clamp(STACK_MIN, STACK_MAX) & !(PAGE_SIZE - 1);
    let stack_top = environment.abi.stack_top().0;
    memory.set_stack(stack_top - stack_len - STACK_GUARD..stack_top);
    // Of a program that has an interpreter, the interpreter sees to it.
    let own = if interpreter.is_some() { Prot::default() } else { code_of(&program.elf) };
    let main = program
        .elf
        .map(&program.file, memory, pie_base(stack_top), own)
        .map_err(|error| bad(error.to_string()))?;
    let linker = interpreter
        .map(|(file, elf)| elf.map(file, memory, GuestVirt(0), code_of(elf)))
        .transpose()
        .map_err(|error| bad(format!("its interpreter: {error}")))?;
    memory.set_brk_start(GuestVirt(main.end.0.next_multiple_of(PAGE_SIZE)));
    let no_room = |errno: Errno| bad(format!("no room for its stack or vdso: {errno}"));
    let (vdso, sigreturn) = map_vdso(environment.abi, memory).map_err(no_room)?;
    let stack = map_stack(memory, stack_top, stack_len, program.elf.executable_stack);
    stack.map_err(no_room)?;
    let image = build_stack(program, &main, linker.as_ref(), environment, vdso, stack_top)
        .map_err(no_room)?;
    let place = UserSlice { addr: GuestVirt(image.sp), len: image.bytes.len() as u64 };
    place.write(&image.bytes).map_err(no_room)?;
    Ok(Image {
        entry: linker.map_or(main.entry, |linker| linker.entry),
        bias: main.bias,
        sp: GuestVirt(image.sp),
        auxv: image.bytes[image.auxv].to_vec(),
        sigreturn,
    })
}

/// Where position-independent programs are loaded: two thirds up, below everything that is mapped
/// top-down (the kernel's `ELF_ET_DYN_BASE`).
fn pie_base(stack_top: u64) -> GuestVirt {
    GuestVirt(stack_top / 3 * 2).page()
}

fn build_stack(
    program: &Executable,
    main: &Loaded,
    linker: Option<&Loaded>,
    environment: &Environment<'_>,
    vdso: GuestVirt,
    top: u64,
) -> Result<StackImage, Errno> {
    stack::check_size(&program.argv, environment.envp, environment.stack_limit)?;
    let abi = environment.abi;
    let id = |number| host::call(number, []);
    let auxv = [
        (at::SYSINFO_EHDR, vdso.0),
        (at::HWCAP, abi.hwcap()),
        (at::PAGESZ, PAGE_SIZE),
        (at::CLKTCK, CLOCK_TICKS),
        (at::PHDR, main.headers.0),
        (at::PHENT, 56),
        (at::PHNUM, u64::from(main.header_count)),
        (at::BASE, linker.map_or(0, |linker| linker.bias)),
        (at::FLAGS, 0),
        (at::ENTRY, main.entry.0),
        (at::UID, id(Sysno::getuid)?),
        (at::EUID, id(Sysno::geteuid)?),
        (at::GID, id(Sysno::getgid)?),
        (at::EGID, id(Sysno::getegid)?),
        (at::SECURE, 0),
        (at::HWCAP2, abi.hwcap2()),
        (at::MINSIGSTKSZ, abi.min_signal_stack()),
    ];
    let hwcap3 = abi.hwcap3().map(|value| (at::HWCAP3, value));
    let auxv: Vec<(u64, u64)> = auxv.into_iter().chain(hwcap3).collect();
    let mut random = [0; 16];
    host::call(Sysno::getrandom, [Arg::writes(&mut random), Arg::from(16_u64), Arg::from(0)])?;
    let contents = StackContents {
        argv: &program.argv,
        envp: environment.envp,
        execfn: environment.execfn,
        platform: abi.platform(),
        random,
        auxv: &auxv,
    };
    Ok(stack::build(&contents, top))
}

/// The host's soft limit of the stack's size, in bytes.
pub(crate) fn stack_limit() -> u64 {
    let mut limit = [0_u64; 2];
    let got = host::call(
        Sysno::prlimit64,
        [Arg::from(0), Arg::from(libc::RLIMIT_STACK), Arg::from(0), Arg::writes(&mut limit)],
    );
    got.map_or(8 << 20, |_| limit[0])
}

fn map_stack(memory: &AddressSpace, top: u64, len: u64, executable: bool) -> Result<(), Errno> {
    let request = MapRequest::anonymous(GuestVirt(top - len), len);
    let exec = if executable { Prot::EXEC } else { 0 };
    let flags = request.flags | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
    let prot = Prot(request.prot.0 | exec);
    memory.map(&MapRequest { flags, prot, name: Some(STACK), ..request }).map(|_| ())
}

fn map_vdso(abi: &dyn Abi, memory: &AddressSpace) -> Result<(GuestVirt, Option<GuestVirt>), Errno> {
    let spec = abi.vdso();
    let vdso = vdso::build(spec);
    let request = MapRequest::anonymous(GuestVirt(0), vdso.bytes.len() as u64);
    let at = memory.map(&MapRequest { name: Some("[vdso]"), ..request })?;
    UserSlice { addr: at, len: vdso.bytes.len() as u64 }.write(&vdso.bytes)?;
    let code = Prot(Prot::READ | Prot::EXEC | abi.vdso_protections());
    memory.protect_range(at, PAGE_SIZE, code)?;
    let sigreturn = vdso.offsets.iter().find(|(name, _)| Some(*name) == abi.sigreturn_symbol());
    Ok((at, sigreturn.map(|(_, offset)| at.wrapping_add(*offset))))
}

/// The name that the main thread starts with: the last part of the path that was executed, a script's
/// too, cut as the kernel cuts it.
pub(crate) fn set_comm(path: &Path) {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut comm = [0_u8; 16];
    let len = name.len().min(15);
    comm[..len].copy_from_slice(&name[..len]);
    let _ = host::call(Sysno::prctl, [Arg::from(libc::PR_SET_NAME), Arg::reads(&comm)]);
}
