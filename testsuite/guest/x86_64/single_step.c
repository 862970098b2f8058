/*
 * The trap flag: a debug exception after each instruction that began with it set. Each case is some code with labels, and
 * the labels at which the exceptions find the program, in order.
 */
#include "../guest.h"
#include <ucontext.h>

enum { TF = 0x100, MOST = 16 };

static struct {
    int signal, code, trap;
    uintptr_t rip, addr;
    long flags;
} seen[MOST];
static volatile int count, others;
static volatile uintptr_t stop_at, skip;
static volatile long flags_in_handler;

static long flags(void)
{
    long value;
    __asm__ volatile("pushfq\n pop %0" : "=r"(value));
    return value;
}

/* Notes what it sees; stepping ends at `stop_at`, and exceptions but for steps are stepped over. */
static void note(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    flags_in_handler = flags();
    if (count < MOST) {
        seen[count].signal = signal;
        seen[count].code = info->si_code;
        seen[count].trap = registers[REG_TRAPNO];
        seen[count].rip = registers[REG_RIP];
        seen[count].addr = (uintptr_t)info->si_addr;
        seen[count].flags = registers[REG_EFL];
    }
    count++;
    if (signal != SIGTRAP) {
        others++;
        registers[REG_RIP] += skip;
    }
    if ((uintptr_t)registers[REG_RIP] == stop_at || count >= MOST)
        registers[REG_EFL] &= ~(long)TF;
}

/* Sets the flag, runs `body`, and lets go at its label 9. The first instruction after POPF is the first to trap. */
#define STEP(body, ...)                                                                     \
    do {                                                                                    \
        count = others = 0;                                                                 \
        __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %[stop]\n"                      \
                         "lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"  \
                         body "\n9: nop\n lea 128(%%rsp), %%rsp\n"                          \
                         : [stop] "=m"(stop_at)                                             \
                         : __VA_ARGS__                                                      \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r11", "cc", "memory"); \
    } while (0)

/* What was seen n-th was a step, and found the program so many bytes before the end. */
static void expect_step(int n, long before_end)
{
    if (!(seen[n].signal == SIGTRAP && seen[n].code == TRAP_TRACE && seen[n].trap == 1
          && seen[n].rip == seen[n].addr && (long)(stop_at - seen[n].rip) == before_end))
        fprintf(stderr, "step %d of %d: signal %d, code %d, trap %d, %ld before the end, not %ld\n", n, count,
                seen[n].signal, seen[n].code, seen[n].trap, (long)(stop_at - seen[n].rip), before_end);
    REQUIRE(seen[n].signal == SIGTRAP && seen[n].code == TRAP_TRACE && seen[n].trap == 1);
    REQUIRE(seen[n].rip == seen[n].addr && (long)(stop_at - seen[n].rip) == before_end);
    REQUIRE((seen[n].flags & TF) != 0 && (flags_in_handler & TF) == 0);
}

#define EXPECT(...)                                                         \
    do {                                                                    \
        static const long before_end[] = { __VA_ARGS__ };                   \
        for (size_t n = 0; n < sizeof before_end / sizeof *before_end; n++) \
            expect_step((int)n, before_end[n]);                             \
        REQUIRE(count == sizeof before_end / sizeof *before_end);           \
    } while (0)

static void each_instruction(void)
{
    STEP("inc %%ecx\n add $5, %%rcx\n nop");
    EXPECT(5, 1, 0);
}

static void jumps(void)
{
    STEP("jmp 1f\n nop\n1: xor %%ecx, %%ecx\n jz 2f\n nop\n2: jnz 3f\n nop\n3: lea 4f(%%rip), %%rcx\n jmp *%%rcx\n nop\n4: nop");
    EXPECT(19, 17, 14, 12, 11, 4, 1, 0);
}

static void calls(void)
{
    STEP("call 1f\n jmp 2f\n1: nop\n ret\n2: nop");
    EXPECT(3, 2, 5, 1, 0);
}

static void repetitions(void)
{
    static char bytes[8] = "abcdefg", text[4] = { 1, 2, 0, 4 };
    STEP("mov %[at], %%rdi\n mov $3, %%ecx\n rep stosb\n nop", [at] "r"(bytes));
    EXPECT(8, 3, 3, 3, 1, 0);
    REQUIRE(memcmp(bytes + 2, "cdefg", 5) != 0 && memcmp(bytes + 3, "defg", 4) == 0);
    STEP("xor %%ecx, %%ecx\n rep movsb\n nop", "m"(bytes));
    EXPECT(3, 1, 0);
    STEP("mov %[at], %%rdi\n mov $9, %%ecx\n xor %%eax, %%eax\n repne scasb\n nop", [at] "r"(text));
    EXPECT(10, 5, 3, 3, 3, 1, 0);
}

static void system_calls(void)
{
    /* The flag comes back with the call's end, and the next instruction is the first to trap. */
    STEP("mov $39, %%eax\n syscall\n nop\n nop");
    EXPECT(4, 1, 0);
    STEP("mov $39, %%eax\n syscall\n mov %%r11, %%rcx\n nop");
    EXPECT(6, 1, 0);
}

static void stack_segment(void)
{
    STEP("mov %%ss, %%eax\n mov %%eax, %%ss\n nop\n nop");
    EXPECT(4, 1, 0);
    STEP("mov %%ds, %%eax\n mov %%eax, %%ds\n nop\n nop");
    EXPECT(4, 2, 1, 0);
}

static void flags_that_are_read(void)
{
    static long value;
    STEP("pushfq\n pop %%rcx\n mov %%rcx, %[value]", [value] "m"(value));
    REQUIRE(count == 3 && (value & TF) != 0);
}

