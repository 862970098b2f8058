/* What arm64's Linux has of its own: what it tells of the CPU, signal frames, tagged addresses, keys. */
#include "../guest.h"
#include <asm/hwcap.h>
#include <link.h>
#include <linux/futex.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <ucontext.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define READ(register)                                \
    ({                                                \
        uint64_t value_;                              \
        __asm__ volatile("mrs %0, " #register : "=r"(value_)); \
        value_;                                       \
    })

static unsigned field(uint64_t value, int shift)
{
    return value >> shift & 15;
}

static void cpu_description(void)
{
    uint64_t hwcap = getauxval(AT_HWCAP);
    REQUIRE(hwcap & HWCAP_FP && hwcap & HWCAP_ASIMD && hwcap & HWCAP_CPUID);
    uint64_t isar0 = READ(ID_AA64ISAR0_EL1), pfr0 = READ(ID_AA64PFR0_EL1);
    REQUIRE(field(pfr0, 4) == 1 && field(pfr0, 8) == 0);
    REQUIRE(!(hwcap & HWCAP_ATOMICS) == (field(isar0, 20) < 2));
    REQUIRE(!(hwcap & HWCAP_CRC32) == (field(isar0, 16) < 1));
    REQUIRE(!(hwcap & HWCAP_SHA512) == (field(isar0, 12) < 2));
    REQUIRE(!(hwcap & HWCAP_FPHP) == (field(pfr0, 16) != 1));
    REQUIRE(READ(REVIDR_EL1) == 0);
    REQUIRE(READ(S3_0_C0_C7_7) == 0);
    REQUIRE(strcmp((char *)getauxval(AT_PLATFORM), "aarch64") == 0);
    struct utsname name;
    REQUIRE(uname(&name) == 0 && strcmp(name.machine, "aarch64") == 0);
    REQUIRE(READ(CNTFRQ_EL0) >= 1000000);
    uint64_t ticks = READ(CNTVCT_EL0);
    while (READ(CNTVCT_EL0) == ticks)
        ;
    /* FEAT_ECV: CNTVCTSS_EL0. */
    if (getauxval(AT_HWCAP2) & 1 << 19)
        REQUIRE(READ(S3_3_C14_C0_6) > ticks);
}

static void cpuinfo_agrees(void)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    REQUIRE(file);
    char line[4096];
    unsigned implementer = -1, part = -1, revision = -1, variant = -1;
    int has_atomics = 0;
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "Features\t:", 10))
            has_atomics = strstr(line, " atomics") != NULL;
        sscanf(line, "CPU implementer\t: %x", &implementer);
        sscanf(line, "CPU variant\t: %x", &variant);
        sscanf(line, "CPU part\t: %x", &part);
        sscanf(line, "CPU revision\t: %u", &revision);
    }
    fclose(file);
    uint64_t midr = READ(MIDR_EL1);
    REQUIRE(midr == (implementer << 24 | variant << 20 | 0xf << 16 | part << 4 | revision));
    REQUIRE(has_atomics == !!(getauxval(AT_HWCAP) & HWCAP_ATOMICS));
}

static volatile sig_atomic_t caught;
static siginfo_t reported;
static ucontext_t seen;

/* Goes on behind the instruction. */
static void skip(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    caught = signal;
    reported = *info;
    memcpy(&seen, machine, sizeof seen);
    machine->uc_mcontext.pc += 4;
}

/* The record of that kind in the frame last seen. */
static void *record(uint32_t magic)
{
    struct _aarch64_ctx *head = (void *)seen.uc_mcontext.__reserved;
    while (head->magic != magic) {
        if (head->magic == 0)
            return NULL;
        head = (void *)((char *)head + head->size);
    }
    return head;
}

static void faults_have_a_syndrome(void)
{
    handle(SIGSEGV, skip, 0);
    volatile char *closed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(closed != MAP_FAILED);
    __asm__ volatile("str wzr, [%0, #8]" ::"r"(closed) : "memory");
    REQUIRE(caught == SIGSEGV && reported.si_code == SEGV_ACCERR && reported.si_addr == closed + 8);
    REQUIRE(seen.uc_mcontext.fault_address == (uint64_t)closed + 8);
    struct esr_context *esr = record(ESR_MAGIC);
    REQUIRE(esr && esr->esr >> 26 == 0x24 && esr->esr & 1 << 6 && (esr->esr & 0x3c) == 0x0c);
    REQUIRE(munmap((void *)closed, 4096) == 0);
    __asm__ volatile("ldr wzr, [%0]" ::"r"(closed) : "memory");
    esr = record(ESR_MAGIC);
    REQUIRE(reported.si_code == SEGV_MAPERR && esr && !(esr->esr & 1 << 6) && (esr->esr & 0x3c) == 4);
    handle(SIGILL, skip, 0);
    __asm__ volatile(".inst 0");
    REQUIRE(caught == SIGILL && reported.si_code == ILL_ILLOPC && record(ESR_MAGIC) == NULL);
    handle(SIGTRAP, skip, 0);
    __asm__ volatile("brk #7");
    REQUIRE(caught == SIGTRAP && reported.si_code == TRAP_BRKPT);
    REQUIRE((uint64_t)reported.si_addr == seen.uc_mcontext.pc);
}

