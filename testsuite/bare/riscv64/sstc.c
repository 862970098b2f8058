/* stimecmp and the supervisor timer interrupt. Privileged ISA, "Sstc". */
#include "interrupts.h"

asm(".text\n.balign 4\n.globl read_stimecmp\nread_stimecmp: csrr a0, 0x14d\n ret\n");
extern u8 read_stimecmp[];

static void gates(void)
{
    u64 bits = *(const u32 *)read_stimecmp;
    csr_clear(CSR_MENVCFG, MENVCFG_STCE);
    csr_write(mcounteren, 7);
    EXPECT_TRAP(run(S_MODE, ENTRY(read_stimecmp), 0), M_MODE, CAUSE_ILLEGAL, read_stimecmp, bits);
    csr_set(CSR_MENVCFG, MENVCFG_STCE);
    CHECK(csr_read(CSR_MENVCFG) & MENVCFG_STCE);
    CHECK(run(S_MODE, ENTRY(read_stimecmp), 0).returned);
    csr_write(mcounteren, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(read_stimecmp), 0), M_MODE, CAUSE_ILLEGAL, read_stimecmp, bits);
    csr_write(mcounteren, 7);
    EXPECT_TRAP(run(U_MODE, ENTRY(read_stimecmp), 0), M_MODE, CAUSE_ILLEGAL, read_stimecmp, bits);
}

static void pending_follows_the_comparison(void)
{
    csr_write(CSR_STIMECMP, -1UL);
    CHECK_EQ(csr_read(mip) & BIT(IRQ_STI), 0);
    csr_write(CSR_STIMECMP, 0);
    CHECK_EQ(csr_read(mip) & BIT(IRQ_STI), BIT(IRQ_STI));
    /* STIP is read-only now. */
    csr_clear(mip, BIT(IRQ_STI));
    CHECK_EQ(csr_read(mip) & BIT(IRQ_STI), BIT(IRQ_STI));
    csr_write(CSR_STIMECMP, -1UL);
    csr_set(mip, BIT(IRQ_STI));
    CHECK_EQ(csr_read(mip) & BIT(IRQ_STI), 0);
}

static volatile u32 flag;

static int raise_flag(struct frame *frame)
{
    if (frame->cause != INTERRUPT(IRQ_STI))
        return 0;
    note(frame);
    csr_write(CSR_STIMECMP, -1UL);
    flag = 1;
    return 1;
}

static void delivered_to_s_mode(void)
{
    use_s_vector();
    this_hart()->on_s = raise_flag;
    csr_write(mideleg, BIT(IRQ_STI));
    csr_write(mie, BIT(IRQ_STI));
    forget();
    flag = 0;
    u64 deadline = csr_read(time) + 20000;
    csr_write(CSR_STIMECMP, deadline);
    EXPECT_VALUE(run(U_MODE, ENTRY(spin_until), (u64)&flag), 1);
    CHECK(csr_read(time) >= deadline);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_STI));
    /* In S mode with SIE clear it stays pending. */
    forget();
    csr_clear(sstatus, MSTATUS_SIE);
    csr_write(CSR_STIMECMP, 0);
    CHECK(run(S_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 0);
    CHECK(run(S_MODE, ENTRY(spin_with_sie), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    this_hart()->on_s = 0;
}

int main(void)
{
    if (!has_extension("sstc")) {
        absent("sstc");
        return 0;
    }
    RUN(gates);
    RUN(pending_follows_the_comparison);
    RUN(delivered_to_s_mode);
    return 0;
}
