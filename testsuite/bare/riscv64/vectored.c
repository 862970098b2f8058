/* Vectored interrupts: pc = BASE + 4 * cause; exceptions go to BASE. Privileged ISA, "Machine Trap-Vector Base-Address Register". */
#include "interrupts.h"

/* Each entry tells its number; the tail masks the interrupts and returns. */
asm(".text\n.balign 256\n.globl m_table\nm_table: .option push\n.option norvc\n"
    " j m_vector\n .set i, 1\n .rept 15\n j m_entries + (i - 1) * 12\n .set i, i + 1\n .endr\n"
    "m_entries: .set i, 1\n .rept 15\n csrw mscratch, t0\n li t0, i\n j m_tail\n .set i, i + 1\n .endr\n"
    "m_tail: csrw mie, x0\n csrw sscratch, t1\n la t1, entered\n sd t0, 0(t1)\n csrr t1, sscratch\n csrr t0, mscratch\n"
    " csrw mscratch, tp\n la tp, saved_hart\n ld tp, 0(tp)\n csrrw tp, mscratch, tp\n mret\n"
    ".balign 256\n.globl s_table\ns_table: j s_vector\n .set i, 1\n .rept 15\n j s_entries + (i - 1) * 12\n .set i, i + 1\n .endr\n"
    "s_entries: .set i, 1\n .rept 15\n csrw sscratch, t0\n li t0, i\n j s_tail\n .set i, i + 1\n .endr\n"
    "s_tail: csrw sie, x0\n csrw stval, t1\n la t1, entered\n sd t0, 0(t1)\n csrr t1, stval\n csrr t0, sscratch\n sret\n"
    ".option pop\n");
extern u8 m_table[], s_table[], m_vector[];
volatile u64 entered;
u64 saved_hart;

static void in_m_mode(void)
{
    csr_write(mtvec, ENTRY(m_table) | 1);
    entered = 0;
    MSIP(0) = 1;
    csr_write(mie, BIT(IRQ_MSI));
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(entered, IRQ_MSI);
    MSIP(0) = 0;
    MTIMECMP(0) = 0;
    csr_write(mie, BIT(IRQ_MTI));
    CHECK(run(S_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(entered, IRQ_MTI);
    MTIMECMP(0) = -1UL;
    /* Exceptions go to the base. */
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_ecall), 0), M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
    csr_write(mtvec, m_vector);
}

static void in_s_mode(void)
{
    use_s_vector();
    csr_write(stvec, ENTRY(s_table) | 1);
    csr_write(mideleg, BIT(IRQ_SSI));
    csr_write(medeleg, BIT(CAUSE_BREAKPOINT));
    csr_write(mie, BIT(IRQ_SSI));
    csr_set(mip, BIT(IRQ_SSI));
    entered = 0;
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(entered, IRQ_SSI);
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(sscratch, &this_hart()->s_frame);
    struct outcome outcome = run(U_MODE, ENTRY(probe_ebreak), 0);
    CHECK_EQ(outcome.s_traps, 1);
    CHECK_EQ(outcome.s.cause, CAUSE_BREAKPOINT);
    csr_write(medeleg, 0);
    csr_write(mideleg, 0);
}

int main(void)
{
    saved_hart = csr_read(mscratch);
    RUN(in_m_mode);
    RUN(in_s_mode);
    return 0;
}
