/* An LZ77 compressor and decompressor with hashed matches: byte work, unaligned loads, overlapping copies. */
#define KERNEL_NAME "lz"
#define KERNEL_ITERATIONS 80
#include "kernel.h"

enum { SIZE = 1 << 20, HASH_BITS = 15, SHORTEST = 4, FARTHEST = 65535, LONGEST = 255 };

/* Worst case: one length byte for each run of 255 literals. */
static uint8_t original[SIZE], packed[SIZE + SIZE / 64 + 64], unpacked[SIZE];
static uint32_t last_seen[1 << HASH_BITS];

static uint32_t load32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t hash_at(const uint8_t *p)
{
    return load32(p) * 2654435761u >> (32 - HASH_BITS);
}

static uint8_t *put_literals(uint8_t *out, const uint8_t *from, size_t count)
{
    while (count > 0) {
        size_t run = count < 127 ? count : 127;
        *out++ = (uint8_t)run;
        memcpy(out, from, run);
        out += run, from += run, count -= run;
    }
    return out;
}

/* A match: 0x80, its length, its distance as two bytes. */
static uint8_t *put_match(uint8_t *out, size_t length, size_t distance)
{
    *out++ = 0x80;
    *out++ = (uint8_t)length;
    *out++ = (uint8_t)distance;
    *out++ = (uint8_t)(distance >> 8);
    return out;
}

static size_t match_length(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    const uint8_t *start = b;
    while (b < end && b - start < LONGEST && *a == *b)
        a++, b++;
    return (size_t)(b - start);
}

__attribute__((noipa)) static size_t pack(uint8_t *out, const uint8_t *in, size_t size)
{
    uint8_t *start = out;
    size_t at = 0, literals = 0;
    memset(last_seen, 0, sizeof last_seen);
    while (at + SHORTEST <= size) {
        uint32_t *slot = &last_seen[hash_at(in + at)];
        size_t candidate = *slot;
        *slot = (uint32_t)at;
        size_t length = 0;
        if (candidate < at && at - candidate <= FARTHEST && load32(in + candidate) == load32(in + at))
            length = match_length(in + candidate, in + at, in + size);
        if (length < SHORTEST) {
            at++;
            continue;
        }
        out = put_literals(out, in + literals, at - literals);
        out = put_match(out, length, at - candidate);
        at += length;
        literals = at;
    }
    out = put_literals(out, in + literals, size - literals);
    return (size_t)(out - start);
}

__attribute__((noipa)) static size_t unpack(uint8_t *out, const uint8_t *in, size_t size)
{
    uint8_t *start = out;
    const uint8_t *end = in + size;
    while (in < end) {
        if (*in != 0x80) {
            memcpy(out, in + 1, *in);
            out += *in;
            in += 1 + *in;
            continue;
        }
        const uint8_t *from = out - (in[2] | in[3] << 8);
        for (size_t left = in[1]; left > 0; left--)
            *out++ = *from++;
        in += 4;
    }
    return (size_t)(out - start);
}

/* Phrases drawn again and again from a small vocabulary, with some noise between them. */
static void write_original(uint64_t *random)
{
    static uint8_t phrases[64][32];
    for (size_t i = 0; i < sizeof phrases; i++)
        phrases[i / 32][i % 32] = (uint8_t)next_random(random);
    for (size_t at = 0; at < SIZE;) {
        size_t length = 6 + next_random(random) % 26;
        uint64_t choice = next_random(random);
        for (size_t i = 0; i < length && at < SIZE; i++)
            original[at++] = choice % 8 ? phrases[choice >> 32 & 63][i] : (uint8_t)next_random(random);
    }
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 9;
    for (uint64_t i = 0; i < iterations; i++) {
        write_original(&random);
        size_t size = pack(packed, original, SIZE);
        CHECK(size < SIZE * 3 / 4);
        CHECK(unpack(unpacked, packed, size) == SIZE);
        CHECK(memcmp(original, unpacked, SIZE) == 0);
        checksum = fold(fold(checksum, size), load32(packed + size / 2));
    }
    return checksum;
}
