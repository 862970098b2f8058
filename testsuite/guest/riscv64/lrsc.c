/* LR/SC and every AMO under contention, with their orderings; and when SC must fail. */
#include "../guest.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000 };

static volatile uint64_t counter __attribute__((aligned(64)));
static volatile uint32_t word __attribute__((aligned(64)));
static volatile uint64_t set_bits, cleared = UINT64_MAX, toggled;
static volatile int64_t signed_max = INT64_MIN, signed_min = INT64_MAX;
static volatile uint64_t unsigned_max, unsigned_min = UINT64_MAX;
static volatile int32_t word_max = INT32_MIN;
static volatile uint64_t token = 1;
static uint64_t tokens_seen[THREADS];

#define AMO(instruction, address, operand)                                                                        \
    ({                                                                                                            \
        uint64_t old_;                                                                                            \
        __asm__ volatile(instruction " %0, %2, %1" : "=r"(old_), "+A"(*(address)) : "r"(operand) : "memory");     \
        old_;                                                                                                     \
    })

static void add_by_lr_sc(uint64_t amount)
{
    uint64_t value, failed;
    __asm__ volatile("1: lr.d.aq %0, %2\n  add %0, %0, %3\n  sc.d.rl %1, %0, %2\n  bnez %1, 1b"
                     : "=&r"(value), "=&r"(failed), "+A"(counter) : "r"(amount) : "memory");
}

static void add_word_by_lr_sc(uint32_t amount)
{
    uint64_t value, failed;
    __asm__ volatile("1: lr.w.aqrl %0, %2\n  addw %0, %0, %3\n  sc.w.aqrl %1, %0, %2\n  bnez %1, 1b"
                     : "=&r"(value), "=&r"(failed), "+A"(word) : "r"(amount) : "memory");
}

static void *contend(void *argument)
{
    int64_t own = (int64_t)argument;
    for (int64_t i = 0; i < ROUNDS; i++) {
        add_by_lr_sc(3);
        add_word_by_lr_sc(0x10001);
        AMO("amoor.d", &set_bits, UINT64_C(1) << (own * 16 + i % 16));
        AMO("amoand.d.aqrl", &cleared, ~(UINT64_C(1) << (own * 16 + i % 16)));
        AMO("amoxor.d.aq", &toggled, UINT64_C(1) << own);
        AMO("amomax.d", &signed_max, own * ROUNDS + i - 7);
        AMO("amomin.d.rl", &signed_min, -(own * ROUNDS + i));
        AMO("amomaxu.d", &unsigned_max, (uint64_t)(own * ROUNDS + i) << 40);
        AMO("amominu.d", &unsigned_min, UINT64_MAX - (uint64_t)(own * ROUNDS + i));
        AMO("amomax.w", &word_max, (int32_t)(own * ROUNDS + i));
        tokens_seen[own] += AMO("amoswap.d.aqrl", &token, (uint64_t)(own * ROUNDS + i + 2));
    }
    return NULL;
}

static void contention(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, contend, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t all = (uint64_t)THREADS * ROUNDS, seen = token;
    REQUIRE(counter == 3 * all && word == (uint32_t)(0x10001 * all));
    REQUIRE(set_bits == UINT64_MAX && cleared == 0 && toggled == 0);
    REQUIRE(signed_max == (int64_t)all - 8 && signed_min == -((int64_t)all - 1));
    REQUIRE(unsigned_max == (all - 1) << 40 && unsigned_min == UINT64_MAX - (all - 1) && word_max == (int32_t)all - 1);
    for (int i = 0; i < THREADS; i++)
        seen += tokens_seen[i];
    REQUIRE(seen == 1 + all * (all - 1) / 2 + 2 * all);
}

static void results_are_sign_extended(void)
{
    word = 0x80000000;
    REQUIRE(AMO("amoadd.w", &word, 1) == UINT64_C(0xffffffff80000000) && word == 0x80000001);
    REQUIRE(AMO("amomaxu.w", &word, UINT64_C(0xfffffffff0000000)) == UINT64_C(0xffffffff80000001) && word == 0xf0000000);
    REQUIRE(AMO("amominu.w", &word, UINT64_C(0x1100000002)) == UINT64_C(0xfffffffff0000000) && word == 2);
    uint64_t loaded, failed;
    word = 0xdeadbeef;
    __asm__ volatile("lr.w %0, %2\n  sc.w %1, zero, %2" : "=&r"(loaded), "=&r"(failed), "+A"(word) :: "memory");
    REQUIRE(loaded == UINT64_C(0xffffffffdeadbeef) && (failed != 0 || word == 0));
}

static void sc_without_reservation_fails(void)
{
    uint64_t first, second;
    counter = 5;
    /* The second SC has no reservation left, whether the first succeeded or not. */
    __asm__ volatile("lr.d t0, %2\n  sc.d %0, %3, %2\n  sc.d %1, %4, %2"
                     : "=&r"(first), "=&r"(second), "+A"(counter) : "r"(6ul), "r"(7ul) : "t0", "memory");
    REQUIRE(second != 0 && counter == (first == 0 ? 6 : 5));
    /* To another address than that of LR: must fail, since the reservation is at most what LR covers. */
    static volatile uint64_t far[1024];
    __asm__ volatile("lr.d t0, %1\n  sc.d %0, %3, %2" : "=&r"(first), "+A"(counter), "+A"(far[512]) : "r"(9ul) : "t0", "memory");
    REQUIRE(first == 0 || far[512] == 0);
}

static volatile sig_atomic_t signals;
static void note(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; signals++; }

/* Signals between LR and SC may make it fail, but must not lose an update. */
static void interrupted_sequences(void)
{
    handle(SIGALRM, note, 0);
    struct itimerval fast = { { 0, 500 }, { 0, 500 } }, off = { { 0, 0 }, { 0, 0 } };
    counter = 0;
    REQUIRE(setitimer(ITIMER_REAL, &fast, NULL) == 0);
    uint64_t rounds = 0;
    while (signals < 50) {
        add_by_lr_sc(1);
        rounds++;
    }
    REQUIRE(setitimer(ITIMER_REAL, &off, NULL) == 0 && counter == rounds);
}

int main(void)
{
    RUN(contention);
    RUN(results_are_sign_extended);
    RUN(sc_without_reservation_fails);
    RUN(interrupted_sequences);
    return finish();
}
