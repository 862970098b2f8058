/* Doubly recursive Fibonacci: nothing but calls, returns and the stack. */
#define KERNEL_NAME "fib"
#define KERNEL_ITERATIONS 5
#include "kernel.h"

enum { ARGUMENT = 36, RESULT = 14930352 };

/* `noipa` keeps the compiler from cloning and unrolling the recursion away. */
__attribute__((noipa)) static uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t result = fib(ARGUMENT);
        CHECK(result == RESULT);
        checksum = fold(checksum, result + i);
    }
    return checksum;
}
