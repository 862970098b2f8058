/* What user mode sees of the machine: counters, FPCR and FPSR, unaligned accesses, ID registers, DC ZVA, vdso. */
#include "../guest.h"
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define READ(name) ({ uint64_t value_; __asm__ volatile("mrs %0, " name : "=r"(value_)); value_; })
#define WRITE(name, value) __asm__ volatile("msr " name ", %0" ::"r"((uint64_t)(value)))

/* qemu-user 10.0.2 fails this, the last one: its frequency is 0. */
static void counters(void)
{
    uint64_t frequency = READ("cntfrq_el0"), before = READ("cntvct_el0");
    REQUIRE(frequency >= 1000000);
    sleep_ms(20);
    uint64_t passed = READ("cntvct_el0") - before;
    REQUIRE(passed >= frequency / 100 && passed < frequency * 60);
}

static double divide(double a, double b, uint64_t mode)
{
    double result;
    WRITE("fpcr", mode << 22);
    __asm__ volatile("fdiv %d0, %d1, %d2" : "=w"(result) : "w"(a), "w"(b));
    WRITE("fpcr", 0);
    return result;
}

static void rounding_modes(void)
{
    enum { NEAREST, UP, DOWN, ZERO };
    double down = divide(1, 3, DOWN), up = divide(1, 3, UP), nearest = divide(1, 3, NEAREST), zero = divide(-1, 3, ZERO);
    REQUIRE(up > down && nearest == down && zero == -down && divide(-1, 3, DOWN) == -up);
    int64_t truncated, raised;
    __asm__("fcvtzs %0, %d2\n  fcvtps %1, %d2" : "=&r"(truncated), "=r"(raised) : "w"(-2.5));
    REQUIRE(truncated == -2 && raised == -2);
}

static uint64_t flags_of_division(double a, double b)
{
    double result;
    WRITE("fpsr", 0);
    __asm__ volatile("fdiv %d0, %d1, %d2" : "=w"(result) : "w"(a), "w"(b));
    return READ("fpsr");
}

static void cumulative_flags(void)
{
    enum { IO = 1, DZ = 2, OF = 4, UF = 8, IX = 16 };
    REQUIRE(flags_of_division(1, 2) == 0 && flags_of_division(1, 3) == IX && flags_of_division(1, 0) == DZ);
    REQUIRE(flags_of_division(0, 0) == IO && flags_of_division(1e308, 1e-10) == (OF | IX) && flags_of_division(1e-308, 1e10) == (UF | IX));
    uint64_t converted;
    WRITE("fpsr", 0);
    __asm__ volatile("fcvtzs %w0, %d1" : "=r"(converted) : "w"(1e10));
    REQUIRE(READ("fpsr") == IO && converted == INT32_MAX);
    WRITE("fpsr", UINT64_MAX);
    REQUIRE((READ("fpsr") & 0x0800009f) == 0x0800009f);
    WRITE("fpsr", 0);
}

static void not_a_number(void)
{
    uint64_t bits;
    __asm__("fmov d0, xzr\n  fdiv d0, d0, d0\n  fmov %0, d0" : "=r"(bits) :: "v0");
    REQUIRE(bits == UINT64_C(0x7ff8000000000000));
    /* The first operand's payload is kept, unless FPCR.DN is set. */
    uint64_t nan = UINT64_C(0xfff8000000001234);
    __asm__ volatile("fmov d0, %1\n  fadd d0, d0, d0\n  fmov %0, d0" : "=r"(bits) : "r"(nan) : "v0");
    REQUIRE(bits == nan);
    WRITE("fpcr", 1u << 25);
    __asm__ volatile("fmov d0, %1\n  fadd d0, d0, d0\n  fmov %0, d0" : "=r"(bits) : "r"(nan) : "v0");
    WRITE("fpcr", 0);
    REQUIRE(bits == UINT64_C(0x7ff8000000000000));
}

static void flush_to_zero(void)
{
    double tiny = 4.9e-324, sum;
    WRITE("fpcr", 1u << 24);
    __asm__ volatile("fadd %d0, %d1, %d1" : "=w"(sum) : "w"(tiny));
    uint64_t mode = READ("fpcr");
    WRITE("fpcr", 0);
    REQUIRE(sum == 0 && mode == 1u << 24);
    __asm__ volatile("fadd %d0, %d1, %d1" : "=w"(sum) : "w"(tiny));
    REQUIRE(sum > 0);
}

