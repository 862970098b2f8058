/* Svnapot, Svpbmt, Svadu, Svinval and Svvptc. Privileged ISA, chapters of those names. */
#include "bare.h"

#define MODE SATP_SV39
#define WINDOW 0x1000000000UL

static u64 data[16 * 512] __attribute__((aligned(65536)));
static u64 *root;

static void window(u64 flags) { map(root, MODE, WINDOW, (u64)data, 0, flags), sfence(); }
static u64 load(u64 address) { return run(S_MODE, ENTRY(probe_ld), address).value; }
#define LOAD_FAULTS(address) EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), address), M_MODE, CAUSE_LOAD_PAGE, probe_ld, address)

/* 64 KiB ranges: N with the lowest bits of the page number 1000. */
static void svnapot(void)
{
    u64 range = (u64)data | 8 * PAGE;
    for (u64 i = 0; i < 16; i++) {
        data[i * 512] = 100 + i;
        map(root, MODE, WINDOW + i * PAGE, range, 0, PTE_RW | PTE_N);
    }
    sfence();
    if (!has_extension("svnapot")) {
        absent("svnapot");
        LOAD_FAULTS(WINDOW);
        return;
    }
    for (u64 i = 0; i < 16; i++)
        CHECK_EQ(load(WINDOW + i * PAGE), 100 + i);
    CHECK(run(S_MODE, ENTRY(probe_sd), WINDOW + 3 * PAGE + 8).returned);
    CHECK_EQ(data[3 * 512 + 1], PROBE_VALUE);
}

static void svnapot_of_other_sizes_is_reserved(void)
{
    for (u64 low = 0; low < 16; low++) {
        if (low == 8)
            continue;
        map(root, MODE, WINDOW, (u64)data | low * PAGE, 0, PTE_RW | PTE_N);
        sfence();
        LOAD_FAULTS(WINDOW);
    }
    /* and in a superpage */
    map(root, MODE, 0x3000000000, ((u64)data & -MEGAPAGE) | 8 * PAGE, 1, PTE_RW | PTE_N);
    sfence();
    LOAD_FAULTS(0x3000000000);
    *pte_of(root, MODE, 0x3000000000, 1) = 0;
}

static void svpbmt(void)
{
    data[0] = 55;
    if (!has_extension("svpbmt"))
        return absent("svpbmt");
    csr_clear(CSR_MENVCFG, MENVCFG_PBMTE);
    window(PTE_RW | PTE_PBMT(1));
    LOAD_FAULTS(WINDOW);
    csr_set(CSR_MENVCFG, MENVCFG_PBMTE);
    sfence();
    for (u64 type = 0; type < 3; type++) {
        window(PTE_RW | PTE_PBMT(type));
        CHECK_EQ(load(WINDOW), 55);
    }
    csr_clear(CSR_MENVCFG, MENVCFG_PBMTE);
    sfence();
}

/* qemu fails memory_type_3_is_reserved: it takes any type, "Svpbmt" */
static void memory_type_3_is_reserved(void)
{
    if (!has_extension("svpbmt"))
        return absent("svpbmt");
    csr_set(CSR_MENVCFG, MENVCFG_PBMTE);
    window(PTE_RW | PTE_PBMT(3));
    LOAD_FAULTS(WINDOW);
    csr_clear(CSR_MENVCFG, MENVCFG_PBMTE);
    sfence();
}

/* With menvcfg.ADUE, hardware sets A and D. */
static void svadu(void)
{
    if (!has_extension("svadu"))
        return absent("svadu");
    csr_set(CSR_MENVCFG, MENVCFG_ADUE);
    CHECK(csr_read(CSR_MENVCFG) & MENVCFG_ADUE);
    window(PTE_V | PTE_R | PTE_W);
    CHECK_EQ(load(WINDOW), 55);
    CHECK_EQ(*pte_of(root, MODE, WINDOW, 0) & PTE_AD, PTE_A);
    CHECK(run(S_MODE, ENTRY(probe_sd), WINDOW + 8).returned);
    CHECK_EQ(*pte_of(root, MODE, WINDOW, 0) & PTE_AD, PTE_AD);
    /* A store without the right to leaves D alone. */
    window(PTE_V | PTE_R);
    CHECK(!run(S_MODE, ENTRY(probe_sd), WINDOW).returned);
    CHECK_EQ(*pte_of(root, MODE, WINDOW, 0) & PTE_D, 0);
    csr_clear(CSR_MENVCFG, MENVCFG_ADUE);
    sfence();
}

static void svinval(void)
{
    if (!has_extension("svinval"))
        return absent("svinval");
    window(PTE_RW);
    CHECK_EQ(load(WINDOW), 55);
    *pte_of(root, MODE, WINDOW, 0) = 0;
    /* sfence.w.inval; sinval.vma a0, x0; sfence.inval.ir */
    register u64 a0 asm("a0") = WINDOW;
    asm volatile(".4byte 0x18000073\n .4byte 0x16050073\n .4byte 0x18100073" ::"r"(a0) : "memory");
    LOAD_FAULTS(WINDOW);
}

/* "Within a bounded timeframe": after so many tries. */
static void svvptc(void)
{
    if (!has_extension("svvptc"))
        return absent("svvptc");
    *pte_of(root, MODE, WINDOW, 0) = 0;
    sfence();
    for (u64 i = 0; i < 20; i++) {
        LOAD_FAULTS(WINDOW);
        data[0] = i;
        window(0);
        *pte_of(root, MODE, WINDOW, 0) = pte((u64)data, PTE_RW);
        struct outcome result;
        for (int tries = 0; tries < 1000 && !(result = run(S_MODE, ENTRY(probe_ld), WINDOW)).returned; tries++)
            ;
        EXPECT_VALUE(result, i);
        *pte_of(root, MODE, WINDOW, 0) = 0;
        sfence();
    }
}

int main(void)
{
    root = new_space(MODE);
    use_space(root, MODE, 0);
    RUN(svnapot);
    RUN(svnapot_of_other_sizes_is_reserved);
    RUN(svpbmt);
    RUN(memory_type_3_is_reserved);
    RUN(svadu);
    RUN(svinval);
    RUN(svvptc);
    return 0;
}
