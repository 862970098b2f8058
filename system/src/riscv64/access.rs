//! Instructions that are an access to memory of a kind that translated code has not.

use arch::riscv64::privileged::Exception;
use arch::riscv64::privileged::execute::MemoryOp;
use base::{CpuFrame, GuestVirt};
use softmmu::{AccessKind, GuestFault, Softmmu};

/// Makes the access.
///
/// # Errors
/// The fault that it raises; nothing has changed.
pub(super) fn perform(
    softmmu: &mut Softmmu,
    frame: &mut CpuFrame,
    op: MemoryOp,
) -> Result<(), GuestFault> {
    match op {
        MemoryOp::ManageBlock { addr } => manage_block(softmmu, frame, addr),
    }
}

/// What may be stored to may be loaded from as well, by page tables and by PMP: so a load is what is tried.
fn manage_block(
    softmmu: &mut Softmmu,
    frame: &mut CpuFrame,
    addr: GuestVirt,
) -> Result<(), GuestFault> {
    let found = softmmu.locate(frame, addr, 1, AccessKind::Load);
    found.map(drop).map_err(|fault| {
        let of_store = match Exception::from_number(fault.cause) {
            Some(Exception::LoadPage) => Exception::StorePage,
            _ => Exception::StoreAccess,
        };
        GuestFault { cause: of_store as u64, addr }
    })
}
