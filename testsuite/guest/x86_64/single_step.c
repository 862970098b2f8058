/* The trap flag: an exception after each instruction. */
#include "../guest.h"
#include <ucontext.h>

static siginfo_t seen;
static volatile int count;

static void stop_stepping(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    seen = *info;
    ucontext_t *machine = context;
    if (++count == 4)
        machine->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

static void single_steps(void)
{
    handle(SIGTRAP, stop_stepping, 0);
    count = 0;
    long n = 0;
    __asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n"
                     "inc %0\n inc %0\n inc %0\n inc %0\n inc %0\n" : "+r"(n)::"cc", "memory");
    REQUIRE(count == 4 && n == 5 && seen.si_code == TRAP_TRACE);
}

int main(void)
{
    RUN(single_steps);
    return finish();
}
