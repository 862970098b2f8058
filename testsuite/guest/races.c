/*
 * Signals, system calls, threads and processes all at once. What is checked is that nothing is lost,
 * nothing happens twice and nobody waits for ever; how often what meets what is left to chance.
 */
#include "guest.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/signalfd.h>

extern char **environ;

static volatile sig_atomic_t caught[65];

static void count(int signal)
{
    caught[signal]++;
}

static void on(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    REQUIRE(sigaction(signal, &action, NULL) == 0);
}

static void set_timer(int microseconds)
{
    struct itimerval every = { { 0, microseconds }, { 0, microseconds } };
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

/* Two processes wake each other: a signal that comes just before sigsuspend would hang both. */
static void ping_pong_with_sigsuspend(void)
{
    enum { ROUNDS = 2000 };
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    REQUIRE(sigprocmask(SIG_BLOCK, &blocked, &open) == 0);
    sigdelset(&open, SIGUSR1);
    on(SIGUSR1, count, 0);
    caught[SIGUSR1] = 0;
    pid_t parent = getpid(), child = fork();
    REQUIRE(child >= 0);
    for (int i = 0; i < ROUNDS; i++) {
        if (child == 0) {
            while (caught[SIGUSR1] == i)
                REQUIRE(sigsuspend(&open) == -1 && errno == EINTR);
            REQUIRE(kill(parent, SIGUSR1) == 0);
        } else {
            REQUIRE(kill(child, SIGUSR1) == 0);
            while (caught[SIGUSR1] == i)
                REQUIRE(sigsuspend(&open) == -1 && errno == EINTR);
        }
        REQUIRE(caught[SIGUSR1] == i + 1);
    }
    if (child == 0)
        _exit(0);
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    REQUIRE(sigprocmask(SIG_UNBLOCK, &blocked, NULL) == 0);
}

/* A byte stream goes through a pipe while a timer interrupts both ends at any point. */
static void *writer(void *argument)
{
    int fd = *(int *)argument;
    for (unsigned i = 0; i < 200000;) {
        unsigned char buffer[97];
        unsigned n = 0;
        for (; n < sizeof buffer && i + n < 200000; n++)
            buffer[n] = (unsigned char)((i + n) * 7);
        ssize_t done = write(fd, buffer, n);
        REQUIRE(done > 0);
        i += (unsigned)done;
    }
    close(fd);
    return NULL;
}

static void interrupted_transfers_lose_nothing(void)
{
    int fds[2];
    pthread_t thread;
    on(SIGALRM, count, SA_RESTART);
    caught[SIGALRM] = 0;
    REQUIRE(pipe(fds) == 0);
    set_timer(300);
    REQUIRE(pthread_create(&thread, NULL, writer, &fds[1]) == 0);
    unsigned seen = 0;
    unsigned char buffer[61];
    for (ssize_t n; (n = read(fds[0], buffer, sizeof buffer)) != 0;) {
        REQUIRE(n > 0);
        for (ssize_t i = 0; i < n; i++)
            REQUIRE(buffer[i] == (unsigned char)(seen++ * 7));
    }
    REQUIRE(seen == 200000);
    REQUIRE(pthread_join(thread, NULL) == 0);
    set_timer(0);
    close(fds[0]);
    REQUIRE(caught[SIGALRM] > 0);
}

/* Every register that a computation uses survives handlers that use them too. */
static volatile double spoiled;

static void spoil(int signal)
{
    double x = signal;
    for (int i = 1; i < 20; i++)
        x = x * 1.5 + (double)i / 3;
    spoiled = x;
    caught[signal]++;
}

static uint64_t compute(double *sum)
{
    uint64_t a = 1, b = 2, c = 3, d = 4;
    double x = 0;
    for (unsigned i = 0; i < 60000; i++) {
        a = a * 6364136223846793005u + i;
        b ^= a >> 7;
        c += b * 3;
        d = (d << 5 | d >> 59) + c;
        x += (double)(d >> 40) / 7.0;
    }
    *sum = x;
    return a ^ b ^ c ^ d;
}

static void registers_survive_handlers(void)
{
    double expected_sum, sum;
    uint64_t expected = compute(&expected_sum);
    on(SIGALRM, spoil, SA_RESTART);
    caught[SIGALRM] = 0;
    set_timer(500);
    for (int i = 0; i < 200 && caught[SIGALRM] < 100; i++) {
        REQUIRE(compute(&sum) == expected);
        REQUIRE(sum == expected_sum);
    }
    set_timer(0);
    REQUIRE(caught[SIGALRM] > 0);
}

/* A thread is interrupted again and again while it sleeps, waits for a futex or polls. */
static int stopped;
#define stop (*(volatile int *)&stopped)

static void *sleeper(void *argument)
{
    sem_t *semaphore = argument;
    struct pollfd nothing = { .fd = -1 };
    while (!stop) {
        struct timespec little = { 0, 200000 }, until;
        if (nanosleep(&little, &little) != 0)
            REQUIRE(errno == EINTR && little.tv_nsec < 1000000);
        REQUIRE(poll(&nothing, 1, 1) == 0 || errno == EINTR);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 500000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        REQUIRE(sem_timedwait(semaphore, &until) == 0 || errno == ETIMEDOUT || errno == EINTR);
    }
    return NULL;
}

static void waits_end_when_interrupted(void)
{
    sem_t semaphore;
    pthread_t thread;
    stop = 0;
    on(SIGUSR2, count, 0);
    caught[SIGUSR2] = 0;
    REQUIRE(sem_init(&semaphore, 0, 0) == 0);
    REQUIRE(pthread_create(&thread, NULL, sleeper, &semaphore) == 0);
    for (int i = 0; i < 2000; i++) {
        REQUIRE(pthread_kill(thread, SIGUSR2) == 0);
        if (i % 50 == 0)
            usleep(100);
    }
    stop = 1;
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(caught[SIGUSR2] > 0 && caught[SIGUSR2] <= 2000);
}

/* Queued signals with values, sent by several threads while the receiver changes its mask. */
enum { SENDERS = 3, EACH = 300 };
static volatile int sums[SENDERS], last[SENDERS];

static void receive(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    int sender = info->si_value.sival_int / 1000, number = info->si_value.sival_int % 1000;
    REQUIRE(info->si_code == SI_QUEUE && sender < SENDERS);
    REQUIRE(number == last[sender] + 1);
    last[sender] = number;
    sums[sender]++;
}

static void *sender(void *argument)
{
    int number = (int)(intptr_t)argument;
    for (int i = 1; i <= EACH; i++) {
        union sigval value = { .sival_int = number * 1000 + i };
        while (sigqueue(getpid(), SIGRTMIN + 3, value) != 0) {
            REQUIRE(errno == EAGAIN);
            usleep(100);
        }
    }
    return NULL;
}

static void queued_signals_survive_mask_changes(void)
{
    pthread_t threads[SENDERS];
    sigset_t set;
    struct sigaction action = { .sa_sigaction = receive, .sa_flags = SA_SIGINFO | SA_RESTART };
    REQUIRE(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    /* The senders inherit the mask, so that only this thread handles what they send. */
    REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (intptr_t i = 0; i < SENDERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, sender, (void *)i) == 0);
    for (int i = 0; sums[0] + sums[1] + sums[2] < SENDERS * EACH; i++) {
        REQUIRE(i < 2000000);
        REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        int before = sums[0] + sums[1] + sums[2];
        for (volatile int spin = 0; spin < 100; spin++)
            ;
        REQUIRE(sums[0] + sums[1] + sums[2] == before);
        REQUIRE(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        REQUIRE(sums[i] == EACH && last[i] == EACH);
    }
}

/* SIGSEGV and SIGBUS that somebody sends are signals like any other. */
static void sent_faults_are_ordinary_signals(void)
{
    sigset_t set, pending;
    siginfo_t info;
    struct timespec none = { 0, 0 };
    on(SIGSEGV, count, 0);
    caught[SIGSEGV] = 0;
    REQUIRE(kill(getpid(), SIGSEGV) == 0 && caught[SIGSEGV] == 1);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    REQUIRE(raise(SIGSEGV) == 0 && raise(SIGSEGV) == 0 && caught[SIGSEGV] == 1);
    REQUIRE(sigpending(&pending) == 0 && sigismember(&pending, SIGSEGV) == 1);
    REQUIRE(usleep(1000) == 0);
    REQUIRE(sigtimedwait(&set, &info, &none) == SIGSEGV && info.si_pid == getpid());
    REQUIRE_ERROR(sigtimedwait(&set, &info, &none), EAGAIN);
    REQUIRE(raise(SIGSEGV) == 0 && caught[SIGSEGV] == 1);
    REQUIRE(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && caught[SIGSEGV] == 2);
    on(SIGBUS, SIG_IGN, 0);
    REQUIRE(raise(SIGBUS) == 0);
    on(SIGBUS, SIG_DFL, 0);
    pid_t child = fork();
    if (child == 0) {
        on(SIGSEGV, SIG_DFL, 0);
        raise(SIGSEGV);
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    on(SIGSEGV, SIG_DFL, 0);
}

/* What is ignored or blocked is so in the next program too, and nothing else is. */
static void spawn_keeps_what_exec_keeps(const char *own_name)
{
    sigset_t set;
    on(SIGUSR1, count, 0);
    on(SIGUSR2, SIG_IGN, 0);
    on(SIGBUS, SIG_IGN, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGRTMAX);
    REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    char *arguments[] = { (char *)own_name, "child", NULL };
    int status;
    pid_t child;
    REQUIRE(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    REQUIRE(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    on(SIGUSR2, SIG_DFL, 0);
    on(SIGBUS, SIG_DFL, 0);
}

static int as_child(void)
{
    sigset_t set;
    REQUIRE(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) != 0)
            continue;
        int is_blocked = signal == SIGSEGV || signal == SIGHUP || signal == SIGRTMAX;
        int is_ignored = signal == SIGUSR2 || signal == SIGBUS;
        REQUIRE(sigismember(&set, signal) == is_blocked);
        if (signal == SIGUSR1 || is_ignored || signal == SIGPIPE)
            REQUIRE(action.sa_handler == (is_ignored ? SIG_IGN : SIG_DFL));
    }
    return 0;
}

/* Threads fork and spawn while others allocate, take signals and end. */
static void *allocator(void *argument)
{
    (void)argument;
    for (unsigned i = 0; !stop; i++) {
        void *blocks[20];
        for (unsigned n = 0; n < 20; n++)
            REQUIRE((blocks[n] = malloc(1 + (i * 37 + n * 101) % 5000)) != NULL);
        for (unsigned n = 0; n < 20; n++)
            free(blocks[n]);
    }
    return NULL;
}

static void *brief(void *argument)
{
    return argument;
}

static void *forker(void *argument)
{
    int rounds = (int)(intptr_t)argument;
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            pthread_t thread;
            void *result;
            free(malloc(100000));
            REQUIRE(pthread_create(&thread, NULL, brief, &stopped) == 0);
            REQUIRE(pthread_join(thread, &result) == 0 && result == &stopped);
            _exit(17);
        }
        int status;
        while (waitpid(child, &status, 0) < 0)
            REQUIRE(errno == EINTR);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 17);
    }
    return NULL;
}

