/* harts: 4 */
/* Several harts: started by MSWI, AMOs and LR/SC between them, messages, memory order. */
#include "bare.h"

#define ROUNDS 20000

static volatile u64 amo_counter, lrsc_counter, lock, locked_counter, ready;

static void amo_add(volatile u64 *at, u64 value) { asm volatile("amoadd.d.aqrl x0, %1, (%0)" ::"r"(at), "r"(value) : "memory"); }

static void lrsc_increment(volatile u64 *at)
{
    u64 value, failed;
    asm volatile("1: lr.d.aqrl %0, (%2)\n addi %0, %0, 1\n sc.d.rl %1, %0, (%2)\n bnez %1, 1b"
                 : "=&r"(value), "=&r"(failed)
                 : "r"(at)
                 : "memory");
}

static void acquire(volatile u64 *at)
{
    u64 old;
    do {
        asm volatile("amoswap.d.aq %0, %2, (%1)" : "=r"(old) : "r"(at), "r"(1UL) : "memory");
    } while (old);
}

static void release(volatile u64 *at) { asm volatile("amoswap.d.rl x0, x0, (%0)" ::"r"(at) : "memory"); }

static void work(u64 hart)
{
    (void)hart;
    amo_add(&ready, 1);
    while (ready < hart_count()) {
    }
    for (int i = 0; i < ROUNDS; i++) {
        amo_add(&amo_counter, 1);
        lrsc_increment(&lrsc_counter);
        acquire(&lock);
        locked_counter = locked_counter + 1;
        release(&lock);
    }
    amo_add(&ready, 0x10000);
}

static void counting_together(void)
{
    u64 harts_here = hart_count();
    for (u64 hart = 1; hart < harts_here; hart++)
        start_hart(hart, work);
    work(0);
    while (ready >> 16 < harts_here) {
    }
    CHECK_EQ(amo_counter, harts_here * ROUNDS);
    CHECK_EQ(lrsc_counter, harts_here * ROUNDS);
    CHECK_EQ(locked_counter, harts_here * ROUNDS);
}

static volatile u64 ids[MAX_HARTS];

static void identify(u64 hart)
{
    ids[hart] = csr_read(mhartid) + 100;
    amo_add(&ready, 1);
}

static void each_has_its_own_number(void)
{
    ready = 0;
    for (u64 hart = 1; hart < hart_count(); hart++)
        start_hart(hart, identify);
    while (ready < hart_count() - 1) {
    }
    for (u64 hart = 1; hart < hart_count(); hart++)
        CHECK_EQ(ids[hart], hart + 100);
}

/* Message passing: whoever sees the flag must see the data. */
static volatile u64 message, message_flag, wrong;

static void receive(u64 hart)
{
    (void)hart;
    for (u64 i = 1; i <= ROUNDS; i++) {
        while (message_flag != i) {
        }
        asm volatile("fence r, rw" ::: "memory");
        if (message != i * 3)
            wrong = i;
        asm volatile("fence rw, w" ::: "memory");
        message_flag = 0;
    }
    amo_add(&ready, 1);
}

static void message_passing(void)
{
    ready = 0;
    start_hart(1, receive);
    for (u64 i = 1; i <= ROUNDS; i++) {
        message = i * 3;
        asm volatile("fence rw, w" ::: "memory");
        message_flag = i;
        while (message_flag) {
        }
    }
    while (!ready) {
    }
    CHECK_EQ(wrong, 0);
}

/* Store buffering with full fences: not both may read zero. */
static volatile u64 x, y, seen_by_other, round_number;

static void other_side(u64 hart)
{
    (void)hart;
    for (u64 i = 1; i <= ROUNDS / 4; i++) {
        while (round_number != i) {
        }
        y = 1;
        asm volatile("fence rw, rw" ::: "memory");
        seen_by_other = x;
        amo_add(&ready, 1);
    }
}

static void store_buffering(void)
{
    ready = 0;
    start_hart(1, other_side);
    u64 both_zero = 0;
    for (u64 i = 1; i <= ROUNDS / 4; i++) {
        x = 0;
        y = 0;
        asm volatile("fence rw, rw" ::: "memory");
        round_number = i;
        x = 1;
        asm volatile("fence rw, rw" ::: "memory");
        u64 seen_here = y;
        while (ready != i) {
        }
        both_zero += !seen_here && !seen_by_other;
    }
    CHECK_EQ(both_zero, 0);
}

int main(void)
{
    if (hart_count() < 2) {
        absent("a second hart");
        return 0;
    }
    RUN(counting_together);
    RUN(each_has_its_own_number);
    RUN(message_passing);
    RUN(store_buffering);
    return 0;
}