static void unaligned_accesses(void)
{
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int offset = 0; offset < 8192 - 16; offset += offset > 4070 && offset < 4100 ? 1 : 97) {
        uint64_t written = UINT64_C(0x0123456789abcdef) + (uint64_t)offset, read_back, vector[2] = { written, ~written }, from[2];
        __asm__ volatile("str %1, [%2]\n  ldr %0, [%2]" : "=&r"(read_back) : "r"(written), "r"(memory + offset) : "memory");
        REQUIRE(read_back == written && (uint8_t)memory[offset] == (uint8_t)written);
        __asm__ volatile("ldr q0, [%0]\n  str q0, [%1]\n  ldr q1, [%1]\n  str q1, [%2]" :: "r"(vector), "r"(memory + offset), "r"(from) : "v0", "v1", "memory");
        REQUIRE(from[0] == written && from[1] == ~written);
    }
    munmap(memory, 8192);
}

/* Linux shows a program the ID registers if AT_HWCAP has CPUID. */
static void identification(void)
{
    unsigned long capabilities = getauxval(AT_HWCAP);
    REQUIRE((capabilities & (HWCAP_FP | HWCAP_ASIMD)) == (HWCAP_FP | HWCAP_ASIMD));
    if (!(capabilities & HWCAP_CPUID))
        return;
    REQUIRE(READ("midr_el1") != 0);
    uint64_t pfr0 = READ("id_aa64pfr0_el1"), isar0 = READ("id_aa64isar0_el1");
    REQUIRE((pfr0 >> 16 & 15) <= 1 && (pfr0 >> 20 & 15) <= 1); /* FP and Advanced SIMD */
    REQUIRE(!!(capabilities & HWCAP_ATOMICS) == ((isar0 >> 20 & 15) >= 2));
    REQUIRE(!!(capabilities & HWCAP_CRC32) == ((isar0 >> 16 & 15) >= 1));
    REQUIRE(!!(capabilities & HWCAP_AES) == ((isar0 >> 4 & 15) >= 1));
    REQUIRE(!!(capabilities & HWCAP_SHA2) == ((isar0 >> 12 & 15) >= 1));
    /* Those that are reserved read as zero. */
    REQUIRE(READ("s3_0_c0_c7_7") == 0);
}

static void zeroing_of_blocks(void)
{
    uint64_t id = READ("dczid_el0");
    if (id & 16)
        return;
    size_t size = (size_t)4 << (id & 15);
    REQUIRE(size >= 16 && size <= 2048);
    static char memory[3 * 2048] __attribute__((aligned(2048)));
    memset(memory, 0x55, sizeof memory);
    __asm__ volatile("dc zva, %0" ::"r"(memory + 2048 + size / 2) : "memory");
    for (size_t i = 0; i < sizeof memory; i++)
        REQUIRE(memory[i] == (i >= 2048 && i < 2048 + size ? 0 : 0x55));
}

static void thread_pointer(void)
{
    uint64_t own = READ("tpidr_el0");
    REQUIRE(own == (uintptr_t)__builtin_thread_pointer());
    WRITE("tpidr_el0", own + 0x1000);
    uint64_t changed = READ("tpidr_el0");
    WRITE("tpidr_el0", own);
    REQUIRE(changed == own + 0x1000);
}

static volatile int handled;
static void nothing(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; handled++; }

/* The return address of a handler is in the vdso, or wherever the kernel put sigreturn. */
static void signal_return(void)
{
    handle(SIGUSR1, nothing, 0);
    for (int i = 0; i < 1000; i++)
        raise(SIGUSR1);
    REQUIRE(handled == 1000);
    if (getauxval(AT_SYSINFO_EHDR) != 0)
        REQUIRE(memcmp((const void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4) == 0);
}

static void zero_register_and_hints(void)
{
    uint64_t value = 5;
    __asm__ volatile("add xzr, xzr, xzr\n  mov %0, xzr\n  yield\n  nop\n  hint #127\n  dmb ish\n  isb" : "=r"(value));
    REQUIRE(value == 0);
}

static void call_signed(void (*function)(void)) { function(); }
static int called;
static void count_call(void) { called++; }

/* Return addresses are signed and authenticated where there are keys, which threads share and exec changes. */
static void pointer_authentication(void)
{
    uint64_t pointer = (uintptr_t)&called, value = pointer;
    if (getauxval(AT_HWCAP) & HWCAP_PACA) {
        __asm__(".arch armv8.3-a\n  pacda %0, %1\n  autda %0, %1" : "+r"(value) : "r"(UINT64_C(7)));
        REQUIRE(value == pointer);
        __asm__(".arch armv8.3-a\n  pacda %0, %1\n  xpacd %0" : "+r"(value) : "r"(UINT64_C(7)));
        REQUIRE(value == pointer);
    }
    call_signed(count_call);
    REQUIRE(called == 1);
}

int main(void)
{
    RUN(rounding_modes);
    RUN(cumulative_flags);
    RUN(not_a_number);
    RUN(flush_to_zero);
    RUN(unaligned_accesses);
    RUN(identification);
    RUN(zeroing_of_blocks);
    RUN(thread_pointer);
    RUN(signal_return);
    RUN(zero_register_and_hints);
    RUN(pointer_authentication);
    RUN(counters);
    return finish();
}
