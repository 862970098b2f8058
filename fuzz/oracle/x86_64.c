// The oracle of x86-64; see oracle.h. Words of registers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15, rflags,
// mxcsr, fs_base, gs_base, fcw, fsw, ftw (abridged), fop, fip, fdp, the physical x87 registers of two words each, and the
// vector registers of four. It runs under an emulator, or on the processor itself.
//
// System calls that a case makes are not made: a filter lets only those through that come from here.

#define _GNU_SOURCE
#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>

enum { RFLAGS = 16, MXCSR, FS_BASE, GS_BASE, FCW, FSW, FTW, FOP, FIP, FDP, FPR = 26, YMM = 42, WORDS = YMM + 64 };
typedef uint8_t breakpoint;
#define BREAKPOINT 0xcc // int3
#define SA_RESTORER_WORD
#define SA_RESTORER_FLAG 0x04000000
#define OWN_SYSTEM_CALL_NUMBERS
enum { READ = 0, WRITE = 1, MMAP = 9, MPROTECT = 10, RT_SIGACTION = 13, SETITIMER = 38, EXIT = 60, SIGALTSTACK = 131, PRCTL = 157, ARCH_PRCTL = 158 };
#define TEXT 0x2b3c4d0000ul // of this program, as src/oracle.rs has it linked
enum { TEXT_SIZE = 1 << 20, TRACE_FLAG = 1 << 8, ALIGNMENT_CHECK = 1 << 18 };

uint64_t saved[8];
const uint32_t default_mxcsr = 0x1f80;

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
    asm volatile("syscall"
                 : "+a"(number)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return number;
}

asm(".globl enter_start, enter_end, run, resume, restorer\n"
    "enter_start:\n"
    "  push 8*16(%rdi)\n"
    "  popfq\n"
    "  mov 8*0(%rdi), %rax\n"
    "  mov 8*1(%rdi), %rcx\n"
    "  mov 8*2(%rdi), %rdx\n"
    "  mov 8*3(%rdi), %rbx\n"
    "  mov 8*4(%rdi), %rsp\n"
    "  mov 8*5(%rdi), %rbp\n"
    "  mov 8*6(%rdi), %rsi\n"
    "  mov 8*8(%rdi), %r8\n"
    "  mov 8*9(%rdi), %r9\n"
    "  mov 8*10(%rdi), %r10\n"
    "  mov 8*11(%rdi), %r11\n"
    "  mov 8*12(%rdi), %r12\n"
    "  mov 8*13(%rdi), %r13\n"
    "  mov 8*14(%rdi), %r14\n"
    "  mov 8*15(%rdi), %r15\n"
    "  mov 8*7(%rdi), %rdi\n"
    "enter_end:\n"
    "run:\n"
    "  mov %rbx, saved(%rip)\n"
    "  mov %rbp, saved+8(%rip)\n"
    "  mov %rsp, saved+16(%rip)\n"
    "  mov %r12, saved+24(%rip)\n"
    "  mov %r13, saved+32(%rip)\n"
    "  mov %r14, saved+40(%rip)\n"
    "  mov %r15, saved+48(%rip)\n"
    "  jmp *%rsi\n"
    "resume:\n"
    "  mov saved(%rip), %rbx\n"
    "  mov saved+8(%rip), %rbp\n"
    "  mov saved+16(%rip), %rsp\n"
    "  mov saved+24(%rip), %r12\n"
    "  mov saved+32(%rip), %r13\n"
    "  mov saved+40(%rip), %r14\n"
    "  mov saved+48(%rip), %r15\n"
    "  fninit\n"
    "  ldmxcsr default_mxcsr(%rip)\n"
    "  ret\n"
    "restorer:\n"
    "  mov $15, %eax\n"
    "  syscall\n"
    ".globl _start\n"
    "_start:\n"
    "  xor %ebp, %ebp\n"
    "  and $-16, %rsp\n"
    "  call start\n"
    "  hlt\n");

#define START __attribute__((used)) void start(void)

// The standard form of XSAVE.
struct state {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint64_t st[8][2], xmm[16][2], unused[12];
    uint64_t components, compacted, header[6];
    uint64_t upper[16][2];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct state, upper) == 576, "XSAVE");

enum { X87 = 1, SSE = 2, AVX = 4 };
static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static int has_avx(void)
{
    uint32_t a = 1, b, c = 0, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 27 & c >> 28 & 1;
}

static int has_xsave(void)
{
    uint32_t a = 1, b, c = 0, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 27 & 1;
}

// In the state of a signal and in ours, x87 registers are named from the top on.
static unsigned top(unsigned fsw)
{
    return fsw >> 11 & 7;
}

