/* FEAT_MOPS: what memory copies and sets leave where they are interrupted, by faults and signals. */
#include "../guest.h"
#include <asm/hwcap.h>
#include <sys/auxv.h>
#include <ucontext.h>

#ifndef HWCAP2_MOPS
#define HWCAP2_MOPS (1ull << 43)
#endif

__asm__(".arch armv8.8-a+mops");

enum { PAGE = 4096 };

struct left {
    uint64_t d, s, n, nzcv;
};

#define COPY(kind)                                                                                       \
    static struct left kind(void *to, const void *from, uint64_t size)                                   \
    {                                                                                                    \
        register void *d __asm__("x0") = to;                                                             \
        register const void *s __asm__("x1") = from;                                                     \
        register uint64_t n __asm__("x2") = size;                                                        \
        uint64_t nzcv;                                                                                   \
        __asm__ volatile(".arch armv8.8-a+mops\n" #kind "p [x0]!, [x1]!, x2!\n" #kind "m [x0]!, [x1]!, x2!\n" \
                         #kind "e [x0]!, [x1]!, x2!\n mrs %3, nzcv"                                      \
                         : "+r"(d), "+r"(s), "+r"(n), "=r"(nzcv)::"cc", "memory");                       \
        return (struct left){(uint64_t)d, (uint64_t)s, n, nzcv};                                         \
    }

COPY(cpy)
COPY(cpyf)

static struct left set(void *to, int byte, uint64_t size)
{
    register void *d __asm__("x0") = to;
    register uint64_t s __asm__("x1") = byte;
    register uint64_t n __asm__("x2") = size;
    uint64_t nzcv;
    __asm__ volatile(".arch armv8.8-a+mops\nsetp [x0]!, x2!, x1\n setm [x0]!, x2!, x1\n sete [x0]!, x2!, x1\n mrs %3, nzcv"
                     : "+r"(d), "+r"(s), "+r"(n), "=r"(nzcv)::"cc", "memory");
    return (struct left){(uint64_t)d, s, n, nzcv};
}

static unsigned char *area(size_t pages)
{
    unsigned char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    return at;
}

static void number(unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = i * 7 + i / 251;
}

static int is_numbered(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != (unsigned char)(i * 7 + i / 251))
            return 0;
    return 1;
}

static void copies_overlap(void)
{
    enum { SIZE = 20 * PAGE };
    unsigned char *at = area(64);
    static const long shifts[] = {1, 16, 63, 4095, 4096, 5000, 3 * PAGE};
    for (unsigned i = 0; i < sizeof shifts / sizeof *shifts; i++)
        for (int down = 0; down < 2; down++) {
            unsigned char *from = at + 20 * PAGE, *to = down ? from - shifts[i] : from + shifts[i];
            number(from, SIZE);
            struct left left = cpy(to, from, SIZE);
            REQUIRE(is_numbered(to, SIZE) && left.n == 0);
            if (!down)
                continue;
            number(from, SIZE);
            left = cpyf(to, from, SIZE);
            REQUIRE(is_numbered(to, SIZE) && left.n == 0);
            REQUIRE(left.d == (uint64_t)to + SIZE && left.s == (uint64_t)from + SIZE);
        }
    REQUIRE(munmap(at, 64 * PAGE) == 0);
}

static unsigned char *closed;
static size_t closed_size;
static volatile sig_atomic_t faults;
static uint64_t fault_address;
static mcontext_t stopped;

