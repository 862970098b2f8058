/* Dies of a signal that has no handler. */
#include "live.h"

int run(long argc, char **argv)
{
    (void)argv;
    *(volatile int *)(8 * argc) = 1;
    return 0;
}