/* qemu-user does not check stack pointers. */
static void stack_pointers_are_aligned(void)
{
    handle(SIGBUS, skip, 0);
    uint64_t sp, loaded = 7;
    /* The handler's frame lies below, wherever that is. */
    __asm__ volatile("mov x9, sp\n sub sp, sp, #8\n mov %0, sp\n ldr %1, [sp, #8]\n mov sp, x9"
                     : "=&r"(sp), "+r"(loaded)::"x9", "memory");
    REQUIRE(caught == SIGBUS && reported.si_code == BUS_ADRALN && loaded == 7);
    REQUIRE((uint64_t)reported.si_addr == sp && seen.uc_mcontext.sp == sp);
    struct esr_context *esr = record(ESR_MAGIC);
    REQUIRE(esr && esr->esr == (0x26u << 26 | 1 << 25) && seen.uc_mcontext.fault_address == 0);
    /* From another base it is a matter of the access. */
    caught = 0;
    __asm__ volatile("mov x9, sp\n sub sp, sp, #8\n mov x10, sp\n ldr %0, [x10, #8]\n mov sp, x9"
                     : "=&r"(loaded)::"x9", "x10", "memory");
    REQUIRE(caught == 0);
    __asm__ volatile("mov x9, sp\n sub sp, sp, #1\n mov x10, sp\n ldxr %0, [x10]\n mov sp, x9"
                     : "=&r"(loaded)::"x9", "x10", "memory");
    esr = record(ESR_MAGIC);
    REQUIRE(caught == SIGBUS && esr && esr->esr >> 26 == 0x24 && seen.uc_mcontext.fault_address);
}

/* Where a pointer that is not authentic is an exception: FEAT_FPAC. */
static void pointers_are_authenticated(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_PACA) || field(READ(ID_AA64ISAR1_EL1), 8) < 4)
        return;
    handle(SIGILL, skip, 0);
    uint64_t pointer = (uint64_t)&caught ^ 1ull << 50;
    for (int data = 0; data < 2; data++) {
        caught = 0;
        /* autib and autdb of X1 with X2. */
        register uint64_t x1 __asm__("x1") = pointer;
        register uint64_t x2 __asm__("x2") = 5;
        if (data)
            __asm__ volatile(".inst 0xdac11c41" : "+r"(x1) : "r"(x2) : "memory");
        else
            __asm__ volatile(".inst 0xdac11441" : "+r"(x1) : "r"(x2) : "memory");
        if (!caught)
            continue; /* One code in 128 is right. */
        struct esr_context *esr = record(ESR_MAGIC);
        REQUIRE(caught == SIGILL && reported.si_code == ILL_ILLOPN && x1 == pointer);
        REQUIRE((uint64_t)reported.si_addr == seen.uc_mcontext.pc && seen.uc_mcontext.fault_address == 0);
        REQUIRE(esr && esr->esr == (0x1cu << 26 | 1 << 25 | 1 | data << 1));
    }
}

/* Goes back to where the branch came from. */
static void return_from_branch(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    caught = signal;
    reported = *info;
    memcpy(&seen, machine, sizeof seen);
    machine->uc_mcontext.pc = machine->uc_mcontext.regs[30];
}

__attribute__((noinline)) static void branch(uint64_t to)
{
    ((void (*)(void))to)();
    __asm__ volatile("" ::: "memory");
}

static int called;

__attribute__((noinline)) static void callee(void)
{
    called++;
    __asm__ volatile("" ::: "memory");
}

