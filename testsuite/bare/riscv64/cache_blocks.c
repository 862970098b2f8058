/* cbo.inval, cbo.clean, cbo.flush, cbo.zero: the gates in menvcfg and senvcfg, and faults. Unprivileged ISA, "CMO". */
#include "bare.h"

/* rs1 is a0; the immediate chooses the operation. */
#define CBO(name, immediate) \
    asm(".text\n.balign 4\n.globl " #name "\n" #name ": .4byte 0x0005200f | " #immediate " << 20\n ret\n"); \
    extern u8 name[]
CBO(cbo_inval, 0);
CBO(cbo_clean, 1);
CBO(cbo_flush, 2);
CBO(cbo_zero, 4);

static u64 block[64] __attribute__((aligned(512)));
static u64 page[512] __attribute__((aligned(4096)));

static void envcfg(u64 machine, u64 supervisor)
{
    csr_clear(CSR_MENVCFG, 0xf0);
    csr_set(CSR_MENVCFG, machine);
    csr_write(CSR_SENVCFG, supervisor);
}

#define ILLEGAL(mode, name) EXPECT_ILLEGAL(run(mode, ENTRY(name), (u64)block), name)

static void zero_is_gated(void)
{
    if (!has_extension("zicboz"))
        return absent("zicboz");
    envcfg(0, ENVCFG_CBZE);
    ILLEGAL(S_MODE, cbo_zero);
    ILLEGAL(U_MODE, cbo_zero);
    CHECK(run(M_MODE, ENTRY(cbo_zero), (u64)block).returned);
    envcfg(ENVCFG_CBZE, 0);
    CHECK(run(S_MODE, ENTRY(cbo_zero), (u64)block).returned);
    ILLEGAL(U_MODE, cbo_zero);
    envcfg(ENVCFG_CBZE, ENVCFG_CBZE);
    CHECK(run(U_MODE, ENTRY(cbo_zero), (u64)block).returned);
}

/* The block is 64 bytes, as the device tree says; any address in it will do. */
static void zero_writes_one_block(void)
{
    if (!has_extension("zicboz"))
        return absent("zicboz");
    for (int i = 0; i < 64; i++)
        block[i] = -1UL;
    envcfg(ENVCFG_CBZE, ENVCFG_CBZE);
    CHECK(run(U_MODE, ENTRY(cbo_zero), (u64)&block[8] + 37).returned);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(block[i], i >= 8 && i < 16 ? 0 : -1UL);
}

static void clean_and_flush_are_gated(void)
{
    if (!has_extension("zicbom"))
        return absent("zicbom");
    envcfg(0, ENVCFG_CBCFE);
    ILLEGAL(S_MODE, cbo_clean);
    ILLEGAL(U_MODE, cbo_flush);
    envcfg(ENVCFG_CBCFE, 0);
    CHECK(run(S_MODE, ENTRY(cbo_clean), (u64)block).returned);
    CHECK(run(S_MODE, ENTRY(cbo_flush), (u64)block).returned);
    ILLEGAL(U_MODE, cbo_clean);
    envcfg(ENVCFG_CBCFE, ENVCFG_CBCFE);
    CHECK(run(U_MODE, ENTRY(cbo_clean), (u64)block).returned);
    CHECK(run(U_MODE, ENTRY(cbo_flush), (u64)block).returned);
    CHECK_EQ(block[0], -1UL);
}

static void inval_is_gated(void)
{
    if (!has_extension("zicbom"))
        return absent("zicbom");
    envcfg(0, ENVCFG_CBIE(3));
    ILLEGAL(S_MODE, cbo_inval);
    ILLEGAL(U_MODE, cbo_inval);
    envcfg(ENVCFG_CBIE(1), 0); /* it may be done as a flush */
    CHECK(run(S_MODE, ENTRY(cbo_inval), (u64)block).returned);
    ILLEGAL(U_MODE, cbo_inval);
    envcfg(ENVCFG_CBIE(3), ENVCFG_CBIE(3));
    CHECK(run(U_MODE, ENTRY(cbo_inval), (u64)block).returned);
    CHECK_EQ(block[0], -1UL); /* memory here is coherent */
}

/* Zero needs the right to store; the others any right; all report as stores. */
static void page_faults(void)
{
    if (!has_extension("zicboz") || !has_extension("zicbom"))
        return absent("zicboz and zicbom");
    u64 *root = new_space(SATP_SV39), window = 0x1000000000;
    envcfg(ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE(3), 0);
    use_space(root, SATP_SV39, 0);
    u64 at = window + 64;
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_zero), at), M_MODE, CAUSE_STORE_PAGE, cbo_zero, at);
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_clean), at), M_MODE, CAUSE_STORE_PAGE, cbo_clean, at);
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_inval), at), M_MODE, CAUSE_STORE_PAGE, cbo_inval, at);
    map(root, SATP_SV39, window, (u64)page, 0, PTE_V | PTE_R | PTE_A);
    sfence();
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_zero), at), M_MODE, CAUSE_STORE_PAGE, cbo_zero, at);
    CHECK(run(S_MODE, ENTRY(cbo_clean), at).returned);
    CHECK(run(S_MODE, ENTRY(cbo_flush), at).returned);
    use_no_space();
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_zero), HOLE), M_MODE, CAUSE_STORE_ACCESS, cbo_zero, HOLE);
}

/* qemu fails fault_addresses: it reports the start of the block; the manual wants the address in rs1, "CMO", "Trapping behavior" */
static void fault_addresses(void)
{
    if (!has_extension("zicboz"))
        return absent("zicboz");
    /* mtval is what was in rs1, not the start of the block. */
    EXPECT_TRAP(run(S_MODE, ENTRY(cbo_zero), HOLE + 5), M_MODE, CAUSE_STORE_ACCESS, cbo_zero, HOLE + 5);
}

int main(void)
{
    RUN(zero_is_gated);
    RUN(zero_writes_one_block);
    RUN(clean_and_flush_are_gated);
    RUN(inval_is_gated);
    RUN(page_faults);
    RUN(fault_addresses);
    return 0;
}
