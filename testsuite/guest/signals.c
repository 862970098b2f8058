/* Delivery, masks, queues, restarts, alternate stacks and default actions of signals. */
#include "guest.h"
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

static volatile sig_atomic_t count, order[16];
/* Volatile, because library functions are declared not to call back into this file. */
static volatile siginfo_t last;

static void record(int signal, siginfo_t *info, void *context)
{
    REQUIRE(context != NULL && info->si_signo == signal);
    order[count++ % 16] = signal;
    last = *info;
}

static void block(int how, int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    REQUIRE(sigprocmask(how, &set, NULL) == 0);
}

static void sender_is_reported(void)
{
    handle(SIGUSR1, record, 0);
    count = 0;
    REQUIRE(kill(getpid(), SIGUSR1) == 0);
    REQUIRE(count == 1 && last.si_code == SI_USER && last.si_pid == getpid() && last.si_uid == getuid());
    REQUIRE(raise(SIGUSR1) == 0);
    REQUIRE(count == 2 && last.si_code == SI_TKILL);
}

static void queued_values_arrive_in_order(void)
{
    handle(SIGRTMIN + 1, record, 0);
    handle(SIGRTMIN + 2, record, 0);
    block(SIG_BLOCK, SIGRTMIN + 1);
    block(SIG_BLOCK, SIGRTMIN + 2);
    count = 0;
    for (int i = 0; i < 3; i++) {
        REQUIRE(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_int = 20 + i }) == 0);
        REQUIRE(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 10 + i }) == 0);
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    for (int i = 0; i < 3; i++) {
        siginfo_t info;
        REQUIRE(sigwaitinfo(&set, &info) == SIGRTMIN + 1);
        REQUIRE(info.si_code == SI_QUEUE && info.si_value.sival_int == 10 + i);
    }
    REQUIRE(count == 0);
    block(SIG_UNBLOCK, SIGRTMIN + 2);
    REQUIRE(count == 3 && last.si_value.sival_int == 22);
    block(SIG_UNBLOCK, SIGRTMIN + 1);
}

static void ordinary_signals_do_not_queue(void)
{
    handle(SIGUSR2, record, 0);
    block(SIG_BLOCK, SIGUSR2);
    count = 0;
    for (int i = 0; i < 5; i++)
        kill(getpid(), SIGUSR2);
    sigset_t pending;
    REQUIRE(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2) == 1);
    block(SIG_UNBLOCK, SIGUSR2);
    REQUIRE(count == 1);
}

static volatile sig_atomic_t nested_depth, deepest, nestings;

static void nest(int signal, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    if (++nested_depth > deepest)
        deepest = nested_depth;
    if (nested_depth < 5 && ++nestings < 20)
        raise(signal);
    nested_depth--;
}

