/* What a program learns about the system, its limits, the time and scheduling; futexes; the stack. */
#include "guest.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

static void names_and_numbers(void)
{
    struct utsname names;
    REQUIRE(uname(&names) == 0 && strcmp(names.sysname, "Linux") == 0 && names.release[0] >= '4');
#if defined(__riscv)
    REQUIRE(strcmp(names.machine, "riscv64") == 0);
#elif defined(__aarch64__)
    REQUIRE(strcmp(names.machine, "aarch64") == 0);
#endif
    char host[256];
    REQUIRE(gethostname(host, sizeof host) == 0 && strcmp(host, names.nodename) == 0);
    struct sysinfo info;
    REQUIRE(sysinfo(&info) == 0 && info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0 && info.uptime > 0 && info.procs > 0);
    REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) > 0 && sysconf(_SC_PAGESIZE) == 4096 && sysconf(_SC_CLK_TCK) == 100);
    REQUIRE_ERROR(syscall(4000, 0), ENOSYS);
}

static void auxiliary_vector(void)
{
    extern char **environ;
    REQUIRE(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_UID) == getuid() && getauxval(AT_PHDR) != 0 && getauxval(AT_ENTRY) != 0);
    REQUIRE(getauxval(AT_SECURE) == 0 && getauxval(AT_CLKTCK) == 100 && strlen((const char *)getauxval(AT_EXECFN)) > 0);
    const uint64_t *random = (const uint64_t *)getauxval(AT_RANDOM);
    REQUIRE(random != NULL && (random[0] | random[1]) != 0);
#if defined(__riscv)
    unsigned long gc = 1ul << ('I' - 'A') | 1ul << ('M' - 'A') | 1 | 1ul << ('F' - 'A') | 1ul << ('D' - 'A') | 1ul << ('C' - 'A');
    REQUIRE((getauxval(AT_HWCAP) & gc) == gc);
#elif defined(__aarch64__)
    REQUIRE((getauxval(AT_HWCAP) & 3) == 3); /* FP and Advanced SIMD */
#endif
    uint64_t from_file[128] = { 0 };
    int file = open("/proc/self/auxv", O_RDONLY), found = 0;
    REQUIRE(file >= 0 && read(file, from_file, sizeof from_file) > 0);
    for (int i = 0; i < 126 && from_file[i] != AT_NULL; i += 2)
        found += from_file[i] == AT_ENTRY && from_file[i + 1] == getauxval(AT_ENTRY);
    REQUIRE(found == 1);
    close(file);
}

static void randomness(void)
{
    unsigned char one[256], two[256];
    REQUIRE(getrandom(one, sizeof one, 0) == 256 && getrandom(two, sizeof two, GRND_NONBLOCK) == 256 && memcmp(one, two, 256) != 0);
    REQUIRE_ERROR(getrandom(one, 10, 0x1000), EINVAL);
    REQUIRE(getentropy(one, 16) == 0);
}

static void child_over_its_file_limit(void)
{
    struct rlimit limit = { 1000, 1000 };
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    signal(SIGXFSZ, SIG_IGN);
    char name[] = "limit-XXXXXX", block[600] = { 0 };
    int file = mkstemp(name);
    REQUIRE(unlink(name) == 0 && write(file, block, 600) == 600 && write(file, block, 600) == 400);
    REQUIRE_ERROR(write(file, block, 600), EFBIG);
}

static void child_over_its_descriptor_limit(void)
{
    struct rlimit limit = { 20, 20 };
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (dup(0) >= 0)
        ;
    REQUIRE(errno == EMFILE);
    REQUIRE_ERROR(dup2(0, 20), EBADF);
}

