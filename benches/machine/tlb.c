/*
 * What accesses to memory cost on the bare machine, each line `NAME PICOSECONDS` of one access:
 *     hit-*      a few pages, again and again: what the first probe finds
 *     conflict-* pages of which each takes the last one's place in a direct-mapped TLB
 *     walk-*     more pages than any TLB holds: each access walks the page tables
 *     ram        addresses all over 32 MiB, without page tables: the host's own TLB
 *     touch      the first store to each page of 64 MiB
 * An access's address depends on what the one before has read, which is zero. Virtual pages all lie on one. The
 * shortest of many slices counts, each a millisecond or so: others have the host's processor meanwhile, too.
 */
#include "bare.h"

#define BASE 0x4000000000UL
#define FAR_STRIDE (16384 * PAGE)
#define FAR_PAGES 64
#define MANY_PAGES 32768
/* Of these, in one slice. */
#define PART_PAGES 2048
#define RAM_BYTES (32UL << 20)
#define RAM_START (RAM_BASE + (32UL << 20))
#define TOUCH_BYTES (64UL << 20)
#define TOUCH_START (RAM_BASE + (64UL << 20))
/* mtime counts 100 ns. */
#define TICK_PICOSECONDS 100000UL

static volatile u64 zeros[512] __attribute__((aligned(4096)));

#define SLICES 60
#define TOUCH_SLICE (512 * PAGE)

struct walk {
    u64 base, stride, pages, rounds;
    /* Slices begin at so many places, one after the other. */
    u64 parts;
};

static u64 shorter(u64 a, u64 b) { return a < b ? a : b; }

/* In S mode. */
static u64 go_through(u64 argument)
{
    struct walk walk = *(const struct walk *)argument;
    u64 read = 0;
    for (u64 round = 0; round < walk.rounds; round++) {
        u64 at = walk.base;
        for (u64 page = 0; page < walk.pages; page++) {
            read = *(volatile u64 *)(at + read);
            at += walk.stride;
        }
    }
    return read;
}

static void report(const char *name, const char *suffix, u64 ticks, u64 accesses)
{
    char text[24];
    int at = sizeof text - 1;
    text[at] = 0;
    u64 value = ticks * TICK_PICOSECONDS / accesses;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(name);
    print(suffix);
    print(" ");
    print(text + at);
    print("\n");
}

static void measure(const char *name, const char *suffix, struct walk walk)
{
    u64 shortest = -1UL;
    for (unsigned slice = 0; slice < SLICES; slice++) {
        struct walk part = walk;
        part.base += slice % walk.parts * walk.pages * walk.stride;
        u64 before = MTIME;
        CHECK(run(S_MODE, ENTRY(go_through), (u64)&part).returned);
        shortest = shorter(shortest, MTIME - before);
    }
    report(name, suffix, shortest, walk.rounds * walk.pages);
}

/* Tables for 1 GiB: MANY_PAGES pages at its start. */
static u64 *near_tables(void)
{
    u64 *middle = new_page();
    for (u64 table = 0; table < MANY_PAGES / 512; table++) {
        u64 *last = new_page();
        for (unsigned page = 0; page < 512; page++)
            last[page] = pte((u64)zeros, PTE_RW);
        middle[table] = pte((u64)last, PTE_V);
    }
    return middle;
}

/* Tables for 1 GiB: a page each FAR_STRIDE. */
static u64 *far_tables(void)
{
    u64 *middle = new_page(), *last = new_page();
    last[0] = pte((u64)zeros, PTE_RW);
    for (unsigned table = 0; table < 512; table += FAR_STRIDE / MEGAPAGE)
        middle[table] = pte((u64)last, PTE_V);
    return middle;
}

static void pages(u64 mode, const char *suffix, const u64 *near, const u64 *far)
{
    u64 *root = new_space(mode);
    *pte_of(root, mode, BASE - GIGAPAGE, 2) = pte((u64)near, PTE_V);
    for (u64 gigapage = 0; gigapage < FAR_PAGES * FAR_STRIDE / GIGAPAGE; gigapage++)
        *pte_of(root, mode, BASE - 8 * GIGAPAGE + gigapage * GIGAPAGE, 2) = pte((u64)far, PTE_V);
    if (!use_space(root, mode, 0))
        return;
    measure("hit", suffix, (struct walk){BASE - GIGAPAGE, PAGE, 8, 60000, 1});
    measure("conflict", suffix, (struct walk){BASE - 8 * GIGAPAGE, FAR_STRIDE, FAR_PAGES, 400, 1});
    measure("walk", suffix, (struct walk){BASE - GIGAPAGE, PAGE, PART_PAGES, 1, MANY_PAGES / PART_PAGES});
    use_no_space();
}

static void all_over_ram(void)
{
    enum { ACCESSES = 100000 };
    for (u64 at = RAM_START; at < RAM_START + RAM_BYTES; at += PAGE)
        REG64(at) = 0;
    u64 state = 1, read = 0, shortest = -1UL;
    for (unsigned slice = 0; slice < SLICES; slice++) {
        u64 before = MTIME;
        for (u64 n = 0; n < ACCESSES; n++) {
            state = state * 6364136223846793005UL + 1442695040888963407UL;
            read = REG64(RAM_START + (state >> 33 & (RAM_BYTES - 1) & ~7UL) + read);
        }
        shortest = shorter(shortest, MTIME - before);
    }
    report("ram", "", shortest, ACCESSES);
}

static void first_stores(void)
{
    u64 shortest = -1UL;
    for (u64 start = TOUCH_START; start < TOUCH_START + TOUCH_BYTES; start += TOUCH_SLICE) {
        u64 before = MTIME;
        for (u64 at = start; at < start + TOUCH_SLICE; at += PAGE)
            REG64(at) = 0;
        shortest = shorter(shortest, MTIME - before);
    }
    report("touch", "", shortest, TOUCH_SLICE / PAGE);
}

int main(void)
{
    first_stores();
    all_over_ram();
    u64 *near = near_tables(), *far = far_tables();
    pages(SATP_SV39, "-sv39", near, far);
    pages(SATP_SV48, "-sv48", near, far);
    pages(SATP_SV57, "-sv57", near, far);
    return 0;
}
