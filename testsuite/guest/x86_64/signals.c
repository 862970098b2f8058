/* Signals as the kernel of x86-64 delivers them: the frame with its XSAVE area, the red zone, and what each exception is. */
#include "../guest.h"
#include <asm/prctl.h>
#include <cpuid.h>
#include <fenv.h>
#include <ucontext.h>

static siginfo_t seen;
static ucontext_t context_seen;
static volatile int count;
static volatile long skip_bytes;

static void record(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    ucontext_t *machine = context;
    seen = *info;
    memcpy(&context_seen, machine, sizeof context_seen);
    count++;
    machine->uc_mcontext.gregs[REG_RIP] += skip_bytes;
}

static void expect(int signal, long bytes)
{
    handle(signal, record, 0);
    skip_bytes = bytes;
    count = 0;
}

static void divide_error(void)
{
    expect(SIGFPE, 3);
    long a = 5, d = 0;
    __asm__ volatile("div %2" : "+a"(a), "+d"(d) : "c"(0L) : "cc", "memory");
    REQUIRE(count == 1 && seen.si_signo == SIGFPE && seen.si_code == FPE_INTDIV && a == 5 && d == 0);
    REQUIRE((uintptr_t)seen.si_addr == (uintptr_t)context_seen.uc_mcontext.gregs[REG_RIP]);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 0);
    a = INT64_MIN, d = -1;
    __asm__ volatile("idiv %2" : "+a"(a), "+d"(d) : "c"(-1L) : "cc", "memory");
    REQUIRE(count == 2 && seen.si_code == FPE_INTDIV);
}

static void undefined_instructions(void)
{
    expect(SIGILL, 2);
    __asm__ volatile("ud2" ::: "memory");
    REQUIRE(count == 1 && seen.si_code == ILL_ILLOPN);
    REQUIRE((uintptr_t)seen.si_addr == (uintptr_t)context_seen.uc_mcontext.gregs[REG_RIP]);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 6);
    skip_bytes = 4;
    /* lock add eax, ecx; of two bytes with a prefix, and a nop for the fourth. */
    __asm__ volatile(".byte 0xf0, 0x01, 0xc8, 0x90" ::: "memory");
    REQUIRE(count == 2 && seen.si_code == ILL_ILLOPN);
}

static void general_protection(void)
{
    expect(SIGSEGV, 1);
    __asm__ volatile("hlt" ::: "memory");
    REQUIRE(count == 1 && seen.si_code == SI_KERNEL && seen.si_addr == NULL);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 13);
    skip_bytes = 3;
    long value = 7;
    __asm__ volatile("mov (%1), %0" : "+a"(value) : "d"(0x1234567812345678L) : "memory");
    REQUIRE(count == 2 && seen.si_code == SI_KERNEL && seen.si_addr == NULL && value == 7);
    static char area[64] __attribute__((aligned(16)));
    __asm__ volatile("movaps (%0), %%xmm0" ::"d"(area + 1) : "xmm0", "memory");
    REQUIRE(count == 3 && seen.si_code == SI_KERNEL && seen.si_addr == NULL);
    skip_bytes = 1;
    __asm__ volatile("cli" ::: "memory");
    REQUIRE(count == 4 && seen.si_code == SI_KERNEL);
}

static void page_faults(void)
{
    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    /* Once it has been read, the page is there. */
    REQUIRE(*(volatile char *)page == 0);
    expect(SIGSEGV, 3);
    __asm__ volatile("mov %0, (%1)" ::"a"(1L), "d"(page + 8) : "memory");
    REQUIRE(count == 1 && seen.si_code == SEGV_ACCERR && seen.si_addr == page + 8);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 14 && context_seen.uc_mcontext.gregs[REG_ERR] == 7);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_CR2] == (greg_t)(page + 8));
    long value = 3;
    __asm__ volatile("mov (%1), %0" : "+a"(value) : "d"(page + 4092) : "memory");
    REQUIRE(count == 2 && seen.si_code == SEGV_MAPERR && seen.si_addr == page + 4096 && value == 3);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_ERR] == 4);
    munmap(page, 4096);
}

