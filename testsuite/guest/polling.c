/* Pipes and everything that waits for descriptors: poll, select, epoll, eventfd, timerfd, signalfd, pidfd. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void ignore(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; }

static void pipes(void)
{
    int ends[2];
    char byte;
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    REQUIRE_ERROR(read(ends[0], &byte, 1), EAGAIN);
    static char big[1 << 20];
    ssize_t written = write(ends[1], big, sizeof big);
    REQUIRE(written == fcntl(ends[1], F_GETPIPE_SZ));
    REQUIRE_ERROR(write(ends[1], big, 1), EAGAIN);
    while (read(ends[0], big, sizeof big) > 0)
        ;
    close(ends[1]);
    REQUIRE(read(ends[0], &byte, 1) == 0);
    close(ends[0]);
    REQUIRE(pipe(ends) == 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    REQUIRE_ERROR(write(ends[1], "x", 1), EPIPE);
    signal(SIGPIPE, SIG_DFL);
    close(ends[1]);
}

static void poll_and_select(void)
{
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    struct pollfd set[3] = { { ends[0], POLLIN, 0 }, { ends[1], POLLOUT, 0 }, { -1, POLLIN, 7 } };
    REQUIRE(poll(set, 3, 0) == 1 && set[0].revents == 0 && set[1].revents == POLLOUT && set[2].revents == 0);
    int64_t start = now_ns();
    REQUIRE(poll(set, 1, 50) == 0 && now_ns() - start >= 50000000);
    REQUIRE(write(ends[1], "x", 1) == 1 && poll(set, 1, -1) == 1 && set[0].revents == POLLIN);
    fd_set readable, writable;
    FD_ZERO(&readable); FD_ZERO(&writable);
    FD_SET(ends[0], &readable), FD_SET(ends[1], &writable);
    struct timeval moment = { 0, 1000 };
    REQUIRE(select(ends[1] + 1, &readable, &writable, NULL, &moment) == 2 && FD_ISSET(ends[0], &readable));
    char byte;
    REQUIRE(read(ends[0], &byte, 1) == 1);
    FD_ZERO(&readable); FD_SET(ends[0], &readable);
    REQUIRE(select(ends[0] + 1, &readable, NULL, NULL, &moment) == 0 && !FD_ISSET(ends[0], &readable));
    close(ends[1]);
    REQUIRE(poll(set, 1, 0) == 1 && set[0].revents == POLLHUP);
    close(ends[0]);
    REQUIRE(poll(set, 1, 0) == 1 && set[0].revents == POLLNVAL);
    FD_ZERO(&readable); FD_SET(ends[0], &readable);
    REQUIRE_ERROR(select(ends[0] + 1, &readable, NULL, NULL, NULL), EBADF);
}

/* The mask is exchanged and restored in one step with the wait. */
static void waiting_with_a_mask(void)
{
    sigset_t blocked, open_mask, now;
    handle(SIGUSR1, ignore, 0);
    sigemptyset(&blocked), sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    raise(SIGUSR1);
    struct timespec long_time = { 10, 0 };
    REQUIRE_ERROR(ppoll(NULL, 0, &long_time, &open_mask), EINTR);
    REQUIRE(long_time.tv_sec == 10);
    raise(SIGUSR1);
    REQUIRE_ERROR(pselect(0, NULL, NULL, NULL, &long_time, &open_mask), EINTR);
    raise(SIGUSR1);
    int poller = epoll_create1(0);
    struct epoll_event event;
    REQUIRE_ERROR(epoll_pwait(poller, &event, 1, 10000, &open_mask), EINTR);
    sigprocmask(SIG_SETMASK, &open_mask, &now);
    REQUIRE(sigismember(&now, SIGUSR1));
    close(poller);
}

static void epoll(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC), ends[2];
    REQUIRE(poller >= 0 && pipe2(ends, O_NONBLOCK) == 0);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_C(0x123456789abcdef0) }, got[4];
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event) == 0);
    REQUIRE_ERROR(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event), EEXIST);
    REQUIRE(epoll_wait(poller, got, 4, 10) == 0 && write(ends[1], "ab", 2) == 2);
    for (int i = 0; i < 2; i++)
        REQUIRE(epoll_wait(poller, got, 4, -1) == 1 && got[0].events == EPOLLIN && got[0].data.u64 == event.data.u64);
    event.events = EPOLLIN | EPOLLET;
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_MOD, ends[0], &event) == 0);
    REQUIRE(epoll_wait(poller, got, 4, 0) == 1 && epoll_wait(poller, got, 4, 0) == 0);
    event.events = EPOLLIN | EPOLLONESHOT;
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_MOD, ends[0], &event) == 0 && epoll_wait(poller, got, 4, 0) == 1);
    REQUIRE(write(ends[1], "c", 1) == 1 && epoll_wait(poller, got, 4, 0) == 0);
    event.events = EPOLLOUT, event.data.fd = ends[1];
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_ADD, ends[1], &event) == 0 && epoll_wait(poller, got, 4, 0) == 1 && got[0].data.fd == ends[1]);
    REQUIRE(epoll_ctl(poller, EPOLL_CTL_DEL, ends[1], NULL) == 0 && epoll_wait(poller, got, 4, 0) == 0);
    REQUIRE_ERROR(epoll_ctl(poller, EPOLL_CTL_DEL, ends[1], NULL), ENOENT);
    REQUIRE_ERROR(epoll_ctl(poller, EPOLL_CTL_ADD, poller, &event), EINVAL);
    close(ends[0]), close(ends[1]), close(poller);
}