static void masks_and_nesting(void)
{
    handle(SIGUSR1, nest, 0);
    deepest = 0;
    raise(SIGUSR1);
    REQUIRE(deepest == 1);
    handle(SIGUSR1, nest, SA_NODEFER);
    deepest = nestings = 0;
    raise(SIGUSR1);
    REQUIRE(deepest == 5);
    handle(SIGUSR1, record, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction now;
    REQUIRE(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

static void chain(int signal, siginfo_t *info, void *context)
{
    record(signal, info, context);
    kill(getpid(), SIGUSR2);
    REQUIRE(order[(count - 1) % 16] == SIGUSR1);
}

static void sa_mask_defers(void)
{
    struct sigaction action = { .sa_sigaction = chain, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    handle(SIGUSR2, record, 0);
    count = 0;
    raise(SIGUSR1);
    REQUIRE(count == 2 && order[0] == SIGUSR1 && order[1] == SIGUSR2);
}

static char alternate[64 * 1024];
static volatile sig_atomic_t was_on_alternate;

static void where(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    char here;
    stack_t stack;
    REQUIRE(sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK));
    REQUIRE(((ucontext_t *)context)->uc_stack.ss_sp == alternate);
    uintptr_t address = (uintptr_t)&here;
    was_on_alternate = address >= (uintptr_t)alternate && address < (uintptr_t)alternate + sizeof alternate;
    stack_t other = { .ss_sp = alternate, .ss_size = sizeof alternate };
    REQUIRE_ERROR(sigaltstack(&other, NULL), EPERM);
}

static void alternate_stack(void)
{
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    handle(SIGUSR1, where, SA_ONSTACK);
    raise(SIGUSR1);
    REQUIRE(was_on_alternate);
    stack_t off = { .ss_flags = SS_DISABLE }, old;
    REQUIRE(sigaltstack(&off, &old) == 0 && old.ss_sp == alternate && old.ss_flags == 0);
    stack_t tiny = { .ss_sp = alternate, .ss_size = 100 };
    REQUIRE_ERROR(sigaltstack(&tiny, NULL), ENOMEM);
}

static void *interrupt_main(void *main_thread)
{
    sleep_ms(100);
    pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
    return NULL;
}

static int pipe_ends[2];

static void *interrupt_then_write(void *main_thread)
{
    interrupt_main(main_thread);
    sleep_ms(100);
    REQUIRE(write(pipe_ends[1], "x", 1) == 1);
    return NULL;
}

static void restart_or_not(void)
{
    pthread_t self = pthread_self(), helper;
    char byte;
    REQUIRE(pipe(pipe_ends) == 0);
    handle(SIGUSR1, record, 0);
    count = 0;
    REQUIRE(pthread_create(&helper, NULL, interrupt_main, &self) == 0);
    REQUIRE_ERROR(read(pipe_ends[0], &byte, 1), EINTR);
    pthread_join(helper, NULL);
    handle(SIGUSR1, record, SA_RESTART);
    REQUIRE(pthread_create(&helper, NULL, interrupt_then_write, &self) == 0);
    REQUIRE(read(pipe_ends[0], &byte, 1) == 1 && byte == 'x' && count == 2);
    pthread_join(helper, NULL);
    /* nanosleep is never restarted for a handler, and says what is left. */
    struct timespec time = { 5, 0 }, left = { 0, 0 };
    REQUIRE(pthread_create(&helper, NULL, interrupt_main, &self) == 0);
    REQUIRE_ERROR(nanosleep(&time, &left), EINTR);
    REQUIRE(left.tv_sec < 5 && (left.tv_sec > 0 || left.tv_nsec > 0));
    pthread_join(helper, NULL);
}

static void *signal_later(void *main_thread)
{
    sleep_ms(50);
    pthread_kill(*(pthread_t *)main_thread, SIGUSR2);
    return NULL;
}

static void waiting_for_signals(void)
{
    pthread_t self = pthread_self(), helper;
    sigset_t empty, usr2;
    sigemptyset(&empty);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    handle(SIGUSR2, record, 0);
    block(SIG_BLOCK, SIGUSR2);
    count = 0;
    raise(SIGUSR2);
    REQUIRE(count == 0);
    REQUIRE_ERROR(sigsuspend(&empty), EINTR);
    REQUIRE(count == 1);
    struct timespec short_time = { 0, 50000000 }, long_time = { 10, 0 };
    REQUIRE_ERROR(sigtimedwait(&usr2, NULL, &short_time), EAGAIN);
    REQUIRE(pthread_create(&helper, NULL, signal_later, &self) == 0);
    siginfo_t info;
    REQUIRE(sigtimedwait(&usr2, &info, &long_time) == SIGUSR2 && info.si_pid == getpid() && count == 1);
    pthread_join(helper, NULL);
    block(SIG_UNBLOCK, SIGUSR2);
}

static void timers(void)
{
    handle(SIGALRM, record, 0);
    count = 0;
    struct itimerval interval = { { 0, 20000 }, { 0, 20000 } };
    REQUIRE(setitimer(ITIMER_REAL, &interval, NULL) == 0);
    while (count < 3)
        pause();
    struct itimerval off = { { 0, 0 }, { 0, 0 } };
    REQUIRE(setitimer(ITIMER_REAL, &off, &interval) == 0 && interval.it_interval.tv_usec == 20000);

    handle(SIGRTMIN + 3, record, 0);
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
    event.sigev_value.sival_int = 77;
    timer_t timer;
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec once = { { 0, 0 }, { 0, 30000000 } };
    count = 0;
    REQUIRE(timer_settime(timer, 0, &once, NULL) == 0);
    while (count < 1)
        pause();
    REQUIRE(last.si_code == SI_TIMER && last.si_value.sival_int == 77);
    REQUIRE(timer_gettime(timer, &once) == 0 && once.it_value.tv_sec == 0 && once.it_value.tv_nsec == 0);
    REQUIRE(timer_delete(timer) == 0);
    REQUIRE(alarm(100) == 0 && alarm(0) > 98);
}

/* A loop without calls: the signal must get in all the same. */
static void a_busy_loop_is_interrupted(void)
{
    handle(SIGALRM, record, 0);
    count = 0;
    struct itimerval once = { { 0, 0 }, { 0, 50000 } };
    REQUIRE(setitimer(ITIMER_REAL, &once, NULL) == 0);
    while (count == 0)
        ;
    REQUIRE(count == 1);
}

static void child_exits(void) { _exit(9); }
static void child_segfaults(void) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
static void child_ignores(void) { signal(SIGTERM, SIG_IGN); raise(SIGTERM); raise(SIGCHLD); raise(SIGURG); raise(SIGWINCH); }
static void child_aborts(void) { abort(); }

static int fatal_signal;
static void child_dies(void) { signal(fatal_signal, SIG_DFL); kill(getpid(), fatal_signal); sleep_ms(5000); }

static void default_actions(void)
{
    int status = in_child(child_exits);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    status = in_child(child_segfaults);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = in_child(child_aborts);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    REQUIRE(in_child(child_ignores) == 0);
    static const int fatal[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGKILL, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGSYS, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO };
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        fatal_signal = fatal[i];
        status = in_child(child_dies);
        REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == fatal_signal);
    }
}

static void children_are_reported(void)
{
    handle(SIGCHLD, record, 0);
    block(SIG_BLOCK, SIGCHLD);
    pid_t child = fork();
    if (child == 0)
        _exit(33);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    siginfo_t info;
    REQUIRE(sigwaitinfo(&set, &info) == SIGCHLD);
    REQUIRE(info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 33);
    REQUIRE(waitpid(child, NULL, 0) == child);
    block(SIG_UNBLOCK, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
}

static void stop_and_continue(void)
{
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    siginfo_t info;
    REQUIRE(kill(child, SIGSTOP) == 0);
    REQUIRE(waitid(P_PID, child, &info, WSTOPPED) == 0 && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
    REQUIRE(kill(child, SIGCONT) == 0);
    REQUIRE(waitid(P_PID, child, &info, WCONTINUED) == 0 && info.si_code == CLD_CONTINUED);
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitid(P_PID, child, &info, WEXITED) == 0 && info.si_code == CLD_KILLED && info.si_status == SIGKILL);
}

static _Atomic pid_t handled_by;

static void note_thread(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    handled_by = (pid_t)syscall(SYS_gettid);
}

static void *wait_for_own_signal(void *id)
{
    *(_Atomic pid_t *)id = (pid_t)syscall(SYS_gettid);
    while (!handled_by)
        sleep_ms(1);
    return NULL;
}

static void signals_to_one_thread(void)
{
    handle(SIGUSR1, note_thread, 0);
    static _Atomic pid_t target;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, wait_for_own_signal, &target) == 0);
    while (!target)
        sleep_ms(1);
    REQUIRE(syscall(SYS_tgkill, getpid(), target, SIGUSR1) == 0);
    pthread_join(thread, NULL);
    REQUIRE(handled_by == target);
    /* A joined thread may take a moment more to vanish. */
    for (int i = 0; i < 1000 && syscall(SYS_tgkill, getpid(), target, 0) == 0; i++)
        sleep_ms(1);
    REQUIRE_ERROR(syscall(SYS_tgkill, getpid(), target, SIGUSR1), ESRCH);
}

