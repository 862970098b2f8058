/* Registers are exact at a fault: in the middle of straight code, in a loop, and after a repair. */
#include "../guest.h"
#include <ucontext.h>

static ucontext_t seen;
static siginfo_t reported;
static volatile int count;

static struct fpsimd_context *fpsimd_of(ucontext_t *context)
{
    struct _aarch64_ctx *head = (void *)context->uc_mcontext.__reserved;
    while (head->magic != FPSIMD_MAGIC) {
        REQUIRE(head->magic != 0);
        head = (void *)((char *)head + head->size);
    }
    return (void *)head;
}

/* Continues behind the faulting instruction with another value in its destination, x0. */
static void step_over(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    ucontext_t *machine = context;
    memcpy(&seen, machine, sizeof seen);
    reported = *info;
    count++;
    machine->uc_mcontext.pc += 4;
    machine->uc_mcontext.regs[0] = 0x5eed;
}

/* Fills every register with a value of its own, loads from x0, and returns x0 afterwards. */
extern long fault_with_known_registers(const void *address, uint64_t *after);
extern const char the_faulting_load[];

__asm__(
    ".text\n.globl fault_with_known_registers\nfault_with_known_registers:\n"
    "  stp x29, x30, [sp, #-112]!\n  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"
    "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n  str x1, [sp, #96]\n"
    "  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "  mov x\\n, #0x1000 + \\n\n"
    "  .endr\n"
    "  add x5, x5, xzr\n  add x6, x6, #1\n  sub x6, x6, #1\n  cmp x6, x5\n"
    ".globl the_faulting_load\nthe_faulting_load:\n"
    "  ldr x0, [x0, #8]\n"
    "  mov x6, #0xbad\n  mov x9, #0xbad\n"
    "  ldr x1, [sp, #96]\n  stp x27, x30, [x1]\n"
    "  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n  ldp x23, x24, [sp, #48]\n"
    "  ldp x25, x26, [sp, #64]\n  ldp x27, x28, [sp, #80]\n  ldp x29, x30, [sp], #112\n  ret\n");

static char *closed_page(void)
{
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    return page;
}

static void straight_code(void)
{
    char *page = closed_page();
    uint64_t after[2] = { 0 };
    for (int round = 0; round < 3000; round++) {
        count = 0;
        REQUIRE(fault_with_known_registers(page, after) == 0x5eed && count == 1);
        const mcontext_t *machine = &seen.uc_mcontext;
        REQUIRE(machine->pc == (uintptr_t)the_faulting_load && reported.si_addr == page + 8);
        REQUIRE(machine->regs[0] == (uintptr_t)page && machine->fault_address == (uintptr_t)page + 8);
        for (int i = 1; i < 31; i++)
            if (i != 18)
                REQUIRE(machine->regs[i] == 0x1000ul + (unsigned long)i);
        REQUIRE(machine->sp % 16 == 0 && (machine->pstate & 0xf0000000) == 0x20000000 /* 0x1006 - 0x1005: C */);
        REQUIRE(after[0] == 0x101b && after[1] == 0x101e);
    }
    munmap(page, 4096);
}

/* Sums 64-bit words until one cannot be read: x5 is the sum, x6 the number of words read so far. */
extern long sum_until_fault(const uint64_t *words, uint64_t *store);
extern const char the_load_in_the_loop[];

__asm__(
    ".text\n.globl sum_until_fault\nsum_until_fault:\n"
    "  mov x5, #0\n  mov x6, #0\n  mov x7, x0\n  mov x4, #0x5eed\n"
    "1: add x3, x7, x6, lsl #3\n"
    ".globl the_load_in_the_loop\nthe_load_in_the_loop:\n"
    "  ldr x0, [x3], #8\n"
    "  cmp x0, x4\n  b.eq 2f\n"
    "  add x5, x5, x0\n  add x6, x6, #1\n  str x5, [x1]\n  b 1b\n"
    "2: mov x0, x6\n  ret\n");