/* Opens the page that was missing. */
static void open_page(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    faults++;
    fault_address = (uint64_t)info->si_addr;
    stopped = ((ucontext_t *)context)->uc_mcontext;
    unsigned char *page = (unsigned char *)(fault_address & ~(PAGE - 1ull));
    if (page < closed || page >= closed + closed_size || mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
        _exit(3);
}

static void close_pages(unsigned char *at, size_t size)
{
    closed = at;
    closed_size = size;
    faults = 0;
    REQUIRE(mprotect(at, size, PROT_NONE) == 0);
}

/* Each page of the destination is missing when its time comes; what is done is not done again wrongly. */
static void destinations_fault(void)
{
    handle(SIGSEGV, open_page, 0);
    unsigned char *at = area(64);
    for (long shift = 8 * PAGE + 100; shift <= 8 * PAGE + 101; shift++) {
        unsigned char *from = at + 10, *to = from + shift;
        number(from, 8 * PAGE);
        close_pages((unsigned char *)(((uint64_t)to + PAGE) & ~(PAGE - 1ull)), 6 * PAGE);
        cpy(to, from, 8 * PAGE);
        REQUIRE(faults == 6 && is_numbered(to, 8 * PAGE));
        close_pages((unsigned char *)(((uint64_t)to + PAGE) & ~(PAGE - 1ull)), 6 * PAGE);
        cpyf(to, from, 8 * PAGE);
        REQUIRE(faults == 6 && is_numbered(to, 8 * PAGE));
        close_pages((unsigned char *)(((uint64_t)to + PAGE) & ~(PAGE - 1ull)), 6 * PAGE);
        struct left left = set(to, 0x5a, 8 * PAGE);
        REQUIRE(faults == 6 && left.n == 0 && left.d == (uint64_t)to + 8 * PAGE);
        for (int i = 0; i < 8 * PAGE; i++)
            REQUIRE(to[i] == 0x5a);
    }
    REQUIRE(munmap(at, 64 * PAGE) == 0);
}

static void sources_fault(void)
{
    handle(SIGSEGV, open_page, 0);
    unsigned char *at = area(64);
    unsigned char *from = at + 32 * PAGE + 77, *to = at + 5;
    number(from, 8 * PAGE);
    close_pages(at + 33 * PAGE, 5 * PAGE);
    cpyf(to, from, 8 * PAGE);
    REQUIRE(faults == 5 && is_numbered(to, 8 * PAGE));
    REQUIRE(munmap(at, 64 * PAGE) == 0);
}

/* Overlapping copies that fault, where bytes that were copied twice would show. */
static void overlapping_copies_fault(void)
{
    handle(SIGSEGV, open_page, 0);
    unsigned char *at = area(64);
    for (int shift = 1; shift < 3 * PAGE; shift += 777)
        for (int down = 0; down < 2; down++) {
            unsigned char *from = at + 20 * PAGE, *to = down ? from - shift : from + shift;
            REQUIRE(mprotect(at, 64 * PAGE, PROT_READ | PROT_WRITE) == 0);
            number(from, 8 * PAGE);
            close_pages(at + 19 * PAGE, 12 * PAGE);
            cpy(to, from, 8 * PAGE);
            REQUIRE(mprotect(at, 64 * PAGE, PROT_READ | PROT_WRITE) == 0);
            REQUIRE(is_numbered(to, 8 * PAGE) && faults >= 8);
        }
    REQUIRE(munmap(at, 64 * PAGE) == 0);
}

/* At a fault the registers say what is left, in one of the two ways that the manual has, told by C. */
static void registers_are_consistent(void)
{
    handle(SIGSEGV, open_page, 0);
    unsigned char *at = area(32);
    unsigned char *from = at + 3, *to = at + 16 * PAGE + 9;
    uint64_t size = 4 * PAGE;
    number(from, size);
    close_pages(at + 18 * PAGE, PAGE);
    cpyf(to, from, size);
    REQUIRE(faults == 1 && fault_address == (uint64_t)at + 18 * PAGE);
    uint64_t d = stopped.regs[0], s = stopped.regs[1], n = stopped.regs[2];
    if (stopped.pstate >> 29 & 1) {
        REQUIRE(d - (uint64_t)to == size - n && s - (uint64_t)from == size - n && d <= fault_address);
    } else {
        REQUIRE(d == (uint64_t)to + size && s == (uint64_t)from + size);
        REQUIRE((int64_t)n < 0 && d + n <= fault_address);
    }
    REQUIRE(munmap(at, 32 * PAGE) == 0);
}

static volatile sig_atomic_t alarms, within;

static void on_alarm(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    alarms++;
    uint32_t word = *(uint32_t *)((ucontext_t *)context)->uc_mcontext.pc;
    /* cpy, cpyf, set: size and option bits aside. */
    within += (word & 0x3b200c00) == 0x19000400;
}

/* A large operation does not keep signals out. */
static void signals_interrupt(void)
{
    enum { SIZE = 16 << 20 };
    handle(SIGALRM, on_alarm, SA_RESTART);
    unsigned char *at = area(2 * (SIZE / PAGE));
    number(at, SIZE);
    struct itimerval every = {{0, 500}, {0, 500}};
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
    for (int i = 0; i < 8; i++) {
        cpy(at + SIZE, at, SIZE);
        cpy(at + 1, at + SIZE, SIZE);
        set(at + SIZE, i, SIZE);
        REQUIRE(is_numbered(at + 1, PAGE) && at[SIZE + 1] == i && at[2 * SIZE - 1] == i);
        cpy(at, at + 1, SIZE);
    }
    memset(&every, 0, sizeof every);
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
    REQUIRE(alarms > 10 && within > 2 && is_numbered(at, SIZE - 4));
    REQUIRE(munmap(at, 2 * (size_t)SIZE) == 0);
}

static void nothing_is_nothing(void)
{
    struct left left = cpy((void *)8, (void *)16, 0);
    REQUIRE(left.d == 8 && left.s == 16 && left.n == 0);
    left = set((void *)8, 1, 0);
    REQUIRE(left.d == 8 && left.n == 0);
}

int main(void)
{
    if (getauxval(AT_HWCAP2) & HWCAP2_MOPS) {
        RUN(nothing_is_nothing);
        RUN(copies_overlap);
        RUN(destinations_fault);
        RUN(sources_fault);
        RUN(overlapping_copies_fault);
        RUN(registers_are_consistent);
        RUN(signals_interrupt);
    }
    return finish();
}
