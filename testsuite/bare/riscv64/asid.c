/* Address spaces, global pages, and what each form of sfence.vma must forget. Privileged ISA, "Supervisor Memory-Management Fence". */
#include "bare.h"

#define MODE SATP_SV39
#define WINDOW 0x1000000000UL
#define OTHER (WINDOW + PAGE)

static u64 first[512] __attribute__((aligned(4096))) = {1};
static u64 second[512] __attribute__((aligned(4096))) = {2};
static u64 *space_a, *space_b;
static u64 asid_bits;

static void set_satp(u64 *root, u64 asid) { csr_write(satp, MODE << 60 | asid << 44 | (u64)root >> 12); }
static u64 load(u64 address) { return run(S_MODE, ENTRY(probe_ld), address).value; }
static int loads(u64 address) { return run(S_MODE, ENTRY(probe_ld), address).returned; }

static void asid_width(void)
{
    csr_write(satp, MODE << 60 | 0xffffUL << 44);
    u64 kept = csr_read(satp) >> 44 & 0xffff;
    csr_write(satp, 0);
    while (kept >> asid_bits & 1)
        asid_bits++;
    CHECK_EQ(kept, BIT(asid_bits) - 1);
}

/* Two spaces map the same address to different pages; no fence is needed between them. */
static void a_switch_needs_no_fence(void)
{
    if (asid_bits < 2)
        return absent("two bits of ASID");
    map(space_a, MODE, WINDOW, (u64)first, 0, PTE_RW);
    map(space_b, MODE, WINDOW, (u64)second, 0, PTE_RW);
    sfence();
    for (int i = 0; i < 3; i++) {
        set_satp(space_a, 1);
        CHECK_EQ(load(WINDOW), 1);
        set_satp(space_b, 2);
        CHECK_EQ(load(WINDOW), 2);
    }
    use_no_space();
}

static void an_unmapped_page_of_one_space(void)
{
    map(space_a, MODE, OTHER, (u64)first, 0, PTE_RW);
    *pte_of(space_b, MODE, OTHER, 0) = 0;
    sfence();
    set_satp(space_a, 1);
    CHECK(loads(OTHER));
    set_satp(space_b, 2);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), OTHER), M_MODE, CAUSE_LOAD_PAGE, probe_ld, OTHER);
    set_satp(space_a, 1);
    CHECK(loads(OTHER));
    use_no_space();
}

/* With one ASID, a change of the root takes effect at a fence. */
static void the_same_asid_after_a_fence(void)
{
    set_satp(space_a, 1);
    CHECK_EQ(load(WINDOW), 1);
    set_satp(space_b, 1);
    sfence();
    CHECK_EQ(load(WINDOW), 2);
    use_no_space();
}

static void change(u64 *page) { map(space_a, MODE, WINDOW, (u64)page, 0, PTE_RW); }

/* After each form that covers it, the new entry is used. */
static void forms_of_the_fence(void)
{
    u64 asid = asid_bits >= 2 ? 1 : 0;
    set_satp(space_a, asid);
    sfence();
    CHECK_EQ(load(WINDOW), 1);
    change(second);
    asm volatile("sfence.vma" ::: "memory");
    CHECK_EQ(load(WINDOW), 2);
    change(first);
    asm volatile("sfence.vma %0" ::"r"(WINDOW) : "memory");
    CHECK_EQ(load(WINDOW), 1);
    change(second);
    asm volatile("sfence.vma x0, %0" ::"r"(asid) : "memory");
    CHECK_EQ(load(WINDOW), 2);
    change(first);
    asm volatile("sfence.vma %0, %1" ::"r"(WINDOW + 0x7f8), "r"(asid) : "memory");
    CHECK_EQ(load(WINDOW), 1);
    use_no_space();
}

