/* harts: 2 */
/* qemu fails an_address_that_leads_elsewhere: SC finds the value that LR read, though on another page */
/* Atomics by different addresses of the same memory, and those of 16 bytes. Unprivileged ISA, "A", "Zacas". */
#include "bare.h"

#define ROUNDS 20000
#define WINDOW 0x1000000000UL

static u64 words[512] __attribute__((aligned(4096)));
static u64 others[512] __attribute__((aligned(4096)));
static u64 *root;
static volatile u64 ready;

/* count(address): ROUNDS times, one word by LR and SC, the next by AMO. */
asm(".text\n.balign 4\n.globl count\n"
    "count: li t3, 20000\n addi t2, a0, 8\n li t4, 1\n"
    "1: lr.d t0, (a0)\n addi t0, t0, 1\n sc.d t1, t0, (a0)\n bnez t1, 1b\n amoadd.w x0, t4, (t2)\n"
    " addi t3, t3, -1\n bnez t3, 1b\n mv a0, zero\n ret\n");
extern u8 count[];

static void count_by_alias(u64 hart)
{
    (void)hart;
    use_space(root, SATP_SV39, 0);
    ready = 1;
    run(S_MODE, ENTRY(count), WINDOW);
    use_no_space();
    ready = 2;
}

static void harts_with_different_addresses(void)
{
    root = new_space(SATP_SV39);
    map(root, SATP_SV39, WINDOW, (u64)words, 0, PTE_RW);
    words[0] = words[1] = 0;
    start_hart(1, count_by_alias);
    while (!ready) {
    }
    run(M_MODE, ENTRY(count), (u64)words);
    while (ready != 2) {
    }
    CHECK_EQ(words[0], 2 * ROUNDS);
    CHECK_EQ(words[1], 2 * ROUNDS);
}

/* What the address stands for changes between LR and SC: another page, with the same value. */
static struct {
    u64 address, *entry, value;
} remap;
asm(".text\n.balign 4\n.globl lr_remap_sc\n"
    "lr_remap_sc: ld t1, 0(a0)\n ld t2, 8(a0)\n ld t3, 16(a0)\n lr.d t0, (t1)\n sd t3, 0(t2)\n sfence.vma\n"
    " sc.d a0, t0, (t1)\n ret\n");
extern u8 lr_remap_sc[];

static void an_address_that_leads_elsewhere(void)
{
    words[0] = others[0] = 5;
    map(root, SATP_SV39, WINDOW, (u64)words, 0, PTE_RW);
    remap.address = WINDOW;
    remap.entry = pte_of(root, SATP_SV39, WINDOW, 0);
    remap.value = pte((u64)others, PTE_RW);
    use_space(root, SATP_SV39, 0);
    struct outcome outcome = run(S_MODE, ENTRY(lr_remap_sc), (u64)&remap);
    use_no_space();
    CHECK(outcome.returned && outcome.value != 0);
}

/* amocas_q(block): the registers are those of the structure, whose first word is the address. */
static struct {
    u64 address, expected[2], new[2];
} swap;
static u64 pair[4] __attribute__((aligned(64)));
asm(".text\n.balign 4\n.globl amocas_q, the_amocas_q\n"
    "amocas_q: mv t2, a0\n ld a4, 0(t2)\n ld a0, 8(t2)\n ld a1, 16(t2)\n ld a2, 24(t2)\n ld a3, 32(t2)\n"
    "the_amocas_q: .word 0x28c7452f\n sd a0, 8(t2)\n sd a1, 16(t2)\n ret\n");
extern u8 amocas_q[], the_amocas_q[];

static void swap_at(u64 address, u64 low, u64 high)
{
    swap.address = address;
    swap.expected[0] = low;
    swap.expected[1] = high;
    swap.new[0] = 33;
    swap.new[1] = 44;
}

static void sixteen_bytes(void)
{
    pair[0] = 11;
    pair[1] = 22;
    swap_at((u64)pair, 11, 23);
    run(M_MODE, ENTRY(amocas_q), (u64)&swap);
    CHECK(swap.expected[0] == 11 && swap.expected[1] == 22 && pair[0] == 11);
    swap_at((u64)pair, 11, 22);
    run(M_MODE, ENTRY(amocas_q), (u64)&swap);
    CHECK(swap.expected[0] == 11 && swap.expected[1] == 22 && pair[0] == 33 && pair[1] == 44);
    swap_at(HOLE, 0, 0);
    EXPECT_TRAP(run(M_MODE, ENTRY(amocas_q), (u64)&swap), M_MODE, CAUSE_STORE_ACCESS, the_amocas_q, HOLE);
}

static void sixteen_translated_bytes(void)
{
    words[0] = 1;
    words[1] = 2;
    map(root, SATP_SV39, WINDOW, (u64)words, 0, PTE_RW);
    map(root, SATP_SV39, WINDOW + PAGE, (u64)others, 0, PTE_V | PTE_R | PTE_A);
    use_space(root, SATP_SV39, 0);
    swap_at(WINDOW, 1, 2);
    EXPECT_VALUE(run(S_MODE, ENTRY(amocas_q), (u64)&swap), 1);
    CHECK(words[0] == 33 && words[1] == 44);
    swap_at(WINDOW + PAGE, 0, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(amocas_q), (u64)&swap), M_MODE, CAUSE_STORE_PAGE, the_amocas_q, WINDOW + PAGE);
    use_no_space();
}

/* li a0, 1; ret, and padding; then li a0, 2. */
static void code_of_sixteen_bytes(void)
{
    static u32 code[1024] __attribute__((aligned(4096))) = {0x00100513, 0x00008067, 0, 0};
    fence_i();
    EXPECT_VALUE(run(M_MODE, ENTRY(code), 0), 1);
    u64 first;
    __builtin_memcpy(&first, code, sizeof first);
    swap_at((u64)code, first, 0);
    swap.new[0] = 0x0000806700200513;
    run(M_MODE, ENTRY(amocas_q), (u64)&swap);
    fence_i();
    EXPECT_VALUE(run(M_MODE, ENTRY(code), 0), 2);
}

int main(void)
{
    if (hart_count() < 2) {
        absent("a second hart");
        return 0;
    }
    RUN(harts_with_different_addresses);
    RUN(an_address_that_leads_elsewhere);
    if (!has_extension("zacas")) {
        absent("zacas");
        return 0;
    }
    RUN(sixteen_bytes);
    RUN(sixteen_translated_bytes);
    RUN(code_of_sixteen_bytes);
    return 0;
}
