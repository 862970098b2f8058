//! Instructions that are an access to memory of a kind that translated code has not.

use arch::riscv64::privileged::Exception;
use arch::riscv64::privileged::execute::MemoryOp;
use arch::riscv64::slot;
use base::sys::access::compare_exchange128;
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
        MemoryOp::AmocasQ { addr, expected, new, rd } => {
            let place = softmmu.atomic(frame, addr, 16).ok_or_else(|| softmmu.last_fault())?;
            let old = compare_exchange128(GuestVirt(place.host as u64), expected, new);
            if let Some(code) = place.code {
                softmmu.code_write(code, 16);
            }
            let fault = GuestFault { cause: Exception::StoreAccess as u64, addr };
            let old = old.map_err(|_| fault)?;
            if rd != 0 {
                frame.set(slot::x(rd), old as u64);
                frame.set(slot::x(rd + 1), (old >> 64) as u64);
            }
            Ok(())
        }
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
