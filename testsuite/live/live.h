/*
 * Programs that are stepped on both sides of a comparison: without a C library, so that they are short. Each defines `run`, whose result is
 * the exit status.
 */
#include <stddef.h>
#include <stdint.h>

#include <asm/sigcontext.h>
#include <asm/unistd.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <asm/ucontext.h>

static inline long call6(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__riscv)
    register long n __asm__("a7") = number, r __asm__("a0") = a, b1 __asm__("a1") = b;
    register long c1 __asm__("a2") = c, d1 __asm__("a3") = d, e1 __asm__("a4") = e, f1 __asm__("a5") = f;
    __asm__ volatile("ecall" : "+r"(r) : "r"(n), "r"(b1), "r"(c1), "r"(d1), "r"(e1), "r"(f1) : "memory");
#elif defined(__aarch64__)
    register long n __asm__("x8") = number, r __asm__("x0") = a, b1 __asm__("x1") = b;
    register long c1 __asm__("x2") = c, d1 __asm__("x3") = d, e1 __asm__("x4") = e, f1 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(r) : "r"(n), "r"(b1), "r"(c1), "r"(d1), "r"(e1), "r"(f1) : "memory");
#else
    long r = number;
    register long d1 __asm__("r10") = d, e1 __asm__("r8") = e, f1 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(r) : "D"(a), "S"(b), "d"(c), "r"(d1), "r"(e1), "r"(f1)
                     : "rcx", "r11", "memory");
#endif
    return r;
}

#define CALL(name, a, b, c, d, e) \
    call6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

typedef void handler_t(int, siginfo_t *, struct ucontext *);

struct action {
    handler_t *handler;
    unsigned long flags;
#if !defined(__riscv)
    void (*restorer)(void);
#endif
    unsigned long mask;
};

#if defined(__x86_64__)
__asm__(".text\nrestore: mov $15, %eax\nsyscall\n");
void restore(void);
#define RESTORER SA_RESTORER
#else
#define RESTORER 0
#endif

static inline long handle(int signal, handler_t *handler, unsigned long flags)
{
    struct action action = { .handler = handler, .flags = flags | SA_SIGINFO | RESTORER };
#if defined(__x86_64__)
    action.restorer = restore;
#endif
    return CALL(rt_sigaction, signal, &action, 0, 8, 0);
}

/* Where the program goes on after the handler: behind an instruction of so many bytes. */
static inline void skip(struct ucontext *context, int bytes)
{
#if defined(__riscv)
    context->uc_mcontext.sc_regs.pc += bytes;
#elif defined(__aarch64__)
    context->uc_mcontext.pc += bytes;
#else
    context->uc_mcontext.rip += bytes;
#endif
}

int run(long argc, char **argv);

__attribute__((used)) static void begin(long *stack)
{
    CALL(exit_group, run(stack[0], (char **)(stack + 1)), 0, 0, 0, 0);
}

#if defined(__riscv)
__asm__(".globl _start\n_start: mv a0, sp\nandi sp, sp, -16\ncall begin\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\nbl begin\n");
#else
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#endif
