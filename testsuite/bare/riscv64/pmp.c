/* Physical memory protection. Privileged ISA, "Physical Memory Protection". Entry 0 opens everything at the start. */
#include "bare.h"

#define R 1
#define W 2
#define X 4
#define OFF (0 << 3)
#define TOR (1 << 3)
#define NA4 (2 << 3)
#define NAPOT (3 << 3)
#define LOCK 0x80

static u64 data[1024] __attribute__((aligned(8192)));
/* li a0, 99; ret */
static u32 code[1024] __attribute__((aligned(4096))) = {0x06300513, 0x00008067};

/* Rewrites pmpcfg0, which has entries 0 to 7, lowest byte first, and opens everything with entry 7. */
static void configure(u64 low)
{
    csr_write(pmpaddr7, -1UL);
    csr_write(pmpcfg0, low | (u64)(NAPOT | R | W | X) << 56);
    sfence();
}

static u64 napot(void *base, u64 size) { return (u64)base >> 2 | (size / 8 - 1); }

#define FAULT(mode, probe, cause, address) \
    EXPECT_TRAP(run(mode, ENTRY(probe), (u64)(address)), M_MODE, cause, probe, (u64)(address))

static void rights_of_a_range(void)
{
    csr_write(pmpaddr0, napot(data, 4096));
    configure(NAPOT | R);
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_ld), (u64)data), data[0]);
    FAULT(U_MODE, probe_sd, CAUSE_STORE_ACCESS, data);
    FAULT(S_MODE, probe_sd, CAUSE_STORE_ACCESS, data);
    FAULT(S_MODE, probe_amoadd, CAUSE_STORE_ACCESS, data);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), (u64)data), M_MODE, CAUSE_FETCH_ACCESS, data, data);
    configure(NAPOT | R | W);
    CHECK(run(U_MODE, ENTRY(probe_sd), (u64)data).returned);
    configure(NAPOT);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_ACCESS, data);
    FAULT(S_MODE, probe_lr, CAUSE_LOAD_ACCESS, data);
    /* beyond the range */
    CHECK(run(U_MODE, ENTRY(probe_ld), (u64)data + 4096).returned);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_ACCESS, (u64)data + 4088);
    /* M mode is not bound by entries without L. */
    CHECK(run(M_MODE, ENTRY(probe_sd), (u64)data).returned);
}

static void execute_only(void)
{
    csr_write(pmpaddr0, napot(code, 4096));
    configure(NAPOT | X);
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_jump), (u64)code), 99);
    FAULT(U_MODE, probe_lw, CAUSE_LOAD_ACCESS, code);
    configure(NAPOT | R | W);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_jump), (u64)code), M_MODE, CAUSE_FETCH_ACCESS, code, code);
}

static void top_of_range(void)
{
    csr_write(pmpaddr0, ((u64)data + 256) >> 2);
    csr_write(pmpaddr1, ((u64)data + 512) >> 2);
    configure(OFF | (u64)(TOR | R) << 8);
    CHECK(run(U_MODE, ENTRY(probe_sd), (u64)data + 248).returned);
    FAULT(U_MODE, probe_sd, CAUSE_STORE_ACCESS, (u64)data + 256);
    FAULT(U_MODE, probe_sd, CAUSE_STORE_ACCESS, (u64)data + 504);
    CHECK(run(U_MODE, ENTRY(probe_sd), (u64)data + 512).returned);
    /* An empty range matches nothing. */
    csr_write(pmpaddr1, ((u64)data + 128) >> 2);
    configure(OFF | (u64)TOR << 8);
    CHECK(run(U_MODE, ENTRY(probe_sd), (u64)data + 128).returned);
    CHECK(run(U_MODE, ENTRY(probe_sd), (u64)data + 256).returned);
}

static u64 granularity(void)
{
    csr_write(pmpcfg0, (u64)(NAPOT | R | W | X) << 56);
    csr_write(pmpaddr0, -1UL);
    u64 kept = csr_read(pmpaddr0), size = 4;
    for (; !(kept & 1); kept >>= 1)
        size *= 2;
    return size;
}

static void four_bytes(void)
{
    if (granularity() != 4)
        return absent("NA4");
    csr_write(pmpaddr0, ((u64)data + 64) >> 2);
    configure(NA4);
    FAULT(U_MODE, probe_lw, CAUSE_LOAD_ACCESS, (u64)data + 64);
    CHECK(run(U_MODE, ENTRY(probe_lw), (u64)data + 60).returned);
    CHECK(run(U_MODE, ENTRY(probe_lw), (u64)data + 68).returned);
    FAULT(U_MODE, probe_lb, CAUSE_LOAD_ACCESS, (u64)data + 67);
    /* An access that matches an entry only in part fails, whatever the rights. */
    configure(NA4 | R | W | X);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_ACCESS, (u64)data + 64);
    CHECK(run(U_MODE, ENTRY(probe_lw), (u64)data + 64).returned);
}