static void string_instructions_fault_in_the_middle(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    expect(SIGSEGV, 2);
    void *to = page + 4096 - 100;
    long left = 200;
    __asm__ volatile("mov $0x5a, %%al\n rep stosb" : "+D"(to), "+c"(left)::"rax", "memory");
    REQUIRE(count == 1 && to == page + 4096 && left == 100 && seen.si_addr == page + 4096);
    REQUIRE(page[4095] == 0x5a && page[3996] == 0x5a && page[3995] == 0);
    const void *from = page + 4096 - 24;
    to = page, left = 10, skip_bytes = 3;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(left)::"memory");
    REQUIRE(count == 2 && left == 7 && from == page + 4096 && to == page + 24 && page[23] == 0x5a && page[24] == 0);
    munmap(page, 4096);
}

static void breakpoints(void)
{
    expect(SIGTRAP, 0);
    __asm__ volatile("int3\n.globl after_int3\nafter_int3:" ::: "memory");
    extern const char after_int3[];
    REQUIRE(count == 1 && seen.si_code == SI_KERNEL);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_RIP] == (greg_t)after_int3);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 3);
}

static void red_zone_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    volatile char use[512];
    memset((char *)use, 0xee, sizeof use);
    count++;
}

/* 128 bytes below the stack pointer are the program's. */
static void the_red_zone(void)
{
    handle(SIGUSR1, red_zone_handler, 0);
    count = 0;
    long ok;
    register long pid __asm__("rdi") = getpid();
    __asm__ volatile("movq $0x1234, -8(%%rsp)\n movq $0x5678, -128(%%rsp)\n"
                     "mov $62, %%eax\n mov %2, %%esi\n syscall\n"
                     "xor %%eax, %%eax\n cmpq $0x1234, -8(%%rsp)\n jne 1f\n cmpq $0x5678, -128(%%rsp)\n jne 1f\n inc %%eax\n1:"
                     : "=&a"(ok), "+r"(pid) : "i"(SIGUSR1) : "rsi", "rcx", "r11", "rdx", "memory", "cc", "memory");
    REQUIRE(count == 1 && ok == 1);
}

struct xsave {
    uint8_t legacy[512];
    uint64_t bits, compacted, reserved[6];
    uint8_t upper[16][16];
};

static void change_vectors(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *machine = context;
    uint8_t *area = (uint8_t *)machine->uc_mcontext.fpregs;
    uint32_t software[4];
    memcpy(software, area + 464, sizeof software);
    REQUIRE(((uintptr_t)area & 63) == 0);
    REQUIRE(software[0] == 0x46505853); /* FP_XSTATE_MAGIC1 */
    struct xsave *xsave = (void *)area;
    REQUIRE(software[1] >= sizeof *xsave + 4 && (software[2] & 7) == 7);
    uint32_t end;
    memcpy(&end, area + software[1] - 4, 4);
    REQUIRE(end == 0x46505845); /* FP_XSTATE_MAGIC2 */
    REQUIRE((xsave->bits & 6) == 6);
    REQUIRE(area[160] == 0x11 && xsave->upper[0][0] == 0x22);
    area[160] = 0x33;
    xsave->upper[0][0] = 0x44;
    /* The handler's own use of vector registers is not the program's. */
    __asm__ volatile("vpcmpeqb %%ymm1, %%ymm1, %%ymm1" ::: "xmm1");
    count++;
}

static void vectors_are_in_the_frame(void)
{
    if (!__builtin_cpu_supports("avx2"))
        return;
    handle(SIGUSR1, change_vectors, 0);
    count = 0;
    uint8_t before[32], after[2][32];
    memset(before, 0x11, 16);
    memset(before + 16, 0x22, 16);
    long pid = getpid();
    __asm__ volatile("vmovdqu %3, %%ymm0\n vpxor %%ymm1, %%ymm1, %%ymm1\n mov $62, %%eax\n mov %4, %%esi\n syscall\n vmovdqu %%ymm0, %0\n vmovdqu %%ymm1, %1\n vzeroupper"
                     : "=m"(after[0]), "=m"(after[1]), "+D"(pid)
                     : "m"(before), "i"(SIGUSR1)
                     : "rax", "rsi", "rcx", "r11", "xmm0", "xmm1", "memory");
    REQUIRE(count == 1 && after[0][0] == 0x33 && after[0][1] == 0x11 && after[0][16] == 0x44 && after[0][31] == 0x22);
    for (int i = 0; i < 32; i++)
        REQUIRE(after[1][i] == 0);
}

