// Runs instruction cases on whatever executes this program, and reports the state after each:
// requests come on standard input, responses go to standard output, in the layouts below, which
// src/insn/oracle.rs shares. Freestanding, because a case may set every register: nothing here may
// rely on gp and tp, and the stack pointer is only good outside of a case.

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#define CODE 0x10000000ul
#define DATA 0x20000000ul
#define PAGE 4096ul
#define EDGE 256ul
#define CODE_MAX 512
#define EBREAK 0x9002 // c.ebreak

struct request {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t fcsr;
    uint64_t code_len;
    uint8_t code[CODE_MAX];
    uint8_t memory[2 * EDGE];
};

struct response {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t fcsr;
    uint64_t pc;
    uint64_t signal;
    uint64_t addr;
    uint8_t memory[2 * EDGE];
};

static struct request request;
static struct response response;
uint64_t saved[16];
static uint8_t handler_stack[64 * 1024] __attribute__((aligned(16)));

enum { READ = 63, WRITE = 64, EXIT = 93, SIGALTSTACK = 132, RT_SIGACTION = 134, MMAP = 222 };

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long a0 asm("a0") = a, a1 asm("a1") = b, a2 asm("a2") = c, a3 asm("a3") = d;
    register long a4 asm("a4") = e, a5 asm("a5") = f, a7 asm("a7") = number;
    asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                 : "memory");
    return a0;
}

// What GCC may call by itself.
void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (size_t i = 0; i < n; i++)
        t[i] = f[i];
    return to;
}

// enter: loads all registers. It is copied to where a jump to CODE, put at its end, reaches.
// run: calls it; the signal handler comes back to resume.
asm(".option norvc\n"
    ".globl enter_start, enter_end, run, resume\n"
    "enter_start:\n"
    "  mv t6, a0\n"
    "  ld t0, 512(t6)\n"
    "  csrw fcsr, t0\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  fld f\\n, (256 + 8*\\n)(t6)\n"
    "  .endr\n"
    "  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  ld x\\n, (8*\\n)(t6)\n"
    "  .endr\n"
    "enter_end:\n"
    "run:\n"
    "  la t0, saved\n"
    "  sd ra, 0(t0); sd sp, 8(t0); sd gp, 16(t0); sd tp, 24(t0)\n"
    "  sd s0, 32(t0); sd s1, 40(t0); sd s2, 48(t0); sd s3, 56(t0); sd s4, 64(t0); sd s5, 72(t0)\n"
    "  sd s6, 80(t0); sd s7, 88(t0); sd s8, 96(t0); sd s9, 104(t0); sd s10, 112(t0)\n"
    "  sd s11, 120(t0)\n"
    "  jr a1\n"
    "resume:\n"
    "  la t0, saved\n"
    "  ld ra, 0(t0); ld sp, 8(t0); ld gp, 16(t0); ld tp, 24(t0)\n"
    "  ld s0, 32(t0); ld s1, 40(t0); ld s2, 48(t0); ld s3, 56(t0); ld s4, 64(t0); ld s5, 72(t0)\n"
    "  ld s6, 80(t0); ld s7, 88(t0); ld s8, 96(t0); ld s9, 104(t0); ld s10, 112(t0)\n"
    "  ld s11, 120(t0)\n"
    "  csrw fcsr, zero\n"
    "  ret\n"
    ".option rvc\n");

extern const uint8_t enter_start[], enter_end[];
extern void run(struct request *request, uint64_t enter);
extern void resume(void);

static void handler(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    for (int n = 1; n < 32; n++)
        response.x[n] = uc->uc_mcontext.__gregs[n];
    for (int n = 0; n < 32; n++)
        response.f[n] = uc->uc_mcontext.__fpregs.__d.__f[n];
    response.fcsr = uc->uc_mcontext.__fpregs.__d.__fcsr;
    response.pc = uc->uc_mcontext.__gregs[0];
    response.signal = signal;
    response.addr = (uint64_t)info->si_addr;
    uc->uc_mcontext.__gregs[0] = (uint64_t)resume;
}

struct kernel_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    uint64_t mask;
};

static void catch(int signal)
{
    struct kernel_sigaction action = {handler, SA_SIGINFO | SA_ONSTACK, 0};
    system_call(RT_SIGACTION, signal, (long)&action, 0, sizeof action.mask, 0, 0);
}

static void map(uint64_t addr, long protection)
{
    const long fixed_private_anonymous = 0x10 | 0x02 | 0x20;
    if (system_call(MMAP, addr, PAGE, protection, fixed_private_anonymous, -1, 0) != (long)addr)
        system_call(EXIT, 2, 0, 0, 0, 0, 0);
}

static int read_all(void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        long got = system_call(READ, 0, (long)to + done, n - done, 0, 0, 0);
        if (got <= 0)
            return 0;
        done += got;
    }
    return 1;
}

static void write_all(const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        long put = system_call(WRITE, 1, (long)from + done, n - done, 0, 0, 0);
        if (put <= 0)
            system_call(EXIT, 3, 0, 0, 0, 0, 0);
        done += put;
    }
}

static void run_case(uint64_t enter)
{
    uint16_t *code = (uint16_t *)CODE;
    for (size_t i = 0; i < CODE_MAX / 2; i++)
        code[i] = EBREAK;
    memcpy(code, request.code, request.code_len);
    asm volatile("fence.i" ::: "memory");
    for (size_t i = 0; i < PAGE / 8; i++)
        ((volatile uint64_t *)DATA)[i] = 0;
    memcpy((void *)DATA, request.memory, EDGE);
    memcpy((void *)(DATA + PAGE - EDGE), request.memory + EDGE, EDGE);
    run(&request, enter);
    memcpy(response.memory, (void *)DATA, EDGE);
    memcpy(response.memory + EDGE, (void *)(DATA + PAGE - EDGE), EDGE);
}

// jal zero, offset
static uint32_t jump(uint32_t offset)
{
    return (offset >> 20 & 1) << 31 | (offset >> 1 & 0x3ff) << 21 | (offset >> 11 & 1) << 20
         | (offset >> 12 & 0xff) << 12 | 0x6f;
}

void _start(void)
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    system_call(SIGALTSTACK, (long)&stack, 0, 0, 0, 0, 0);
    catch(SIGILL);
    catch(SIGTRAP);
    catch(SIGBUS);
    catch(SIGSEGV);
    const long read = 1, write = 2, execute = 4;
    // Breakpoints around the code as far as branches reach, but for a gap below them.
    const uint64_t enter = CODE - 16 * PAGE, fence = CODE - 8 * PAGE;
    map(enter, read | write | execute);
    for (uint64_t page = fence; page <= CODE; page += PAGE)
        map(page, read | write | execute);
    for (uint16_t *at = (uint16_t *)fence; at < (uint16_t *)(CODE + PAGE); at++)
        *at = EBREAK;
    map(DATA - PAGE, read);
    map(DATA, read | write);
    size_t length = enter_end - enter_start;
    memcpy((void *)enter, enter_start, length);
    *(uint32_t *)(enter + length) = jump(CODE - enter - length);
    while (read_all(&request, sizeof request)) {
        run_case(enter);
        write_all(&response, sizeof response);
    }
    system_call(EXIT, 0, 0, 0, 0, 0, 0);
}
