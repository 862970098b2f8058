/* What processors of x86 promise of the order of accesses (TSO): what may not be seen is looked for, and must not be. */
#include "../guest.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { ROUNDS = 20000, WINDOW = 100 };

/* Variables in lines of their own. */
struct cell {
    volatile int value;
    char rest[60];
};
static struct cell x[WINDOW], y[WINDOW];
static volatile int r[4][WINDOW];
static _Atomic int arrived[4];
static int parties;

static void (*bodies[4])(int);

static inline void compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

/* All threads begin each window together. */
static void rendezvous(int self, int round)
{
    atomic_store(&arrived[self], round);
    for (int other = 0; other < parties; other++)
        for (int spins = 0; atomic_load(&arrived[other]) < round; spins++)
            if (spins > 100)
                sched_yield();
}

static void (*check)(int);

static void *party(void *argument)
{
    int self = (int)(intptr_t)argument;
    for (int round = 0; round < ROUNDS / WINDOW; round++) {
        if (self == 0)
            for (int i = 0; i < WINDOW; i++) {
                x[i].value = y[i].value = 0;
                for (int k = 0; k < 4; k++)
                    r[k][i] = -1;
            }
        rendezvous(self, 3 * round + 1);
        for (int i = 0; i < WINDOW; i++)
            bodies[self](i);
        rendezvous(self, 3 * round + 2);
        if (self == 0)
            for (int i = 0; i < WINDOW; i++)
                check(i);
        rendezvous(self, 3 * round + 3);
    }
    return NULL;
}

static void run(int count)
{
    pthread_t threads[4];
    parties = count;
    for (int i = 0; i < 4; i++)
        arrived[i] = 0;
    for (int i = 1; i < count; i++)
        REQUIRE(pthread_create(&threads[i], NULL, party, (void *)(intptr_t)i) == 0);
    party(NULL);
    for (int i = 1; i < count; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void store_x_y(int i)
{
    x[i].value = 1;
    compiler_barrier();
    y[i].value = 1;
}

static void load_y_x(int i)
{
    int first = y[i].value;
    compiler_barrier();
    int second = x[i].value;
    r[0][i] = first, r[1][i] = second;
}

static void no_message_without_its_data(int i) { REQUIRE(!(r[0][i] == 1 && r[1][i] == 0)); }

static void message_passing(void)
{
    bodies[0] = store_x_y, bodies[1] = load_y_x, check = no_message_without_its_data;
    run(2);
}

static void load_x_store_y(int i)
{
    r[0][i] = x[i].value;
    compiler_barrier();
    y[i].value = 1;
}

static void load_y_store_x(int i)
{
    r[1][i] = y[i].value;
    compiler_barrier();
    x[i].value = 1;
}

static void no_effect_before_its_cause(int i) { REQUIRE(!(r[0][i] == 1 && r[1][i] == 1)); }

static void load_buffering(void)
{
    bodies[0] = load_x_store_y, bodies[1] = load_y_store_x, check = no_effect_before_its_cause;
    run(2);
}

static void store_x_load_y_fenced(int i)
{
    x[i].value = 1;
    __asm__ volatile("mfence" ::: "memory");
    r[0][i] = y[i].value;
}

static void store_y_load_x_fenced(int i)
{
    y[i].value = 1;
    __asm__ volatile("mfence" ::: "memory");
    r[1][i] = x[i].value;
}

static void one_sees_the_other(int i) { REQUIRE(!(r[0][i] == 0 && r[1][i] == 0)); }

static void store_buffering_with_fences(void)
{
    bodies[0] = store_x_load_y_fenced, bodies[1] = store_y_load_x_fenced, check = one_sees_the_other;
    run(2);
}

static void exchange_x_load_y(int i)
{
    int value = 1;
    __asm__ volatile("xchg %0, %1" : "+r"(value), "+m"(x[i].value)::"memory");
    r[0][i] = y[i].value;
}

static void locked_y_load_x(int i)
{
    __asm__ volatile("lock; incl %0" : "+m"(y[i].value)::"memory", "cc");
    r[1][i] = x[i].value;
}

static void store_buffering_with_locked_instructions(void)
{
    bodies[0] = exchange_x_load_y, bodies[1] = locked_y_load_x, check = one_sees_the_other;
    run(2);
}

/* A locked instruction elsewhere is a fence as well. */
static void store_x_locked_stack_load_y(int i)
{
    x[i].value = 1;
    int other = 0;
    __asm__ volatile("lock; orl $0, %0" : "+m"(other)::"memory", "cc");
    r[0][i] = y[i].value;
}

static void locked_instructions_as_fences(void)
{
    bodies[0] = store_x_locked_stack_load_y, bodies[1] = store_y_load_x_fenced, check = one_sees_the_other;
    run(2);
}

static void store_x(int i) { x[i].value = 1; }
static void store_y(int i) { y[i].value = 1; }

static void read_x_y(int i)
{
    int first = x[i].value;
    compiler_barrier();
    int second = y[i].value;
    r[0][i] = first, r[1][i] = second;
}

static void read_y_x(int i)
{
    int first = y[i].value;
    compiler_barrier();
    int second = x[i].value;
    r[2][i] = first, r[3][i] = second;
}

static void all_agree(int i) { REQUIRE(!(r[0][i] == 1 && r[1][i] == 0 && r[2][i] == 1 && r[3][i] == 0)); }

static void independent_reads(void)
{
    bodies[0] = store_x, bodies[1] = store_y, bodies[2] = read_x_y, bodies[3] = read_y_x, check = all_agree;
    run(4);
}

int main(void)
{
    RUN(message_passing);
    RUN(load_buffering);
    RUN(store_buffering_with_fences);
    RUN(store_buffering_with_locked_instructions);
    RUN(locked_instructions_as_fences);
    RUN(independent_reads);
    return finish();
}
