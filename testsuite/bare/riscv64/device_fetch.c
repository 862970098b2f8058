/* Devices are not executable. Privileged ISA, "Physical Memory Attributes": a fetch from an I/O region is an access fault. */
#include "bare.h"

/* qemu fails from_devices: it fetches from device registers, and meets an illegal instruction there */
static void from_devices(void)
{
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_jump), UART_BASE), M_MODE, CAUSE_FETCH_ACCESS, UART_BASE, UART_BASE);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), CLINT_BASE), M_MODE, CAUSE_FETCH_ACCESS, CLINT_BASE, CLINT_BASE);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_jump), PLIC_BASE), M_MODE, CAUSE_FETCH_ACCESS, PLIC_BASE, PLIC_BASE);
}

static void atomics_on_nothing(void)
{
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_amoadd), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_amoadd, HOLE);
}

/* An address that no mode can reach, with translation: the value is what the program used. */
static void through_a_mapping(void)
{
    u64 *root = new_space(SATP_SV39), window = 0x1000000000;
    map(root, SATP_SV39, window, HOLE, 0, PTE_RX);
    use_space(root, SATP_SV39, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), window + 0x80), M_MODE, CAUSE_FETCH_ACCESS, window + 0x80, window + 0x80);
    use_no_space();
}

int main(void)
{
    RUN(from_devices);
    RUN(atomics_on_nothing);
    RUN(through_a_mapping);
    return 0;
}
