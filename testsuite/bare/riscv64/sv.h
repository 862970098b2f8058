/*
 * Faults of page-table walks, with exact cause, epc and value, in the mode SATP_MODE with LEVELS levels.
 * Privileged ISA, "Virtual Address Translation Process". Included by sv39.c, sv48.c and sv57.c.
 */
#include "bare.h"

#define LEVELS (SATP_MODE - SATP_SV39 + 3)
#define BITS (12 + 9 * LEVELS)
/* Away from the program's own mappings */
#define WINDOW (0x1000000000UL)

static u64 *root;
static u64 data[512] __attribute__((aligned(4096)));
/* li a0, 99; ret */
static u32 code[1024] __attribute__((aligned(4096))) = {0x06300513, 0x00008067};

static void window(u64 flags) { map(root, SATP_MODE, WINDOW, (u64)data, 0, flags), sfence(); }
static void code_window(u64 flags) { map(root, SATP_MODE, WINDOW, (u64)code, 0, flags), sfence(); }

static void expect_fetch_fault(unsigned mode, u64 address)
{
    EXPECT_TRAP(run(mode, ENTRY(probe_jump), address), M_MODE, CAUSE_FETCH_PAGE, address, address);
}

static void expect_load_fault(unsigned mode, u64 address)
{
    EXPECT_TRAP(run(mode, ENTRY(probe_ld), address), M_MODE, CAUSE_LOAD_PAGE,
                ENTRY(probe_ld) + (mode == U_MODE ? USER_OFFSET : 0), address);
}

static void expect_store_fault(unsigned mode, u64 address)
{
    EXPECT_TRAP(run(mode, ENTRY(probe_sd), address), M_MODE, CAUSE_STORE_PAGE,
                ENTRY(probe_sd) + (mode == U_MODE ? USER_OFFSET : 0), address);
}

static void expect_all_faults(unsigned mode, u64 address)
{
    expect_fetch_fault(mode, address);
    expect_load_fault(mode, address);
    expect_store_fault(mode, address);
}

static void nothing_is_mapped(void)
{
    *pte_of(root, SATP_MODE, WINDOW, 0) = 0;
    sfence();
    expect_all_faults(S_MODE, WINDOW);
    expect_all_faults(U_MODE, WINDOW + 0x128);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_lb), WINDOW + 4095), M_MODE, CAUSE_LOAD_PAGE, probe_lb, WINDOW + 4095);
    /* V clear with all else set is no mapping either. */
    window(PTE_RWX & ~PTE_V);
    expect_all_faults(S_MODE, WINDOW);
}

static void access_rights(void)
{
    data[0] = 0x1234;
    window(PTE_V | PTE_R | PTE_AD);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), WINDOW), 0x1234);
    expect_store_fault(S_MODE, WINDOW);
    expect_fetch_fault(S_MODE, WINDOW);
    window(PTE_RW);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_sd), WINDOW), WINDOW);
    CHECK_EQ(data[0], PROBE_VALUE);
    expect_fetch_fault(S_MODE, WINDOW);
    code_window(PTE_V | PTE_X | PTE_A);
    EXPECT_VALUE(run(S_MODE, WINDOW, 0), 99);
    expect_load_fault(S_MODE, WINDOW);
    expect_store_fault(S_MODE, WINDOW);
    code_window(PTE_RX);
    EXPECT_VALUE(run(S_MODE, WINDOW, 0), 99);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_lw), WINDOW), 0x06300513);
    expect_store_fault(S_MODE, WINDOW);
}

static void writable_but_not_readable_is_reserved(void)
{
    window(PTE_V | PTE_W | PTE_AD);
    expect_all_faults(S_MODE, WINDOW);
    window(PTE_V | PTE_W | PTE_X | PTE_AD);
    expect_all_faults(S_MODE, WINDOW);
}

/* Svade: the A and D bits are never set by hardware, unless Svadu was asked to. */
static void accessed_and_dirty(void)
{
    if (has_extension("svadu"))
        csr_clear(CSR_MENVCFG, MENVCFG_ADUE);
    window(PTE_V | PTE_R | PTE_W);
    expect_load_fault(S_MODE, WINDOW);
    expect_store_fault(S_MODE, WINDOW);
    CHECK_EQ(*pte_of(root, SATP_MODE, WINDOW, 0) & PTE_AD, 0);
    window(PTE_V | PTE_R | PTE_W | PTE_A);
    CHECK(run(S_MODE, ENTRY(probe_ld), WINDOW).returned);
    expect_store_fault(S_MODE, WINDOW);
    code_window(PTE_V | PTE_R | PTE_X);
    expect_fetch_fault(S_MODE, WINDOW);
    CHECK_EQ(*pte_of(root, SATP_MODE, WINDOW, 0) & PTE_AD, 0);
}

