/*
 * What Linux has on x86-64 alone: exceptions and what signal frames tell of them, the floating-point state there, calls
 * that newer architectures lack, segment bases, the vsyscall page.
 */
#include "../guest.h"
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <ucontext.h>

struct seen {
    int signal, code;
    uintptr_t addr;
    long long trap, error, cr2, rip;
};
static struct seen seen;
static sigjmp_buf back;

static void note(int signal, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    seen = (struct seen){ signal, info->si_code, (uintptr_t)info->si_addr, registers[REG_TRAPNO], registers[REG_ERR],
                          registers[REG_CR2], registers[REG_RIP] };
    siglongjmp(back, 1);
}

static void expect(int signal, int code, long long trap, long long error)
{
    REQUIRE(seen.signal == signal && seen.code == code);
    REQUIRE(seen.trap == trap && seen.error == error);
}

static void handle_faults(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        handle(signals[n], note, 0);
}

static void divisions(void)
{
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("divl %k1" : : "a"(1), "r"(0), "d"(0));
    expect(SIGFPE, FPE_INTDIV, 0, 0);
    REQUIRE(seen.addr == (uintptr_t)seen.rip && seen.addr != 0);
}

__attribute__((noipa)) static int64_t divide(int64_t a, int64_t b) { return a / b; }

static void overflowing_divisions(void)
{
    if (sigsetjmp(back, 1) == 0) {
        divide(INT64_MIN, -1);
        REQUIRE(!"came back");
    }
    expect(SIGFPE, FPE_INTDIV, 0, 0);
}

