/* Page tables, Privileged ISA, "Sv39", "Sv48" and "Sv57". */
#include "../bare.h"

#define POOL_PAGES 192

static u8 pool[POOL_PAGES][PAGE] __attribute__((aligned(PAGE)));
static unsigned pool_used;

void *new_page(void)
{
    if (pool_used == POOL_PAGES) {
        failed(__FILE__, __LINE__, "the pool has a page left");
        finish();
    }
    return pool[pool_used++];
}

u64 *pte_of(u64 *root, u64 satp_mode, u64 address, unsigned level)
{
    u64 *table = root;
    for (unsigned at = (unsigned)(satp_mode - SATP_SV39) + 2;; at--) {
        u64 *entry = &table[address >> (12 + 9 * at) & 511];
        if (at == level)
            return entry;
        if (!(*entry & PTE_V))
            *entry = pte((u64)new_page(), PTE_V);
        table = (u64 *)(*entry >> 10 << 12);
    }
}

void map(u64 *root, u64 satp_mode, u64 address, u64 physical, unsigned level, u64 flags)
{
    *pte_of(root, satp_mode, address, level) = pte(physical, flags);
}

u64 *new_space(u64 satp_mode)
{
    u64 *root = new_page();
    for (u64 at = RAM_BASE; at < RAM_BASE + 2 * MEGAPAGE; at += MEGAPAGE) {
        map(root, satp_mode, at, at, 1, PTE_RWX);
        map(root, satp_mode, at + USER_OFFSET, at, 1, PTE_RWX | PTE_U);
    }
    return root;
}

int use_space(u64 *root, u64 satp_mode, u64 asid)
{
    csr_write(satp, satp_mode << 60 | asid << 44 | (u64)root >> 12);
    sfence();
    return csr_read(satp) >> 60 == satp_mode;
}

void use_no_space(void)
{
    csr_write(satp, 0);
    sfence();
}
