/*
 * What the guest test programs share. A program is a list of functions; each prints `ok NAME` when
 * it returns, and REQUIRE ends the program with a message when something is not as Linux has it.
 */
#ifndef FERRY_GUEST_H
#define FERRY_GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                        \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not true: %s (errno %d: %s)\n", __FILE__, __LINE__, #condition, \
                    errno, strerror(errno));                                                      \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

/* The call fails with exactly this error. */
#define REQUIRE_ERROR(call, error)                                                                  \
    do {                                                                                            \
        errno = 0;                                                                                  \
        long long result_ = (long long)(call);                                                      \
        if (result_ != -1 || errno != (error)) {                                                    \
            fprintf(stderr, "%s:%d: %s: result %lld, errno %d (%s), expected %s\n", __FILE__, __LINE__, \
                    #call, result_, errno, strerror(errno), #error);                                \
            _exit(1);                                                                               \
        }                                                                                           \
    } while (0)

/* For RUN: the name is printed only when the function comes back. */
#define RUN(function)              \
    do {                           \
        function();                \
        printf("ok " #function "\n"); \
        fflush(stdout);            \
    } while (0)

static inline int finish(void)
{
    puts("ok all");
    return 0;
}

static inline void sleep_ms(long milliseconds)
{
    struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = { 0 };
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigemptyset(&action.sa_mask);
    REQUIRE(sigaction(signal, &action, NULL) == 0);
}

/* Runs `body` in a child and returns its wait status. */
static inline int in_child(void (*body)(void))
{
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        body();
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

#endif
