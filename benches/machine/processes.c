/*
 * What an operating system does for programs: `processes spawn N` starts N programs one after the other,
 * `processes switch N` passes a byte to and fro between two processes N times, `processes fault N` touches
 * N fresh pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void spawn(char *self, long count)
{
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            execl(self, self, "child", "0", (char *)NULL);
            _exit(1);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            fail("waitpid");
    }
}

static void switch_between(long count)
{
    int there[2], back[2];
    char byte = 'x';
    if (pipe(there) || pipe(back))
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        for (long i = 0; i < count; i++)
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    for (long i = 0; i < count; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            fail("pipe");
    waitpid(child, NULL, 0);
}

static void fault(long count)
{
    const long chunk = 4096;
    for (long done = 0; done < count; done += chunk) {
        char *pages = mmap(NULL, chunk * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            fail("mmap");
        for (long i = 0; i < chunk; i++)
            pages[i * 4096] = 1;
        munmap(pages, chunk * 4096);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s spawn|switch|fault COUNT\n", argv[0]);
        return 2;
    }
    long count = atol(argv[2]);
    if (!strcmp(argv[1], "child"))
        return 0;
    if (!strcmp(argv[1], "spawn"))
        spawn(argv[0], count);
    else if (!strcmp(argv[1], "switch"))
        switch_between(count);
    else
        fault(count);
    printf("%s %ld\n", argv[1], count);
    return 0;
}