static void child_over_its_memory_limits(void)
{
    const size_t size = (size_t)1 << 28;
    char *before = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(before != MAP_FAILED && setrlimit(RLIMIT_DATA, &(struct rlimit){ size, size }) == 0);
    REQUIRE_ERROR((long)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    REQUIRE(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    REQUIRE(setrlimit(RLIMIT_AS, &(struct rlimit){ size, 3 * size }) == 0);
    REQUIRE_ERROR((long)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    REQUIRE_ERROR((long)mremap(before, size, 2 * size, MREMAP_MAYMOVE), ENOMEM);
    REQUIRE(malloc(size) == NULL && munmap(before, size) == 0);
    REQUIRE_ERROR((long)sbrk(1 << 29), ENOMEM);
}

static void limits(void)
{
    struct rlimit limit, old;
    REQUIRE(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= 1 << 20);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_cur > 10);
    struct rlimit lower = { old.rlim_cur - 1, old.rlim_max };
    REQUIRE(prlimit(0, RLIMIT_NOFILE, &lower, &limit) == 0 && limit.rlim_cur == old.rlim_cur);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == lower.rlim_cur && setrlimit(RLIMIT_NOFILE, &old) == 0);
    REQUIRE_ERROR(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 10, 5 }), EINVAL);
    REQUIRE(in_child(child_over_its_file_limit) == 0 && in_child(child_over_its_descriptor_limit) == 0);
    REQUIRE(in_child(child_over_its_memory_limits) == 0);
}

static void usage_and_times(void)
{
    struct rusage usage;
    struct tms clock;
    for (volatile long i = 0; i < 20000000; i++)
        ;
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec > 0 && usage.ru_maxrss > 0);
    REQUIRE(times(&clock) != (clock_t)-1 && clock.tms_utime + clock.tms_stime >= 0);
    struct timespec cpu;
    REQUIRE(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 && cpu.tv_sec * 1000000000 + cpu.tv_nsec > 0);
    REQUIRE(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
}

static void clocks(void)
{
    struct timespec a, b, raw;
    struct timeval day;
    static const clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        REQUIRE(clock_gettime(ids[i], &a) == 0 && clock_gettime(ids[i], &b) == 0 && clock_getres(ids[i], &raw) == 0);
        REQUIRE(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        REQUIRE(syscall(SYS_clock_gettime, ids[i], &raw) == 0 && labs(raw.tv_sec - a.tv_sec) <= 1);
    }
    REQUIRE(gettimeofday(&day, NULL) == 0 && labs(day.tv_sec - time(NULL)) <= 1);
    REQUIRE_ERROR(clock_gettime(999, &a), EINVAL);
    int64_t start = now_ns();
    clock_gettime(CLOCK_MONOTONIC, &a);
    a.tv_nsec += 40000000;
    a.tv_sec += a.tv_nsec / 1000000000, a.tv_nsec %= 1000000000;
    REQUIRE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, NULL) == 0 && now_ns() - start >= 40000000);
    REQUIRE_ERROR(nanosleep(&(struct timespec){ 0, 1000000000 }, NULL), EINVAL);
}

static void scheduling(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 && sched_getcpu() >= 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &set))
            CPU_SET(i, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0 && CPU_ISSET(sched_getcpu(), &one) && sched_setaffinity(0, sizeof set, &set) == 0);
    REQUIRE(sched_yield() == 0 && sched_getscheduler(0) == SCHED_OTHER && sched_get_priority_max(SCHED_FIFO) == 99);
    struct sched_param parameter;
    REQUIRE(sched_getparam(0, &parameter) == 0 && parameter.sched_priority == 0);
    errno = 0;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    REQUIRE(errno == 0 && setpriority(PRIO_PROCESS, 0, nice_before + 1) == 0 && getpriority(PRIO_PROCESS, 0) == nice_before + 1);
}