static void branches_use_the_whole_address(void)
{
    handle(SIGSEGV, return_from_branch, 0);
    handle(SIGBUS, return_from_branch, 0);
    uint64_t place = (uint64_t)callee;
    /* Often enough to be found in every cache. */
    for (int i = 0; i < 20000; i++)
        branch(place);
    REQUIRE(called == 20000);
    for (int bit = 48; bit < 55; bit++) {
        caught = 0;
        branch(place | 1ull << bit);
        REQUIRE(caught == SIGSEGV && reported.si_code == SEGV_MAPERR);
        REQUIRE((uint64_t)reported.si_addr == (place | 1ull << bit));
        REQUIRE(seen.uc_mcontext.pc == (place | 1ull << bit));
    }
    REQUIRE(called == 20000);
    branch(place | 0x7full << 56);
    REQUIRE(called == 20001);
    branch(place + 2);
    REQUIRE(caught == SIGBUS && reported.si_code == BUS_ADRALN);
    REQUIRE(seen.uc_mcontext.pc == place + 2);
    struct esr_context *esr = record(ESR_MAGIC);
    REQUIRE(esr && esr->esr >> 26 == 0x22);
    caught = 0;
    branch(0x7f0000001000);
    REQUIRE(caught == SIGSEGV && reported.si_code == SEGV_MAPERR);
    esr = record(ESR_MAGIC);
    REQUIRE(esr && esr->esr >> 26 == 0x20 && seen.uc_mcontext.fault_address == 0x7f0000001000);
}

static void go_to_x9(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    (void)info;
    caught = signal;
    machine->uc_mcontext.pc = machine->uc_mcontext.regs[9];
}

/* Signs a return address, changes it, and returns there; or behind that, if it cannot. */
static int is_return_noticed(uint64_t change)
{
    caught = 0;
    __asm__ volatile("adr x9, 1f\n mov x30, x9\n"
                     ".inst 0xd503233f /* paciasp */\n eor x30, x30, %0\n"
                     ".inst 0xd65f0bff /* retaa */\n"
                     "1: nop\n nop\n nop\n nop\n"
                     :
                     : "r"(change)
                     : "x9", "x30", "memory");
    return caught != 0;
}

static void returns_are_authenticated(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_PACA))
        return;
    handle(SIGSEGV, go_to_x9, 0);
    handle(SIGILL, go_to_x9, 0);
    int noticed = 0;
    for (int i = 0; i < 8; i++) {
        REQUIRE(!is_return_noticed(0));
        noticed += is_return_noticed(1 << 20);
    }
    /* One code in 128 is right by accident. */
    REQUIRE(noticed >= 6);
}

static void privileged_registers_are_illegal(void)
{
    handle(SIGILL, skip, 0);
    caught = 0;
    __asm__ volatile("mrs x0, sctlr_el1" ::: "x0");
    REQUIRE(caught == SIGILL);
    caught = 0;
    __asm__ volatile("mrs x0, id_pfr0_el1" ::: "x0");
    REQUIRE(caught == SIGILL);
    caught = 0;
    __asm__ volatile("hvc #0");
    REQUIRE(caught == SIGILL);
}

/* Everything that a handler can change of a frame comes back: a vector register, FPCR, the flags. */
static void change(int signal, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *machine = context;
    struct fpsimd_context *fpsimd = (void *)machine->uc_mcontext.__reserved;
    REQUIRE(signal == SIGTRAP && fpsimd->head.magic == FPSIMD_MAGIC && fpsimd->head.size == 528);
    fpsimd->vregs[7] = (__uint128_t)0x1122 << 64 | 0x3344;
    fpsimd->fpcr = 3 << 22;
    machine->uc_mcontext.pstate = (machine->uc_mcontext.pstate & ~(0xfull << 28)) | 0x5ull << 28;
    machine->uc_mcontext.pc += 4;
}

static void frames_are_restored(void)
{
    handle(SIGTRAP, change, 0);
    uint64_t low, high, nzcv, fpcr;
    __asm__ volatile("movi v7.2d, #0\n brk #1\n mov %0, v7.d[0]\n mov %1, v7.d[1]\n"
                     "mrs %2, nzcv\n mrs %3, fpcr\n msr fpcr, xzr"
                     : "=&r"(low), "=&r"(high), "=&r"(nzcv), "=&r"(fpcr)::"v7", "cc", "memory");
    REQUIRE(low == 0x3344 && high == 0x1122 && nzcv == 0x5ull << 28 && fpcr == 3 << 22);
}

static void to_el1(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.pstate |= 5;
}

static void without_vectors(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    memset(((ucontext_t *)context)->uc_mcontext.__reserved, 0, 16);
}

/* The process dies of what a frame says that cannot be. */
static void bad_frames_are_fatal(void)
{
    void (*const handlers[])(int, siginfo_t *, void *) = {to_el1, without_vectors};
    for (unsigned i = 0; i < 2; i++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            handle(SIGUSR1, handlers[i], 0);
            raise(SIGUSR1);
            _exit(0);
        }
        int status;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
}

static uint64_t *walked;
static uint32_t trampoline[2];

