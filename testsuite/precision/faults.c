/*
 * Faults at every access of hot loops. Each loop walks memory a page at a time, and every page is
 * closed when it gets there: the handler takes down the whole register state and opens the page.
 * What is printed, a hash of all the states for each loop, must not depend on how the loops are
 * executed.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096UL
#define PAGES 192UL
#define ROUNDS 24

static char *const area = (char *)0x1000000000UL;
static char *const other = (char *)0x1100000000UL;
static uint64_t hash;
static unsigned long faults;

static void mix(uint64_t value)
{
    hash = (hash ^ value) * 0x100000001b3UL;
    hash ^= hash >> 29;
}

#if defined(__riscv)
enum { REGISTERS = 32, SP = 2, IGNORED_A = 3, IGNORED_B = 4 }; /* gp and tp */
#elif defined(__x86_64__)
enum { REGISTERS = 16, SP = REG_RSP, IGNORED_A = REG_RSP, IGNORED_B = REG_RSP };
#else
enum { REGISTERS = 32, SP = 31, IGNORED_A = 18, IGNORED_B = 18 }; /* the platform's register */
#endif

static uint64_t get(const mcontext_t *machine, int i)
{
#if defined(__riscv)
    return machine->__gregs[i];
#elif defined(__x86_64__)
    return machine->gregs[i];
#else
    return i == SP ? machine->sp : machine->regs[i];
#endif
}

/* What the library leaves in vectors depends on the processor. */
static int mixes_vectors __attribute__((unused));

/* Where the stack lies is the kernel's choice. */
static uint64_t relative(uint64_t value, uint64_t sp)
{
    return value - (sp - (4UL << 20)) < (8UL << 20) ? value - sp : value;
}

/* The pc, and all that belongs to floating point. */
static void mix_the_rest(const mcontext_t *machine)
{
#if defined(__riscv)
    for (int i = 0; i < 32; i++)
        mix(machine->__fpregs.__d.__f[i]);
    mix(machine->__fpregs.__d.__fcsr);
#elif defined(__x86_64__)
    mix(machine->gregs[REG_RIP]);
    mix(machine->gregs[REG_EFL] & 0x8d5);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 4 && mixes_vectors; j++)
            mix(machine->fpregs->_xmm[i].element[j]);
    mix(machine->fpregs->mxcsr);
#else
    mix(machine->pc);
    mix(machine->pstate & 0xf0000000);
    const struct _aarch64_ctx *head = (const void *)machine->__reserved;
    while (head->magic != FPSIMD_MAGIC)
        head = (const void *)((const char *)head + head->size);
    const struct fpsimd_context *fpsimd = (const void *)head;
    const uint64_t *halves = (const void *)fpsimd->vregs;
    for (int i = 0; i < 64; i++)
        mix(halves[i]);
    mix((uint64_t)fpsimd->fpcr << 32 | fpsimd->fpsr);
#endif
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uint64_t sp = get(machine, SP);
    mix((uint64_t)signal << 32 | (uint32_t)info->si_code);
    mix((uint64_t)info->si_addr);
    for (int i = 0; i < REGISTERS; i++) {
        uint64_t value = get(machine, i);
        if (i == SP || i == IGNORED_A || i == IGNORED_B)
            continue;
        mix(relative(value, sp));
    }
    mix_the_rest(machine);
    faults++;
    char *page = (char *)((uint64_t)info->si_addr & ~(PAGE - 1));
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
        _Exit(3);
}

static void close_pages(int protection)
{
    if (mprotect(area, PAGES * PAGE, protection) || mprotect(other, PAGES * PAGE, protection))
        exit(4);
}

#define LOOP static __attribute__((noinline)) uint64_t
#define ALL_PAGES(i) (unsigned long i = 0; i < PAGES; i++)

LOOP loads(uint64_t seed)
{
    uint64_t sum = seed, steps = 0;
    for ALL_PAGES(i) {
        sum += *(volatile uint32_t *)(area + i * PAGE + (i & 63) * 8);
        steps ^= sum << 1;
        sum = sum * 5 + *(volatile int16_t *)(other + i * PAGE + 2);
    }
    return sum ^ steps;
}

LOOP stores(uint64_t seed)
{
    uint64_t value = seed;
    for ALL_PAGES(i) {
        *(volatile uint64_t *)(area + i * PAGE + 16) = value;
        value = value * 3 + i;
        *(volatile uint8_t *)(area + i * PAGE + 17) = (uint8_t)value;
        *(volatile uint32_t *)(other + i * PAGE) = (uint32_t)value;
    }
    return value;
}

LOOP copies(uint64_t seed)
{
    uint64_t count = seed;
    for ALL_PAGES(i) {
        uint64_t value = *(volatile uint64_t *)(area + i * PAGE + 16);
        count += value & 1;
        *(volatile uint64_t *)(other + i * PAGE + 24) = value + count;
    }
    return count;
}

LOOP updates(uint64_t seed)
{
    for ALL_PAGES(i) {
        volatile uint64_t *cell = (volatile uint64_t *)(area + i * PAGE + 40);
        *cell += seed;
        seed ^= *cell >> 3;
        cell[1] -= seed;
    }
    return seed;
}

