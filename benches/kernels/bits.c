/* CRC-32 by table and by bit, population counts, byte swaps and Morton codes: shifts, masks, table loads. */
#define KERNEL_NAME "bits"
#define KERNEL_ITERATIONS 200
#include "kernel.h"

enum { SIZE = 1 << 20, WORDS = SIZE / 8 };
enum { CRC32_POLYNOMIAL_REVERSED = 0xedb88320 };

static uint64_t words[WORDS];
static uint32_t crc_table[256];

static uint32_t crc_of_byte(uint32_t byte)
{
    for (int i = 0; i < 8; i++)
        byte = byte >> 1 ^ (byte & 1 ? (uint32_t)CRC32_POLYNOMIAL_REVERSED : 0);
    return byte;
}

static uint32_t crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc_table[(crc ^ data[i]) & 0xff];
    return ~crc;
}

static uint32_t population(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(x * UINT64_C(0x0101010101010101) >> 56);
}

static uint64_t spread(uint32_t x)
{
    uint64_t y = x;
    y = (y | y << 16) & UINT64_C(0x0000ffff0000ffff);
    y = (y | y << 8) & UINT64_C(0x00ff00ff00ff00ff);
    y = (y | y << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    y = (y | y << 2) & UINT64_C(0x3333333333333333);
    return (y | y << 1) & UINT64_C(0x5555555555555555);
}

static uint64_t swap_bytes(uint64_t x)
{
    x = (x & UINT64_C(0x00ff00ff00ff00ff)) << 8 | (x >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    x = (x & UINT64_C(0x0000ffff0000ffff)) << 16 | (x >> 16 & UINT64_C(0x0000ffff0000ffff));
    return x << 32 | x >> 32;
}

static uint32_t trailing_zeros_by_loop(uint64_t x)
{
    uint32_t count = 0;
    for (; (x & 1) == 0 && count < 64; count++)
        x >>= 1;
    return count;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 13;
    for (uint32_t i = 0; i < 256; i++)
        crc_table[i] = crc_of_byte(i);
    CHECK(crc32((const uint8_t *)"123456789", 9) == 0xcbf43926); /* the catalogue's check value */
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t ones = 0, zeros = 0, mixed = 0;
        for (int k = 0; k < WORDS; k++) {
            uint64_t x = words[k] = next_random(&random);
            ones += population(x);
            zeros += 64 - population(~x) + trailing_zeros_by_loop(x);
            mixed ^= swap_bytes(spread((uint32_t)x) | spread((uint32_t)(x >> 32)) << 1);
        }
        CHECK(population(mixed) == population(swap_bytes(mixed)));
        checksum = fold(fold(fold(checksum, ones), zeros), mixed);
        checksum = fold(checksum, crc32((const uint8_t *)words, SIZE));
    }
    return checksum;
}