__attribute__((noinline)) static void unwind(int signal)
{
    (void)signal;
    uint64_t *frame = __builtin_frame_address(0);
    walked = (uint64_t *)frame[0];
    memcpy(trampoline, (void *)frame[1], sizeof trampoline);
}

/* Frame records lead through the signal frame, and the trampoline is what unwinders know. */
static void frames_can_be_unwound(void)
{
    struct sigaction action = {.sa_handler = unwind};
    REQUIRE(sigaction(SIGUSR2, &action, NULL) == 0);
    REQUIRE(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2) == 0);
    REQUIRE(trampoline[0] == 0xd2801168 && trampoline[1] == 0xd4000001);
    REQUIRE(walked && walked[0] != 0 && walked[1] != 0);
    REQUIRE(getauxval(AT_MINSIGSTKSZ) >= 4720);
}

static void tagged_addresses(void)
{
    static char text[] = "tagged";
    char *tagged = (char *)((uint64_t)text | 0x5aull << 56);
    REQUIRE(tagged[0] == 't' && *(volatile char *)(tagged + 5) == 'd');
    tagged[0] = 'T';
    REQUIRE(*(volatile char *)text == 'T');
    int ends[2];
    char back[8];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
    REQUIRE_ERROR(write(ends[1], tagged, 6), EFAULT);
    REQUIRE(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) == 0);
    REQUIRE(prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == PR_TAGGED_ADDR_ENABLE);
    REQUIRE(write(ends[1], tagged, 6) == 6 && read(ends[0], back, 8) == 6 && !memcmp(back, "Tagged", 6));
    struct iovec parts[] = {{tagged, 3}, {text + 3, 3}};
    REQUIRE(writev(ends[1], parts, 2) == 6 && read(ends[0], back, 8) == 6 && !memcmp(back, "Tagged", 6));
    REQUIRE(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
    REQUIRE_ERROR(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 1, 0, 0), EINVAL);
    /* Calls about mappings never mind. */
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mprotect((void *)((uint64_t)page | 1ull << 56), 4096, PROT_READ | PROT_WRITE) == 0);
    page[0] = 1;
    REQUIRE(munmap((void *)((uint64_t)page | 1ull << 56), 4096) == 0);
    close(ends[0]);
    close(ends[1]);
}

static void *tagged(void *pointer)
{
    return (void *)((uint64_t)pointer | 0x5aull << 56);
}

/* Arguments that are pointers to some operations only. */
static void tagged_addresses_of_operations(void)
{
    REQUIRE(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) == 0);
    static uint32_t words[2] = {1, 2};
    struct timespec soon = {0, 1000};
    REQUIRE_ERROR(syscall(SYS_futex, tagged(words), FUTEX_WAIT, 1, tagged(&soon), NULL, 0), ETIMEDOUT);
    REQUIRE(syscall(SYS_futex, tagged(words), FUTEX_CMP_REQUEUE, 1, 1l, tagged(words + 1), 1) == 0);
    REQUIRE(syscall(SYS_futex, tagged(words), FUTEX_WAKE, 1, 0xffull << 56, 0xffull << 56, 0) == 0);
    int file = open("/dev/null", O_RDWR), ends[2], number = 7;
    struct flock lock = {.l_type = F_RDLCK};
    REQUIRE(file >= 0 && fcntl(file, F_GETLK, tagged(&lock)) == 0 && lock.l_type == F_UNLCK);
    REQUIRE(pipe(ends) == 0 && ioctl(ends[0], FIONREAD, tagged(&number)) == 0 && number == 0);
    int set = semget(IPC_PRIVATE, 2, 0600);
    unsigned short values[2] = {3, 4}, got[2] = {0, 0};
    REQUIRE(set >= 0 && semctl(set, 0, SETALL, tagged(values)) == 0);
    REQUIRE(semctl(set, 0, GETALL, tagged(got)) == 0 && got[1] == 4 && semctl(set, 0, IPC_RMID) == 0);
    char name[16] = "";
    REQUIRE(prctl(PR_SET_NAME, tagged("wanted"), 0, 0, 0) == 0);
    REQUIRE(prctl(PR_GET_NAME, tagged(name), 0, 0, 0) == 0 && strcmp(name, "wanted") == 0);
    REQUIRE(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
    REQUIRE_ERROR(fcntl(file, F_GETLK, tagged(&lock)), EFAULT);
    close(file);
    close(ends[0]);
    close(ends[1]);
}