static void the_lowest_entry_decides(void)
{
    csr_write(pmpaddr0, napot(data, 64));
    csr_write(pmpaddr1, napot(data, 4096));
    configure((NAPOT | R | W) | (u64)NAPOT << 8);
    CHECK(run(U_MODE, ENTRY(probe_ld), (u64)data + 56).returned);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_ACCESS, (u64)data + 64);
    configure(NAPOT | (u64)(NAPOT | R | W) << 8);
    FAULT(U_MODE, probe_ld, CAUSE_LOAD_ACCESS, (u64)data + 56);
    CHECK(run(U_MODE, ENTRY(probe_ld), (u64)data + 64).returned);
}

/* If no entry matches, S and U mode have no access and M mode has all. */
static void without_a_match(void)
{
    csr_write(pmpaddr0, napot((void *)RAM_BASE, 1UL << 22));
    csr_write(pmpcfg0, NAPOT | R | W | X);
    sfence();
    u64 beyond = RAM_BASE + (1UL << 22);
    FAULT(S_MODE, probe_ld, CAUSE_LOAD_ACCESS, beyond);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_jump), beyond), M_MODE, CAUSE_FETCH_ACCESS, beyond, beyond);
    CHECK(run(M_MODE, ENTRY(probe_ld), beyond).returned);
    configure(0);
}

/* With translation: data at its physical address, and the page tables themselves. */
static void through_translation(void)
{
    u64 *root = new_space(SATP_SV39);
    u64 window = 0x1000000000;
    map(root, SATP_SV39, window, (u64)data, 0, PTE_RW);
    csr_write(pmpaddr0, napot(data, 4096));
    configure(NAPOT | R);
    use_space(root, SATP_SV39, 0);
    CHECK(run(S_MODE, ENTRY(probe_ld), window).returned);
    FAULT(S_MODE, probe_sd, CAUSE_STORE_ACCESS, window);
    /* The walk reads the tables as S mode does: an access fault of the original kind. */
    csr_write(pmpaddr0, napot(pte_of(root, SATP_SV39, window, 0), 8));
    configure(NAPOT);
    FAULT(S_MODE, probe_ld, CAUSE_LOAD_ACCESS, window);
    FAULT(S_MODE, probe_sd, CAUSE_STORE_ACCESS, window);
    configure(0);
    use_no_space();
}

/* qemu fails fields_are_warl: it keeps bits that are zero by "Physical Memory Protection CSRs" */
static void fields_are_warl(void)
{
    csr_write(pmpaddr2, -1UL);
    CHECK_EQ(csr_read(pmpaddr2) >> 54, 0);
    csr_write(pmpcfg0, (u64)(NAPOT | R | W | X) << 56 | 0x60);
    CHECK_EQ(csr_read(pmpcfg0) & 0x60, 0);
}

/* Locked entries bind M mode, and stay. These come last, since only a reset undoes them. */
static void locked_entries(void)
{
    csr_write(pmpaddr2, napot(data, 4096));
    configure((u64)(LOCK | NAPOT | R) << 16);
    CHECK(run(M_MODE, ENTRY(probe_ld), (u64)data).returned);
    FAULT(M_MODE, probe_sd, CAUSE_STORE_ACCESS, data);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_jump), (u64)data), M_MODE, CAUSE_FETCH_ACCESS, data, data);
    u64 address = csr_read(pmpaddr2);
    csr_write(pmpaddr2, 0);
    CHECK_EQ(csr_read(pmpaddr2), address);
    csr_write(pmpcfg0, (u64)(NAPOT | R | W | X) << 56);
    CHECK_EQ(csr_read(pmpcfg0) >> 16 & 0xff, LOCK | NAPOT | R);
    FAULT(M_MODE, probe_sd, CAUSE_STORE_ACCESS, data);
}

/* A locked TOR entry locks the address below it too. */
static void a_locked_range_locks_its_base(void)
{
    csr_write(pmpaddr4, ((u64)data + 4096) >> 2);
    csr_write(pmpaddr5, ((u64)data + 8192) >> 2);
    csr_write(pmpcfg0, (u64)(NAPOT | R | W | X) << 56 | (u64)(LOCK | TOR | R | W) << 40);
    csr_write(pmpaddr4, 0);
    CHECK_EQ(csr_read(pmpaddr4), ((u64)data + 4096) >> 2);
    csr_write(pmpaddr3, 0x123);
    CHECK_EQ(csr_read(pmpaddr3), 0x123);
}

int main(void)
{
    RUN(rights_of_a_range);
    RUN(execute_only);
    RUN(top_of_range);
    RUN(four_bytes);
    RUN(the_lowest_entry_decides);
    RUN(without_a_match);
    RUN(through_translation);
    RUN(fields_are_warl);
    RUN(locked_entries);
    RUN(a_locked_range_locks_its_base);
    return 0;
}