static void *spawner(void *argument)
{
    int rounds = (int)(intptr_t)argument;
    for (int i = 0; i < rounds; i++) {
        pid_t child;
        char *arguments[] = { "nothing", NULL };
        REQUIRE(posix_spawn(&child, "/nonexistent/program", NULL, NULL, arguments, environ) == ENOENT);
    }
    return NULL;
}

static void *starter(void *argument)
{
    int rounds = (int)(intptr_t)argument;
    for (int i = 0; i < rounds; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, brief, NULL) == 0);
        REQUIRE(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static void forks_and_spawns_among_busy_threads(void)
{
    pthread_t busy[2], workers[4];
    stop = 0;
    on(SIGALRM, spoil, SA_RESTART);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&busy[i], NULL, allocator, NULL) == 0);
    set_timer(2000);
    REQUIRE(pthread_create(&workers[0], NULL, forker, (void *)(intptr_t)25) == 0);
    REQUIRE(pthread_create(&workers[1], NULL, forker, (void *)(intptr_t)25) == 0);
    REQUIRE(pthread_create(&workers[2], NULL, spawner, (void *)(intptr_t)100) == 0);
    REQUIRE(pthread_create(&workers[3], NULL, starter, (void *)(intptr_t)100) == 0);
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_join(workers[i], NULL) == 0);
    set_timer(0);
    stop = 1;
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_join(busy[i], NULL) == 0);
}

