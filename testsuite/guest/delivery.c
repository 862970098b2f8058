/*
 * Less usual ways in which signals are sent, waited for and delivered.
 */
#include "guest.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t caught;
static volatile int last_value;
static volatile pid_t last_thread;

static pid_t own_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void record(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    caught++;
    last_value = info->si_value.sival_int;
    last_thread = own_tid();
}

static void block(int how, int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    REQUIRE(sigprocmask(how, &set, NULL) == 0);
}

/* A stack that disarms itself is gone while its handler runs, and comes back with the return. */
static char alternate[64 * 1024];
static volatile int flags_inside;

static void look_at_stack(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    stack_t stack;
    char here;
    REQUIRE(&here >= alternate && &here < alternate + sizeof alternate);
    REQUIRE(sigaltstack(NULL, &stack) == 0);
    flags_inside = stack.ss_flags;
    caught++;
}

static void stacks_that_disarm_themselves(void)
{
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate, .ss_flags = (int)SS_AUTODISARM }, after;
    stack_t none = { .ss_flags = SS_DISABLE };
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    handle(SIGUSR1, look_at_stack, SA_SIGINFO | SA_ONSTACK);
    caught = 0;
    REQUIRE(raise(SIGUSR1) == 0 && caught == 1);
    REQUIRE(flags_inside == SS_DISABLE);
    REQUIRE(sigaltstack(NULL, &after) == 0);
    REQUIRE(after.ss_sp == alternate && (after.ss_flags & (int)SS_AUTODISARM));
    REQUIRE(sigaltstack(&none, NULL) == 0);
}

/* Without room for the frame there is nothing to do but to die of SIGSEGV. */
static void a_frame_that_does_not_fit(void)
{
    pid_t child = fork();
    if (child == 0) {
        stack_t stack = { .ss_sp = (void *)4096, .ss_size = 16384 };
        sigaltstack(&stack, NULL);
        handle(SIGUSR1, record, SA_SIGINFO | SA_ONSTACK);
        raise(SIGUSR1);
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void timers_for_one_thread(void)
{
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 2 };
    struct itimerspec soon = { { 0, 0 }, { 0, 5000000 } }, left;
    event.sigev_value.sival_int = 4711;
    event.sigev_notify_thread_id = own_tid();
    handle(SIGRTMIN + 2, record, SA_SIGINFO);
    caught = 0;
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &soon, NULL) == 0);
    while (caught == 0)
        pause();
    REQUIRE(last_value == 4711 && last_thread == own_tid());
    REQUIRE(timer_gettime(timer, &left) == 0 && left.it_value.tv_nsec == 0);
    REQUIRE(timer_getoverrun(timer) == 0);
    REQUIRE(timer_delete(timer) == 0);
}

static void from_timer(union sigval value)
{
    __atomic_store_n((int *)value.sival_ptr, 1, __ATOMIC_RELEASE);
}

static void timers_that_start_threads(void)
{
    timer_t timer;
    int fired = 0;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = from_timer };
    struct itimerspec soon = { { 0, 0 }, { 0, 2000000 } };
    event.sigev_value.sival_ptr = &fired;
    REQUIRE(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &soon, NULL) == 0);
    for (int i = 0; i < 5000 && !__atomic_load_n(&fired, __ATOMIC_ACQUIRE); i++)
        usleep(1000);
    REQUIRE(fired);
    REQUIRE(timer_delete(timer) == 0);
}

/* The masks of ppoll, pselect and epoll_pwait hold while they wait, and no longer. */
static void masks_of_waiting_calls(void)
{
    sigset_t open, now;
    struct timespec second = { 5, 0 };
    struct epoll_event event;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    handle(SIGUSR2, record, SA_SIGINFO | SA_RESTART);
    block(SIG_BLOCK, SIGUSR2);
    sigemptyset(&open);
    for (int call = 0; call < 3; call++) {
        caught = 0;
        REQUIRE(raise(SIGUSR2) == 0 && caught == 0);
        errno = 0;
        REQUIRE((call == 0   ? ppoll(NULL, 0, &second, &open)
                 : call == 1 ? pselect(0, NULL, NULL, NULL, &second, &open)
                             : epoll_pwait(epoll, &event, 1, 5000, &open)) == -1);
        REQUIRE(errno == EINTR && caught == 1);
        REQUIRE(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR2));
    }
    struct timespec brief = { 0, 1000000 };
    REQUIRE(ppoll(NULL, 0, &brief, &open) == 0);
    REQUIRE(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR2));
    block(SIG_UNBLOCK, SIGUSR2);
    close(epoll);
}

/* A signal to the process goes to a thread that does not block it. */
static volatile int ready, done;

