/* Bytes by 32 at a time, as string functions and codecs work on them: comparisons to masks, shuffles by tables, sums of
 * absolute differences. On machines without AVX2 the same byte by byte. */
#define KERNEL_NAME "bytes-avx2"
#define KERNEL_ITERATIONS 20000
#include "kernel.h"

#ifdef __x86_64__
#pragma GCC target("avx2,bmi,popcnt")
#include <immintrin.h>
#endif

enum { LENGTH = 1 << 16 };

static uint8_t text[LENGTH] __attribute__((aligned(32))), out[LENGTH] __attribute__((aligned(32)));

/* Counts a byte, exchanges the halves of each, and sums differences. */
__attribute__((noinline)) static uint64_t pass(uint8_t wanted)
{
    uint64_t count = 0, differences = 0;
#ifdef __x86_64__
    const __m256i digits = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 16, 32, 48, 64, 80, 96, 112, -128, -112, -96, -80, -64, -48, -32, -16));
    const __m256i low_bits = _mm256_set1_epi8(15), key = _mm256_set1_epi8((char)wanted);
    for (int i = 0; i < LENGTH; i += 32) {
        __m256i here = _mm256_load_si256((const __m256i *)(text + i));
        count += (uint64_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(here, key)));
        __m256i low = _mm256_shuffle_epi8(digits, _mm256_and_si256(here, low_bits));
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(here, 4), low_bits);
        __m256i changed = _mm256_or_si256(low, high);
        _mm256_store_si256((__m256i *)(out + i), changed);
        __m256i sums = _mm256_sad_epu8(here, changed);
        __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        differences += (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
    }
#else
    for (int i = 0; i < LENGTH; i++) {
        uint8_t here = text[i], changed = (uint8_t)(here << 4 | here >> 4);
        count += here == wanted;
        out[i] = changed;
        differences += here > changed ? here - changed : changed - here;
    }
#endif
    return count * 1000003 + differences;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t random = 3, checksum = FOLD_START;
    for (int i = 0; i < LENGTH; i++)
        text[i] = (uint8_t)(next_random(&random) >> 32);
    for (uint64_t n = 0; n < iterations; n++) {
        checksum = fold(checksum, pass((uint8_t)n));
        text[n % LENGTH] ^= out[(n * 5) % LENGTH];
    }
    CHECK(out[LENGTH - 1] == (uint8_t)(text[LENGTH - 1] << 4 | text[LENGTH - 1] >> 4) || iterations >= LENGTH);
    return checksum;
}