static void unmasked_vector_exceptions(void)
{
    /* The handler continues after the instruction, with exceptions masked by the context that it changes. */
    expect(SIGFPE, 4);
    uint32_t unmasked = 0x1f80 & ~0x200u, masked = 0x1f80;
    double one = 1, zero = 0;
    __asm__ volatile("ldmxcsr %2\n divsd %1, %0\n ldmxcsr %3" : "+x"(one) : "x"(zero), "m"(unmasked), "m"(masked) : "memory");
    REQUIRE(count == 1 && seen.si_code == FPE_FLTDIV && one == 1);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 19);
    unmasked = 0x1f80 & ~0x80u;
    double negative = -1;
    __asm__ volatile("ldmxcsr %2\n sqrtsd %1, %0\n ldmxcsr %3" : "+x"(one) : "x"(negative), "m"(unmasked), "m"(masked) : "memory");
    REQUIRE(count == 2 && seen.si_code == FPE_FLTINV && one == 1);
}

static void clear_x87(int signal, siginfo_t *info, void *context)
{
    record(signal, info, context);
    ucontext_t *machine = context;
    machine->uc_mcontext.fpregs->swd = 0;
    machine->uc_mcontext.fpregs->cwd = 0x37f;
}

/* An x87 exception is raised by the next instruction that waits for it. */
static void unmasked_x87_exceptions(void)
{
    handle(SIGFPE, clear_x87, 0);
    skip_bytes = 0, count = 0;
    uint16_t unmasked = 0x37f & ~4;
    extern const char the_waiting_one[];
    __asm__ volatile("fninit\n fldcw %0\n fldz\n fld1\n fdiv %%st(1), %%st\n nop\n"
                     ".globl the_waiting_one\nthe_waiting_one: fwait\n fninit" ::"m"(unmasked) : "memory");
    REQUIRE(count == 1 && seen.si_code == FPE_FLTDIV);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_RIP] == (greg_t)the_waiting_one);
    REQUIRE(context_seen.uc_mcontext.gregs[REG_TRAPNO] == 16);
}

static void the_direction_flag_is_cleared(void)
{
    handle(SIGUSR1, record, 0);
    skip_bytes = 0, count = 0;
    long flags, pid = getpid();
    __asm__ volatile("std\n mov $62, %%eax\n mov %2, %%esi\n syscall\n pushfq\n pop %0\n cld"
                     : "=&r"(flags), "+D"(pid) : "i"(SIGUSR1) : "rax", "rsi", "rcx", "r11", "memory", "cc", "memory");
    REQUIRE(count == 1 && (flags & 0x400) && (context_seen.uc_mcontext.gregs[REG_EFL] & 0x400));
}

static void vsyscall(void)
{
    int64_t (*get_time)(int64_t *) = (void *)(uintptr_t)0xffffffffff600400;
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    char line[256];
    int there = 0;
    while (fgets(line, sizeof line, maps))
        there |= strstr(line, "[vsyscall]") != NULL;
    fclose(maps);
    if (!there)
        return;
    int64_t stored, now = time(NULL), got = get_time(&stored);
    REQUIRE(got == stored && got >= now && got <= now + 10);
}

static void segment_bases(void)
{
    uint64_t value = 0, there = 0x1122334455667788;
    REQUIRE(syscall(SYS_arch_prctl, ARCH_SET_GS, &there) == 0);
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
    REQUIRE(value == there);
    REQUIRE(syscall(SYS_arch_prctl, ARCH_GET_GS, &value) == 0 && value == (uintptr_t)&there);
    REQUIRE_ERROR(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x800000000000), EPERM);
    REQUIRE(syscall(SYS_arch_prctl, ARCH_GET_FS, &value) == 0 && value != 0);
    REQUIRE(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
}

int main(void)
{
    RUN(divide_error);
    RUN(undefined_instructions);
    RUN(general_protection);
    RUN(page_faults);
    RUN(string_instructions_fault_in_the_middle);
    RUN(breakpoints);
    RUN(the_red_zone);
    RUN(vectors_are_in_the_frame);
    RUN(unmasked_vector_exceptions);
    RUN(unmasked_x87_exceptions);
    RUN(the_direction_flag_is_cleared);
    RUN(vsyscall);
    RUN(segment_bases);
    return finish();
}
