/* harts: 64 */
/* As many harts as there can be: each is reached by its own software interrupt, and all count together. */
#include "bare.h"

#define ROUNDS 200
#define TURNS 3

static volatile u64 counter, lrsc_counter, ready, laps, order_is_wrong, next_expected;
static volatile u64 ids[MAX_HARTS];

static void amo_add(volatile u64 *at, u64 value) { asm volatile("amoadd.d.aqrl x0, %1, (%0)" ::"r"(at), "r"(value) : "memory"); }

static void lrsc_increment(volatile u64 *at)
{
    u64 value, failed;
    asm volatile("1: lr.d.aqrl %0, (%2)\n addi %0, %0, 1\n sc.d.rl %1, %0, (%2)\n bnez %1, 1b"
                 : "=&r"(value), "=&r"(failed)
                 : "r"(at)
                 : "memory");
}

static void count(u64 hart)
{
    ids[hart] = csr_read(mhartid) + 1;
    for (int i = 0; i < ROUNDS; i++) {
        amo_add(&counter, 1);
        lrsc_increment(&lrsc_counter);
    }
    amo_add(&ready, 1);
}

static void all_count_together(void)
{
    u64 others = hart_count() - 1;
    for (u64 hart = 1; hart <= others; hart++)
        start_hart(hart, count);
    while (ready < others) {
    }
    CHECK_EQ(counter, others * ROUNDS);
    CHECK_EQ(lrsc_counter, others * ROUNDS);
    for (u64 hart = 1; hart <= others; hart++)
        CHECK_EQ(ids[hart], hart + 1);
}

/* Each wakes the next one; the last one begins again with the first, TURNS times. */
static void pass_on(u64 hart)
{
    if (hart != next_expected)
        order_is_wrong = hart + 1;
    u64 next = hart + 1 < hart_count() ? hart + 1 : 1;
    next_expected = next;
    if (next == 1 && ++laps == TURNS)
        return;
    asm volatile("fence rw, rw" ::: "memory");
    start_hart(next, pass_on);
}

static void one_wakes_the_next(void)
{
    next_expected = 1;
    start_hart(1, pass_on);
    while (laps < TURNS) {
    }
    CHECK_EQ(order_is_wrong, 0);
}

int main(void)
{
    CHECK_EQ(hart_count(), MAX_HARTS);
    RUN(all_count_together);
    RUN(one_wakes_the_next);
    return 0;
}
