/* Locked instructions under contention: every form, unaligned ones and those across lines and pages included, 16 bytes. */
#include "../guest.h"
#include <pthread.h>
#include <ucontext.h>

enum { THREADS = 4, TIMES = 20000 };
/* Across lines each takes the whole bus, and hosts may slow down those who do that. */
enum { FEW_TIMES = 100 };

static char *area; /* two pages */
static void *target;
static void (*body)(void *, int);
static int times = TIMES;

static void *repeat(void *argument)
{
    int self = (int)(intptr_t)argument;
    for (int i = 0; i < times; i++)
        body(target, self);
    return NULL;
}

static void contend(void (*what)(void *, int), void *where)
{
    pthread_t threads[THREADS];
    body = what, target = where;
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, repeat, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static long read_at(const void *where)
{
    long value;
    memcpy(&value, where, sizeof value);
    return value;
}

static void add(void *p, int self) { (void)self; __asm__ volatile("lock; addq $3, (%0)" ::"r"(p) : "memory", "cc"); }
static void subtract(void *p, int self) { (void)self; __asm__ volatile("lock; subq $1, (%0)" ::"r"(p) : "memory", "cc"); }
static void increment(void *p, int self) { (void)self; __asm__ volatile("lock; incq (%0)" ::"r"(p) : "memory", "cc"); }
static void exchange_add(void *p, int self) { (void)self; long one = 1; __asm__ volatile("lock; xaddq %0, (%1)" : "+r"(one) : "r"(p) : "memory", "cc"); }
static void add_with_carry(void *p, int self) { (void)self; __asm__ volatile("stc; lock; adcq $1, (%0)" ::"r"(p) : "memory", "cc"); }
static void twice_negated(void *p, int self) { (void)self; __asm__ volatile("lock; notq (%0)\n lock; notq (%0)" ::"r"(p) : "memory", "cc"); }

static void compare_and_exchange(void *p, int self)
{
    (void)self;
    __asm__ volatile("mov (%0), %%rax\n"
                     "1: lea 1(%%rax), %%rcx\n"
                     "lock; cmpxchgq %%rcx, (%0)\n"
                     "jne 1b" ::"r"(p) : "rax", "rcx", "memory", "cc");
}

static void bytes(void *p, int self)
{
    __asm__ volatile("lock; incb (%0)" ::"r"((char *)p + self) : "memory", "cc");
}

static void toggle_bit(void *p, int self)
{
    /* By a register, beyond the operand's size. */
    __asm__ volatile("lock; btcq %1, (%0)" ::"r"(p), "r"((long)self + 64) : "memory", "cc");
}

static void check_all_at(char *where)
{
    const long n = (long)THREADS * times;
    memset(area, 0, 8192);
    contend(add, where);
    REQUIRE(read_at(where) == 3 * n);
    contend(subtract, where);
    REQUIRE(read_at(where) == 2 * n);
    contend(increment, where);
    contend(exchange_add, where);
    REQUIRE(read_at(where) == 4 * n);
    contend(add_with_carry, where);
    REQUIRE(read_at(where) == 6 * n);
    contend(compare_and_exchange, where);
    REQUIRE(read_at(where) == 7 * n);
    contend(twice_negated, where);
    REQUIRE(read_at(where) == 7 * n);
    memset(area, 0, 8192);
    contend(bytes, where);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(where[i] == (char)times);
    contend(toggle_bit, where);
    REQUIRE(read_at(where + 8) == 0);
}

static void aligned(void) { check_all_at(area + 64); }
static void unaligned(void) { check_all_at(area + 129); }

static void across_lines(void)
{
    times = FEW_TIMES;
    check_all_at(area + 253);
    times = TIMES;
}

static void across_pages(void)
{
    times = FEW_TIMES;
    check_all_at(area + 4093);
    times = TIMES;
}

struct pair {
    long low, high;
} __attribute__((aligned(16)));

static void exchange_pairs(void *p, int self)
{
    (void)self;
    struct pair old = { 0, 0 };
    uint8_t done;
    do {
        struct pair next = { old.low + 1, old.high + old.low };
        __asm__ volatile("lock; cmpxchg16b (%3)\n sete %0"
                         : "=q"(done), "+a"(old.low), "+d"(old.high)
                         : "r"(p), "b"(next.low), "c"(next.high)
                         : "memory", "cc");
    } while (!done);
}

static void sixteen_bytes(void)
{
    const long n = (long)THREADS * TIMES;
    memset(area, 0, 8192);
    contend(exchange_pairs, area + 48);
    struct pair pair;
    memcpy(&pair, area + 48, sizeof pair);
    REQUIRE(pair.low == n && pair.high == n * (n - 1) / 2);
}

static volatile int faults;
static siginfo_t fault;

static void skip(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    fault = *info;
    faults++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 5;
}

/* Those of 16 bytes must be aligned; nothing else need be. */
static void sixteen_bytes_unaligned(void)
{
    handle(SIGSEGV, skip, 0);
    long a = 1, d = 2, b = 3, c = 4;
    __asm__ volatile("lock; cmpxchg16b (%4)" : "+a"(a), "+d"(d) : "b"(b), "c"(c), "D"(area + 8) : "memory", "cc");
    REQUIRE(faults == 1 && fault.si_code == SI_KERNEL && fault.si_addr == NULL);
    REQUIRE(a == 1 && d == 2);
    signal(SIGSEGV, SIG_DFL);
}

/* Even if nothing is exchanged, memory is written to: read-only memory faults. */
static void failing_exchanges_write(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    handle(SIGSEGV, skip, 0);
    faults = 0;
    long a = 1;
    __asm__ volatile("lock; cmpxchgq %1, (%2)" : "+a"(a) : "d"(5L), "D"(page) : "memory", "cc");
    REQUIRE(faults == 1 && fault.si_code == SEGV_ACCERR && fault.si_addr == page && a == 1);
    signal(SIGSEGV, SIG_DFL);
    munmap(page, 4096);
}

static volatile long plain;

static void *spin_lock_user(void *lock)
{
    for (int i = 0; i < TIMES; i++) {
        __asm__ volatile("1: movl $1, %%eax\n xchgl %%eax, (%0)\n testl %%eax, %%eax\n je 3f\n"
                         "2: pause\n cmpl $0, (%0)\n jne 2b\n jmp 1b\n3:" ::"r"(lock) : "rax", "memory", "cc");
        plain = plain + 1;
        /* A plain store releases the lock. */
        __asm__ volatile("movl $0, (%0)" ::"r"(lock) : "memory");
    }
    return NULL;
}

static void a_spin_lock(void)
{
    static int lock;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, spin_lock_user, &lock) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    REQUIRE(plain == 2 * TIMES);
}

int main(void)
{
    area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(area != MAP_FAILED);
    RUN(aligned);
    RUN(unaligned);
    RUN(across_lines);
    RUN(across_pages);
    RUN(sixteen_bytes);
    RUN(sixteen_bytes_unaligned);
    RUN(failing_exchanges_write);
    RUN(a_spin_lock);
    return finish();
}
