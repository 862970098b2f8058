/*
 * What every bench kernel shares: the command line, the checksum line and the self-check.
 *
 * A kernel defines KERNEL_NAME and KERNEL_ITERATIONS (the default amount of work, one to three
 * seconds under a translating emulator), includes this header and implements `kernel`. The same
 * source is built for the host and for every guest, so the checksum line must be equal everywhere:
 * no floating-point contraction, no dependence on pointer values, no C library randomness.
 */
#ifndef FERRY_KERNEL_H
#define FERRY_KERNEL_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the work `iterations` times and returns a checksum of everything computed. */
static uint64_t kernel(uint64_t iterations);

/* Ends the program when an invariant that the kernel's author can prove does not hold. */
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: self-check failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* xorshift64*: the same sequence on every machine. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* FNV-1a over one 64-bit word, for folding results into the checksum. */
static inline uint64_t fold(uint64_t checksum, uint64_t word)
{
    for (int i = 0; i < 8; i++) {
        checksum = (checksum ^ (word & 0xff)) * UINT64_C(0x100000001b3);
        word >>= 8;
    }
    return checksum;
}

#define FOLD_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t fold_double(uint64_t checksum, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return fold(checksum, bits);
}

int main(int argc, char **argv)
{
    uint64_t iterations = KERNEL_ITERATIONS;
    if (argc > 2) {
        fprintf(stderr, "usage: %s [ITERATIONS]\n", argv[0]);
        return 2;
    }
    if (argc == 2) {
        char *end;
        iterations = strtoull(argv[1], &end, 10);
        if (*end != '\0' || iterations == 0) {
            fprintf(stderr, "%s: iterations must be a positive number, not '%s'\n", argv[0], argv[1]);
            return 2;
        }
    }
    uint64_t checksum = kernel(iterations);
    printf("%s iterations=%" PRIu64 " checksum=%016" PRIx64 "\n", KERNEL_NAME, iterations, checksum);
    return 0;
}

#endif
