/* WFI: what ends it, and where it is illegal. Privileged ISA, "Wait for Interrupt". */
#include "interrupts.h"

asm(".text\n.balign 4\n.globl wait_then_nine\nwait_then_nine: wfi\n li a0, 9\n ret\n");
extern u8 wait_then_nine[];

/* Pending and enabled ends it, even where MIE or SIE keeps the interrupt away. */
static void without_the_global_enable(void)
{
    this_hart()->on_m = note_m;
    forget();
    MTIMECMP(0) = MTIME + 10000;
    csr_write(mie, BIT(IRQ_MTI));
    EXPECT_VALUE(run(M_MODE, ENTRY(wait_then_nine), 0), 9);
    CHECK_EQ(seen_count, 0);
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MTI), BIT(IRQ_MTI));
    MTIMECMP(0) = -1UL;
    csr_write(mie, 0);
    this_hart()->on_m = 0;
}

static void one_that_is_already_pending(void)
{
    MSIP(0) = 1;
    csr_write(mie, BIT(IRQ_MSI));
    for (int i = 0; i < 100; i++)
        wfi();
    MSIP(0) = 0;
    csr_write(mie, 0);
}

asm(".text\n.balign 4\n.globl enabled_wait\n"
    "enabled_wait: csrsi mstatus, 8\n wfi\n.globl after_wait\nafter_wait: csrci mstatus, 8\n li a0, 9\n ret\n");
extern u8 enabled_wait[], after_wait[];

/* The interrupt is taken at the instruction after it. */
static void with_the_global_enable(void)
{
    this_hart()->on_m = note_m;
    forget();
    MTIMECMP(0) = MTIME + 10000;
    csr_write(mie, BIT(IRQ_MTI));
    EXPECT_VALUE(run(M_MODE, ENTRY(enabled_wait), 0), 9);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen_epc, ENTRY(after_wait));
    MTIMECMP(0) = -1UL;
    this_hart()->on_m = 0;
}

static void in_supervisor_mode(void)
{
    csr_clear(mstatus, MSTATUS_TW);
    this_hart()->on_m = note_m;
    forget();
    MTIMECMP(0) = MTIME + 10000;
    csr_write(mie, BIT(IRQ_MTI));
    EXPECT_VALUE(run(S_MODE, ENTRY(wait_then_nine), 0), 9);
    CHECK_EQ(seen_count, 1);
    MTIMECMP(0) = -1UL;
    csr_write(mie, 0);
    this_hart()->on_m = 0;
}

/* A delegated one, with SIE clear: S mode goes on without a trap. */
static void delegated_without_sie(void)
{
    csr_write(mideleg, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_SSI));
    csr_clear(sstatus, MSTATUS_SIE);
    csr_set(mip, BIT(IRQ_SSI));
    EXPECT_VALUE(run(S_MODE, ENTRY(wait_then_nine), 0), 9);
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(mie, 0);
    csr_write(mideleg, 0);
}

static void many_short_waits(void)
{
    this_hart()->on_m = 0;
    u64 start = MTIME;
    for (int i = 0; i < 50; i++) {
        MTIMECMP(0) = MTIME + 200;
        csr_write(mie, BIT(IRQ_MTI));
        while (!(csr_read(mip) & BIT(IRQ_MTI)))
            wfi();
    }
    CHECK(MTIME - start >= 50 * 200);
    MTIMECMP(0) = -1UL;
    csr_write(mie, 0);
}

int main(void)
{
    RUN(without_the_global_enable);
    RUN(one_that_is_already_pending);
    RUN(with_the_global_enable);
    RUN(in_supervisor_mode);
    RUN(delegated_without_sie);
    RUN(many_short_waits);
    return 0;
}
