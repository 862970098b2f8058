//! What the manual leaves open, and how a difference in it is told from one that is none.

use std::collections::BTreeMap;

use base::GuestVirt;
use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind};

use super::TARGET;
use super::choice::is_choice;
use crate::guest::X86_64;
use crate::guest::x86_64::{RFLAGS, flags_of, host_lacks, instructions};
use crate::machine::{CODE, End, PAGE};
use crate::program::{Outcome, Program};

/// Flags that are undefined before the instruction at an address, or at the end of the code.
type Open = BTreeMap<u64, u64>;

/// Whether any two processors may differ after it: it reads flags that are undefined, touches memory where it may or may
/// not, does not end, or is none of this host's.
pub(super) fn is_open(program: &Program, mine: &Outcome, theirs: &Outcome) -> bool {
    if [mine.1, theirs.1].contains(&End::Endless) {
        return true;
    }
    let code = program.code();
    let chooses = faults_at(&code, theirs.1).is_some_and(may_touch_all)
        || matches!(mine.1, End::Fault { addr, .. } if is_the_oracles(addr));
    (chooses || traces(&code)) && mine.1 != theirs.1
        || !base::host::is_intel()
            && (instructions(&code).any(|insn| is_choice(&insn)) || jumps_inside(program, &code))
        || reads_undefined(&code, &open_flags(program, &code))
        || host_lacks(&code).is_some()
}

/// Without undefined flags, and what else processors differ in.
pub(super) fn settled(program: &Program, (state, end): &Outcome) -> Outcome {
    let code = program.code();
    let open = open_flags(program, &code);
    let at = match *end {
        End::Stopped(pc) | End::Illegal(pc) | End::Breakpoint(pc) | End::Syscall(pc) => pc,
        End::Misaligned { pc } | End::Fault { pc, .. } | End::Arithmetic { pc, .. } => pc,
        End::Endless => CODE,
    };
    // Where nothing is known to come to, anything may.
    let any = || open.values().fold(0, |all, open| all | open);
    let mut state = state.clone();
    state.words[RFLAGS] &= !open.get(&at.0).copied().unwrap_or_else(any);
    (X86_64.forget_interrupted)(&code, end, &mut state.words);
    (state, without_free_address(&code, *end))
}

/// Follows the code until nothing changes.
fn open_flags(program: &Program, code: &[u8]) -> Open {
    let mut open = Open::from([(CODE.0, 0)]);
    loop {
        let mut changed = false;
        for insn in instructions(code) {
            let Some(&before) = open.get(&insn.ip()) else { continue };
            let after = before & !given(&insn) | flags_of(insn.rflags_undefined());
            for next in successors(program, &insn) {
                let known = open.entry(next).or_insert_with(|| {
                    changed = true;
                    0
                });
                changed |= after & !*known != 0;
                *known |= after;
            }
        }
        if !changed {
            return open;
        }
    }
}

fn successors(program: &Program, insn: &Instruction) -> Vec<u64> {
    let target = program.before.words[usize::from(TARGET)];
    match insn.flow_control() {
        FlowControl::UnconditionalBranch | FlowControl::Call => vec![insn.near_branch_target()],
        FlowControl::IndirectBranch | FlowControl::IndirectCall => vec![target],
        FlowControl::ConditionalBranch => vec![insn.next_ip(), insn.near_branch_target()],
        _ => vec![insn.next_ip()],
    }
}

/// Whether it may go on within one of the instructions that are known: at others, of which nothing is.
fn jumps_inside(program: &Program, code: &[u8]) -> bool {
    let starts: Vec<u64> = instructions(code).map(|insn| insn.ip()).collect();
    let inside = |at: u64| at.wrapping_sub(CODE.0) < code.len() as u64 && !starts.contains(&at);
    instructions(code).any(|insn| successors(program, &insn).into_iter().any(inside))
}

/// Flags that it defines, whatever its operands.
fn given(insn: &Instruction) -> u64 {
    let by_count = (0..insn.op_count()).any(|n| insn.op_register(n) == iced_x86::Register::CL)
        && insn.rflags_undefined() != 0;
    let repeats = insn.has_rep_prefix() || insn.has_repne_prefix();
    // None of a shift by 0, or of no string at all.
    if by_count || repeats {
        return 0;
    }
    flags_of(insn.rflags_written() | insn.rflags_cleared() | insn.rflags_set())
}

fn reads_undefined(code: &[u8], open: &Open) -> bool {
    instructions(code).any(|insn| {
        let before = open.get(&insn.ip()).copied().unwrap_or(0);
        before & flags_of(insn.rflags_read()) != 0 || before != 0 && reads_all_flags(&insn)
    })
}

fn reads_all_flags(insn: &Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Pushf | Mnemonic::Pushfq | Mnemonic::Lahf)
}

/// Whether it can have the processor trap after each instruction, or check alignment: what only debuggers do.
fn traces(code: &[u8]) -> bool {
    instructions(code).any(|insn| matches!(insn.mnemonic(), Mnemonic::Popf | Mnemonic::Popfq))
}

/// Whether the program that asks the processor has something there: the code that loads registers, and breakpoints as far as
/// branches reach (`fuzz/oracle/oracle.h`).
fn is_the_oracles(addr: GuestVirt) -> bool {
    let below = CODE.0.wrapping_sub(addr.0);
    below != 0 && below <= 16 * PAGE as u64
}

/// The instruction of which an access faulted.
fn faults_at(code: &[u8], end: End) -> Option<Instruction> {
    let End::Fault { pc, .. } = end else { return None };
    instructions(code).find(|insn| insn.ip() == pc.0)
}

/// SDM vol. 2, MASKMOVDQU: whether memory that no bit of the mask chooses faults is the processor's choice.
fn may_touch_all(insn: Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu)
}

/// Which byte of a page a store under a mask faults at is the processor's choice, too.
fn without_free_address(code: &[u8], end: End) -> End {
    let is_free = faults_at(code, end).is_some_and(|insn| match insn.mnemonic() {
        Mnemonic::Vmaskmovps
        | Mnemonic::Vmaskmovpd
        | Mnemonic::Vpmaskmovd
        | Mnemonic::Vpmaskmovq => insn.op0_kind() == OpKind::Memory,
        _ => may_touch_all(insn),
    });
    match end {
        End::Fault { pc, addr } if is_free => End::Fault { pc, addr: addr.page() },
        end => end,
    }
}