/* Options and flags that the kernel of this architecture, or this one, does not know. */
static void unknown_choices(void)
{
    REQUIRE_ERROR(prctl(71, 0, 0, 0, 0), EINVAL);
    struct sigaction action = {.sa_handler = SIG_IGN, .sa_flags = 0x800 | 0x400};
    REQUIRE(sigaction(SIGUSR2, &action, NULL) == 0 && sigaction(SIGUSR2, NULL, &action) == 0);
    /* SA_UNSUPPORTED is gone, so that flags mean what they say; addresses of faults have no tags. */
    REQUIRE((action.sa_flags & 0x400) == 0);
}

/* Comes before all else that uses tags, since the first one is met differently. qemu-user reports it. */
static void tags_are_not_told(void)
{
    static char place[32] __attribute__((aligned(32)));
    uint64_t loaded;
    handle(SIGBUS, skip, 0);
    caught = 0;
    __asm__ volatile("ldxr %0, [%1]" : "=r"(loaded) : "r"(tagged(place + 12)) : "memory");
    REQUIRE(caught == SIGBUS && reported.si_code == BUS_ADRALN && reported.si_addr == place + 12);
    REQUIRE(seen.uc_mcontext.fault_address == (uint64_t)(place + 12));
}

static uint64_t signed_by_generic_key(uint64_t value)
{
    register uint64_t x0 __asm__("x0") = value;
    register uint64_t x1 __asm__("x1") = 0;
    /* pacga x0, x0, x1 */
    __asm__ volatile(".inst 0x9ac13000" : "+r"(x0) : "r"(x1));
    return x0;
}

static void pointer_authentication_keys(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_PACG)) {
        REQUIRE_ERROR(prctl(PR_PAC_RESET_KEYS, 0, 0, 0, 0), EINVAL);
        return;
    }
    uint64_t before = signed_by_generic_key(1234);
    REQUIRE((uint32_t)before == 0 && before == signed_by_generic_key(1234));
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(before == signed_by_generic_key(1234) ? 0 : 1);
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    REQUIRE(prctl(PR_PAC_RESET_KEYS, PR_PAC_APGAKEY, 0, 0, 0) == 0);
    uint64_t after = signed_by_generic_key(1234);
    REQUIRE(prctl(PR_PAC_RESET_KEYS, PR_PAC_APGAKEY, 0, 0, 0) == 0);
    REQUIRE(after != before || signed_by_generic_key(1234) != before);
    REQUIRE_ERROR(prctl(PR_PAC_RESET_KEYS, 32, 0, 0, 0), EINVAL);
}

static void vectors_are_not_scalable(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_SVE))
        REQUIRE_ERROR(prctl(PR_SVE_GET_VL, 0, 0, 0, 0), EINVAL);
}

static void the_vdso_is_there(void)
{
    REQUIRE(memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4) == 0);
    struct timespec a, b;
    struct timeval c;
    REQUIRE(clock_gettime(CLOCK_REALTIME, &a) == 0 && gettimeofday(&c, NULL) == 0);
    REQUIRE(syscall(SYS_clock_gettime, CLOCK_REALTIME, &b) == 0);
    REQUIRE(c.tv_sec >= a.tv_sec && b.tv_sec >= c.tv_sec && b.tv_sec - a.tv_sec < 60);
    REQUIRE(clock_getres(CLOCK_MONOTONIC, &a) == 0 && a.tv_sec == 0 && a.tv_nsec > 0);
}

static void open_flags_are_arm64s(void)
{
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc", 040000 /* O_DIRECTORY */);
    REQUIRE(fd >= 0);
    REQUIRE(fcntl(fd, F_GETFL) & 040000);
    close(fd);
    REQUIRE_ERROR(syscall(SYS_openat, AT_FDCWD, "/proc/self", 0100000 /* O_NOFOLLOW */), ELOOP);
    REQUIRE_ERROR(syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_DIRECTORY), ENOTDIR);
}

int main(void)
{
    RUN(cpu_description);
    RUN(cpuinfo_agrees);
    RUN(faults_have_a_syndrome);
    RUN(stack_pointers_are_aligned);
    RUN(pointers_are_authenticated);
    RUN(branches_use_the_whole_address);
    RUN(returns_are_authenticated);
    RUN(privileged_registers_are_illegal);
    RUN(frames_are_restored);
    RUN(bad_frames_are_fatal);
    RUN(frames_can_be_unwound);
    RUN(unknown_choices);
    RUN(tags_are_not_told);
    RUN(tagged_addresses);
    RUN(tagged_addresses_of_operations);
    RUN(pointer_authentication_keys);
    RUN(vectors_are_not_scalable);
    RUN(the_vdso_is_there);
    RUN(open_flags_are_arm64s);
    return finish();
}
