/* TVM, TW and TSR. Privileged ISA, "Virtualization Support in mstatus Register". */
#include "bare.h"

static u64 bits_at(const u8 *code) { return *(const u32 *)code; }
#define ILLEGAL(mode, probe) \
    EXPECT_TRAP(run(mode, ENTRY(probe), 0), M_MODE, CAUSE_ILLEGAL, probe, bits_at(probe))

static void tvm(void)
{
    CHECK(run(S_MODE, ENTRY(probe_read_satp), 0).returned);
    CHECK(run(S_MODE, ENTRY(probe_sfence), 0).returned);
    csr_set(mstatus, MSTATUS_TVM);
    ILLEGAL(S_MODE, probe_read_satp);
    ILLEGAL(S_MODE, probe_write_satp);
    ILLEGAL(S_MODE, probe_sfence);
    CHECK(run(M_MODE, ENTRY(probe_read_satp), 0).returned);
    CHECK(run(M_MODE, ENTRY(probe_sfence), 0).returned);
    csr_clear(mstatus, MSTATUS_TVM);
    CHECK(run(S_MODE, ENTRY(probe_sfence), 0).returned);
}

/* With TW, WFI may wait for a bounded time below M mode; this machine's bound is zero. */
static void tw(void)
{
    MSIP(0) = 0;
    csr_write(mie, 0);
    csr_set(mstatus, MSTATUS_TW);
    ILLEGAL(S_MODE, probe_wfi);
    ILLEGAL(U_MODE, probe_wfi);
    csr_clear(mstatus, MSTATUS_TW);
    MSIP(0) = 1;
    csr_set(mie, BIT(IRQ_MSI));
    csr_clear(mstatus, MSTATUS_MIE);
    CHECK(run(M_MODE, ENTRY(probe_wfi), 0).returned);
    csr_write(mie, 0);
    MSIP(0) = 0;
}

static void tsr(void)
{
    csr_set(mstatus, MSTATUS_TSR);
    ILLEGAL(S_MODE, probe_sret);
    csr_write(sepc, probe_ecall);
    csr_clear(mstatus, MSTATUS_SPP);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_sret), 0), M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
    csr_clear(mstatus, MSTATUS_TSR);
    csr_write(sepc, probe_ecall);
    csr_clear(mstatus, MSTATUS_SPP);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sret), 0), M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
}

int main(void)
{
    RUN(tvm);
    RUN(tw);
    RUN(tsr);
    return 0;
}