/* An entry that points to a further table cannot stand in the last one, and has A, D and U clear. */
static void pointers_and_leaves(void)
{
    *pte_of(root, SATP_MODE, WINDOW, 0) = pte((u64)data, PTE_V);
    sfence();
    expect_all_faults(S_MODE, WINDOW);
    window(PTE_RW);
    u64 *pointer = pte_of(root, SATP_MODE, WINDOW, 1), before = *pointer;
    for (unsigned bit = 4; bit <= 7; bit += bit == 4 ? 2 : 1) {
        *pointer = before | BIT(bit);
        sfence();
        expect_load_fault(S_MODE, WINDOW);
    }
    *pointer = before;
    sfence();
    CHECK(run(S_MODE, ENTRY(probe_ld), WINDOW).returned);
}

static void reserved_bits(void)
{
    if (has_extension("svpbmt"))
        csr_clear(CSR_MENVCFG, MENVCFG_PBMTE);
    window(PTE_RW | BIT(54));
    expect_load_fault(S_MODE, WINDOW);
    window(PTE_RW | BIT(60));
    expect_load_fault(S_MODE, WINDOW);
    window(PTE_RW | PTE_PBMT(3));
    expect_load_fault(S_MODE, WINDOW);
    /* Bits 8 and 9 are software's. */
    window(PTE_RW | BIT(8) | BIT(9));
    CHECK(run(S_MODE, ENTRY(probe_ld), WINDOW).returned);
}

/* An address must be the sign extension of its lower bits. */
static void addresses_that_are_not_canonical(void)
{
    u64 first_bad = 1UL << (BITS - 1);
    u64 good = -1UL << (BITS - 1);
    window(PTE_RW);
    u64 bad = WINDOW | 1UL << 60;
    expect_all_faults(S_MODE, first_bad);
    expect_all_faults(S_MODE, good - PAGE);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), bad), M_MODE, CAUSE_LOAD_PAGE, probe_ld, bad);
    map(root, SATP_MODE, good, (u64)data, 0, PTE_RW);
    map(root, SATP_MODE, -PAGE, (u64)data, 0, PTE_RW);
    sfence();
    data[1] = 0x77;
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), good + 8), 0x77);
    EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), -PAGE + 8), 0x77);
}

/* Leaves at each higher level that still fits the program's own mappings. */
static void superpages(void)
{
    data[2] = 0xabc;
    for (unsigned level = 1; level < LEVELS; level++) {
        u64 size = PAGE << (9 * level);
        u64 address = LEVELS > 3 ? 3UL << 39 : 0x3000000000;
        if (level == 3)
            address = 5UL << 39;
        if (level == 4)
            address = 7UL << 48;
        u64 base = (u64)data & -size;
        map(root, SATP_MODE, address, base, level, PTE_RW);
        sfence();
        u64 inside = address + ((u64)data - base) + 16;
        EXPECT_VALUE(run(S_MODE, ENTRY(probe_ld), inside), 0xabc);
        CHECK(run(S_MODE, ENTRY(probe_sd), inside + 8).returned);
        CHECK_EQ(data[3], PROBE_VALUE);
        expect_fetch_fault(S_MODE, inside);
        /* Misaligned: a low bit of the page number is set. */
        map(root, SATP_MODE, address, base + PAGE, level, PTE_RW);
        sfence();
        expect_all_faults(S_MODE, inside);
        *pte_of(root, SATP_MODE, address, level) = 0;
        sfence();
    }
}

/* A store to a read-only page by an AMO or SC is a store fault, and by LR a load fault. */
static void atomics(void)
{
    window(PTE_V | PTE_R | PTE_AD);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_amoadd), WINDOW), M_MODE, CAUSE_STORE_PAGE, probe_amoadd, WINDOW);
    CHECK(run(S_MODE, ENTRY(probe_lr), WINDOW).returned);
    window(0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_amoadd), WINDOW), M_MODE, CAUSE_STORE_PAGE, probe_amoadd, WINDOW);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_lr), WINDOW), M_MODE, CAUSE_LOAD_PAGE, probe_lr, WINDOW);
}

/* M mode does not translate, and no mode does when satp is Bare. */
static void machine_mode_is_untranslated(void)
{
    window(0);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_ld), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, HOLE);
    EXPECT_VALUE(run(M_MODE, ENTRY(probe_ld), (u64)&data[2]), 0xabc);
}

int main(void)
{
    root = new_space(SATP_MODE);
    if (!use_space(root, SATP_MODE, 0)) {
        absent("this translation mode");
        return 0;
    }
    RUN(nothing_is_mapped);
    RUN(access_rights);
    RUN(writable_but_not_readable_is_reserved);
    RUN(accessed_and_dirty);
    RUN(pointers_and_leaves);
    RUN(reserved_bits);
    RUN(addresses_that_are_not_canonical);
    RUN(superpages);
    RUN(atomics);
    RUN(machine_mode_is_untranslated);
    return 0;
}