static sigjmp_buf jump;
static void leap(int signal) { (void)signal; siglongjmp(jump, 5); }

static void leaving_by_siglongjmp(void)
{
    signal(SIGUSR2, leap);
    for (volatile int i = 0; i < 1000; i++) {
        int value = sigsetjmp(jump, 1);
        if (value == 0) {
            raise(SIGUSR2);
            REQUIRE(!"unreachable");
        }
        REQUIRE(value == 5);
    }
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    REQUIRE(!sigismember(&now, SIGUSR2));
}

static void unmask_in_context(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR1);
}

static void the_context_sets_the_mask(void)
{
    handle(SIGUSR2, unmask_in_context, 0);
    raise(SIGUSR2);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    REQUIRE(sigismember(&now, SIGUSR1));
    block(SIG_UNBLOCK, SIGUSR1);
}

static void what_is_refused(void)
{
    struct sigaction action = { .sa_handler = SIG_IGN };
    REQUIRE_ERROR(sigaction(SIGKILL, &action, NULL), EINVAL);
    REQUIRE_ERROR(sigaction(SIGSTOP, &action, NULL), EINVAL);
    REQUIRE_ERROR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
    REQUIRE_ERROR(syscall(SYS_rt_sigprocmask, 77, &(uint64_t){ 0 }, NULL, 8), EINVAL);
    REQUIRE_ERROR(kill(getpid(), 99), EINVAL);
    sigset_t all, now;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &now);
    sigprocmask(SIG_SETMASK, &now, &all);
    REQUIRE(!sigismember(&all, SIGKILL) && !sigismember(&all, SIGSTOP) && sigismember(&all, SIGSEGV));
}

