/* Two user processes at the same addresses, switched by the timer: registers, memory and translations stay apart. */
#include "bare.h"

void *memset(void *to, int byte, u64 length);

#define MODE SATP_SV39
#define WINDOW 0x1000000000UL
#define QUANTUM 300 /* 30 us */

static u64 pages[2][512] __attribute__((aligned(4096)));
static u64 *spaces[2];
static struct frame frames[2];
static unsigned current, switches, done[2];

/*
 * mix(seed, rounds, page): a hash of the round number through all words of the page.
 * Ends with `ecall`, the result in a0.
 */
asm(".text\n.balign 4\n.globl mix\n"
    "mix: li t6, 0x9e3779b97f4a7c15\n mv s0, a0\n mv s1, x0\n"
    "1: andi t0, s1, 511\n slli t0, t0, 3\n add t0, t0, a2\n ld t1, 0(t0)\n xor t1, t1, s0\n mul t1, t1, t6\n"
    " srli t2, t1, 29\n xor t1, t1, t2\n sd t1, 0(t0)\n add s0, s0, t1\n addi s1, s1, 1\n bltu s1, a1, 1b\n"
    " mv a0, s0\n li a7, 0\n ecall\n"
    /* The first process, with its arguments. */
    ".globl start_first\nstart_first: li a1, 3000000\n li a2, 0x1000000000\n j mix\n");
extern u8 mix[], start_first[];
#define ROUNDS 3000000

static u64 expected(u64 seed)
{
    static u64 words[512];
    u64 sum = seed;
    memset(words, 0, sizeof words);
    for (u64 i = 0; i < ROUNDS; i++) {
        u64 *word = &words[i & 511];
        u64 value = (*word ^ sum) * 0x9e3779b97f4a7c15;
        value ^= value >> 29;
        *word = value;
        sum += value;
    }
    return sum;
}

static void switch_to(struct frame *frame, unsigned next)
{
    u64 hart_status = frame->status;
    frames[current] = *frame;
    current = next;
    *frame = frames[next];
    frame->status = hart_status;
    csr_write(satp, MODE << 60 | (u64)(next + 1) << 44 | (u64)spaces[next] >> 12);
}

static int schedule(struct frame *frame)
{
    MTIMECMP(0) = MTIME + QUANTUM;
    if (frame->cause == INTERRUPT(IRQ_MTI)) {
        switches++;
        if (!done[!current])
            switch_to(frame, !current);
        return 1;
    }
    if (frame->cause != CAUSE_ECALL_U)
        return 0;
    done[current] = 1;
    if (done[0] && done[1])
        return 0;
    switch_to(frame, !current);
    return 1;
}

static void two_processes(void)
{
    for (unsigned i = 0; i < 2; i++) {
        spaces[i] = new_space(MODE);
        map(spaces[i], MODE, WINDOW, (u64)pages[i], 0, PTE_RW | PTE_U);
        frames[i].epc = ENTRY(mix) + USER_OFFSET;
        frames[i].x[10] = 1000 + i;
        frames[i].x[11] = ROUNDS;
        frames[i].x[12] = WINDOW;
    }
    sfence();
    use_space(spaces[0], MODE, 1);
    this_hart()->on_m = schedule;
    MTIMECMP(0) = MTIME + QUANTUM;
    csr_write(mie, BIT(IRQ_MTI));
    struct outcome outcome = run(U_MODE, ENTRY(start_first), 1000);
    csr_write(mie, 0);
    this_hart()->on_m = 0;
    frames[current] = this_hart()->m_frame;
    CHECK_EQ(outcome.m.cause, CAUSE_ECALL_U);
    CHECK(switches > 4);
    CHECK_EQ(frames[0].x[10], expected(1000));
    CHECK_EQ(frames[1].x[10], expected(1001));
    use_no_space();
}

int main(void)
{
    RUN(two_processes);
    return 0;
}
