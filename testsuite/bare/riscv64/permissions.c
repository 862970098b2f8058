/* U, SUM, MXR and MPRV. Privileged ISA, "Memory Privilege in mstatus Register" and "Supervisor Memory Privilege in sstatus Register". */
#include "bare.h"

#define WINDOW 0x1000000000UL
#define MODE SATP_SV39

static u64 *root;
static u64 data[512] __attribute__((aligned(4096))) = {0x4321};
/* li a0, 99; ret */
static u32 code[1024] __attribute__((aligned(4096))) = {0x06300513, 0x00008067};

static void window(void *page, u64 flags) { map(root, MODE, WINDOW, (u64)page, 0, flags), sfence(); }

#define FAULT(mode, probe, cause) \
    EXPECT_TRAP(run(mode, ENTRY(probe), WINDOW), M_MODE, cause, ENTRY(probe) + (mode == U_MODE ? USER_OFFSET : 0), WINDOW)

static void users_reach_user_pages_only(void)
{
    window(data, PTE_RW);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_PAGE);
    FAULT(U_MODE, probe_sd, CAUSE_STORE_PAGE);
    window(data, PTE_RW | PTE_U);
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_ld), WINDOW), 0x4321);
    window(code, PTE_RX);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_jump), WINDOW), M_MODE, CAUSE_FETCH_PAGE, WINDOW, WINDOW);
    window(code, PTE_RX | PTE_U);
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_jump), WINDOW), 99);
}

static void sum_opens_user_pages(void)
{
    window(data, PTE_RW | PTE_U);
    csr_clear(mstatus, MSTATUS_SUM);
    FAULT(S_MODE, probe_ld, CAUSE_LOAD_PAGE);
    FAULT(S_MODE, probe_sd, CAUSE_STORE_PAGE);
    csr_set(mstatus, MSTATUS_SUM);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), WINDOW), 0x4321);
    csr_clear(mstatus, MSTATUS_SUM);
    /* No flush is needed after a change of SUM. */
    FAULT(S_MODE, probe_ld, CAUSE_LOAD_PAGE);
}

static void sum_never_opens_user_code(void)
{
    window(code, PTE_RX | PTE_U);
    csr_set(mstatus, MSTATUS_SUM);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), WINDOW), M_MODE, CAUSE_FETCH_PAGE, WINDOW, WINDOW);
    csr_clear(mstatus, MSTATUS_SUM);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), WINDOW), M_MODE, CAUSE_FETCH_PAGE, WINDOW, WINDOW);
}

static void mxr_makes_code_readable(void)
{
    window(code, PTE_V | PTE_X | PTE_A);
    FAULT(S_MODE, probe_lw, CAUSE_LOAD_PAGE);
    csr_set(mstatus, MSTATUS_MXR);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_lw), WINDOW), 0x06300513);
    FAULT(S_MODE, probe_sw, CAUSE_STORE_PAGE);
    csr_clear(mstatus, MSTATUS_MXR);
    FAULT(S_MODE, probe_lw, CAUSE_LOAD_PAGE);
    window(code, PTE_V | PTE_X | PTE_A | PTE_U);
    FAULT(U_MODE, probe_lw, CAUSE_LOAD_PAGE);
    csr_set(mstatus, MSTATUS_MXR);
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_lw), WINDOW), 0x06300513);
    csr_clear(mstatus, MSTATUS_MXR);
}

/* The trap vector must not run with MPRV set: it would save registers through the mapping. */
asm(".text\n.balign 4\n.globl mprv_vector\n"
    "mprv_vector: csrw sscratch, t0\n li t0, 1 << 17\n csrc mstatus, t0\n csrr t0, sscratch\n j m_vector\n");
extern u8 mprv_vector[], m_vector[];
/* load_as(address): loads from M mode with MPRV; mstatus.MPP says as whom. */
asm(".text\n.balign 4\n.globl load_as, store_as, fetch_as\n"
    "load_as: li t0, 1 << 17\n csrs mstatus, t0\n ld a0, 0(a0)\n csrc mstatus, t0\n ret\n"
    "store_as: li t0, 1 << 17\n csrs mstatus, t0\n sd a1, 0(a0)\n csrc mstatus, t0\n ret\n"
    "fetch_as: li t0, 1 << 17\n csrs mstatus, t0\n nop\n csrc mstatus, t0\n ret\n");

/* Called in M mode, where mret has cleared MPP: sets it to the mode in t2, which is the address's lowest bits. */
asm(".text\n.balign 4\n.globl load_as_low_bits, store_as_low_bits, fetch_as_low_bits\n"
    ".macro as_low_bits, to\n andi t2, a0, 3\n andi a0, a0, -4\n li t0, 3 << 11\n csrc mstatus, t0\n"
    " slli t2, t2, 11\n csrs mstatus, t2\n j \\to\n.endm\n"
    "load_as_low_bits: as_low_bits load_as\nstore_as_low_bits: as_low_bits store_as\n"
    "fetch_as_low_bits: as_low_bits fetch_as\n");
extern u8 load_as_low_bits[], store_as_low_bits[], fetch_as_low_bits[];
#define load_as load_as_low_bits
#define store_as store_as_low_bits
#define fetch_as fetch_as_low_bits

static struct outcome as(unsigned mode, u8 *entry, u64 address) { return run(M_MODE, ENTRY(entry), address | mode); }

static void mprv_uses_the_previous_mode(void)
{
    csr_write(mtvec, mprv_vector);
    window(data, PTE_RW | PTE_U);
    EXPECT_VALUE(as(U_MODE, load_as, WINDOW), 0x4321);
    struct outcome outcome = as(S_MODE, load_as, WINDOW);
    CHECK_EQ(outcome.m.cause, CAUSE_LOAD_PAGE);
    CHECK_EQ(outcome.m.tval, WINDOW);
    CHECK_EQ(outcome.m.from, M_MODE);
    csr_set(mstatus, MSTATUS_SUM);
    EXPECT_VALUE(as(S_MODE, load_as, WINDOW), 0x4321);
    csr_clear(mstatus, MSTATUS_SUM);
    window(data, PTE_V | PTE_R | PTE_A | PTE_U);
    outcome = as(U_MODE, store_as, WINDOW);
    CHECK_EQ(outcome.m.cause, CAUSE_STORE_PAGE);
    CHECK_EQ(outcome.m.tval, WINDOW);
    /* MPP is M: no translation; nothing is at that physical address. */
    outcome = as(M_MODE, load_as, WINDOW);
    CHECK_EQ(outcome.m.cause, CAUSE_LOAD_ACCESS);
    csr_write(mtvec, m_vector);
}

static void mprv_leaves_fetches_alone(void)
{
    csr_write(mtvec, mprv_vector);
    /* User mode cannot execute this program at its physical address. */
    CHECK(as(U_MODE, fetch_as, 0).returned);
    csr_write(mtvec, m_vector);
}

int main(void)
{
    root = new_space(MODE);
    use_space(root, MODE, 0);
    RUN(users_reach_user_pages_only);
    RUN(sum_opens_user_pages);
    RUN(sum_never_opens_user_code);
    RUN(mxr_makes_code_readable);
    RUN(mprv_uses_the_previous_mode);
    RUN(mprv_leaves_fetches_alone);
    return 0;
}
