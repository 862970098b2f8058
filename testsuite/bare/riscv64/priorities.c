/* The order of simultaneous interrupts: MEI, MSI, MTI, SEI, SSI, STI; and M's before S's. Privileged ISA, mip. */
#include "interrupts.h"

/* As far as one hart can make them pending by itself. */
static void make_pending(void)
{
    MSIP(0) = 1;
    MTIMECMP(0) = 0;
    csr_set(mip, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI));
}

static void clear_pending(void)
{
    MSIP(0) = 0;
    MTIMECMP(0) = -1UL;
    csr_clear(mip, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI));
    csr_write(mie, 0);
}

#define ALL (BIT(IRQ_MSI) | BIT(IRQ_MTI) | BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI))

static void all_to_m_mode(void)
{
    this_hart()->on_m = note_m;
    forget();
    make_pending();
    CHECK_EQ(csr_read(mip) & ALL, ALL);
    csr_write(mie, ALL);
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 5);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_MSI));
    CHECK_EQ(seen[1], INTERRUPT(IRQ_MTI));
    CHECK_EQ(seen[2], INTERRUPT(IRQ_SEI));
    CHECK_EQ(seen[3], INTERRUPT(IRQ_SSI));
    CHECK_EQ(seen[4], INTERRUPT(IRQ_STI));
    clear_pending();
}

static void m_before_delegated(void)
{
    use_s_vector();
    this_hart()->on_m = note_m;
    this_hart()->on_s = note_s;
    csr_write(mideleg, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI));
    forget();
    make_pending();
    csr_write(mie, ALL & ~BIT(IRQ_MSI));
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 4);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_MTI));
    CHECK_EQ(seen[1], INTERRUPT(IRQ_SEI));
    CHECK_EQ(seen[2], INTERRUPT(IRQ_SSI));
    CHECK_EQ(seen[3], INTERRUPT(IRQ_STI));
    clear_pending();
    csr_write(mideleg, 0);
}

int main(void)
{
    if (has_extension("sstc"))
        csr_clear(CSR_MENVCFG, MENVCFG_STCE); /* so that STIP is writable */
    RUN(all_to_m_mode);
    RUN(m_before_delegated);
    return 0;
}