static void *willing(void *argument)
{
    block(SIG_UNBLOCK, SIGUSR1);
    *(pid_t *)argument = own_tid();
    __atomic_store_n((int *)&ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n((int *)&done, __ATOMIC_ACQUIRE))
        usleep(500);
    return NULL;
}

static void the_willing_thread_is_chosen(void)
{
    pthread_t thread;
    pid_t tid = 0;
    handle(SIGUSR1, record, SA_SIGINFO);
    block(SIG_BLOCK, SIGUSR1);
    caught = 0;
    REQUIRE(pthread_create(&thread, NULL, willing, &tid) == 0);
    while (!__atomic_load_n((int *)&ready, __ATOMIC_ACQUIRE))
        usleep(100);
    for (int i = 1; i <= 20; i++) {
        REQUIRE(kill(getpid(), SIGUSR1) == 0);
        while (caught < i)
            usleep(100);
        REQUIRE(last_thread == tid && caught == i);
    }
    __atomic_store_n((int *)&done, 1, __ATOMIC_RELEASE);
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(kill(getpid(), SIGUSR1) == 0);
    REQUIRE(caught == 20);
    block(SIG_UNBLOCK, SIGUSR1);
    REQUIRE(caught == 21 && last_thread == own_tid());
}

static void children_that_leave_nothing(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
    REQUIRE(sigaction(SIGCHLD, &action, NULL) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    REQUIRE_ERROR(waitpid(child, NULL, 0), ECHILD);
    signal(SIGCHLD, SIG_DFL);
}

static void the_death_of_a_parent_is_told(void)
{
    int fds[2];
    char byte;
    REQUIRE(pipe(fds) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            (void)!write(fds[1], "r", 1);
            for (;;)
                pause();
        }
        (void)!read(fds[0], &byte, 1);
        _exit(0);
    }
    close(fds[1]);
    REQUIRE(waitpid(child, NULL, 0) == child);
    /* The end of file comes when the grandchild has died too. */
    REQUIRE(read(fds[0], &byte, 1) == 0);
    close(fds[0]);
}

static void limits_that_send_signals(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { 1, 2 };
        setrlimit(RLIMIT_CPU, &limit);
        for (volatile unsigned long i = 0;; i++)
            ;
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

/* What never waits is never interrupted, whatever the handler's flags: a signal that comes just before is handled first. */
static void calls_that_never_wait(void)
{
    char name[] = "delivery-XXXXXX";
    int file = mkstemp(name), word = 0;
    REQUIRE(file >= 0 && unlink(name) == 0);
    handle(SIGALRM, record, 0);
    caught = 0;
    struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int64_t end = now_ns() + 1000000000; now_ns() < end;) {
        REQUIRE(pwrite(file, "text", 4, 0) == 4);
        REQUIRE(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0) == 0);
    }
    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0 && caught > 10);
    struct timespec left = { 7, 7 };
    REQUIRE(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 20000 } }, NULL) == 0);
    REQUIRE_ERROR(nanosleep(&(struct timespec){ 1, 0 }, &left), EINTR);
    REQUIRE(left.tv_sec == 0 && left.tv_nsec > 100000000);
    signal(SIGALRM, SIG_DFL);
    close(file);
}

/* Those that a processor raises, too, if somebody sends them. */
static void calls_go_on_after_any_signal(void)
{
    const int signals[] = { SIGUSR1, SIGSEGV, SIGBUS, SIGRTMIN };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        int pipe_ends[2];
        char byte;
        REQUIRE(pipe(pipe_ends) == 0);
        handle(signals[i], record, SA_RESTART);
        caught = 0;
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
            sleep_ms(30);
            kill(parent, signals[i]);
            sleep_ms(50);
            _exit(write(pipe_ends[1], "x", 1) != 1);
        }
        REQUIRE(read(pipe_ends[0], &byte, 1) == 1 && byte == 'x' && caught == 1);
        REQUIRE(waitpid(child, NULL, 0) == child);
        signal(signals[i], SIG_DFL);
        close(pipe_ends[0]), close(pipe_ends[1]);
    }
}

int main(void)
{
    RUN(stacks_that_disarm_themselves);
    RUN(a_frame_that_does_not_fit);
    RUN(timers_for_one_thread);
    RUN(timers_that_start_threads);
    RUN(masks_of_waiting_calls);
    RUN(the_willing_thread_is_chosen);
    RUN(children_that_leave_nothing);
    RUN(the_death_of_a_parent_is_told);
    RUN(limits_that_send_signals);
    RUN(calls_that_never_wait);
    RUN(calls_go_on_after_any_signal);
    return finish();
}
