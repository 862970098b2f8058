//! What instructions cost, for the guests' snapshots: what makes one dearer shows in their difference.

use ir::{Block, Guest, Inst, Terminator, Trap};

/// A line for a block of one instruction: its name, how many operations it takes, and which. `undefined` is the guest's
/// word for instructions that it does not have.
pub(crate) fn line(name: &str, block: &Block, guest: &Guest, undefined: &str) -> String {
    let mut names: Vec<String> =
        block.insts[1..].iter().map(|inst| operation(inst, guest)).collect();
    let end = match block.terminator {
        Terminator::Jump { .. } => "",
        Terminator::Branch { .. } => "branch",
        Terminator::Indirect { .. } => "indirect",
        Terminator::Trap { trap: Trap::Illegal, .. } => undefined,
        Terminator::Trap { .. } => "trap",
        Terminator::Lookup { .. } => "lookup",
    };
    let count = names.len();
    names.extend((!end.is_empty()).then(|| format!("-> {end}")));
    let line = format!("{name} {count}  {}", names.join(" "));
    format!("{}\n", line.trim_end())
}

fn operation(inst: &Inst, guest: &Guest) -> String {
    let info = inst.op.info();
    if info.shape.is_call() {
        let helper = guest.helper(inst.helper()).map_or("?", |helper| helper.name);
        return format!("{}:{helper}", info.name);
    }
    format!("{}.{}", info.name, inst.ty.name())
}