static void *signal_event(void *descriptor)
{
    sleep_ms(50);
    REQUIRE(eventfd_write(*(int *)descriptor, 5) == 0);
    return NULL;
}

static void event_counters(void)
{
    int counter = eventfd(3, EFD_NONBLOCK), semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK), waited = eventfd(0, 0);
    uint64_t value = 4;
    REQUIRE(write(counter, &value, 8) == 8 && read(counter, &value, 8) == 8 && value == 7);
    REQUIRE_ERROR(read(counter, &value, 8), EAGAIN);
    REQUIRE_ERROR(read(counter, &value, 4), EINVAL);
    REQUIRE(read(semaphore, &value, 8) == 8 && value == 1 && read(semaphore, &value, 8) == 8);
    REQUIRE_ERROR(read(semaphore, &value, 8), EAGAIN);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, signal_event, &waited) == 0 && read(waited, &value, 8) == 8 && value == 5);
    pthread_join(thread, NULL);
    close(counter), close(semaphore), close(waited);
}

static void timer_descriptors(void)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t expirations;
    struct itimerspec setting = { { 0, 10000000 }, { 0, 10000000 } }, now;
    REQUIRE(timer >= 0 && timerfd_settime(timer, 0, &setting, NULL) == 0);
    REQUIRE_ERROR(read(timer, &expirations, 8), EAGAIN);
    sleep_ms(55);
    REQUIRE(read(timer, &expirations, 8) == 8 && expirations >= 4);
    REQUIRE(timerfd_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 10000000);
    setting = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
    clock_gettime(CLOCK_MONOTONIC, &setting.it_value);
    REQUIRE(timerfd_settime(timer, TFD_TIMER_ABSTIME, &setting, NULL) == 0);
    struct pollfd poller = { timer, POLLIN, 0 };
    REQUIRE(poll(&poller, 1, 1000) == 1 && read(timer, &expirations, 8) == 8 && expirations == 1);
    close(timer);
}

static void signal_descriptors(void)
{
    sigset_t set, old;
    sigemptyset(&set), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGRTMIN + 4);
    sigprocmask(SIG_BLOCK, &set, &old);
    int descriptor = signalfd(-1, &set, SFD_NONBLOCK);
    struct signalfd_siginfo info[4];
    REQUIRE(descriptor >= 0);
    REQUIRE_ERROR(read(descriptor, info, sizeof info), EAGAIN);
    REQUIRE(kill(getpid(), SIGUSR2) == 0 && sigqueue(getpid(), SIGRTMIN + 4, (union sigval){ .sival_int = 99 }) == 0);
    REQUIRE(read(descriptor, info, sizeof info) == 2 * sizeof *info);
    REQUIRE(info[0].ssi_signo == SIGUSR2 && info[0].ssi_pid == (uint32_t)getpid() && info[0].ssi_code == SI_USER);
    REQUIRE(info[1].ssi_signo == (uint32_t)(SIGRTMIN + 4) && info[1].ssi_int == 99);
    pid_t child = fork();
    if (child == 0)
        _exit(12);
    struct pollfd poller = { descriptor, POLLIN, 0 };
    REQUIRE(poll(&poller, 1, 10000) == 1 && read(descriptor, info, sizeof info) == sizeof *info);
    REQUIRE(info[0].ssi_signo == SIGCHLD && info[0].ssi_status == 12 && waitpid(child, NULL, 0) == child);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(descriptor);
}

static void process_descriptors(void)
{
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd poller = { descriptor, POLLIN, 0 };
    REQUIRE(descriptor >= 0 && poll(&poller, 1, 20) == 0);
    REQUIRE(syscall(SYS_pidfd_send_signal, descriptor, SIGTERM, NULL, 0) == 0 && poll(&poller, 1, 10000) == 1);
    siginfo_t info;
    REQUIRE(waitid(3 /* P_PIDFD */, (id_t)descriptor, &info, WEXITED) == 0 && info.si_pid == child && info.si_status == SIGTERM);
    REQUIRE_ERROR(syscall(SYS_pidfd_send_signal, descriptor, 0, NULL, 0), ESRCH);
    close(descriptor);
}

int main(void)
{
    RUN(pipes);
    RUN(poll_and_select);
    RUN(waiting_with_a_mask);
    RUN(epoll);
    RUN(event_counters);
    RUN(timer_descriptors);
    RUN(signal_descriptors);
    RUN(process_descriptors);
    return finish();
}
