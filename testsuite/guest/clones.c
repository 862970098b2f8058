/*
 * clone(2) and clone3(2) in the ways that libraries do not use them.
 */
#include "guest.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static char stack[64 * 1024] __attribute__((aligned(16)));
static volatile int shared;
static volatile sig_atomic_t caught;

static void count(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    caught++;
}

static int exit_status_of(pid_t child, int options)
{
    int status;
    REQUIRE(waitpid(child, &status, options) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The child must not touch thread-local storage, errno included: the parent has the same. */
static int set_shared(void *argument)
{
    shared = *(int *)argument;
    syscall(SYS_exit_group, 5);
    return 0;
}

static void memory_shared_without_waiting(void)
{
    int value = 42;
    shared = 0;
    pid_t child = clone(set_shared, stack + sizeof stack, CLONE_VM | SIGCHLD, &value);
    REQUIRE(child > 0 && child != getpid());
    REQUIRE(exit_status_of(child, 0) == 5);
    REQUIRE(shared == 42);
}

static void memory_shared_while_the_parent_waits(void)
{
    int value = 43;
    shared = 0;
    pid_t child = clone(set_shared, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
    REQUIRE(child > 0 && shared == 43);
    REQUIRE(exit_status_of(child, 0) == 5);
}

static int loops(void *argument)
{
    (void)argument;
    for (;;)
        shared++;
    return 0;
}

static void a_sharing_child_is_killed(void)
{
    int status;
    pid_t child = clone(loops, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    REQUIRE(child > 0);
    for (int before = shared; shared == before;)
        ;
    REQUIRE(kill(child, SIGTERM) == 0);
    REQUIRE(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* Loops for as many children: each is new to an emulator, which is busy with it when the child ends. */
#define LOOP(n) \
    static uint64_t loop##n(uint64_t rounds) \
    { \
        uint64_t sum = n; \
        for (volatile uint64_t i = 0; i < rounds; i++) \
            sum = sum * 31 + (i ^ (sum >> n)); \
        return sum; \
    }
LOOP(1) LOOP(2) LOOP(3) LOOP(4) LOOP(5) LOOP(6) LOOP(7) LOOP(8) LOOP(9) LOOP(10) LOOP(11) LOOP(12)
static uint64_t (*const loops_of_children[])(uint64_t) = {
    loop1, loop2, loop3, loop4, loop5, loop6, loop7, loop8, loop9, loop10, loop11, loop12,
};
enum { CHILDREN = sizeof loops_of_children / sizeof *loops_of_children };

struct calling {
    uint64_t (*loop)(uint64_t);
    uint64_t rounds;
};

static int calls_a_loop(void *argument)
{
    struct calling *calling = argument;
    shared = 1;
    calling->loop(calling->rounds);
    syscall(SYS_exit_group, 5);
    return 0;
}

static void children_end_while_their_code_is_compiled(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        int status, is_killed = i & 1;
        struct calling calling = { loops_of_children[i], is_killed ? UINT64_MAX : UINT64_C(1000) << i / 2 };
        shared = 0;
        pid_t child = clone(calls_a_loop, stack + sizeof stack, CLONE_VM | SIGCHLD, &calling);
        REQUIRE(child > 0);
        while (is_killed && shared == 0)
            ;
        for (volatile int spins = 0; spins < 1000 << i / 2; spins++)
            ;
        if (is_killed)
            REQUIRE(kill(child, i & 2 ? SIGTERM : SIGRTMIN) == 0);
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE(is_killed ? WIFSIGNALED(status) && WTERMSIG(status) == (i & 2 ? SIGTERM : SIGRTMIN)
                          : WIFEXITED(status) && WEXITSTATUS(status) == 5);
        child = fork();
        if (child == 0)
            _exit(9);
        REQUIRE(child > 0 && exit_status_of(child, 0) == 9);
    }
}

static int copied(void *argument)
{
    (void)argument;
    shared = 7;
    _exit(6);
}

static void memory_copied_on_another_stack(void)
{
    shared = 1;
    pid_t child = clone(copied, stack + sizeof stack, SIGCHLD, NULL);
    REQUIRE(child > 0 && exit_status_of(child, 0) == 6 && shared == 1);
}

static int opens(void *argument)
{
    _exit(dup2(*(int *)argument, 77) == 77 ? 0 : 1);
}

static void descriptor_tables_may_be_shared(void)
{
    int fd = 1;
    pid_t child = clone(opens, stack + sizeof stack, CLONE_FILES | SIGCHLD, &fd);
    REQUIRE(child > 0 && exit_status_of(child, 0) == 0);
    REQUIRE(fcntl(77, F_GETFD) >= 0 && close(77) == 0);
    child = clone(opens, stack + sizeof stack, SIGCHLD, &fd);
    REQUIRE(child > 0 && exit_status_of(child, 0) == 0);
    REQUIRE_ERROR(fcntl(77, F_GETFD), EBADF);
}

static int in_shared_directory(void *argument)
{
    _exit(chdir(argument) == 0 ? 0 : 1);
}

static void directories_may_be_shared(void)
{
    char before[4096], after[4096];
    REQUIRE(getcwd(before, sizeof before) != NULL);
    pid_t child = clone(in_shared_directory, stack + sizeof stack, CLONE_FS | SIGCHLD, "/");
    REQUIRE(child > 0 && exit_status_of(child, 0) == 0);
    REQUIRE(getcwd(after, sizeof after) != NULL && strcmp(after, "/") == 0);
    REQUIRE(chdir(before) == 0);
}

static void other_exit_signals(void)
{
    handle(SIGUSR1, count, SA_SIGINFO);
    caught = 0;
    pid_t child = clone(copied, stack + sizeof stack, SIGUSR1, NULL);
    REQUIRE(child > 0);
    REQUIRE_ERROR(waitpid(child, NULL, 0), ECHILD);
    REQUIRE(exit_status_of(child, __WALL) == 6 && caught == 1);
    child = clone(copied, stack + sizeof stack, 0, NULL);
    REQUIRE(child > 0 && exit_status_of(child, __WCLONE) == 6 && caught == 1);
}

static void children_that_are_siblings(void)
{
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        pid_t parent = getppid();
        pid_t sibling = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (sibling == 0)
            _exit(getppid() == parent ? 8 : 9);
        REQUIRE_ERROR(waitpid(sibling, NULL, 0), ECHILD);
        _exit(0);
    }
    REQUIRE(exit_status_of(child, 0) == 0);
    int status;
    REQUIRE(wait(&status) > 0 && WEXITSTATUS(status) == 8);
}

static pid_t clone3(struct clone_args *arguments, size_t size)
{
    return (pid_t)syscall(SYS_clone3, arguments, size);
}

static void process_descriptors(void)
{
    int pidfd = -1, parent_tid = 0, child_tid = 0;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID,
        .pidfd = (uintptr_t)&pidfd,
        .parent_tid = (uintptr_t)&parent_tid,
        .child_tid = (uintptr_t)&child_tid,
        .exit_signal = SIGCHLD,
    };
    pid_t child = clone3(&arguments, sizeof arguments);
    if (child == 0)
        _exit(child_tid == syscall(SYS_gettid) && parent_tid == 0 ? 10 : 11);
    REQUIRE(child > 0 && parent_tid == child && child_tid == 0);
    struct pollfd poller = { .fd = pidfd, .events = POLLIN };
    REQUIRE(poll(&poller, 1, 10000) == 1);
    REQUIRE(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    siginfo_t info;
    REQUIRE(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0);
    REQUIRE(info.si_pid == child && info.si_status == 10);
    close(pidfd);
}

static void handlers_may_be_cleared(void)
{
    handle(SIGUSR1, count, SA_SIGINFO);
    signal(SIGUSR2, SIG_IGN);
    struct clone_args arguments = { .flags = 0x100000000, .exit_signal = SIGCHLD };
    pid_t child = clone3(&arguments, sizeof arguments);
    if (child == 0) {
        struct sigaction usr1, usr2;
        sigaction(SIGUSR1, NULL, &usr1), sigaction(SIGUSR2, NULL, &usr2);
        REQUIRE(usr1.sa_handler == SIG_DFL && usr2.sa_handler == SIG_IGN);
        kill(getpid(), SIGUSR1);
        _exit(1);
    }
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    caught = 0;
    REQUIRE(raise(SIGUSR1) == 0 && caught == 1);
    signal(SIGUSR2, SIG_DFL);
}

static void dispositions_after_vfork_are_its_own(void)
{
    handle(SIGUSR1, count, SA_SIGINFO);
    caught = 0;
    pid_t child = vfork();
    if (child == 0) {
        raise(SIGUSR1);
        signal(SIGUSR1, SIG_DFL);
        raise(SIGUSR1);
        _exit(1);
    }
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    REQUIRE(caught == 1 && raise(SIGUSR1) == 0 && caught == 2);
}

static volatile int *volatile nowhere = (volatile int *)8;

static void fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    _exit(signal == SIGSEGV && info->si_addr == (void *)8 ? 21 : 22);
}

static void faults_after_vfork_are_its_own(void)
{
    handle(SIGSEGV, fault, SA_SIGINFO);
    pid_t child = vfork();
    if (child == 0) {
        *nowhere = 1;
        _exit(1);
    }
    REQUIRE(child > 0 && exit_status_of(child, 0) == 21);
    signal(SIGSEGV, SIG_DFL);
    child = vfork();
    if (child == 0) {
        *nowhere = 1;
        _exit(1);
    }
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void vforks_within_vforks(void)
{
    shared = 0;
    pid_t child = vfork();
    if (child == 0) {
        pid_t grandchild = vfork();
        if (grandchild == 0) {
            shared++;
            _exit(0);
        }
        int status;
        waitpid(grandchild, &status, 0);
        shared += 10;
        pid_t copy = fork();
        if (copy == 0)
            _exit(++shared == 12 ? 0 : 1);
        waitpid(copy, &status, 0);
        _exit(status == 0 ? 0 : 1);
    }
    REQUIRE(child > 0 && exit_status_of(child, 0) == 0 && shared == 11);
}

static void what_is_refused(void)
{
    struct clone_args arguments = { .exit_signal = SIGCHLD };
    REQUIRE_ERROR(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0), EINVAL);
    REQUIRE_ERROR(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
    REQUIRE_ERROR(clone3(&arguments, 8), EINVAL);
    REQUIRE_ERROR(clone3(NULL, sizeof arguments), EFAULT);
    arguments.exit_signal = 65;
    REQUIRE_ERROR(clone3(&arguments, sizeof arguments), EINVAL);
    arguments = (struct clone_args){ .exit_signal = SIGCHLD, .stack = 4096 };
    REQUIRE_ERROR(clone3(&arguments, sizeof arguments), EINVAL);
}

int main(void)
{
    RUN(memory_shared_without_waiting);
    RUN(memory_shared_while_the_parent_waits);
    RUN(a_sharing_child_is_killed);
    RUN(children_end_while_their_code_is_compiled);
    RUN(memory_copied_on_another_stack);
    RUN(descriptor_tables_may_be_shared);
    RUN(directories_may_be_shared);
    RUN(other_exit_signals);
    RUN(children_that_are_siblings);
    RUN(process_descriptors);
    RUN(handlers_may_be_cleared);
    RUN(dispositions_after_vfork_are_its_own);
    RUN(faults_after_vfork_are_its_own);
    RUN(vforks_within_vforks);
    RUN(what_is_refused);
    return finish();
}