static void end_by_popf(void)
{
    /* The instruction that clears the flag began with it. */
    STEP("pushfq\n andq $~0x100, (%%rsp)\n popfq\n nop\n nop");
    REQUIRE(count == 3 && (seen[2].flags & TF) == 0 && stop_at - seen[2].rip == 2);
    REQUIRE((flags() & TF) == 0);
}

static void interrupt_returns(void)
{
    long after;
    count = 0;
    __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %[stop]\n lea -128(%%rsp), %%rsp\n mov %%rsp, %%rcx\n"
                     "mov %%ss, %%eax\n push %%rax\n push %%rcx\n pushfq\n orq $0x100, (%%rsp)\n"
                     "mov %%cs, %%eax\n push %%rax\n lea 1f(%%rip), %%rax\n push %%rax\n iretq\n ud2\n"
                     "1: nop\n nop\n9: nop\n lea 128(%%rsp), %%rsp\n"
                     : [stop] "=m"(stop_at) : : "rax", "rcx", "cc", "memory");
    EXPECT(1, 0);
    after = flags();
    REQUIRE((after & TF) == 0);
    STEP("mov %%rsp, %%rcx\n mov %%ss, %%eax\n push %%rax\n push %%rcx\n pushfq\n andq $~0x100, (%%rsp)\n"
         "mov %%cs, %%eax\n push %%rax\n lea 1f(%%rip), %%rax\n push %%rax\n iretq\n ud2\n1: nop");
    REQUIRE(count == 11 && stop_at - seen[10].rip == 1 && (seen[10].flags & TF) == 0);
}

static void faults(void)
{
    /* An instruction that faults has not been executed, and its handler begins without the flag. */
    skip = 2;
    STEP("nop\n ud2\n nop");
    REQUIRE(count == 3 && others == 1 && seen[1].signal == SIGILL && (seen[1].flags & TF) != 0);
    REQUIRE(stop_at - seen[0].rip == 3 && stop_at - seen[1].rip == 3 && stop_at - seen[2].rip == 0);
    STEP("xor %%ecx, %%ecx\n mov (%%rcx), %%al\n nop\n nop");
    REQUIRE(count == 4 && seen[1].signal == SIGSEGV && stop_at - seen[1].rip == 4);
}

static void breakpoints(void)
{
    STEP("nop\n int3\n nop\n nop");
    REQUIRE(count == 4 && seen[1].signal == SIGTRAP && seen[1].code == SI_KERNEL && seen[1].trap == 3);
    REQUIRE(stop_at - seen[1].rip == 2 && stop_at - seen[2].rip == 1 && seen[2].code == TRAP_TRACE);
}

static void nowhere(void)
{
    /* The step comes before the fetch of what is next. */
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t base = (uintptr_t)page;
    count = others = 0;
    /* The handler of the fault goes to label 9. */
    __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %[stop]\n sub %[page], %%rax\n mov %%rax, %[skip]\n"
                     "lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n jmp *%[page]\n"
                     "9: nop\n lea 128(%%rsp), %%rsp\n"
                     : [stop] "=m"(stop_at), [skip] "=m"(skip) : [page] "r"(page) : "rax", "cc", "memory");
    REQUIRE(count == 2 && seen[0].signal == SIGTRAP && seen[0].rip == base && seen[0].addr == base);
    REQUIRE(seen[1].signal == SIGSEGV && seen[1].rip == base);
    munmap(page, 4096);
}

static void begin(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TF;
}

static void returns_from_handlers(void)
{
    handle(SIGUSR1, begin, 0);
    count = 0;
    __asm__ volatile("lea 9f(%%rip), %%rcx\n mov %%rcx, %[stop]\n mov $39, %%eax\n syscall\n mov %%eax, %%edi\n"
                     "mov $10, %%esi\n mov $62, %%eax\n syscall\n nop\n nop\n9: nop\n"
                     : [stop] "=m"(stop_at) : : "rax", "rcx", "rdi", "rsi", "r11", "cc", "memory");
    EXPECT(1, 0);
}

static void vectors_and_x87(void)
{
    STEP("fld1\n fstp %%st(0)\n pxor %%xmm0, %%xmm0\n lock addl $0, (%%rsp)\n cpuid\n xgetbv\n nop");
    REQUIRE(count == (seen[4].signal == SIGTRAP ? 7 : 0));
}

/* Some code that is compiled by then, stepped through now and then. */
static void hot_code(void)
{
    long sum = 0, steps = 0;
    for (long n = 0; n < 20000; n++) {
        long more = n % 1000 == 999 ? TF : 0;
        count = 0;
        __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %[stop]\n lea -128(%%rsp), %%rsp\n"
                         "pushfq\n or %[more], (%%rsp)\n popfq\n inc %[sum]\n9: inc %[sum]\n lea 128(%%rsp), %%rsp\n"
                         : [sum] "+r"(sum), [stop] "=m"(stop_at) : [more] "r"(more) : "rax", "cc", "memory");
        REQUIRE(count == (more != 0));
        steps += count;
    }
    REQUIRE(sum == 40000 && steps == 20);
}

int main(void)
{
    static const int signals[] = { SIGTRAP, SIGILL, SIGSEGV };
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        handle(signals[n], note, 0);
    RUN(each_instruction);
    RUN(jumps);
    RUN(calls);
    RUN(repetitions);
    RUN(system_calls);
    RUN(stack_segment);
    RUN(flags_that_are_read);
    RUN(end_by_popf);
    RUN(interrupt_returns);
    RUN(faults);
    RUN(breakpoints);
    RUN(nowhere);
    RUN(returns_from_handlers);
    RUN(vectors_and_x87);
    RUN(hot_code);
    return finish();
}