/* The kernel tells how large a buffer it needs. */
static void security_modules(void)
{
    const long lsm_get_self_attr_ = 459, lsm_list_modules_ = 461;
    uint64_t modules[64] = { 0 };
    uint32_t size = 0, needed = 0;
    struct utsname names;
    int major = 0, minor = 0;
    REQUIRE(uname(&names) == 0 && sscanf(names.release, "%d.%d", &major, &minor) == 2);
    if (major < 6 || (major == 6 && minor < 8) || access("/proc/self/attr", F_OK) != 0)
        return; /* The kernel has no such call, or no such modules. */
    REQUIRE_ERROR(syscall(lsm_list_modules_, modules, &needed, 0), E2BIG);
    REQUIRE(needed >= 8 && needed <= sizeof modules);
    size = needed;
    REQUIRE(syscall(lsm_list_modules_, modules, &size, 0) == needed / 8 && size == needed && modules[0] >= 100);
    REQUIRE_ERROR(syscall(lsm_list_modules_, modules, &size, 1), EINVAL);
    REQUIRE_ERROR(syscall(lsm_list_modules_, 0xffff800000000000, &size, 0), EFAULT);
    REQUIRE_ERROR(syscall(lsm_get_self_attr_, 0, modules, &size, 0), EINVAL);
}

static void process_attributes(void)
{
    REQUIRE(prctl(PR_GET_DUMPABLE) == 1 && prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
    int signal_number = -1;
    REQUIRE(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &signal_number) == 0 && signal_number == SIGUSR1);
    REQUIRE(prctl(PR_SET_PDEATHSIG, 0) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    REQUIRE_ERROR(prctl(-7), EINVAL);
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *time, _Atomic uint32_t *other, uint32_t third)
{
    return syscall(SYS_futex, word, operation, value, time, other, third);
}

static _Atomic uint32_t word, second_word, sleepers;

static void *sleep_on(void *mask)
{
    sleepers++;
    return (void *)futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, (uint32_t)(uintptr_t)mask);
}

static void wait_until_asleep(uint32_t count)
{
    while (sleepers < count)
        sleep_ms(1);
    /* From counting to sleeping in the kernel is a few instructions, but other threads want the processor too. */
    sleep_ms(300);
}

static void futexes(void)
{
    struct timespec moment = { 0, 30000000 };
    word = 1;
    REQUIRE_ERROR(futex(&word, FUTEX_WAIT, 2, NULL, NULL, 0), EAGAIN);
    int64_t start = now_ns();
    REQUIRE_ERROR(futex(&word, FUTEX_WAIT, 1, &moment, NULL, 0), ETIMEDOUT);
    REQUIRE(now_ns() - start >= 30000000 && futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0) == 0);
    REQUIRE_ERROR(futex((_Atomic uint32_t *)((uintptr_t)&word + 1), FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, sleep_on, (void *)(uintptr_t)(1u << i)) == 0);
    wait_until_asleep(4);
    REQUIRE(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 1 << 2) == 1);
    REQUIRE(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (const struct timespec *)2, &second_word, 1) == 3);
    REQUIRE(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 0 && futex(&second_word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 2);
    for (int i = 0; i < 4; i++) {
        void *result;
        REQUIRE(pthread_join(threads[i], &result) == 0 && result == NULL);
    }
}

__attribute__((noipa)) static uint64_t descend(uint64_t depth, volatile uint64_t *above)
{
    volatile uint64_t here = depth + *above % 2;
    return depth == 0 ? 0 : 1 + descend(depth - 1, &here) + (here == depth + 2);
}

static void *deep_in_a_thread(void *argument)
{
    volatile uint64_t start = 0;
    return (void *)descend((uint64_t)(uintptr_t)argument, &start);
}

static void deep_recursion(void)
{
    volatile uint64_t start = 0;
    for (int i = 0; i < 3; i++)
        REQUIRE(descend(60000, &start) == 60000);
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstacksize(&attributes, 256 << 20) == 0);
    REQUIRE(pthread_create(&thread, &attributes, deep_in_a_thread, (void *)2000000L) == 0);
    REQUIRE(pthread_join(thread, &result) == 0 && (long)result == 2000000);
}

int main(void)
{
    RUN(names_and_numbers);
    RUN(auxiliary_vector);
    RUN(randomness);
    RUN(limits);
    RUN(usage_and_times);
    RUN(clocks);
    RUN(scheduling);
    RUN(process_attributes);
    RUN(security_modules);
    RUN(futexes);
    RUN(deep_recursion);
    return finish();
}
