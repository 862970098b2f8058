/* Exclusive loads and stores, LSE's atomics and compare-and-swap of pairs under contention; when stores must fail. */
#include "../guest.h"
#include <pthread.h>

__asm__(".arch armv8.3-a");

enum { THREADS = 4, ROUNDS = 20000 };

static volatile uint64_t counter __attribute__((aligned(64)));
static volatile uint32_t word __attribute__((aligned(64)));
static volatile uint8_t byte __attribute__((aligned(64)));
static volatile uint64_t pair[2] __attribute__((aligned(64))), casp_pair[2] __attribute__((aligned(64)));
static volatile uint64_t set_bits, cleared = UINT64_MAX, toggled, added;
static volatile int64_t signed_max = INT64_MIN, signed_min = INT64_MAX;
static volatile uint64_t unsigned_max, unsigned_min = UINT64_MAX;
static volatile int32_t word_max = INT32_MIN;
static volatile uint64_t token = 1;
static uint64_t tokens_seen[THREADS];

#define ATOMIC(instruction, address, operand)                                                        \
    ({                                                                                               \
        uint64_t old_;                                                                               \
        __asm__ volatile(".arch armv8.3-a\n  " instruction " %2, %0, %1"                             \
                         : "=r"(old_), "+Q"(*(address)) : "r"((uint64_t)(operand)) : "memory");      \
        old_;                                                                                        \
    })
#define ATOMIC_W(instruction, address, operand)                                                      \
    ({                                                                                               \
        uint32_t old_;                                                                               \
        __asm__ volatile(".arch armv8.3-a\n  " instruction " %w2, %w0, %1"                           \
                         : "=r"(old_), "+Q"(*(address)) : "r"((uint32_t)(operand)) : "memory");      \
        old_;                                                                                        \
    })

static void add_by_exclusives(uint64_t amount)
{
    uint64_t value;
    uint32_t failed;
    __asm__ volatile("1: ldaxr %0, %2\n  add %0, %0, %3\n  stxr %w1, %0, %2\n  cbnz %w1, 1b"
                     : "=&r"(value), "=&r"(failed), "+Q"(counter) : "r"(amount) : "memory");
    __asm__ volatile("1: ldxr %w0, %2\n  add %w0, %w0, %w3\n  stlxr %w1, %w0, %2\n  cbnz %w1, 1b"
                     : "=&r"(value), "=&r"(failed), "+Q"(word) : "r"(amount) : "memory");
    __asm__ volatile("1: ldxrb %w0, %2\n  add %w0, %w0, %w3\n  stxrb %w1, %w0, %2\n  cbnz %w1, 1b"
                     : "=&r"(value), "=&r"(failed), "+Q"(byte) : "r"(amount) : "memory");
}

static void add_to_pair(uint64_t low, uint64_t high)
{
    uint64_t a, b;
    uint32_t failed;
    __asm__ volatile("1: ldaxp %0, %1, [%3]\n  add %0, %0, %4\n  add %1, %1, %5\n  stlxp %w2, %0, %1, [%3]\n  cbnz %w2, 1b"
                     : "=&r"(a), "=&r"(b), "=&r"(failed) : "r"(pair), "r"(low), "r"(high) : "memory");
}

static void add_to_pair_by_casp(uint64_t low, uint64_t high)
{
    register uint64_t x0 __asm__("x0"), x1 __asm__("x1"), x2 __asm__("x2"), x3 __asm__("x3");
    uint64_t seen[2];
    do {
        x0 = seen[0] = casp_pair[0], x1 = seen[1] = casp_pair[1];
        x2 = x0 + low, x3 = x1 + high;
        __asm__ volatile(".arch armv8.3-a\n  caspal %0, %1, %2, %3, [%4]"
                         : "+r"(x0), "+r"(x1) : "r"(x2), "r"(x3), "r"(casp_pair) : "memory");
    } while (x0 != seen[0] || x1 != seen[1]);
}

