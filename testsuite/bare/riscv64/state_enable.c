/* mstateen0: who may reach senvcfg and further state. Privileged ISA, "Smstateen". */
#include "bare.h"

asm(".text\n.balign 4\n.globl read_senvcfg, read_sstateen0\nread_senvcfg: csrr a0, 0x10a\n ret\n.balign 4\nread_sstateen0: csrr a0, 0x10c\n ret\n");
extern u8 read_senvcfg[], read_sstateen0[];
#define ENVCFG_BIT BIT(62)
#define SE0 BIT(63)

static u64 bits_at(const u8 *code) { return *(const u32 *)code; }

static void gates(void)
{
    csr_write(CSR_MSTATEEN0, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(read_senvcfg), 0), M_MODE, CAUSE_ILLEGAL, read_senvcfg, bits_at(read_senvcfg));
    EXPECT_TRAP(run(S_MODE, ENTRY(read_sstateen0), 0), M_MODE, CAUSE_ILLEGAL, read_sstateen0, bits_at(read_sstateen0));
    csr_write(CSR_MSTATEEN0, ENVCFG_BIT);
    CHECK(run(S_MODE, ENTRY(read_senvcfg), 0).returned);
    EXPECT_TRAP(run(S_MODE, ENTRY(read_sstateen0), 0), M_MODE, CAUSE_ILLEGAL, read_sstateen0, bits_at(read_sstateen0));
    csr_write(CSR_MSTATEEN0, SE0);
    CHECK_EQ(csr_read(CSR_MSTATEEN0) & (SE0 | ENVCFG_BIT), SE0);
    CHECK(run(S_MODE, ENTRY(read_sstateen0), 0).returned);
    EXPECT_TRAP(run(S_MODE, ENTRY(read_senvcfg), 0), M_MODE, CAUSE_ILLEGAL, read_senvcfg, bits_at(read_senvcfg));
    /* M mode is never held back. */
    CHECK(run(M_MODE, ENTRY(read_senvcfg), 0).returned);
}

int main(void)
{
    if (!has_extension("smstateen")) {
        absent("smstateen");
        return 0;
    }
    RUN(gates);
    return 0;
}
