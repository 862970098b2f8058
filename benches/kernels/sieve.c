/* Sieve of Eratosthenes over one byte a number: tight loops, byte stores, well-predicted branches. */
#define KERNEL_NAME "sieve"
#define KERNEL_ITERATIONS 180
#include "kernel.h"

enum { LIMIT = 2000000, PRIMES_BELOW_LIMIT = 148933 };

static uint8_t composite[LIMIT];

static uint64_t sieve(void)
{
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i * i < LIMIT; i++) {
        if (composite[i])
            continue;
        for (uint32_t j = i * i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    uint64_t count = 0;
    for (uint32_t i = 2; i < LIMIT; i++)
        count += !composite[i];
    return count;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t count = sieve();
        CHECK(count == PRIMES_BELOW_LIMIT);
        checksum = fold(checksum, count + i);
    }
    return checksum;
}
