/* A second thread. */
#include "live.h"

static char stack[8192] __attribute__((aligned(16)));

int run(long argc, char **argv)
{
    (void)argc, (void)argv;
    unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    long thread = call6(__NR_clone, flags, (long)(stack + sizeof stack), 0, 0, 0, 0);
    if (thread == 0)
        CALL(exit, 0, 0, 0, 0, 0);
    return 0;
}
