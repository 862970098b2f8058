/* AES-128-GCM (NIST SP 800-38D) by the instructions for it, as OpenSSL does it on AArch64. On machines without them
 * the same by bytes and bits, so that outputs can be compared. */
#define KERNEL_NAME "aes-gcm"
#define KERNEL_ITERATIONS 300
#include "kernel.h"

#ifdef __aarch64__
#pragma GCC target("+crypto")
#include <arm_neon.h>
#endif

enum { BLOCK = 16, ROUNDS = 10, LANES = 4, MESSAGE = 1 << 18 };

static uint8_t sbox[256], round_keys[(ROUNDS + 1) * BLOCK];
static uint8_t plain[MESSAGE], cipher[MESSAGE];

static uint8_t times_x(uint8_t a)
{
    return (uint8_t)(a << 1 ^ (a >> 7) * 0x1b);
}

/* FIPS 197, 5.1.1: walks through GF(2^8) by a generator and its inverse. */
static void make_sbox(void)
{
    uint8_t p = 1, q = 1;
    do {
        p ^= times_x(p);
        q ^= q << 1, q ^= q << 2, q ^= q << 4;
        if (q & 0x80)
            q ^= 0x09;
        uint8_t sum = q;
        for (int i = 1; i <= 4; i++)
            sum ^= (uint8_t)(q << i | q >> (8 - i));
        sbox[p] = sum ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
}

/* FIPS 197, 5.2. */
static void expand_key(const uint8_t key[BLOCK])
{
    uint8_t *const words = round_keys;
    uint8_t constant = 1;
    memcpy(words, key, BLOCK);
    for (int at = BLOCK; at < (ROUNDS + 1) * BLOCK; at += 4) {
        uint8_t word[4];
        memcpy(word, words + at - 4, sizeof word);
        if (at % BLOCK == 0) {
            const uint8_t first = word[0];
            word[0] = sbox[word[1]] ^ constant, word[1] = sbox[word[2]], word[2] = sbox[word[3]], word[3] = sbox[first];
            constant = times_x(constant);
        }
        for (int i = 0; i < 4; i++)
            words[at + i] = words[at + i - BLOCK] ^ word[i];
    }
}

/* The counter's block: 96 bits of the nonce, and a number, the most significant byte first. */
static void counter_block(uint8_t block[BLOCK], const uint8_t nonce[12], uint32_t number)
{
    memcpy(block, nonce, 12);
    for (int i = 0; i < 4; i++)
        block[12 + i] = (uint8_t)(number >> (24 - 8 * i));
}

#ifdef __aarch64__
typedef uint8x16_t element; /* of GF(2^128), the coefficient of x^0 lowest */

static element from_bytes(const uint8_t bytes[BLOCK])
{
    return vrbitq_u8(vld1q_u8(bytes));
}

static void to_bytes(uint8_t bytes[BLOCK], element a)
{
    vst1q_u8(bytes, vrbitq_u8(a));
}

static inline uint8x16_t product(uint64_t a, uint64_t b)
{
    return vreinterpretq_u8_p128(vmull_p64(a, b));
}

static inline uint8x16_t high_product(uint8x16_t a, uint8x16_t b)
{
    return vreinterpretq_u8_p128(vmull_high_p64(vreinterpretq_p64_u8(a), vreinterpretq_p64_u8(b)));
}

static inline element multiply(element a, element b)
{
    const uint8x16_t zero = vdupq_n_u8(0), poly = vreinterpretq_u8_u64(vdupq_n_u64(0x87));
    const uint64x2_t a64 = vreinterpretq_u64_u8(a), b64 = vreinterpretq_u64_u8(b);
    uint8x16_t low = product(vgetq_lane_u64(a64, 0), vgetq_lane_u64(b64, 0)), high = high_product(a, b);
    const uint8x16_t swapped = vextq_u8(b, b, 8);
    const uint64x2_t s64 = vreinterpretq_u64_u8(swapped);
    const uint8x16_t middle = veorq_u8(product(vgetq_lane_u64(a64, 0), vgetq_lane_u64(s64, 0)), high_product(a, swapped));
    low = veorq_u8(low, vextq_u8(zero, middle, 8));
    high = veorq_u8(high, vextq_u8(middle, zero, 8));
    const uint8x16_t folded = high_product(high, poly);
    low = veorq_u8(low, vextq_u8(zero, folded, 8));
    high = veorq_u8(high, vextq_u8(folded, zero, 8));
    return veorq_u8(low, product(vgetq_lane_u64(vreinterpretq_u64_u8(high), 0), 0x87));
}

static inline element add(element a, element b)
{
    return veorq_u8(a, b);
}

/* As many blocks as keep the units for AES busy. */
static void encrypt_blocks(uint8_t blocks[LANES][BLOCK])
{
    uint8x16_t state[LANES];
    for (int i = 0; i < LANES; i++)
        state[i] = vld1q_u8(blocks[i]);
#pragma GCC unroll 9
    for (int round = 0; round < ROUNDS - 1; round++) {
        const uint8x16_t key = vld1q_u8(round_keys + BLOCK * round);
#pragma GCC unroll 4
        for (int i = 0; i < LANES; i++)
            state[i] = vaesmcq_u8(vaeseq_u8(state[i], key));
    }
    for (int i = 0; i < LANES; i++)
        vst1q_u8(blocks[i], veorq_u8(vaeseq_u8(state[i], vld1q_u8(round_keys + BLOCK * (ROUNDS - 1))), vld1q_u8(round_keys + BLOCK * ROUNDS)));
}
#else
typedef struct { uint64_t low, high; } element; /* of GF(2^128), the coefficient of x^0 lowest */

static element from_bytes(const uint8_t bytes[BLOCK])
{
    element a = { 0, 0 };
    for (int i = 0; i < 64; i++) {
        a.low |= (uint64_t)(bytes[i / 8] >> (7 - i % 8) & 1) << i;
        a.high |= (uint64_t)(bytes[8 + i / 8] >> (7 - i % 8) & 1) << i;
    }
    return a;
}

static void to_bytes(uint8_t bytes[BLOCK], element a)
{
    memset(bytes, 0, BLOCK);
    for (int i = 0; i < 64; i++) {
        bytes[i / 8] |= (uint8_t)((a.low >> i & 1) << (7 - i % 8));
        bytes[8 + i / 8] |= (uint8_t)((a.high >> i & 1) << (7 - i % 8));
    }
}

static element add(element a, element b)
{
    return (element){ a.low ^ b.low, a.high ^ b.high };
}

static element multiply(element a, element b)
{
    element sum = { 0, 0 };
    for (int i = 0; i < 128; i++) {
        const uint64_t take = -((i < 64 ? b.low >> i : b.high >> (i - 64)) & 1), carry = -(a.high >> 63);
        sum = (element){ sum.low ^ (a.low & take), sum.high ^ (a.high & take) };
        a = (element){ a.low << 1 ^ (carry & 0x87), a.high << 1 | a.low >> 63 };
    }
    return sum;
}

static void encrypt_block(uint8_t state[BLOCK])
{
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t old[BLOCK];
        for (int i = 0; i < BLOCK; i++)
            old[i] = state[i] ^ round_keys[BLOCK * round + i];
        for (int i = 0; i < BLOCK; i++)
            state[i] = sbox[old[(i + 4 * (i % 4)) % BLOCK]];
        for (int i = 0; i < BLOCK && round < ROUNDS - 1; i += 4) {
            uint8_t *s = state + i, all = s[0] ^ s[1] ^ s[2] ^ s[3], first = s[0];
            for (int k = 0; k < 3; k++)
                s[k] ^= all ^ times_x(s[k] ^ s[k + 1]);
            s[3] ^= all ^ times_x(s[3] ^ first);
        }
    }
    for (int i = 0; i < BLOCK; i++)
        state[i] ^= round_keys[BLOCK * ROUNDS + i];
}

