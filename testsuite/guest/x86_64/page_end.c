/*
 * What lies at the end of a page behind which there is nothing: areas that are stored and loaded whole or not at all, and
 * opcodes that are undefined whatever comes after them. And jumps to where no code can be.
 */
#include "../guest.h"
#include <setjmp.h>
#include <ucontext.h>

enum { PAGE = 4096, UNTOUCHED = 0xaa };

static sigjmp_buf back;
static volatile int seen_signal, seen_code;
static volatile uintptr_t seen_addr;
static volatile greg_t seen_rip, seen_rsp;
static unsigned char *page;

static void note(int signal, siginfo_t *info, void *context)
{
    seen_signal = signal;
    seen_code = info->si_code;
    seen_addr = (uintptr_t)info->si_addr;
    seen_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    seen_rsp = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
    siglongjmp(back, 1);
}

/* Whether it is an Intel processor, or one of Ferry's, which do the same. */
static int is_intel(void)
{
    unsigned a = 0, b, c, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b == 0x756e6547;
}

/* The instruction on an operand so many bytes before the page's end: where an Intel processor faults, counted from there; nothing is
 * written. */
#define FAULTS(instruction, before_end, mask, distance)                                                     \
    do {                                                                                                    \
        memset(page, UNTOUCHED, PAGE);                                                                      \
        seen_signal = 0;                                                                                    \
        if (sigsetjmp(back, 1) == 0)                                                                        \
            __asm__ volatile("fninit\n fldpi\n" instruction "\n fninit"                                     \
                             : : "D"(page + PAGE - (before_end)), "a"(mask), "d"(0) : "memory");            \
        REQUIRE(seen_signal == SIGSEGV && seen_code == SEGV_ACCERR);                                        \
        REQUIRE(!is_intel() || (long)(seen_addr - (uintptr_t)page - PAGE) == (distance));                    \
        for (int n = 0; n < PAGE; n++)                                                                      \
            REQUIRE(page[n] == UNTOUCHED);                                                                  \
    } while (0)

static void environments(void)
{
    FAULTS("fnstenv (%%rdi)", 1, 0, 0);
    FAULTS("fnstenv (%%rdi)", 4, 0, 23);
    FAULTS("fnstenv (%%rdi)", 27, 0, 0);
    FAULTS("data16 fnstenv (%%rdi)", 4, 0, 9);
    FAULTS("fldenv (%%rdi)", 8, 0, 19);
    FAULTS("fnsave (%%rdi)", 8, 0, 99);
    FAULTS("fnsave (%%rdi)", 107, 0, 0);
    FAULTS("data16 fnsave (%%rdi)", 60, 0, 33);
    FAULTS("frstor (%%rdi)", 100, 0, 7);
}

static void areas(void)
{
    unsigned a = 1, b, c = 0, d;
    FAULTS("fxsave64 (%%rdi)", 16, 0, 495);
    FAULTS("fxsave (%%rdi)", 480, 0, 31);
    FAULTS("fxrstor64 (%%rdi)", 416, 0, 95);
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c >> 27 & 1))
        return;
    FAULTS("xsave64 (%%rdi)", 64, 3, 511);
    FAULTS("xsave64 (%%rdi)", 512, 1, 63);
    FAULTS("xrstor64 (%%rdi)", 512, 3, 8);
    FAULTS("xrstor64 (%%rdi)", 64, 3, 456);
    if (!(c >> 28 & 1))
        return;
    FAULTS("xsave64 (%%rdi)", 512, 7, 319);
    FAULTS("xsave64 (%%rdi)", 64, 4, 767);
}

/* Runs code that ends with the page; whether it is undefined, or wants more. */
static int is_undefined(const unsigned char *code, size_t bytes)
{
    unsigned char *start = page + PAGE - bytes;
    memset(page + PAGE - 16, 0xcc, 16);
    memcpy(start, code, bytes);
    seen_signal = 0;
    if (sigsetjmp(back, 1) == 0)
        ((void (*)(void))start)();
    REQUIRE(seen_signal == SIGILL || (seen_signal == SIGSEGV && seen_addr == (uintptr_t)page + PAGE));
    REQUIRE(seen_rip == (greg_t)(uintptr_t)start);
    return seen_signal == SIGILL;
}