/* A process ends at once, whatever its threads do. */
static void *spin(void *argument)
{
    volatile unsigned *counter = argument;
    for (;;)
        ++*counter;
    return NULL;
}

static void *block(void *argument)
{
    char byte;
    (void)!read(*(int *)argument, &byte, 1);
    return NULL;
}

static void exits_among_running_threads(void)
{
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            static unsigned counter;
            static int fds[2];
            pthread_t thread;
            REQUIRE(pipe(fds) == 0);
            REQUIRE(pthread_create(&thread, NULL, spin, &counter) == 0);
            REQUIRE(pthread_create(&thread, NULL, block, &fds[0]) == 0);
            REQUIRE(pthread_create(&thread, NULL, starter, (void *)(intptr_t)1000000) == 0);
            if (i % 2 == 0)
                usleep(300);
            if (i % 4 < 2)
                exit(3);
            kill(getpid(), SIGKILL);
        }
        int status;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE(i % 4 < 2 ? WIFEXITED(status) && WEXITSTATUS(status) == 3
                          : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return as_child();
    RUN(ping_pong_with_sigsuspend);
    RUN(interrupted_transfers_lose_nothing);
    RUN(registers_survive_handlers);
    RUN(waits_end_when_interrupted);
    RUN(queued_signals_survive_mask_changes);
    RUN(sent_faults_are_ordinary_signals);
    spawn_keeps_what_exec_keeps(argv[0]);
    puts("ok spawn_keeps_what_exec_keeps");
    RUN(forks_and_spawns_among_busy_threads);
    RUN(exits_among_running_threads);
    return finish();
}
