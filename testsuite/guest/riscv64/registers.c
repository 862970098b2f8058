/* Registers are exact at a fault: in the middle of straight code, in a loop, and after a repair. */
#include "../guest.h"
#include <ucontext.h>

enum { PC = 0, RA = 1, SP = 2, A0 = 10 };

static ucontext_t seen;
static siginfo_t reported;
static volatile int count;

/* Continues behind the faulting instruction with another value in its destination, a0. */
static void step_over(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    ucontext_t *machine = context;
    seen = *machine;
    reported = *info;
    count++;
    uint16_t instruction = *(uint16_t *)machine->uc_mcontext.__gregs[PC];
    machine->uc_mcontext.__gregs[PC] += (instruction & 3) == 3 ? 4 : 2;
    machine->uc_mcontext.__gregs[A0] = 0x5eed;
}

/* Fills every register with a value of its own, loads from a0, and returns a0 afterwards. */
extern long fault_with_known_registers(const void *address, uint64_t *after);
extern const char the_faulting_load[];

__asm__(
    ".text\n.globl fault_with_known_registers\nfault_with_known_registers:\n"
    "  addi sp, sp, -128\n"
    "  sd ra, 0(sp)\n  sd s0, 8(sp)\n  sd s1, 16(sp)\n  sd s2, 24(sp)\n  sd s3, 32(sp)\n  sd s4, 40(sp)\n"
    "  sd s5, 48(sp)\n  sd s6, 56(sp)\n  sd s7, 64(sp)\n  sd s8, 72(sp)\n  sd s9, 80(sp)\n  sd s10, 88(sp)\n"
    "  sd s11, 96(sp)\n  sd a1, 104(sp)\n"
    "  li ra, 0x1001\n  li t0, 0x1005\n  li t1, 0x1006\n  li t2, 0x1007\n  li s0, 0x1008\n  li s1, 0x1009\n"
    "  li a1, 0x100b\n  li a2, 0x100c\n  li a3, 0x100d\n  li a4, 0x100e\n  li a5, 0x100f\n  li a6, 0x1010\n  li a7, 0x1011\n"
    "  li s2, 0x1012\n  li s3, 0x1013\n  li s4, 0x1014\n  li s5, 0x1015\n  li s6, 0x1016\n  li s7, 0x1017\n  li s8, 0x1018\n"
    "  li s9, 0x1019\n  li s10, 0x101a\n  li s11, 0x101b\n  li t3, 0x101c\n  li t4, 0x101d\n  li t5, 0x101e\n  li t6, 0x101f\n"
    "  add t0, t0, zero\n  addi t1, t1, 1\n  addi t1, t1, -1\n"
    ".globl the_faulting_load\nthe_faulting_load:\n"
    "  ld a0, 8(a0)\n"
    "  li t1, 0xbad\n  li s1, 0xbad\n"
    "  ld a1, 104(sp)\n  sd s11, 0(a1)\n  sd t6, 8(a1)\n"
    "  ld ra, 0(sp)\n  ld s0, 8(sp)\n  ld s1, 16(sp)\n  ld s2, 24(sp)\n  ld s3, 32(sp)\n  ld s4, 40(sp)\n"
    "  ld s5, 48(sp)\n  ld s6, 56(sp)\n  ld s7, 64(sp)\n  ld s8, 72(sp)\n  ld s9, 80(sp)\n  ld s10, 88(sp)\n"
    "  ld s11, 96(sp)\n  addi sp, sp, 128\n  ret\n");

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
        const unsigned long *x = seen.uc_mcontext.__gregs;
        REQUIRE(x[PC] == (uintptr_t)the_faulting_load && reported.si_addr == page + 8 && x[A0] == (uintptr_t)page);
        for (int i = 1; i < 32; i++)
            if (i != SP && i != 3 && i != 4 && i != A0)
                REQUIRE(x[i] == 0x1000ul + (unsigned long)i);
        REQUIRE(x[SP] % 16 == 0 && after[0] == 0x101b && after[1] == 0x101f);
    }
    munmap(page, 4096);
}