static void *contend(void *argument)
{
    int64_t own = (int64_t)argument;
    for (int64_t i = 0; i < ROUNDS; i++) {
        add_by_exclusives(3);
        add_to_pair(1, UINT64_C(1) << 40);
        add_to_pair_by_casp(5, 7);
        ATOMIC("ldadda", &added, 9);
        ATOMIC("ldset", &set_bits, UINT64_C(1) << (own * 16 + i % 16));
        ATOMIC("ldclral", &cleared, UINT64_C(1) << (own * 16 + i % 16));
        ATOMIC("ldeora", &toggled, UINT64_C(1) << own);
        ATOMIC("ldsmax", &signed_max, own * ROUNDS + i - 7);
        ATOMIC("ldsminl", &signed_min, -(own * ROUNDS + i));
        ATOMIC("ldumax", &unsigned_max, (uint64_t)(own * ROUNDS + i) << 40);
        ATOMIC("ldumin", &unsigned_min, UINT64_MAX - (uint64_t)(own * ROUNDS + i));
        ATOMIC_W("ldsmax", &word_max, own * ROUNDS + i);
        tokens_seen[own] += ATOMIC("swpal", &token, own * ROUNDS + i + 2);
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
    REQUIRE(counter == 3 * all && word == (uint32_t)(3 * all) && byte == (uint8_t)(3 * all) && added == 9 * all);
    REQUIRE(pair[0] == all && pair[1] == all << 40 && casp_pair[0] == 5 * all && casp_pair[1] == 7 * all);
    REQUIRE(set_bits == UINT64_MAX && cleared == 0 && toggled == 0);
    REQUIRE(signed_max == (int64_t)all - 8 && signed_min == -((int64_t)all - 1));
    REQUIRE(unsigned_max == (all - 1) << 40 && unsigned_min == UINT64_MAX - (all - 1) && word_max == (int32_t)all - 1);
    for (int i = 0; i < THREADS; i++)
        seen += tokens_seen[i];
    REQUIRE(seen == 1 + all * (all - 1) / 2 + 2 * all);
}

static void narrow_results_are_zero_extended(void)
{
    uint64_t loaded;
    word = 0xdeadbeef;
    __asm__ volatile(".arch armv8.3-a\n  mov %0, #-1\n  ldadd wzr, %w0, %1" : "=&r"(loaded), "+Q"(word)::"memory");
    REQUIRE(loaded == 0xdeadbeef && word == 0xdeadbeef);
    __asm__ volatile("mov %0, #-1\n  ldxrb %w0, %1\n  clrex" : "=&r"(loaded), "+Q"(word)::"memory");
    REQUIRE(loaded == 0xef);
    REQUIRE(ATOMIC_W("ldumax", &word, 0xf0000000) == 0xdeadbeef && word == 0xf0000000);
    REQUIRE(ATOMIC_W("ldsmax", &word, 2) == 0xf0000000 && word == 2);
}

static void stores_without_a_load_fail(void)
{
    uint32_t first, second;
    uint64_t old;
    counter = 5;
    /* The monitor is open after the first store, whether it succeeded or not. */
    __asm__ volatile("ldxr %2, %3\n  stxr %w0, %4, %3\n  stxr %w1, %5, %3"
                     : "=&r"(first), "=&r"(second), "=&r"(old), "+Q"(counter) : "r"(6ul), "r"(7ul) : "memory");
    REQUIRE(second == 1 && counter == (first == 0 ? 6 : 5));
    __asm__ volatile("ldxr %1, %2\n  clrex\n  stxr %w0, %3, %2" : "=&r"(first), "=&r"(old), "+Q"(counter) : "r"(8ul) : "memory");
    REQUIRE(first == 1 && counter == old);
}

static volatile sig_atomic_t signals;
static void note(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; signals++; }

/* Signals within a sequence may make it fail, but must not lose an update. */
static void interrupted_sequences(void)
{
    handle(SIGALRM, note, 0);
    struct itimerval fast = { { 0, 500 }, { 0, 500 } }, off = { { 0, 0 }, { 0, 0 } };
    counter = 0;
    REQUIRE(setitimer(ITIMER_REAL, &fast, NULL) == 0);
    uint64_t rounds = 0;
    while (signals < 50) {
        add_by_exclusives(1);
        rounds++;
    }
    REQUIRE(setitimer(ITIMER_REAL, &off, NULL) == 0 && counter == rounds);
}

int main(void)
{
    RUN(contention);
    RUN(narrow_results_are_zero_extended);
    RUN(stores_without_a_load_fail);
    RUN(interrupted_sequences);
    return finish();
}
