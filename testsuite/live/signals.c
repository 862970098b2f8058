/* Signals that instructions raise, that the program sends itself, and that come by themselves. */
#include "live.h"

static volatile int count, last;
static char alternate[65536];
static char page[2 * 4096] __attribute__((aligned(4096)));

static void counts(int signal, siginfo_t *info, struct ucontext *context)
{
    (void)info, (void)context;
    count++;
    last = signal;
}

static void skips(int signal, siginfo_t *info, struct ucontext *context)
{
    counts(signal, info, context);
#if !defined(__x86_64__)
    skip(context, 4);
#else
    if (signal == SIGILL)
        skip(context, 2);
#endif
}

static void opens(int signal, siginfo_t *info, struct ucontext *context)
{
    counts(signal, info, context);
    CALL(mprotect, page, 4096, 3, 0, 0);
}

#ifndef RAISED_ONLY
static volatile int alarmed;

static void rings(int signal, siginfo_t *info, struct ucontext *context)
{
    (void)signal, (void)info, (void)context;
    alarmed = 1;
}
#endif

int run(long argc, char **argv)
{
    (void)argc, (void)argv;
#ifndef RAISED_ONLY
    handle(SIGUSR1, counts, 0);
    CALL(kill, CALL(getpid, 0, 0, 0, 0, 0), SIGUSR1, 0, 0, 0);
    if (count != 1 || last != SIGUSR1)
        return 1;
#endif
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    CALL(sigaltstack, &stack, 0, 0, 0, 0);
    handle(SIGSEGV, opens, SA_ONSTACK);
    CALL(mprotect, page, 4096, 0, 0, 0);
    ((volatile char *)page)[8] = 5;
    if (last != SIGSEGV || page[8] != 5)
        return 2;
    handle(SIGTRAP, skips, SA_ONSTACK);
    handle(SIGILL, skips, 0);
#if defined(__riscv)
    __asm__ volatile(".option push\n.option norvc\nebreak\n.option pop" ::: "memory");
    if (last != SIGTRAP)
        return 3;
    __asm__ volatile(".word 0xffffffff" ::: "memory");
#elif defined(__aarch64__)
    __asm__ volatile("brk #1" ::: "memory");
    if (last != SIGTRAP)
        return 3;
    __asm__ volatile("udf #1" ::: "memory");
#else
    __asm__ volatile("int3" ::: "memory");
    if (last != SIGTRAP)
        return 3;
    __asm__ volatile("ud2" ::: "memory");
#endif
    if (last != SIGILL)
        return 4;
#ifndef RAISED_ONLY
    handle(SIGTRAP, counts, SA_RESETHAND);
    CALL(kill, CALL(getpid, 0, 0, 0, 0, 0), SIGTRAP, 0, 0, 0);
    if (last != SIGTRAP)
        return 5;
    handle(SIGALRM, rings, 0);
    struct { long interval[2], value[2]; } timer = { .value = { 0, 20000 } };
    CALL(setitimer, 0, &timer, 0, 0, 0);
    while (!alarmed)
        ;
#endif
    return 0;
}
