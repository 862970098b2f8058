//! The initial stack: arguments, environment and auxiliary vector, as the kernel lays them out.

use syscalls::Errno;

/// The longest single string (`MAX_ARG_STRLEN`), in bytes with its zero.
pub(crate) const STRING_MAX: usize = 32 * 4096;
/// All strings together when the stack limit allows more (`_STK_LIM / 4 * 3`).
const TOTAL_MAX: u64 = 6 << 20;

/// Keys of the auxiliary vector (getauxval(3), `uapi/linux/auxvec.h`).
pub(crate) mod at {
    pub(crate) const NULL: u64 = 0;
    pub(crate) const PHDR: u64 = 3;
    pub(crate) const PHENT: u64 = 4;
    pub(crate) const PHNUM: u64 = 5;
    pub(crate) const PAGESZ: u64 = 6;
    pub(crate) const BASE: u64 = 7;
    pub(crate) const FLAGS: u64 = 8;
    pub(crate) const ENTRY: u64 = 9;
    pub(crate) const UID: u64 = 11;
    pub(crate) const EUID: u64 = 12;
    pub(crate) const GID: u64 = 13;
    pub(crate) const EGID: u64 = 14;
    pub(crate) const PLATFORM: u64 = 15;
    pub(crate) const HWCAP: u64 = 16;
    pub(crate) const CLKTCK: u64 = 17;
    pub(crate) const SECURE: u64 = 23;
    pub(crate) const RANDOM: u64 = 25;
    pub(crate) const HWCAP2: u64 = 26;
    pub(crate) const HWCAP3: u64 = 29;
    pub(crate) const EXECFN: u64 = 31;
    pub(crate) const SYSINFO_EHDR: u64 = 33;
    pub(crate) const MINSIGSTKSZ: u64 = 51;
}

/// What goes onto the stack.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackContents<'a> {
    pub(crate) argv: &'a [Vec<u8>],
    pub(crate) envp: &'a [Vec<u8>],
    /// The path that was executed: `AT_EXECFN`.
    pub(crate) execfn: &'a [u8],
    /// `AT_PLATFORM`
    pub(crate) platform: Option<&'a str>,
    /// `AT_RANDOM`
    pub(crate) random: [u8; 16],
    /// The rest of the auxiliary vector.
    pub(crate) auxv: &'a [(u64, u64)],
}

/// A finished stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StackImage {
    /// The initial stack pointer, and where `bytes` go.
    pub(crate) sp: u64,
    /// Everything from `sp` to the top.
    pub(crate) bytes: Vec<u8>,
    /// The auxiliary vector within `bytes`, with its end mark.
    pub(crate) auxv: std::ops::Range<usize>,
}

/// Whether so many strings may be given to a program (execve(2), "Limits on size of arguments and
/// environment").
///
/// # Errors
/// `E2BIG`
pub(crate) fn check_size(
    argv: &[Vec<u8>],
    envp: &[Vec<u8>],
    stack_limit: u64,
) -> Result<(), Errno> {
    let strings = || argv.iter().chain(envp);
    let total: u64 = strings().map(|string| string.len() as u64 + 1 + 8).sum();
    let limit = (stack_limit / 4).min(TOTAL_MAX).max(STRING_MAX as u64);
    if total > limit || strings().any(|string| string.len() >= STRING_MAX) {
        return Err(Errno::E2BIG);
    }
    Ok(())
}

/// Lays out the stack below `top` (a multiple of 16).
pub(crate) fn build(contents: &StackContents<'_>, top: u64) -> StackImage {
    let mut strings = Strings::default();
    let argv: Vec<u64> = contents.argv.iter().map(|s| strings.push(s)).collect();
    let envp: Vec<u64> = contents.envp.iter().map(|s| strings.push(s)).collect();
    let execfn = strings.push(contents.execfn);
    let platform = contents.platform.map(|name| strings.push(name.as_bytes()));
    let random = strings.bytes.len() as u64;
    strings.bytes.extend_from_slice(&contents.random);
    // The last word of the stack is zero.
    strings.bytes.resize(strings.bytes.len().next_multiple_of(16) + 16, 0);
    let strings_at = top - strings.bytes.len() as u64;

    let mut auxv = contents.auxv.to_vec();
    auxv.push((at::RANDOM, strings_at + random));
    auxv.push((at::EXECFN, strings_at + execfn));
    auxv.extend(platform.map(|offset| (at::PLATFORM, strings_at + offset)));
    auxv.push((at::NULL, 0));

    let mut words = vec![argv.len() as u64];
    words.extend(argv.iter().map(|offset| strings_at + offset));
    words.push(0);
    words.extend(envp.iter().map(|offset| strings_at + offset));
    words.push(0);
    let auxv_at = words.len() * 8;
    words.extend(auxv.iter().flat_map(|(key, value)| [*key, *value]));

    let sp = (strings_at - words.len() as u64 * 8) & !15;
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let auxv = auxv_at..bytes.len();
    bytes.resize((strings_at - sp) as usize, 0);
    bytes.extend_from_slice(&strings.bytes);
    StackImage { sp, bytes, auxv }
}

#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    /// Appends a string with its zero; returns where it starts.
    fn push(&mut self, string: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_again_from_the_stack_pointer() {
        let argv = [b"prog".to_vec(), b"".to_vec(), b"x y".to_vec()];
        let envp = [b"A=1".to_vec()];
        let contents = StackContents {
            argv: &argv,
            envp: &envp,
            execfn: b"/bin/prog",
            platform: None,
            random: [7; 16],
            auxv: &[(at::PAGESZ, 4096)],
        };
        let top = 0x4000_0000_0000;
        let image = build(&contents, top);
        assert_eq!(image.sp % 16, 0);
        assert_eq!(image.sp + image.bytes.len() as u64, top);
        let word = |n: usize| u64::from_le_bytes(image.bytes[n * 8..n * 8 + 8].try_into().unwrap());
        let string = |addr: u64| {
            let rest = &image.bytes[(addr - image.sp) as usize..];
            rest[..rest.iter().position(|&b| b == 0).unwrap()].to_vec()
        };
        assert_eq!(word(0), 3);
        assert_eq!([1, 2, 3].map(|n| string(word(n))), argv);
        assert_eq!((word(4), string(word(5)), word(6)), (0, b"A=1".to_vec(), 0));
        assert_eq!((word(7), word(8)), (at::PAGESZ, 4096));
        assert_eq!(word(9), at::RANDOM);
        let random = (word(10) - image.sp) as usize;
        assert_eq!(image.bytes[random..random + 16], [7; 16]);
        assert_eq!((word(11), string(word(12))), (at::EXECFN, b"/bin/prog".to_vec()));
        assert_eq!(image.auxv, 7 * 8..15 * 8);
    }

    #[test]
    fn too_much_is_e2big() {
        let long = [vec![b'a'; STRING_MAX]];
        assert_eq!(check_size(&long, &[], 8 << 20), Err(Errno::E2BIG));
        let many = vec![vec![b'a'; 1000]; 3000];
        assert_eq!(check_size(&many, &[], 8 << 20), Err(Errno::E2BIG));
        assert_eq!(check_size(&many[..1000], &many[..100], 8 << 20), Ok(()));
    }
}
