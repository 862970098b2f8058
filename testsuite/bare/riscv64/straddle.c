/* Accesses and instructions across a page boundary. Privileged ISA, "Machine Trap Value Register": the faulting part's address. */
#include "bare.h"

#define WINDOW 0x1000000000UL
#define MODE SATP_SV39

static u64 *root;
static u8 pages[2][4096] __attribute__((aligned(4096)));

static void windows(u64 first, u64 second)
{
    map(root, MODE, WINDOW, (u64)pages[0], 0, first);
    map(root, MODE, WINDOW + PAGE, (u64)pages[1], 0, second);
    sfence();
}

static void put(u8 *to, u32 instruction)
{
    for (int i = 0; i < 4; i++)
        to[i] = (u8)(instruction >> 8 * i);
    fence_i();
}

/* li a0, 99 with its halves in two pages, then ret */
static void instruction(void)
{
    put(&pages[0][4094], 0x06300513);
    put(&pages[0][4094] + 4, 0x00008067);
    windows(PTE_RX, PTE_RX);
    EXPECT_VALUE(run(S_MODE, WINDOW + 4094, 0), 99);
    windows(PTE_RX, 0);
    EXPECT_TRAP(run(S_MODE, WINDOW + 4094, 0), M_MODE, CAUSE_FETCH_PAGE, WINDOW + 4094, WINDOW + PAGE);
    windows(PTE_RX, PTE_RW);
    EXPECT_TRAP(run(S_MODE, WINDOW + 4094, 0), M_MODE, CAUSE_FETCH_PAGE, WINDOW + 4094, WINDOW + PAGE);
    windows(0, PTE_RX);
    EXPECT_TRAP(run(S_MODE, WINDOW + 4094, 0), M_MODE, CAUSE_FETCH_PAGE, WINDOW + 4094, WINDOW + 4094);
    /* and again, so that a kept translation would show */
    windows(PTE_RX, PTE_RX);
    EXPECT_VALUE(run(S_MODE, WINDOW + 4094, 0), 99);
}

/* A compressed instruction at the end of a page does not need the next. */
static void compressed_instruction(void)
{
    pages[0][4094] = 0x82; /* c.jr ra */
    pages[0][4095] = 0x80;
    fence_i();
    windows(PTE_RX, 0);
    EXPECT_VALUE(run(S_MODE, WINDOW + 4094, 7), 7);
    /* c.nop there, and then on into the hole */
    pages[0][4094] = 0x01;
    pages[0][4095] = 0x00;
    fence_i();
    EXPECT_TRAP(run(S_MODE, WINDOW + 4094, 7), M_MODE, CAUSE_FETCH_PAGE, WINDOW + PAGE, WINDOW + PAGE);
}

/* The second half changes: the instruction is another one. */
static void a_half_that_changes(void)
{
    put(&pages[0][4094] + 4, 0x00008067);
    windows(PTE_RX, PTE_RX);
    for (u32 i = 0; i < 50; i++) {
        put(&pages[0][4094], 0x00000513 | i << 20);
        EXPECT_VALUE(run(S_MODE, WINDOW + 4094, 0), i);
    }
}

/* Misaligned data: done by hardware here, or misaligned exceptions; never in part. */
static int misaligned_works;

static void data(void)
{
    windows(PTE_RW, PTE_RW);
    for (int i = 0; i < 8; i++)
        (&pages[0][4092])[i] = (u8)(i + 1);
    struct outcome outcome = run(S_MODE, ENTRY(probe_ld), WINDOW + 4092);
    misaligned_works = outcome.returned;
    if (!misaligned_works) {
        absent("misaligned accesses");
        CHECK_EQ(outcome.m.cause, CAUSE_LOAD_MISALIGNED);
        return;
    }
    CHECK_EQ(outcome.value, 0x0807060504030201);
    windows(PTE_RW, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), WINDOW + 4092), M_MODE, CAUSE_LOAD_PAGE, probe_ld, WINDOW + PAGE);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_lw), WINDOW + 4094), M_MODE, CAUSE_LOAD_PAGE, probe_lw, WINDOW + PAGE);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), WINDOW + 4092), M_MODE, CAUSE_STORE_PAGE, probe_sd, WINDOW + PAGE);
    /* No byte of it was written. */
    CHECK_EQ(pages[0][4092], 1);
    CHECK_EQ(pages[0][4095], 4);
    windows(0, PTE_RW);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), WINDOW + 4092), M_MODE, CAUSE_LOAD_PAGE, probe_ld, WINDOW + 4092);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), WINDOW + 4092), M_MODE, CAUSE_STORE_PAGE, probe_sd, WINDOW + 4092);
    windows(PTE_RW, PTE_V | PTE_R | PTE_A);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), WINDOW + 4092), M_MODE, CAUSE_STORE_PAGE, probe_sd, WINDOW + PAGE);
    CHECK_EQ(pages[0][4092], 1);
}

static void data_in_two_pages_that_are_not_neighbours(void)
{
    static u8 far[4096] __attribute__((aligned(4096)));
    if (!misaligned_works)
        return;
    map(root, MODE, WINDOW, (u64)pages[0], 0, PTE_RW);
    map(root, MODE, WINDOW + PAGE, (u64)far, 0, PTE_RW);
    sfence();
    CHECK(run(S_MODE, ENTRY(probe_sd), WINDOW + 4095).returned);
    CHECK_EQ(pages[0][4095], PROBE_VALUE);
    CHECK_EQ(far[0], 0);
    far[6] = 0x77;
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), WINDOW + 4095), 0x7700000000000000 | PROBE_VALUE);
}

int main(void)
{
    root = new_space(MODE);
    use_space(root, MODE, 0);
    RUN(instruction);
    RUN(compressed_instruction);
    RUN(a_half_that_changes);
    RUN(data);
    RUN(data_in_two_pages_that_are_not_neighbours);
    return 0;
}
