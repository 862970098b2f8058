/* What user mode sees of the machine: counters, rounding modes and flags, unaligned accesses, hwprobe, vdso. */
#include "../guest.h"
#include <sched.h>
#include <sys/auxv.h>

static uint64_t csr_time(void) { uint64_t value; __asm__ volatile("rdtime %0" : "=r"(value)); return value; }
static uint64_t csr_cycle(void) { uint64_t value; __asm__ volatile("rdcycle %0" : "=r"(value)); return value; }
static uint64_t csr_instret(void) { uint64_t value; __asm__ volatile("rdinstret %0" : "=r"(value)); return value; }

static void counters(void)
{
    uint64_t time = csr_time(), cycle = csr_cycle(), instret = csr_instret();
    for (volatile int i = 0; i < 100000; i++)
        ;
    REQUIRE(csr_cycle() > cycle && csr_instret() > instret);
    sleep_ms(5);
    REQUIRE(csr_time() > time);
}

static double divide(double a, double b, int mode)
{
    double result;
    __asm__ volatile("fsrm %3\n  fdiv.d %0, %1, %2\n  fsrm zero" : "=f"(result) : "f"(a), "f"(b), "r"((long)mode));
    return result;
}

static void rounding_modes(void)
{
    double down = divide(1, 3, 2), up = divide(1, 3, 3), nearest = divide(1, 3, 0), zero = divide(-1, 3, 1);
    REQUIRE(up > down && nearest == down && zero == -down && divide(-1, 3, 2) == -up && divide(2, 1, 4) == 2);
    double truncated, raised;
    __asm__("fcvt.l.d t0, %2, rtz\n  fcvt.d.l %0, t0\n  fcvt.l.d t0, %2, rup\n  fcvt.d.l %1, t0" : "=&f"(truncated), "=&f"(raised) : "f"(-2.5) : "t0");
    REQUIRE(truncated == -2 && raised == -2);
}

static long flags_of_division(double a, double b)
{
    long flags;
    double result;
    __asm__ volatile("fsflags zero\n  fdiv.d %0, %2, %3\n  frflags %1" : "=&f"(result), "=r"(flags) : "f"(a), "f"(b));
    return flags;
}

static void accrued_flags(void)
{
    enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
    REQUIRE(flags_of_division(1, 2) == 0 && flags_of_division(1, 3) == NX && flags_of_division(1, 0) == DZ);
    REQUIRE(flags_of_division(0, 0) == NV && flags_of_division(1e308, 1e-10) == (OF | NX) && flags_of_division(1e-308, 1e10) == (UF | NX));
    long flags, converted;
    __asm__ volatile("fsflags zero\n  fcvt.w.d %1, %2, rtz\n  frflags %0" : "=r"(flags), "=&r"(converted) : "f"(1e10));
    REQUIRE(flags == NV && converted == INT32_MAX);
}

static void not_a_number(void)
{
    uint64_t bits;
    __asm__("fmv.d.x ft0, zero\n  fdiv.d ft0, ft0, ft0\n  fmv.x.d %0, ft0" : "=r"(bits) :: "ft0");
    REQUIRE(bits == UINT64_C(0x7ff8000000000000));
    /* A single that is not boxed reads as the canonical NaN. */
    __asm__("li t0, 0x3f800000\n  fmv.d.x ft0, t0\n  fadd.s ft1, ft0, ft0\n  fmv.x.d %0, ft1" : "=r"(bits) :: "t0", "ft0", "ft1");
    REQUIRE(bits == UINT64_C(0xffffffff7fc00000));
}

static void unaligned_accesses(void)
{
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int offset = 0; offset < 8192 - 8; offset += offset > 4080 && offset < 4100 ? 1 : 97) {
        uint64_t written = UINT64_C(0x0123456789abcdef) + (uint64_t)offset, read_back;
        __asm__ volatile("sd %1, 0(%2)\n  ld %0, 0(%2)" : "=&r"(read_back) : "r"(written), "r"(memory + offset) : "memory");
        REQUIRE(read_back == written && (uint8_t)memory[offset] == (uint8_t)written);
    }
    munmap(memory, 8192);
}

struct pair { int64_t key; uint64_t value; };

static void hardware_probe(void)
{
    struct pair pairs[] = { { 3 /* base behaviour */, 0 }, { 4 /* extensions */, 0 }, { 12345678, 77 } };
    long result = syscall(258 /* riscv_hwprobe */, pairs, 3, 0, NULL, 0);
    if (result != 0 && errno == ENOSYS)
        return;
    REQUIRE(result == 0 && (pairs[0].value & 1) && (pairs[1].value & 3) == 3);
    REQUIRE(pairs[2].key == -1 && pairs[2].value == 0);
    unsigned char cpus = 0;
    REQUIRE_ERROR(syscall(258, pairs, 1, 0, &cpus, 1), EINVAL);
    REQUIRE_ERROR(syscall(258, pairs, 1, 1, &cpus, 2), EINVAL);
}

/* Which processors have some extensions: of those in the set, or of all if it is empty. qemu-user 10.0.2 fails this. */
static void processors_with_extensions(void)
{
    cpu_set_t usable, found;
    REQUIRE(sched_getaffinity(0, sizeof usable, &usable) == 0);
    struct pair some = { 4, 3 /* F and D, C */ }, none = { 4, UINT64_C(1) << 63 }, unknown = { 12345678, 77 };
    CPU_ZERO(&found);
    REQUIRE(syscall(258, &some, 1, sizeof found, &found, 1) == 0 && CPU_EQUAL(&found, &usable));
    REQUIRE(syscall(258, &none, 1, sizeof found, &found, 1) == 0 && CPU_COUNT(&found) == 0);
    REQUIRE(syscall(258, &unknown, 1, sizeof found, &found, 1) == 0 && CPU_COUNT(&found) == 0 && unknown.key == -1);
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
    long value = 5;
    __asm__ volatile("addi zero, zero, 5\n  mv %0, zero\n  lui zero, 1\n  .4byte 0x0100000f # pause\n  fence rw, rw\n  fence.tso" : "=r"(value));
    REQUIRE(value == 0);
}

/* qemu-user 10.0.2 places all of these near 2^47. Machines with Sv39, and sanitizers, do not know such addresses. */
static void low_addresses(void)
{
    static int in_data;
    const uint64_t end = UINT64_C(1) << 38;
    int on_stack = 0;
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *allocated = malloc(100);
    REQUIRE((uintptr_t)&on_stack < end && (uintptr_t)&in_data < end && (uintptr_t)low_addresses < end);
    REQUIRE((uintptr_t)mapped < end && (uintptr_t)allocated < end && getauxval(AT_SYSINFO_EHDR) < end);
    munmap(mapped, 4096);
    free(allocated);
}

/* More than fits there is still to be had, and so is any address that is asked for. */
static void high_addresses(void)
{
    const size_t len = (size_t)1 << 39;
    char *huge = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(huge != MAP_FAILED && munmap(huge, len) == 0);
    char *wanted = (char *)(UINT64_C(1) << 45), *got = mmap(wanted, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(got == wanted);
    *got = 1;
    munmap(got, 4096);
}

int main(void)
{
    RUN(counters);
    RUN(rounding_modes);
    RUN(accrued_flags);
    RUN(not_a_number);
    RUN(unaligned_accesses);
    RUN(hardware_probe);
    RUN(processors_with_extensions);
    RUN(signal_return);
    RUN(zero_register_and_hints);
    RUN(low_addresses);
    RUN(high_addresses);
    return finish();
}