static void undefined_and_privileged_instructions(void)
{
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ud2");
    expect(SIGILL, ILL_ILLOPN, 6, 0);
    REQUIRE(seen.addr == (uintptr_t)seen.rip);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("hlt");
    expect(SIGSEGV, SI_KERNEL, 13, 0);
    REQUIRE(seen.addr == 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("inb $0x80, %%al" ::: "rax");
    expect(SIGSEGV, SI_KERNEL, 13, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("cli");
    expect(SIGSEGV, SI_KERNEL, 13, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int $0x81");
    expect(SIGSEGV, SI_KERNEL, 13, 0x81 << 3 | 2);
}

static void breakpoints(void)
{
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int3");
    expect(SIGTRAP, SI_KERNEL, 3, 0);
    REQUIRE(*((const uint8_t *)seen.rip - 1) == 0xcc && seen.addr == 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile(".byte 0xcd, 3");
    expect(SIGTRAP, SI_KERNEL, 3, 0);
    REQUIRE(*((const uint8_t *)seen.rip - 2) == 0xcd);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile(".byte 0xf1");
    expect(SIGTRAP, TRAP_BRKPT, 1, 0);
    REQUIRE(*((const uint8_t *)seen.rip - 1) == 0xf1 && seen.addr == (uintptr_t)seen.rip);
}

static void page_faults(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    REQUIRE(mprotect((void *)page, 4096, PROT_READ) == 0);
    if (sigsetjmp(back, 1) == 0)
        page[5] = 1;
    expect(SIGSEGV, SEGV_ACCERR, 14, 7);
    REQUIRE(seen.addr == (uintptr_t)page + 5 && seen.cr2 == (long long)seen.addr);
    if (sigsetjmp(back, 1) == 0)
        ((void (*)(void))(uintptr_t)page)();
    expect(SIGSEGV, SEGV_ACCERR, 14, 0x15);
    REQUIRE(seen.rip == (long long)(uintptr_t)page);
    munmap((void *)page, 4096);
    if (sigsetjmp(back, 1) == 0)
        (void)page[8];
    expect(SIGSEGV, SEGV_MAPERR, 14, 4);
    uintptr_t kernel = 0xffff888000000000;
    if (sigsetjmp(back, 1) == 0)
        (void)*(volatile char *)kernel;
    expect(SIGSEGV, SEGV_MAPERR, 14, 5);
    /* The last page fault's address stays. */
    uintptr_t uncanonical = 0x8000000000000000;
    if (sigsetjmp(back, 1) == 0)
        (void)*(volatile char *)uncanonical;
    expect(SIGSEGV, SI_KERNEL, 13, 0);
    REQUIRE(seen.addr == 0 && seen.cr2 == (long long)kernel);
}

static void on_its_own_stack(void)
{
    static char memory[65536];
    stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory };
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    handle(SIGBUS, note, SA_ONSTACK);
    handle(SIGSEGV, note, SA_ONSTACK);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov $0x8000000000000000, %%rax; mov %%rax, %%rsp; push %%rax" : : : "rax");
    expect(SIGBUS, SI_KERNEL, 12, 0);
    handle(SIGSEGV, note, 0);
    handle(SIGBUS, note, 0);
    stack.ss_flags = SS_DISABLE;
    REQUIRE(sigaltstack(&stack, NULL) == 0);
}

static void alignment(void)
{
    static char bytes[64] __attribute__((aligned(16)));
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("movaps 1(%0), %%xmm0" : : "r"(bytes) : "xmm0");
    expect(SIGSEGV, SI_KERNEL, 13, 0);
}

static void floating_point_exceptions(void)
{
    uint32_t mxcsr = 0x1f80 & ~(1 << 9);
    volatile double zero = 0, one = 1;
    if (sigsetjmp(back, 1) == 0) {
        __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
        one = one / zero;
    }
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    expect(SIGFPE, FPE_FLTDIV, 19, 0);
    uint16_t control = 0x37f & ~4;
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" : : "m"(control));
    __asm__ volatile("fninit");
    expect(SIGFPE, FPE_FLTDIV, 16, 0);
}

static volatile sig_atomic_t frames;

static void look_at_frame(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    mcontext_t *machine = &uc->uc_mcontext;
    const char *state = (const char *)machine->fpregs;
    uint32_t magic[2], size, end;
    uint64_t features, present;
    uint16_t control;
    uint32_t mxcsr;
    /* A handler starts with a fresh state. */
    __asm__ volatile("fnstcw %0; stmxcsr %1" : "=m"(control), "=m"(mxcsr));
    REQUIRE(control == 0x37f && mxcsr == 0x1f80);
    REQUIRE(signal == SIGUSR1 && info->si_code == SI_TKILL);
    REQUIRE((uc->uc_flags & 6) == 6);
    if (uc->uc_flags & 1) {
        memcpy(magic, state + 464, sizeof magic);
        memcpy(&features, state + 472, sizeof features);
        memcpy(&size, state + 480, sizeof size);
        memcpy(&present, state + 512, sizeof present);
        memcpy(&end, state + size, sizeof end);
        REQUIRE(magic[0] == 0x46505853 && magic[1] == size + 4 && end == 0x46505845);
        REQUIRE((features & 3) == 3 && (present & 3) == 3 && (uintptr_t)state % 64 == 0);
    }
    REQUIRE(machine->fpregs->mxcsr == 0x3f80 && machine->fpregs->cwd == 0x27f);
    REQUIRE(machine->fpregs->_xmm[3].element[0] == 0x11223344);
    machine->fpregs->_xmm[3].element[1] = 0x55667788;
    machine->gregs[REG_R12] += 1;
    machine->gregs[REG_EFL] ^= 1;
    frames++;
}

static void frames_and_the_red_zone(void)
{
    handle(SIGUSR1, look_at_frame, 0);
    uint32_t mxcsr = 0x3f80, out[4], in[4] = { 0x11223344, 2, 3, 4 };
    uint16_t control = 0x27f;
    uint64_t r12, flags, below;
    long pid = getpid(), tid = syscall(SYS_gettid);
    __asm__ volatile("ldmxcsr %[mxcsr]; fldcw %[control]; movups %[in], %%xmm3; mov $41, %%r12\n\t"
                     "movq $0x1234, -128(%%rsp); mov $234, %%eax; mov $10, %%edx; stc; syscall\n\t"
                     "mov -128(%%rsp), %[below]; mov %%r12, %[r12]; movups %%xmm3, %[out]\n\t"
                     "sub $256, %%rsp; pushf; pop %[flags]; add $256, %%rsp; fninit"
                     : [r12] "=&r"(r12), [flags] "=&r"(flags), [below] "=&r"(below), [out] "=m"(out)
                     : [mxcsr] "m"(mxcsr), [control] "m"(control), [in] "m"(in), "D"(pid), "S"(tid)
                     : "rax", "rdx", "rcx", "r11", "r12", "xmm3", "memory");
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    REQUIRE(frames == 1 && r12 == 42 && below == 0x1234);
    REQUIRE(out[0] == 0x11223344 && out[1] == 0x55667788);
    REQUIRE((flags & 1) == 0);
}

static void segment_bases(void)
{
    unsigned long base = 1, thread = 0;
    REQUIRE(syscall(SYS_arch_prctl, 0x1003, &base) == 0);
    __asm__("mov %%fs:0, %0" : "=r"(thread));
    REQUIRE(base == thread);
    static unsigned long words[2] = { 7, 8 };
    REQUIRE(syscall(SYS_arch_prctl, 0x1001, words) == 0);
    unsigned long value;
    __asm__("mov %%gs:8, %0" : "=r"(value));
    REQUIRE(value == 8);
    REQUIRE(syscall(SYS_arch_prctl, 0x1004, &base) == 0 && base == (unsigned long)words);
    REQUIRE_ERROR(syscall(SYS_arch_prctl, 0x1001, 1UL << 63), EPERM);
    REQUIRE_ERROR(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
    REQUIRE(syscall(SYS_arch_prctl, 0x1001, 0) == 0);
}

static void old_calls(void)
{
    char name[] = "/tmp/ferry-old-XXXXXX";
    REQUIRE(mkdtemp(name) != NULL && chdir(name) == 0);
    int fd = (int)syscall(SYS_creat, "a", 0644);
    REQUIRE(fd >= 0 && write(fd, "abc", 3) == 3);
    struct stat status;
    REQUIRE(syscall(SYS_stat, "a", &status) == 0 && status.st_size == 3 && status.st_nlink == 1);
    REQUIRE(syscall(SYS_symlink, "a", "l") == 0 && syscall(SYS_lstat, "l", &status) == 0 && S_ISLNK(status.st_mode));
    char text[8] = "";
    REQUIRE(syscall(SYS_readlink, "l", text, sizeof text) == 1 && text[0] == 'a');
    REQUIRE(syscall(SYS_link, "a", "b") == 0 && syscall(SYS_fstat, fd, &status) == 0 && status.st_nlink == 2);
    REQUIRE(syscall(SYS_rename, "b", "c") == 0 && syscall(SYS_unlink, "c") == 0 && syscall(SYS_unlink, "l") == 0);
    REQUIRE(syscall(SYS_chmod, "a", 0600) == 0 && syscall(SYS_access, "a", R_OK) == 0);
    REQUIRE_ERROR(syscall(SYS_access, "none", R_OK), ENOENT);
    long times[2] = { 1000, 2000 };
    REQUIRE(syscall(SYS_utime, "a", times) == 0 && stat("a", &status) == 0 && status.st_mtime == 2000);
    struct timeval precise[2] = { { 5, 6 }, { 7, 8 } };
    REQUIRE(syscall(SYS_utimes, "a", precise) == 0 && stat("a", &status) == 0 && status.st_mtim.tv_nsec == 8000);
    precise[0].tv_usec = 1000000;
    REQUIRE_ERROR(syscall(SYS_utimes, "a", precise), EINVAL);
    REQUIRE(syscall(SYS_mkdir, "d", 0755) == 0);
    int directory = (int)syscall(SYS_open, "..", O_RDONLY | O_DIRECTORY);
    REQUIRE(directory >= 0 && close(directory) == 0);
    directory = (int)syscall(SYS_open, ".", O_RDONLY | O_DIRECTORY);
    char entries[1024];
    long length = syscall(SYS_getdents, directory, entries, sizeof entries);
    int found = 0;
    for (long at = 0; at < length;) {
        unsigned short size;
        memcpy(&size, entries + at + 16, sizeof size);
        if (strcmp(entries + at + 18, "d") == 0 && entries[at + size - 1] == DT_DIR)
            found++;
        at += size;
    }
    REQUIRE(found == 1 && close(directory) == 0);
    REQUIRE(syscall(SYS_rmdir, "d") == 0 && unlink("a") == 0 && chdir("/") == 0 && rmdir(name) == 0);
    REQUIRE(syscall(SYS_dup2, fd, fd) == fd);
    REQUIRE_ERROR(syscall(SYS_dup2, 999, 999), EBADF);
    REQUIRE(syscall(SYS_dup2, fd, 77) == 77 && close(77) == 0 && close(fd) == 0);
}

static void old_waiting(void)
{
    int ends[2];
    REQUIRE(syscall(SYS_pipe, ends) == 0);
    struct pollfd poll = { .fd = ends[0], .events = POLLIN };
    REQUIRE(syscall(SYS_poll, &poll, 1, 0) == 0 && syscall(SYS_poll, &poll, 1, 5) == 0);
    struct timeval left = { 0, 2000 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    REQUIRE(syscall(SYS_select, ends[0] + 1, &set, NULL, NULL, &left) == 0 && left.tv_usec == 0);
    REQUIRE(write(ends[1], "x", 1) == 1 && syscall(SYS_poll, &poll, 1, -1) == 1);
    FD_SET(ends[0], &set);
    left.tv_sec = 10;
    REQUIRE(syscall(SYS_select, ends[0] + 1, &set, NULL, NULL, &left) == 1 && left.tv_sec == 9);
    int epoll = (int)syscall(SYS_epoll_create, 1);
    struct epoll_event event = { EPOLLIN, { .u64 = 0x123456789abcdef0 } }, got[2];
    REQUIRE(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
    REQUIRE(syscall(SYS_epoll_wait, epoll, got, 2, -1) == 1 && got[0].data.u64 == event.data.u64);
    REQUIRE_ERROR(syscall(SYS_epoll_create, 0), EINVAL);
    REQUIRE(close(epoll) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
    long now = syscall(SYS_time, NULL);
    REQUIRE(now > 1000000000 && syscall(SYS_time, &now) == now);
    REQUIRE(syscall(SYS_getpgrp) == getpgid(0));
    REQUIRE(syscall(SYS_alarm, 100) == 0 && syscall(SYS_alarm, 0) == 100);
}

static void alarmed(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
}

static void old_processes(void)
{
    long child = syscall(SYS_fork);
    if (child == 0)
        _exit(3);
    int status;
    REQUIRE(child > 0 && waitpid((pid_t)child, &status, 0) == child && WEXITSTATUS(status) == 3);
    pid_t quick = vfork();
    if (quick == 0)
        _exit(4);
    REQUIRE(quick > 0 && waitpid(quick, &status, 0) == quick && WEXITSTATUS(status) == 4);
    handle(SIGALRM, alarmed, 0);
    struct itimerval soon = { .it_value = { 0, 20000 } };
    setitimer(ITIMER_REAL, &soon, NULL);
    REQUIRE_ERROR(syscall(SYS_pause), EINTR);
}

static void refused_calls(void)
{
    REQUIRE_ERROR(syscall(SYS_create_module, "x", 1), ENOSYS);
    REQUIRE_ERROR(syscall(SYS_set_thread_area, 0), ENOSYS);
    REQUIRE_ERROR(syscall(0x40000000 | SYS_getpid), ENOSYS);
}

static void the_vsyscall_page(void)
{
    long (*get_time)(long *) = (long (*)(long *))0xffffffffff600400;
    long now = 0;
    REQUIRE(get_time(&now) == now && now > 1000000000);
    int (*get_day)(struct timeval *, void *) = (int (*)(struct timeval *, void *))0xffffffffff600000;
    struct timeval day;
    REQUIRE(get_day(&day, NULL) == 0 && day.tv_sec >= now);
    if (sigsetjmp(back, 1) == 0)
        (void)*(volatile char *)0xffffffffff600000;
    expect(SIGSEGV, SEGV_MAPERR, 14, 5);
}

static void low_mappings(void)
{
    void *low = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    REQUIRE(low != MAP_FAILED && (uintptr_t)low < 0x80000000);
    munmap(low, 8192);
}

int main(void)
{
    handle_faults();
    RUN(divisions);
    RUN(overflowing_divisions);
    RUN(undefined_and_privileged_instructions);
    RUN(breakpoints);
    RUN(page_faults);
    RUN(on_its_own_stack);
    RUN(alignment);
    RUN(floating_point_exceptions);
    RUN(frames_and_the_red_zone);
    RUN(segment_bases);
    RUN(old_calls);
    RUN(old_waiting);
    RUN(old_processes);
    RUN(refused_calls);
    RUN(the_vsyscall_page);
    RUN(low_mappings);
    return finish();
}