/* Sums 64-bit words until one cannot be read: t0 is the sum, t1 the number of words read so far. */
extern long sum_until_fault(const uint64_t *words, uint64_t *store);
extern const char the_load_in_the_loop[];

__asm__(
    ".text\n.globl sum_until_fault\nsum_until_fault:\n"
    "  li t0, 0\n  li t1, 0\n  mv t2, a0\n"
    "1: slli t3, t1, 3\n  add t3, t2, t3\n"
    ".globl the_load_in_the_loop\nthe_load_in_the_loop:\n"
    "  ld a0, 0(t3)\n"
    "  li t4, 0x5eed\n  beq a0, t4, 2f\n"
    "  add t0, t0, a0\n  addi t1, t1, 1\n  sd t0, 0(a1)\n  j 1b\n"
    "2: mv a0, t1\n  ret\n");

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
        const unsigned long *x = seen.uc_mcontext.__gregs;
        REQUIRE(x[PC] == (uintptr_t)the_load_in_the_loop && reported.si_addr == words + WORDS);
        REQUIRE(x[5] == expected - skipped && x[6] == (unsigned long)(WORDS - start) && x[28] == (uintptr_t)(words + WORDS));
        REQUIRE(stored == expected - skipped);
    }
    munmap(words, 4 * 4096);
}

static double left_in_fs0;

static void look_at_floats(int signal, siginfo_t *info, void *context)
{
    step_over(signal, info, context);
    memcpy(&left_in_fs0, &((ucontext_t *)context)->uc_mcontext.__fpregs.__d.__f[8], 8);
    ((ucontext_t *)context)->uc_mcontext.__fpregs.__d.__f[9] = 0x4008000000000000; /* 3.0 */
    ((ucontext_t *)context)->uc_mcontext.__fpregs.__d.__fcsr |= 1;
}

static void floating_point_registers(void)
{
    char *page = closed_page();
    handle(SIGSEGV, look_at_floats, 0);
    for (int i = 0; i < 500; i++) {
        double in = i + 0.25, out;
        long flags;
        __asm__ volatile("fsflags zero\n  fmv.d fs0, %2\n  fadd.d fs0, fs0, fs0\n  mv a0, %3\n  ld a0, 0(a0)\n  fmv.d %0, fs1\n  frflags %1"
                         : "=f"(out), "=r"(flags) : "f"(in), "r"(page) : "a0", "fs0", "fs1", "memory");
        REQUIRE(left_in_fs0 == 2 * in && out == 3.0 && flags == 1);
    }
    handle(SIGSEGV, step_over, 0);
    munmap(page, 4096);
}

static void stores_before_a_fault_are_done_and_later_ones_not(void)
{
    char *page = closed_page();
    for (int i = 0; i < 500; i++) {
        volatile uint64_t slots[4] = { 0 };
        __asm__ volatile("sd %1, 0(%0)\n  ld t0, 0(%0)\n  addi t0, t0, 1\n  sd t0, 8(%0)\n  mv a0, %2\n  ld a0, 0(a0)\n  sd a0, 16(%0)"
                         :: "r"(slots), "r"((uint64_t)i), "r"(page) : "t0", "a0", "memory");
        REQUIRE(slots[0] == (uint64_t)i && slots[1] == (uint64_t)i + 1 && slots[2] == 0x5eed && slots[3] == 0);
        REQUIRE(seen.uc_mcontext.__gregs[5] == (unsigned long)i + 1);
    }
    munmap(page, 4096);
}

int main(void)
{
    handle(SIGSEGV, step_over, 0);
    RUN(straight_code);
    RUN(in_a_hot_loop);
    RUN(floating_point_registers);
    RUN(stores_before_a_fault_are_done_and_later_ones_not);
    return finish();
}