/* Rights that were taken away are gone after the fence, and rights that were given are there. */
static void rights_change_at_the_fence(void)
{
    set_satp(space_a, 0);
    map(space_a, MODE, WINDOW, (u64)first, 0, PTE_RW);
    sfence();
    CHECK(run(S_MODE, ENTRY(probe_sd), WINDOW + 8).returned);
    map(space_a, MODE, WINDOW, (u64)first, 0, PTE_V | PTE_R | PTE_A);
    asm volatile("sfence.vma %0" ::"r"(WINDOW) : "memory");
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), WINDOW + 8), M_MODE, CAUSE_STORE_PAGE, probe_sd, WINDOW + 8);
    map(space_a, MODE, WINDOW, (u64)first, 0, PTE_RW);
    sfence();
    CHECK(run(S_MODE, ENTRY(probe_sd), WINDOW + 8).returned);
    use_no_space();
}

/* A whole 2 MiB page goes at a fence for any address in it. */
static void superpages_go_as_a_whole(void)
{
    u64 large = 0x3000000000, base = (u64)first & -MEGAPAGE;
    map(space_a, MODE, large, base, 1, PTE_RW);
    set_satp(space_a, 0);
    sfence();
    u64 in_first = large + ((u64)first - base), in_second = large + ((u64)second - base);
    CHECK_EQ(load(in_first), 1);
    CHECK_EQ(load(in_second), 2);
    *pte_of(space_a, MODE, large, 1) = 0;
    asm volatile("sfence.vma %0" ::"r"(in_first) : "memory");
    CHECK(!loads(in_first));
    CHECK(!loads(in_second));
    use_no_space();
}

/* Global pages are the same in all spaces, and go with a fence for all of them. */
static void global_pages(void)
{
    u64 global = 0x3800000000;
    map(space_a, MODE, global, (u64)first, 0, PTE_RW | PTE_G);
    map(space_b, MODE, global, (u64)first, 0, PTE_RW | PTE_G);
    sfence();
    set_satp(space_a, 1);
    CHECK_EQ(load(global), 1);
    set_satp(space_b, 2);
    CHECK_EQ(load(global), 1);
    map(space_a, MODE, global, (u64)second, 0, PTE_RW | PTE_G);
    map(space_b, MODE, global, (u64)second, 0, PTE_RW | PTE_G);
    asm volatile("sfence.vma %0" ::"r"(global) : "memory");
    CHECK_EQ(load(global), 2);
    set_satp(space_a, 1);
    CHECK_EQ(load(global), 2);
    use_no_space();
}

/* Fetches have translations of their own to forget. */
static u32 code_one[1024] __attribute__((aligned(4096))) = {0x00100513, 0x00008067}; /* li a0, 1; ret */
static u32 code_two[1024] __attribute__((aligned(4096))) = {0x00200513, 0x00008067};

static void fetches_follow(void)
{
    u64 at = 0x2800000000;
    map(space_a, MODE, at, (u64)code_one, 0, PTE_RX);
    map(space_b, MODE, at, (u64)code_two, 0, PTE_RX);
    sfence();
    for (int i = 0; i < 100; i++) {
        set_satp(space_a, 1);
        CHECK_EQ(run(S_MODE, at, 0).value, 1);
        set_satp(space_b, 2);
        if (asid_bits < 2)
            sfence();
        CHECK_EQ(run(S_MODE, at, 0).value, 2);
    }
    map(space_b, MODE, at, (u64)code_one, 0, PTE_RX);
    asm volatile("sfence.vma %0" ::"r"(at) : "memory");
    CHECK_EQ(run(S_MODE, at, 0).value, 1);
    use_no_space();
}

int main(void)
{
    space_a = new_space(MODE);
    space_b = new_space(MODE);
    RUN(asid_width);
    RUN(a_switch_needs_no_fence);
    RUN(an_unmapped_page_of_one_space);
    RUN(the_same_asid_after_a_fence);
    RUN(forms_of_the_fence);
    RUN(rights_change_at_the_fence);
    RUN(superpages_go_as_a_whole);
    RUN(global_pages);
    RUN(fetches_follow);
    return 0;
}