static void in_a_hot_loop(void)
{
    enum { WORDS = 4096 / 8 * 3 };
    uint64_t *words = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), stored;
    REQUIRE(words != MAP_FAILED && mprotect(words + WORDS, 4096, PROT_NONE) == 0);
    uint64_t expected = 0;
    for (int i = 0; i < WORDS; i++)
        expected += words[i] = (uint64_t)i * 0x123456789 + 1;
    for (int round = 0; round < 300; round++) {
        int start = round % 100;
        uint64_t skipped = 0;
        for (int i = 0; i < start; i++)
            skipped += words[i];
        count = 0;
        REQUIRE(sum_until_fault(words + start, &stored) == WORDS - start && count == 1);
        const mcontext_t *machine = &seen.uc_mcontext;
        REQUIRE(machine->pc == (uintptr_t)the_load_in_the_loop && reported.si_addr == words + WORDS);
        REQUIRE(machine->regs[5] == expected - skipped && machine->regs[6] == (unsigned long)(WORDS - start));
        /* The base register is written back only if the load is done. */
        REQUIRE(machine->regs[3] == (uintptr_t)(words + WORDS) && stored == expected - skipped);
    }
    munmap(words, 4 * 4096);
}

/* qemu-user 10.0.2 fails this with SVE: it takes vector registers from the record of SVE, where Linux prefers the other. */
static double left_in_v8[2];

static void look_at_vectors(int signal, siginfo_t *info, void *context)
{
    step_over(signal, info, context);
    struct fpsimd_context *fpsimd = fpsimd_of(context);
    memcpy(left_in_v8, &fpsimd->vregs[8], 16);
    const double changed[2] = { 3.0, -5.5 };
    memcpy(&fpsimd->vregs[9], changed, 16);
    REQUIRE(fpsimd->fpsr == 0 && fpsimd->fpcr == 0);
    fpsimd->fpsr |= 1 | 1u << 27;
    ((ucontext_t *)context)->uc_mcontext.pstate ^= 0x90000000;
}

static void vector_and_status_registers(void)
{
    char *page = closed_page();
    handle(SIGSEGV, look_at_vectors, 0);
    for (int i = 0; i < 500; i++) {
        double in[2] = { i + 0.25, -i }, out[2];
        uint64_t status, nzcv;
        __asm__ volatile("msr fpsr, xzr\n  ldr q8, [%2]\n  fadd v8.2d, v8.2d, v8.2d\n  cmp xzr, xzr\n  mov x0, %4\n  ldr x0, [x0]\n"
                         "  str q9, [%3]\n  mrs %0, fpsr\n  mrs %1, nzcv"
                         : "=&r"(status), "=&r"(nzcv) : "r"(in), "r"(out), "r"(page) : "x0", "v8", "v9", "cc", "memory");
        REQUIRE(left_in_v8[0] == 2 * in[0] && left_in_v8[1] == 2 * in[1] && out[0] == 3.0 && out[1] == -5.5);
        REQUIRE(status == (1 | 1u << 27) && nzcv == 0xf0000000);
        REQUIRE((seen.uc_mcontext.pstate & 0xf0000000) == 0x60000000);
    }
    __asm__ volatile("msr fpsr, xzr");
    handle(SIGSEGV, step_over, 0);
    munmap(page, 4096);
}

static void stores_before_a_fault_are_done_and_later_ones_not(void)
{
    char *page = closed_page();
    for (int i = 0; i < 500; i++) {
        volatile uint64_t slots[4] = { 0 };
        __asm__ volatile("str %1, [%0]\n  ldr x5, [%0]\n  add x5, x5, #1\n  str x5, [%0, #8]\n  mov x0, %2\n  ldr x0, [x0]\n  str x0, [%0, #16]"
                         :: "r"(slots), "r"((uint64_t)i), "r"(page) : "x5", "x0", "memory");
        REQUIRE(slots[0] == (uint64_t)i && slots[1] == (uint64_t)i + 1 && slots[2] == 0x5eed && slots[3] == 0);
        REQUIRE(seen.uc_mcontext.regs[5] == (unsigned long)i + 1);
    }
    munmap(page, 4096);
}

int main(void)
{
    handle(SIGSEGV, step_over, 0);
    RUN(straight_code);
    RUN(in_a_hot_loop);
    RUN(vector_and_status_registers);
    RUN(stores_before_a_fault_are_done_and_later_ones_not);
    return finish();
}