static void encrypt_blocks(uint8_t blocks[LANES][BLOCK])
{
    for (int i = 0; i < LANES; i++)
        encrypt_block(blocks[i]);
}
#endif

/* SP 800-38D, 7.1, of whole blocks and without additional data. */
static void encrypt(uint8_t tag[BLOCK], const uint8_t nonce[12], uint8_t *to, const uint8_t *from, size_t length)
{
    uint8_t blocks[LANES][BLOCK] = { { 0 } }, mask[BLOCK];
    const uint8_t *const stream = (const uint8_t *)blocks;
    counter_block(blocks[1], nonce, 1);
    encrypt_blocks(blocks);
    const element h = from_bytes(blocks[0]);
    memcpy(mask, blocks[1], sizeof mask);
    element sum = add(h, h);
    uint32_t number = 2;
    for (size_t at = 0; at < length; at += sizeof blocks) {
        for (int i = 0; i < LANES; i++)
            counter_block(blocks[i], nonce, number++);
        encrypt_blocks(blocks);
        const size_t count = length - at < sizeof blocks ? length - at : sizeof blocks;
        for (size_t i = 0; i < count; i++)
            to[at + i] = from[at + i] ^ stream[i];
        for (size_t i = 0; i < count; i += BLOCK)
            sum = multiply(add(sum, from_bytes(to + at + i)), h);
    }
    uint8_t lengths[BLOCK] = { 0 };
    for (int i = 0; i < 8; i++)
        lengths[8 + i] = (uint8_t)((uint64_t)length * 8 >> (56 - 8 * i));
    to_bytes(tag, multiply(add(sum, from_bytes(lengths)), h));
    for (int i = 0; i < BLOCK; i++)
        tag[i] ^= mask[i];
}

static uint64_t kernel(uint64_t iterations)
{
    uint8_t key[BLOCK] = { 0 }, nonce[12] = { 0 }, tag[BLOCK];
    uint64_t checksum = FOLD_START, random = 7;
    make_sbox();
    expand_key(key);
    encrypt(tag, nonce, cipher, plain, BLOCK);
    CHECK(cipher[0] == 0x03 && cipher[15] == 0x78); /* test case 2 of the submission of GCM to NIST */
    CHECK(tag[0] == 0xab && tag[15] == 0xdf);
    for (int i = 0; i < MESSAGE; i++)
        plain[i] = (uint8_t)next_random(&random);
    for (uint64_t i = 0; i < iterations; i++) {
        encrypt(tag, nonce, cipher, plain, MESSAGE);
        memcpy(nonce, tag, sizeof nonce);
        checksum = fold(checksum, (uint64_t)tag[0] << 56 | (uint64_t)tag[15] << 8 | cipher[MESSAGE - 1]);
    }
    return checksum;
}
