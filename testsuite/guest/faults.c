/* Faults that a program causes itself, what it is told about them, and recovering from them. */
#include "guest.h"
#include <setjmp.h>
#include <sys/uio.h>

static sigjmp_buf recover;
/* Volatile, because library functions are declared not to call back into this file. */
static volatile siginfo_t fault;
static volatile int faults;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)context;
    REQUIRE(signal == info->si_signo);
    fault = *info;
    faults++;
    siglongjmp(recover, 1);
}

/* Runs `statement` and requires that it faults like this. */
#define FAULTS(statement, signal, code, address)                              \
    do {                                                                      \
        if (sigsetjmp(recover, 1) == 0) {                                     \
            statement;                                                        \
            REQUIRE(!"no fault: " #statement);                                \
        }                                                                     \
        REQUIRE(fault.si_signo == (signal) && fault.si_code == (code));       \
        REQUIRE((uintptr_t)fault.si_addr == (uintptr_t)(address));            \
    } while (0)

static volatile char *page_with(int protection)
{
    void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    return page;
}

static volatile char *hole(void)
{
    volatile char *page = page_with(PROT_READ | PROT_WRITE);
    REQUIRE(munmap((void *)page, 4096) == 0);
    return page;
}

static void unmapped_memory(void)
{
    volatile char *gone = hole();
    volatile char *null = NULL;
    __asm__("" : "+r"(null));
    FAULTS(gone[5] = 1, SIGSEGV, SEGV_MAPERR, gone + 5);
    FAULTS((void)gone[9], SIGSEGV, SEGV_MAPERR, gone + 9);
    FAULTS((void)null[8], SIGSEGV, SEGV_MAPERR, 8);
    FAULTS(*(volatile uint64_t *)(gone + 16) = 1, SIGSEGV, SEGV_MAPERR, gone + 16);
    FAULTS((void)*(volatile double *)(gone + 24), SIGSEGV, SEGV_MAPERR, gone + 24);
    FAULTS(__atomic_fetch_add((int *)(gone + 32), 1, __ATOMIC_SEQ_CST), SIGSEGV, SEGV_MAPERR, gone + 32);
}

static void protected_memory(void)
{
    volatile char *constant = page_with(PROT_READ), *nothing = page_with(PROT_NONE);
    FAULTS(constant[7] = 1, SIGSEGV, SEGV_ACCERR, constant + 7);
    REQUIRE(constant[7] == 0);
    FAULTS((void)nothing[7], SIGSEGV, SEGV_ACCERR, nothing + 7);
    FAULTS(nothing[8] = 1, SIGSEGV, SEGV_ACCERR, nothing + 8);
    REQUIRE(mprotect((void *)constant, 4096, PROT_READ | PROT_WRITE) == 0);
    constant[7] = 1;
    REQUIRE(mprotect((void *)constant, 4096, PROT_READ) == 0);
    FAULTS(constant[7] = 2, SIGSEGV, SEGV_ACCERR, constant + 7);
    REQUIRE(constant[7] == 1);
}

static void past_the_end_of_a_file(void)
{
    char name[] = "faults-XXXXXX";
    int file = mkstemp(name);
    REQUIRE(file >= 0 && unlink(name) == 0 && ftruncate(file, 100) == 0);
    volatile char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REQUIRE(map != MAP_FAILED && map[99] == 0 && map[4095] == 0);
    FAULTS((void)map[4096], SIGBUS, BUS_ADRERR, map + 4096);
    FAULTS(map[5000] = 1, SIGBUS, BUS_ADRERR, map + 5000);
    REQUIRE(ftruncate(file, 8192) == 0);
    map[5000] = 1;
    REQUIRE(map[5000] == 1);
}

/* `noipa`: the compiler must not see that an address is null. */
__attribute__((noipa)) static void call(const volatile void *address)
{
    void (*function)(void);
    memcpy(&function, &address, sizeof function);
    function();
}

static void jumps_to_nowhere(void)
{
    volatile char *data = page_with(PROT_READ | PROT_WRITE), *gone = hole();
    FAULTS(call(gone), SIGSEGV, SEGV_MAPERR, gone);
    FAULTS(call(NULL), SIGSEGV, SEGV_MAPERR, 0);
    FAULTS(call(data), SIGSEGV, SEGV_ACCERR, data);
}

static void illegal_and_breakpoint(void)
{
#if defined(__riscv)
#define ILLEGAL __asm__ volatile(".2byte 0" ::: "memory")
#define BREAKPOINT __asm__ volatile("ebreak" ::: "memory")
#elif defined(__aarch64__)
#define ILLEGAL __asm__ volatile("udf #0" ::: "memory")
#define BREAKPOINT __asm__ volatile("brk #0" ::: "memory")
#else
#define ILLEGAL __asm__ volatile("ud2" ::: "memory")
#define BREAKPOINT __asm__ volatile("int3" ::: "memory")
#endif
    if (sigsetjmp(recover, 1) == 0)
        ILLEGAL;
    REQUIRE(fault.si_signo == SIGILL);
    if (sigsetjmp(recover, 1) == 0)
        BREAKPOINT;
    REQUIRE(fault.si_signo == SIGTRAP);
}

/* Division never traps on RISC-V and AArch64; on other machines the compiler's result is undefined. */
static void division_by_zero(void)
{
#if defined(__riscv)
    volatile long zero = 0, seven = 7, smallest = INT64_MIN, minus_one = -1;
    long quotient, rest;
    __asm__("div %0, %1, %2" : "=r"(quotient) : "r"(seven), "r"(zero));
    __asm__("rem %0, %1, %2" : "=r"(rest) : "r"(seven), "r"(zero));
    REQUIRE(quotient == -1 && rest == 7);
    __asm__("div %0, %1, %2" : "=r"(quotient) : "r"(smallest), "r"(minus_one));
    REQUIRE(quotient == INT64_MIN);
#elif defined(__aarch64__)
    volatile long zero = 0, seven = 7, smallest = INT64_MIN, minus_one = -1;
    long quotient;
    __asm__("sdiv %0, %1, %2" : "=r"(quotient) : "r"(seven), "r"(zero));
    REQUIRE(quotient == 0);
    __asm__("sdiv %0, %1, %2" : "=r"(quotient) : "r"(smallest), "r"(minus_one));
    REQUIRE(quotient == INT64_MIN);
#endif
}

static char alternate[64 * 1024];

__attribute__((noipa)) static int overflow(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth < 0 ? 0 : overflow(depth + 1) + frame[0];
}

static void stack_overflow(void)
{
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    handle(SIGSEGV, caught, SA_ONSTACK);
    int before = faults;
    for (int i = 0; i < 3; i++)
        if (sigsetjmp(recover, 1) == 0)
            overflow(0);
    REQUIRE(faults == before + 3);
    handle(SIGSEGV, caught, 0);
}

static void in_library_functions(void)
{
    volatile char *page = page_with(PROT_READ | PROT_WRITE);
    char *end = (char *)page + 4096;
    REQUIRE(mmap(end, 4096, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == end);
    int before = faults;
    char *target = end - 100;
    if (sigsetjmp(recover, 1) == 0)
        memset(target, 'x', 200);
    REQUIRE(faults == before + 1 && fault.si_code == SEGV_ACCERR);
    memset((void *)page, 'y', 4096);
    const char *text = (const char *)page;
    volatile size_t length = 0;
    if (sigsetjmp(recover, 1) == 0)
        length = strlen(text);
    REQUIRE(length == 0);
    REQUIRE(faults == before + 2 && (char *)fault.si_addr >= end && (char *)fault.si_addr < end + 64);
}

static void many_faults_in_a_loop(void)
{
    volatile char *nothing = page_with(PROT_NONE);
    volatile long sum = 0;
    int before = faults;
    for (volatile int i = 0; i < 20000; i++) {
        if (sigsetjmp(recover, 0) == 0)
            sum += nothing[i % 4096];
        else
            sigprocmask(SIG_SETMASK, &(sigset_t){ 0 }, NULL);
    }
    REQUIRE(faults == before + 20000 && sum == 0);
}

static volatile char *guarded;

static void open_the_page(int signal, siginfo_t *info, void *context)
{
    (void)context;
    REQUIRE(signal == SIGSEGV && (char *)info->si_addr >= guarded && (char *)info->si_addr < guarded + 4096);
    faults++;
    REQUIRE(mprotect((void *)guarded, 4096, PROT_READ | PROT_WRITE) == 0);
}

/* As garbage collectors do: the handler repairs the mapping and the access is repeated. */
static void repair_and_repeat(void)
{
    handle(SIGSEGV, open_the_page, 0);
    guarded = page_with(PROT_READ | PROT_WRITE);
    int before = faults;
    for (int i = 0; i < 500; i++) {
        guarded[i] = (char)i;
        REQUIRE(mprotect((void *)guarded, 4096, i % 2 ? PROT_NONE : PROT_READ) == 0);
        guarded[i] += 1;
        REQUIRE(guarded[i] == (char)(i + 1));
    }
    REQUIRE(faults == before + 500);
    handle(SIGSEGV, caught, 0);
}

static void bad_pointers_in_system_calls(void)
{
    void *gone = (void *)hole();
    int zero = open("/dev/zero", O_RDONLY);
    REQUIRE_ERROR(read(zero, gone, 10), EFAULT);
    REQUIRE_ERROR(open(gone, O_RDONLY), EFAULT);
    REQUIRE_ERROR(syscall(SYS_clock_gettime, CLOCK_REALTIME, gone), EFAULT);
    REQUIRE_ERROR(pipe(gone), EFAULT);
    REQUIRE_ERROR(syscall(SYS_rt_sigaction, SIGUSR1, gone, NULL, 8), EFAULT);
    struct iovec vector = { gone, 4 };
    REQUIRE_ERROR(readv(zero, &vector, 1), EFAULT);
    REQUIRE_ERROR(syscall(SYS_uname, gone), EFAULT);
    REQUIRE_ERROR(read(zero, (void *)-4096, 10), EFAULT);
    void *constant = (void *)page_with(PROT_READ);
    REQUIRE_ERROR(read(zero, constant, 10), EFAULT);
    close(zero);
}

static void blocked_fault(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *(volatile char *)hole() = 1;
}

static void ignored_fault(void)
{
    signal(SIGSEGV, SIG_IGN);
    *(volatile char *)hole() = 1;
}

static void faults_cannot_be_ignored(void)
{
    int status = in_child(blocked_fault);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = in_child(ignored_fault);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(void)
{
    for (int signal = SIGILL; signal <= SIGSEGV; signal++)
        if (signal == SIGILL || signal == SIGTRAP || signal == SIGBUS || signal == SIGSEGV)
            handle(signal, caught, 0);
    RUN(unmapped_memory);
    RUN(protected_memory);
    RUN(past_the_end_of_a_file);
    RUN(jumps_to_nowhere);
    RUN(illegal_and_breakpoint);
    RUN(division_by_zero);
    RUN(stack_overflow);
    RUN(in_library_functions);
    RUN(many_faults_in_a_loop);
    RUN(repair_and_repeat);
    RUN(bad_pointers_in_system_calls);
    RUN(faults_cannot_be_ignored);
    return finish();
}
