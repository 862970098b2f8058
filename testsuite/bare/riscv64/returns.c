/* mret and sret: what they do to mstatus, and where they are illegal. Privileged ISA, "Trap-Return Instructions". */
#include "bare.h"

static u64 bits_at(const u8 *code) { return *(const u32 *)code; }

static void mret_lowers_the_mode_and_forgets_it(void)
{
    struct outcome outcome = run(S_MODE, ENTRY(probe_nop), 5);
    EXPECT_VALUE(outcome, 5);
    CHECK_EQ(outcome.m.from, S_MODE);
    /* `run` cleared MPIE, so MIE was clear; a trap saves it again. */
    CHECK_EQ(outcome.m.status & MSTATUS_MPIE, 0);
}

/* Leaves M mode for M mode, so that mstatus after mret can be read at once. */
static u64 status_after_mret(u64 set)
{
    u64 status;
    csr_clear(mstatus, MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MPRV);
    csr_set(mstatus, set);
    asm volatile("la t0, 1f\n csrw mepc, t0\n mret\n1: csrr %0, mstatus" : "=r"(status)::"t0", "memory");
    csr_clear(mstatus, MSTATUS_MIE);
    return status;
}

static void mret_moves_the_bits(void)
{
    u64 status = status_after_mret(MSTATUS_MPP | MSTATUS_MPIE);
    CHECK_EQ(status & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP), MSTATUS_MIE | MSTATUS_MPIE);
    status = status_after_mret(MSTATUS_MPP);
    CHECK_EQ(status & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP), MSTATUS_MPIE);
}

static void mret_clears_mprv_below_m_mode(void)
{
    csr_set(mstatus, MSTATUS_SPP); /* unrelated, must stay */
    struct outcome outcome = {0};
    /* `run` keeps MPRV as it is until its mret; loads before that go as S mode, where all is open. */
    csr_set(mstatus, MSTATUS_MPRV);
    outcome = run(S_MODE, ENTRY(probe_nop), 0);
    CHECK(outcome.returned);
    CHECK_EQ(outcome.m.status & MSTATUS_MPRV, 0);
    CHECK_EQ(outcome.m.status & MSTATUS_SPP, MSTATUS_SPP);
    CHECK_EQ(csr_read(mstatus) & MSTATUS_MPRV, 0);
    /* A return to M mode keeps it. */
    CHECK_EQ(status_after_mret(MSTATUS_MPP | MSTATUS_MPRV) & MSTATUS_MPRV, MSTATUS_MPRV);
    csr_clear(mstatus, MSTATUS_MPRV | MSTATUS_SPP);
}

/* In S mode: sret to U mode, at `probe_ecall`. */
asm(".text\n.balign 4\n.globl sret_to_ecall\n"
    "sret_to_ecall: la t0, probe_ecall\n csrw sepc, t0\n sret\n");
extern u8 sret_to_ecall[];

static void sret_moves_the_bits(void)
{
    csr_clear(sstatus, MSTATUS_SPP | MSTATUS_SIE);
    csr_set(sstatus, MSTATUS_SPIE);
    struct outcome outcome = run(S_MODE, ENTRY(sret_to_ecall), 0);
    EXPECT_TRAP(outcome, M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
    CHECK_EQ(outcome.m.status & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SIE | MSTATUS_SPIE);
    csr_set(sstatus, MSTATUS_SPP);
    csr_clear(sstatus, MSTATUS_SPIE);
    outcome = run(S_MODE, ENTRY(sret_to_ecall), 0);
    EXPECT_TRAP(outcome, M_MODE, CAUSE_ECALL_S, probe_ecall, 0);
    CHECK_EQ(outcome.m.status & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE);
    /* sret clears MPRV too when it does not return to M mode; it runs in M mode as well. */
    csr_write(sepc, probe_ecall);
    csr_clear(mstatus, MSTATUS_SPP);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_sret), 0), M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
}

static void sret_in_user_mode_is_illegal(void)
{
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_sret), 0), M_MODE, CAUSE_ILLEGAL, probe_sret, bits_at(probe_sret));
}

/* qemu fails mret_below_m_mode_is_illegal: mtval has another instruction's bits, "Machine Trap Value Register" */
static void mret_below_m_mode_is_illegal(void)
{
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_mret), 0), M_MODE, CAUSE_ILLEGAL, probe_mret, bits_at(probe_mret));
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_mret), 0), M_MODE, CAUSE_ILLEGAL, probe_mret, bits_at(probe_mret));
}

int main(void)
{
    RUN(mret_lowers_the_mode_and_forgets_it);
    RUN(mret_moves_the_bits);
    RUN(mret_clears_mprv_below_m_mode);
    RUN(sret_moves_the_bits);
    RUN(sret_in_user_mode_is_illegal);
    RUN(mret_below_m_mode_is_illegal);
    return 0;
}
