/* Software interrupts: MSIP of the CLINT, SSIP in mip. Privileged ISA, "Machine Interrupt (mip and mie) Registers". */
#include "interrupts.h"

static void machine_software_interrupt(void)
{
    this_hart()->on_m = note_m;
    for (unsigned mode = U_MODE; mode <= S_MODE; mode++) {
        forget();
        MSIP(0) = 1;
        CHECK_EQ(csr_read(mip) & BIT(IRQ_MSI), BIT(IRQ_MSI));
        csr_write(mie, BIT(IRQ_MSI));
        CHECK(run(mode, ENTRY(spin), SPINS).returned);
        CHECK_EQ(seen_count, 1);
        CHECK_EQ(seen[0], INTERRUPT(IRQ_MSI));
        MSIP(0) = 0;
        CHECK_EQ(csr_read(mip) & BIT(IRQ_MSI), 0);
    }
    this_hart()->on_m = 0;
}

static void only_the_lowest_bit_counts(void)
{
    MSIP(0) = 0xfffffffe;
    CHECK_EQ(MSIP(0), 0);
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MSI), 0);
    MSIP(0) = 0xffffffff;
    CHECK_EQ(MSIP(0), 1);
    MSIP(0) = 0;
}

static void supervisor_software_interrupt(void)
{
    use_s_vector();
    this_hart()->on_s = note_s;
    csr_write(mideleg, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_SSI));
    csr_set(mip, BIT(IRQ_SSI));
    forget();
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_SSI));
    /* S mode clears it itself. */
    CHECK_EQ(csr_read(sip) & BIT(IRQ_SSI), BIT(IRQ_SSI));
    csr_clear(sip, BIT(IRQ_SSI));
    CHECK_EQ(csr_read(mip) & BIT(IRQ_SSI), 0);
    csr_set(sip, BIT(IRQ_SSI));
    CHECK_EQ(csr_read(mip) & BIT(IRQ_SSI), BIT(IRQ_SSI));
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(mideleg, 0);
    this_hart()->on_s = 0;
}

/* What is not delegated goes to M mode, even S mode's own. */
static void undelegated(void)
{
    this_hart()->on_m = note_m;
    csr_set(mip, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_SSI));
    forget();
    CHECK(run(S_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_SSI));
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(mie, 0);
    this_hart()->on_m = 0;
}

/* Delegated interrupts are not taken in M mode, whatever is enabled. */
static void delegated_waits_below(void)
{
    this_hart()->on_m = note_m;
    csr_write(mideleg, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_SSI));
    csr_set(mip, BIT(IRQ_SSI));
    forget();
    CHECK(run(M_MODE, ENTRY(spin_with_mie), SPINS).returned);
    CHECK_EQ(seen_count, 0);
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    this_hart()->on_m = 0;
}

int main(void)
{
    RUN(machine_software_interrupt);
    RUN(only_the_lowest_bit_counts);
    RUN(supervisor_software_interrupt);
    RUN(undelegated);
    RUN(delegated_waits_below);
    return 0;
}
