/* Atomic operations of every width under contention, and the orderings that programs rely on. */
#include "guest.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 20000 };

static void in_threads(int threads, void *(*body)(void *))
{
    pthread_t ids[THREADS];
    for (long i = 0; i < threads; i++)
        REQUIRE(pthread_create(&ids[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < threads; i++)
        REQUIRE(pthread_join(ids[i], NULL) == 0);
}

static _Atomic uint8_t byte_sum;
static _Atomic uint16_t half_sum;
static _Atomic uint32_t word_sum, bits_set, bits_flipped;
static _Atomic uint64_t double_sum, exchange_sum;
static _Atomic int64_t largest, smallest;
/* Neighbours in one word: a narrow operation must leave the others alone. */
static struct { _Atomic uint8_t bytes[4]; _Atomic uint16_t halves[2]; } packed;

static void *modify(void *argument)
{
    long own = (long)argument;
    for (int i = 0; i < ROUNDS; i++) {
        byte_sum += 3;
        atomic_fetch_sub(&half_sum, 1);
        atomic_fetch_add_explicit(&word_sum, 5, memory_order_relaxed);
        double_sum += UINT64_C(0x100000001);
        atomic_fetch_or(&bits_set, 1u << (i % 8 + 8 * own));
        atomic_fetch_xor(&bits_flipped, 1u << own);
        packed.bytes[own]++;
        packed.halves[own % 2]++;
        int64_t candidate = own * ROUNDS + i, seen = largest;
        while (seen < candidate && !atomic_compare_exchange_weak(&largest, &seen, candidate))
            ;
        seen = smallest;
        while (seen > -candidate && !atomic_compare_exchange_strong(&smallest, &seen, -candidate))
            ;
    }
    return NULL;
}

static void every_width(void)
{
    in_threads(THREADS, modify);
    REQUIRE(byte_sum == (uint8_t)(THREADS * ROUNDS * 3) && half_sum == (uint16_t)-(THREADS * ROUNDS));
    REQUIRE(word_sum == THREADS * ROUNDS * 5u && double_sum == THREADS * ROUNDS * UINT64_C(0x100000001));
    REQUIRE(bits_set == UINT32_MAX && bits_flipped == 0);
    REQUIRE(largest == THREADS * ROUNDS - 1 && smallest == -(THREADS * ROUNDS - 1));
    for (int i = 0; i < THREADS; i++)
        REQUIRE(packed.bytes[i] == (uint8_t)ROUNDS);
    REQUIRE(packed.halves[0] == (uint16_t)(2 * ROUNDS) && packed.halves[1] == (uint16_t)(2 * ROUNDS));
}

static _Atomic uint64_t slot;

/* Every value that is put in is taken out exactly once. */
static void *exchange(void *argument)
{
    uint64_t sum = 0;
    for (int i = 1; i <= ROUNDS; i++)
        sum += atomic_exchange(&slot, (uint64_t)(long)argument * ROUNDS + (uint64_t)i);
    exchange_sum += sum;
    return NULL;
}

static void exchanges_lose_nothing(void)
{
    in_threads(THREADS, exchange);
    uint64_t all = (uint64_t)THREADS * ROUNDS;
    REQUIRE(exchange_sum + slot == all * (all + 1) / 2);
}

static atomic_flag spin = ATOMIC_FLAG_INIT;
static long guarded[2];

static void *lock_and_count(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        while (atomic_flag_test_and_set_explicit(&spin, memory_order_acquire))
            sched_yield();
        REQUIRE(guarded[0] == guarded[1]);
        guarded[0]++;
        guarded[1]++;
        atomic_flag_clear_explicit(&spin, memory_order_release);
    }
    return argument;
}

static void spin_lock(void)
{
    in_threads(THREADS, lock_and_count);
    REQUIRE(guarded[0] == THREADS * ROUNDS);
}

struct node { struct node *next; };
static _Atomic(struct node *) stack_top;
static struct node nodes[THREADS][ROUNDS];

static void *push(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct node *node = &nodes[(long)argument][i];
        node->next = stack_top;
        while (!atomic_compare_exchange_weak(&stack_top, &node->next, node))
            ;
    }
    return NULL;
}

static void lock_free_stack(void)
{
    in_threads(THREADS, push);
    int count = 0;
    for (struct node *node = stack_top; node; node = node->next)
        count++;
    REQUIRE(count == THREADS * ROUNDS);
}

static uint64_t message[2];
static _Atomic uint64_t sequence, answered;

/* What was written before a release is seen after the acquire. */
static void *pass_messages(void *argument)
{
    for (uint64_t i = 1; i <= 5000; i++) {
        if (argument == NULL) {
            message[0] = i;
            message[1] = ~i;
            atomic_store_explicit(&sequence, i, memory_order_release);
            while (atomic_load_explicit(&answered, memory_order_acquire) != i)
                sched_yield();
        } else {
            while (atomic_load_explicit(&sequence, memory_order_acquire) != i)
                sched_yield();
            REQUIRE(message[0] == i && message[1] == ~i);
            atomic_store_explicit(&answered, i, memory_order_release);
        }
    }
    return NULL;
}

static void message_passing(void) { in_threads(2, pass_messages); }

static _Atomic int flags[2], seen[2], ready, rounds_done;

/* Sequential consistency: of two threads that each store and then load, one sees the other's store. */
static void *store_then_load(void *argument)
{
    long own = (long)argument;
    for (int i = 1; i <= 4000; i++) {
        ready++;
        while (ready < 2 * i)
            ;
        atomic_store(&flags[own], i);
        seen[own] = atomic_load(&flags[1 - own]);
        rounds_done++;
        while (rounds_done < 2 * i)
            ;
        REQUIRE(seen[0] == i || seen[1] == i);
    }
    return NULL;
}

static void store_buffering(void)
{
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        in_threads(2, store_then_load);
}

int main(void)
{
    RUN(every_width);
    RUN(exchanges_lose_nothing);
    RUN(spin_lock);
    RUN(lock_free_stack);
    RUN(message_passing);
    RUN(store_buffering);
    return finish();
}