static volatile sig_atomic_t walks, arrivals;

static void ask_the_time(void);

static void walk(int signal)
{
    (void)signal;
    void *frames[32];
    int found = backtrace(frames, 32);
    walks++;
    for (int i = 0; i < found; i++) {
        uintptr_t distance = (uintptr_t)frames[i] - (uintptr_t)ask_the_time;
        if (distance < 256) {
            arrivals++;
            return;
        }
    }
}

__attribute__((noinline)) static void ask_the_time(void)
{
    struct timespec now;
    raise(SIGALRM);
    while (arrivals != 0 && walks < 40)
        clock_gettime(CLOCK_MONOTONIC, &now);
}

/* Unwinders that come out of handlers at all (RISC-V's of gcc 12 do not) come through the vdso, where most signals
 * arrive here, to its caller. */
static void the_vdso_can_be_unwound(void)
{
    void *frame;
    backtrace(&frame, 1);
    signal(SIGALRM, walk);
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
    ask_the_time();
    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0);
    signal(SIGALRM, SIG_DFL);
    REQUIRE(arrivals == 0 || arrivals > walks / 2);
}

int main(void)
{
    RUN(sender_is_reported);
    RUN(queued_values_arrive_in_order);
    RUN(ordinary_signals_do_not_queue);
    RUN(masks_and_nesting);
    RUN(sa_mask_defers);
    RUN(alternate_stack);
    RUN(restart_or_not);
    RUN(waiting_for_signals);
    RUN(timers);
    RUN(a_busy_loop_is_interrupted);
    RUN(default_actions);
    RUN(children_are_reported);
    RUN(stop_and_continue);
    RUN(signals_to_one_thread);
    RUN(leaving_by_siglongjmp);
    RUN(the_context_sets_the_mask);
    RUN(what_is_refused);
    RUN(the_vdso_can_be_unwound);
    return finish();
}