static void opcodes(void)
{
    /* Those that are not executed without more bytes, on their own and behind 0f. */
    static const unsigned char one[] = { 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xce, 0xd6 };
    static const unsigned char two[] = { 0x04, 0x0a, 0x0b, 0x0c, 0x0e, 0x0f, 0x24, 0x25, 0x26, 0x27, 0x36 };
    static const unsigned char wants_one[] = { 0x00, 0x0f, 0x62, 0x69, 0x82, 0x9a, 0xc4, 0xc5, 0xd4, 0xea, 0xe8, 0x66 };
    static const unsigned char wants_two[] = { 0x00, 0x0d, 0x10, 0x20, 0x38, 0x3a, 0x39, 0x3b, 0x7a, 0x7b, 0xa6, 0xb9, 0xff };
    if (!is_intel())
        return;
    for (size_t n = 0; n < sizeof one; n++)
        REQUIRE(is_undefined(&one[n], 1));
    for (size_t n = 0; n < sizeof two; n++)
        REQUIRE(is_undefined((unsigned char[]){ 0x0f, two[n] }, 2));
    for (size_t n = 0; n < sizeof wants_one; n++)
        REQUIRE(!is_undefined(&wants_one[n], 1));
    for (size_t n = 0; n < sizeof wants_two; n++)
        REQUIRE(!is_undefined((unsigned char[]){ 0x0f, wants_two[n] }, 2));
    /* UD0 and UD1 have operands, which are fetched. */
    REQUIRE(is_undefined((unsigned char[]){ 0x0f, 0xff, 0xc0 }, 3) && !is_undefined((unsigned char[]){ 0x0f, 0xff, 0x04 }, 3));
    REQUIRE(is_undefined((unsigned char[]){ 0x0f, 0xb9, 0x00 }, 3) && !is_undefined((unsigned char[]){ 0x0f, 0xb9, 0x40 }, 3));
    REQUIRE(is_undefined((unsigned char[]){ 0xf3, 0x0f, 0x77 }, 3) && is_undefined((unsigned char[]){ 0xc5, 0xf9, 0x77 }, 3));
    REQUIRE(is_undefined((unsigned char[]){ 0xc5, 0xf8, 0x0b }, 3) && !is_undefined((unsigned char[]){ 0xc5, 0xf8, 0x28 }, 3));
}

/* Undefined code that is written over, again and again. */
static void undefined_code_changes(void)
{
    for (int n = 0; n < 300; n++) {
        REQUIRE(is_undefined((unsigned char[]){ 0x06 }, 1));
        REQUIRE(!is_undefined((unsigned char[]){ 0x00 }, 1));
    }
}

#define NOWHERE 0x1234567812345678ul

/* A jump that faults by its target is where the exception is, with the registers as they were. */
static void expect_at_the_jump(uintptr_t jump, uintptr_t stack)
{
    REQUIRE(seen_signal == SIGSEGV && seen_code == SI_KERNEL && seen_addr == 0);
    REQUIRE((uintptr_t)seen_rip == jump && (uintptr_t)seen_rsp == stack);
}

static uintptr_t jump, stack;
static volatile uintptr_t pushed;

/* The jumps are made in a loop that is compiled by then. */
#define JUMPS(name, before, instruction)                                                                 \
    __attribute__((noipa)) static void name(uintptr_t target)                                            \
    {                                                                                                    \
        __asm__ volatile("lea -256(%%rsp), %%rsp\n" before "\n mov %%rsp, %[stack]\n"                      \
                         "lea 1f(%%rip), %%rax\n mov %%rax, %[jump]\n lea 2f(%%rip), %%rax\n"              \
                         "1: " instruction "\n 2: lea 256(%%rsp), %%rsp\n"                                 \
                         : [stack] "=m"(stack), [jump] "=m"(jump) : [target] "r"(target)                   \
                         : "rax", "rcx", "memory");                                                       \
    }

JUMPS(jump_indirectly, "", "jmp *%[target]")
JUMPS(return_to, "push %[target]", "ret")
JUMPS(return_and_pop, "push %[target]", "ret $16")
JUMPS(call_indirectly, "movq $0, -8(%%rsp)", "call *%[target]")

static void check_jump(void (*function)(uintptr_t))
{
    seen_signal = 0;
    if (sigsetjmp(back, 1) == 0)
        function(NOWHERE);
    expect_at_the_jump(jump, stack);
    seen_signal = 0;
    if (sigsetjmp(back, 1) == 0)
        function(0xffff800012345678ul);
    REQUIRE(seen_signal == SIGSEGV && seen_code == SEGV_MAPERR && seen_addr == 0xffff800012345678ul);
    REQUIRE((uintptr_t)seen_rip == 0xffff800012345678ul);
}

static void jumps_to_nowhere(void)
{
    for (int n = 0; n < 3000; n++) {
        check_jump(jump_indirectly);
        check_jump(return_to);
        check_jump(return_and_pop);
        check_jump(call_indirectly);
    }
}

static void calls_to_nowhere_push(void)
{
    /* The return address is in memory by then, though RSP is as before. */
    static uintptr_t room[64];
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov %%rsp, %%rbx\n mov %0, %%rsp\n call *%1\n mov %%rbx, %%rsp"
                         : : "r"(&room[60]), "r"(NOWHERE) : "rbx", "memory");
    expect_at_the_jump((uintptr_t)seen_rip, (uintptr_t)&room[60]);
    pushed = room[59];
    REQUIRE(!is_intel() || (pushed > (uintptr_t)seen_rip && pushed - (uintptr_t)seen_rip <= 3));
}

int main(void)
{
    static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGTRAP };
    static char handlers[65536];
    const stack_t handler_stack = { .ss_sp = handlers, .ss_size = sizeof handlers };
    REQUIRE(sigaltstack(&handler_stack, NULL) == 0);
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        handle(signals[n], note, SA_ONSTACK);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED && mprotect(page + PAGE, PAGE, PROT_NONE) == 0);
    RUN(environments);
    RUN(areas);
    RUN(opcodes);
    RUN(undefined_code_changes);
    RUN(jumps_to_nowhere);
    RUN(calls_to_nowhere_push);
    return finish();
}