static void read_registers(ucontext_t *context, uint64_t *registers)
{
    const greg_t *machine = context->uc_mcontext.gregs;
    for (int n = 0; n < 16; n++)
        registers[n] = machine[greg[n]];
    registers[RFLAGS] = machine[REG_EFL] & ~0x10202ul; // not RF, which is of the exception, IF, and what is always set
    const struct state *state = (const void *)context->uc_mcontext.fpregs;
    registers[MXCSR] = state->mxcsr;
    registers[FCW] = state->fcw;
    registers[FSW] = state->fsw;
    registers[FTW] = state->ftw;
    registers[FOP] = state->fop;
    registers[FIP] = state->fip;
    registers[FDP] = state->fdp;
    for (int n = 0; n < 8; n++) {
        unsigned at = FPR + 2 * ((n + top(state->fsw)) & 7);
        registers[at] = state->st[n][0];
        registers[at + 1] = state->st[n][1] & 0xffff;
    }
    // Bytes that software may use tell whether there is more than FXSAVE's state.
    const uint32_t *software = (const uint32_t *)((const uint8_t *)state + 464);
    int upper = software[0] == 0x46505853 && state->components & AVX;
    for (int n = 0; n < 16; n++)
        for (int half = 0; half < 2; half++) {
            registers[YMM + 4 * n + half] = state->xmm[n][half];
            registers[YMM + 4 * n + 2 + half] = upper ? state->upper[n][half] : 0;
        }
    system_call(ARCH_PRCTL, ARCH_GET_FS, (long)&registers[FS_BASE], 0, 0, 0, 0);
    system_call(ARCH_PRCTL, ARCH_GET_GS, (long)&registers[GS_BASE], 0, 0, 0, 0);
}

static uint64_t *pc_of(ucontext_t *context)
{
    return (uint64_t *)&context->uc_mcontext.gregs[REG_RIP];
}

static void flush(void *start, size_t length)
{
    (void)start, (void)length;
}

static uint64_t ticks;

// Whether the signal is about the program that runs a case, rather than the case: its time is not over yet.
#define NOT_YET(signal, context) not_yet(signal, context)
static int not_yet(int signal, ucontext_t *context)
{
    if (signal != SIGALRM)
        return 0;
    uint64_t pc = *pc_of(context);
    return (pc >= TEXT && pc < TEXT + TEXT_SIZE) || ++ticks < 3;
}

// INT3 leaves the pc past it.
#define PC_OF_SIGNAL(signal, info, context) (*pc_of(context) - ((signal) == SIGTRAP && (info)->si_code == SI_KERNEL))

#define AT_SIGNAL(context) \
    asm volatile("pushfq; andq $~0x40100, (%%rsp); popfq" ::: "memory", "cc")
#define BEFORE_RESUMING(context) (((ucontext_t *)(context))->uc_mcontext.gregs[REG_EFL] = 0x202)

// jmp offset
static uint64_t jump(uint32_t offset)
{
    return 0xe9 | (uint64_t)(offset - 5) << 8;
}

static void load_state(const uint64_t *registers)
{
    static struct state state;
    state.fcw = registers[FCW];
    state.fsw = registers[FSW];
    state.ftw = registers[FTW];
    state.fop = registers[FOP];
    state.fip = registers[FIP];
    state.fdp = registers[FDP];
    state.mxcsr = registers[MXCSR];
    for (int n = 0; n < 8; n++) {
        unsigned at = FPR + 2 * ((n + top(state.fsw)) & 7);
        state.st[n][0] = registers[at];
        state.st[n][1] = registers[at + 1];
    }
    for (int n = 0; n < 16; n++)
        for (int half = 0; half < 2; half++) {
            state.xmm[n][half] = registers[YMM + 4 * n + half];
            state.upper[n][half] = registers[YMM + 4 * n + 2 + half];
        }
    state.components = X87 | SSE | (has_avx() ? AVX : 0);
    if (has_xsave())
        asm volatile("xrstor64 %0" ::"m"(state), "a"((int)state.components), "d"(0));
    else
        asm volatile("fxrstor64 %0" ::"m"(state));
    // Whatever the case before has written there.
    system_call(ARCH_PRCTL, ARCH_SET_FS, registers[FS_BASE], 0, 0, 0, 0);
    system_call(ARCH_PRCTL, ARCH_SET_GS, registers[GS_BASE], 0, 0, 0, 0);
    ticks = 0;
}
#define BEFORE_CASE(registers) load_state(registers)

// System calls from elsewhere become SIGSYS. Under an emulator without filters they are made.
static void confine(void)
{
    static const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TEXT >> 32, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)TEXT, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)TEXT + TEXT_SIZE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    static const struct sock_fprog program = {sizeof code / sizeof *code, (struct sock_filter *)code};
    system_call(PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    system_call(PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&program, 0, 0, 0);
}

// A case that does not end is left after some tenths of a second.
static void limit_time(void)
{
    static const struct itimerval often = {{0, 100000}, {0, 100000}};
    system_call(SETITIMER, ITIMER_REAL, (long)&often, 0, 0, 0, 0);
}

#define OTHER_SIGNALS SIGFPE, SIGSYS, SIGALRM
#define AT_START limit_time(), confine()

#include "oracle.h"
