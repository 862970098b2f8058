/* SHA-256 (FIPS 180-4) by the instructions for it, as OpenSSL and the kernel do it on AArch64. On machines without
 * them the same function by rounds, so that outputs can be compared. */
#define KERNEL_NAME "sha256-crypto"
#define KERNEL_ITERATIONS 400
#include "kernel.h"

#ifdef __aarch64__
#pragma GCC target("+crypto")
#include <arm_neon.h>
#endif

enum { BLOCK = 64, MESSAGE = 1 << 18 };

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t initial_hash[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint8_t message[MESSAGE];

#ifdef __aarch64__
static void compress(uint32_t hash[8], const uint8_t *block)
{
    uint32x4_t abcd = vld1q_u32(hash), efgh = vld1q_u32(hash + 4), words[4];
    const uint32x4_t abcd_before = abcd, efgh_before = efgh;
    for (int i = 0; i < 4; i++)
        words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
#pragma GCC unroll 16
    for (int group = 0; group < 16; group++) {
        uint32x4_t word = words[group % 4], sum = vaddq_u32(word, vld1q_u32(round_constants + 4 * group));
        uint32x4_t before = abcd;
        abcd = vsha256hq_u32(abcd, efgh, sum);
        efgh = vsha256h2q_u32(efgh, before, sum);
        if (group < 12) {
            uint32x4_t next = vsha256su0q_u32(word, words[(group + 1) % 4]);
            words[group % 4] = vsha256su1q_u32(next, words[(group + 2) % 4], words[(group + 3) % 4]);
        }
    }
    vst1q_u32(hash, vaddq_u32(abcd, abcd_before));
    vst1q_u32(hash + 4, vaddq_u32(efgh, efgh_before));
}
#else
static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t hash[8], const uint8_t *block)
{
    uint32_t w[64], s[8];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
        w[t] = w[t - 16] + s0 + w[t - 7] + (rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10);
    }
    memcpy(s, hash, sizeof s);
    for (int t = 0; t < 64; t++) {
        uint32_t sum1 = rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25);
        uint32_t t1 = s[7] + sum1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + round_constants[t] + w[t];
        uint32_t sum0 = rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22);
        uint32_t t2 = sum0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1, s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        hash[i] += s[i];
}
#endif

/* Of whole blocks only, without padding. */
static void digest(uint32_t hash[8])
{
    memcpy(hash, initial_hash, sizeof initial_hash);
    for (size_t at = 0; at < MESSAGE; at += BLOCK)
        compress(hash, message + at);
}

static uint64_t kernel(uint64_t iterations)
{
    uint32_t hash[8];
    uint8_t block[BLOCK] = { 'a', 'b', 'c', 0x80 };
    uint64_t checksum = FOLD_START, random = 7;
    block[BLOCK - 1] = 24;
    memcpy(hash, initial_hash, sizeof hash);
    compress(hash, block);
    CHECK(hash[0] == 0xba7816bf && hash[7] == 0xf20015ad); /* FIPS 180-4, example B.1 */
    for (int i = 0; i < MESSAGE; i++)
        message[i] = (uint8_t)next_random(&random);
    for (uint64_t i = 0; i < iterations; i++) {
        digest(hash);
        memcpy(message, hash, sizeof hash);
        checksum = fold(checksum, (uint64_t)hash[0] << 32 | hash[7]);
    }
    return checksum;
}
