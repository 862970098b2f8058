/* cycle, time, instret: values, enables, inhibition. Privileged ISA, "Machine Counter-Enable Register" and "mcountinhibit". */
#include "bare.h"

static u64 bits_at(const u8 *code) { return *(const u32 *)code; }
#define ILLEGAL(mode, probe) \
    EXPECT_TRAP(run(mode, ENTRY(probe), 0), M_MODE, CAUSE_ILLEGAL, probe, bits_at(probe))

static void enables(void)
{
    static u8 *const probes[] = {probe_rdcycle, probe_rdtime, probe_rdinstret};
    for (unsigned i = 0; i < 3; i++) {
        csr_write(mcounteren, 0);
        csr_write(scounteren, 7);
        ILLEGAL(S_MODE, probes[i]);
        ILLEGAL(U_MODE, probes[i]);
        csr_write(mcounteren, BIT(i));
        CHECK(run(S_MODE, ENTRY(probes[i]), 0).returned);
        CHECK(run(U_MODE, ENTRY(probes[i]), 0).returned);
        csr_write(scounteren, 7 & ~BIT(i));
        CHECK(run(S_MODE, ENTRY(probes[i]), 0).returned);
        ILLEGAL(U_MODE, probes[i]);
        ILLEGAL(U_MODE, probes[(i + 1) % 3]);
    }
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
}

static void counters_grow(void)
{
    u64 cycle = csr_read(mcycle), instret = csr_read(minstret);
    for (volatile int i = 0; i < 1000; i++) {
    }
    CHECK(csr_read(mcycle) > cycle);
    CHECK(csr_read(minstret) >= instret + 1000);
    u64 first = run(U_MODE, ENTRY(probe_rdinstret), 0).value, second = run(U_MODE, ENTRY(probe_rdinstret), 0).value;
    CHECK(second > first);
}

static void counters_are_writable(void)
{
    csr_write(mcycle, 1UL << 40);
    u64 cycle = csr_read(mcycle);
    CHECK(cycle >= 1UL << 40);
    CHECK(cycle < (1UL << 40) + (1UL << 36));
    csr_write(minstret, 1UL << 41);
    u64 instret = csr_read(minstret);
    CHECK(instret >= 1UL << 41);
    CHECK(instret < (1UL << 41) + (1UL << 36));
}

static void inhibition(void)
{
    csr_write(mcountinhibit, 5);
    CHECK_EQ(csr_read(mcountinhibit) & 7, 5);
    u64 cycle = csr_read(mcycle), instret = csr_read(minstret);
    for (volatile int i = 0; i < 1000; i++) {
    }
    CHECK_EQ(csr_read(mcycle), cycle);
    CHECK_EQ(csr_read(minstret), instret);
    csr_write(mcountinhibit, 0);
    CHECK(csr_read(mcycle) - cycle < 1UL << 36);
}

static void time_is_mtime(void)
{
    u64 before = MTIME;
    u64 time = run(U_MODE, ENTRY(probe_rdtime), 0).value;
    CHECK(before <= time && time <= MTIME);
}

#define READ(csr) \
    asm(".text\n.balign 4\n.globl read_" #csr "\nread_" #csr ": csrr a0, " #csr "\n ret\n"); \
    extern u8 read_##csr[]
READ(mhpmcounter3);
READ(mhpmcounter31);
READ(mhpmevent3);
READ(mhpmevent31);

/* qemu fails performance_counters_exist: it has some of them only; "Hardware Performance Monitor": all, if only as zeros */
static void performance_counters_exist(void)
{
    CHECK(run(M_MODE, ENTRY(read_mhpmcounter3), 0).returned);
    CHECK(run(M_MODE, ENTRY(read_mhpmcounter31), 0).returned);
    CHECK(run(M_MODE, ENTRY(read_mhpmevent3), 0).returned);
    CHECK(run(M_MODE, ENTRY(read_mhpmevent31), 0).returned);
}

int main(void)
{
    RUN(enables);
    RUN(counters_grow);
    RUN(counters_are_writable);
    RUN(inhibition);
    RUN(time_is_mtime);
    RUN(performance_counters_exist);
    return 0;
}