LOOP floats(uint64_t seed)
{
    double sum = (double)seed, product = 1.0;
    for ALL_PAGES(i) {
        volatile double *cell = (volatile double *)(area + i * PAGE + 64);
        sum += cell[0] / 3.0;
        cell[1] = sum * product;
        product = product * 1.0000001 + cell[2];
        *(volatile float *)(other + i * PAGE + 64) = (float)product;
        cell[3] = (double)(int64_t)(sum * 0.5);
    }
    return (uint64_t)(int64_t)(sum + product);
}

LOOP atomics(uint64_t seed)
{
    for ALL_PAGES(i) {
        uint64_t *cell = (uint64_t *)(area + i * PAGE + 128);
        seed += __atomic_fetch_add(cell, seed, __ATOMIC_SEQ_CST);
        uint32_t expected = (uint32_t)seed;
        __atomic_compare_exchange_n((uint32_t *)(other + i * PAGE + 8), &expected, (uint32_t)i, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        seed ^= expected;
        *(volatile uint64_t *)(other + i * PAGE + 16) = seed;
    }
    return seed;
}

LOOP leaf(char *at, uint64_t value)
{
    volatile uint64_t *cell = (volatile uint64_t *)at;
    cell[0] = value;
    return cell[1] + value;
}

LOOP calls(uint64_t seed)
{
    uint64_t a = seed, b = seed + 1, c = seed + 2;
    for ALL_PAGES(i) {
        a += leaf(area + i * PAGE + 256, b);
        b ^= leaf(other + i * PAGE + 256, c);
        c += a >> 7;
    }
    return a ^ b ^ c;
}

LOOP recursion(unsigned long page, uint64_t value)
{
    if (page == PAGES)
        return value;
    uint64_t below = *(volatile uint64_t *)(area + page * PAGE + 320);
    uint64_t result = recursion(page + 1, value * 3 + below);
    *(volatile uint64_t *)(other + page * PAGE + 320) = result;
    return result + below + page;
}

LOOP straddling(uint64_t seed)
{
    for (unsigned long i = 1; i < PAGES; i++) {
        uint64_t value;
        memcpy(&value, area + i * PAGE - 3, sizeof value);
        seed = seed * 7 + value;
        memcpy(other + i * PAGE - 5, &seed, sizeof seed);
    }
    return seed;
}

LOOP dispatch(uint64_t seed)
{
    for ALL_PAGES(i) {
        volatile uint64_t *cell = (volatile uint64_t *)(area + i * PAGE + 512);
        switch (seed % 6) {
        case 0: seed += cell[0]; break;
        case 1: cell[1] = seed; seed = seed * 3 + 1; break;
        case 2: seed ^= cell[2] << 5; break;
        case 3: cell[3] += seed; seed -= i; break;
        case 4: seed = seed >> 1 | seed << 63; cell[4] = seed; break;
        default: seed += 7; break;
        }
    }
    return seed;
}

static uint64_t descend(uint64_t seed)
{
    return recursion(0, seed);
}

static const struct {
    const char *name;
    uint64_t (*run)(uint64_t);
} loops[] = {
    {"loads", loads},     {"stores", stores},         {"copies", copies}, {"updates", updates},
    {"floats", floats},   {"atomics", atomics},       {"calls", calls},   {"recursion", descend},
    {"straddling", straddling}, {"dispatch", dispatch},
};

static void map(char *at)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) != at)
        exit(5);
}

/* What the C library left in registers is of the environment, and of the CPU that it found. */
static void forget(void)
{
#if defined(__aarch64__)
#define ZERO(n) "movi v" #n ".2d, #0\n"
    asm volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7)
                 ZERO(8) ZERO(9) ZERO(10) ZERO(11) ZERO(12) ZERO(13) ZERO(14) ZERO(15)
                 ZERO(16) ZERO(17) ZERO(18) ZERO(19) ZERO(20) ZERO(21) ZERO(22) ZERO(23)
                 ZERO(24) ZERO(25) ZERO(26) ZERO(27) ZERO(28) ZERO(29) ZERO(30) ZERO(31)
                 "mov x1, #0\nmov x2, #0\nmov x3, #0\nmov x4, #0\nmov x5, #0\nmov x6, #0\nmov x7, #0\nmov x8, #0\n"
                 "mov x9, #0\nmov x10, #0\nmov x11, #0\nmov x12, #0\nmov x13, #0\nmov x14, #0\n"
                 "mov x15, #0\nmov x16, #0\nmov x17, #0\n" ::
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",
                       "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
                       "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x1", "x2", "x3",
                       "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17");
#endif
}

int main(int argc, char **argv)
{
    (void)argv;
    mixes_vectors = argc == 1;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    map(area);
    map(other);
    for (unsigned i = 0; i < sizeof loops / sizeof *loops; i++) {
        hash = 0xcbf29ce484222325UL;
        faults = 0;
        uint64_t result = 1;
        for (int round = 0; round < ROUNDS; round++) {
            /* Every third time reads pass and writes fault. */
            close_pages(round % 3 == 2 ? PROT_READ : PROT_NONE);
            forget();
            result = loops[i].run(result + (uint64_t)round);
            mix(result);
        }
        close_pages(PROT_READ);
        for (unsigned long word = 0; word < PAGES * PAGE / 8; word++)
            mix(((uint64_t *)area)[word] * 31 + ((uint64_t *)other)[word]);
        printf("%s faults=%lu states=%016lx\n", loops[i].name, faults, (unsigned long)hash);
    }
    return 0;
}
