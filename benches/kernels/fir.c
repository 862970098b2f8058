/* A finite impulse response filter on 16-bit samples, as audio and radio programs have it: widening multiplications
 * that accumulate, then a rounding and saturating shift back to 16 bits. */
#define KERNEL_NAME "fir"
#define KERNEL_ITERATIONS 6000
#include "kernel.h"

#ifdef __ARM_NEON
#include <arm_neon.h>
#endif

enum { SAMPLES = 8192, TAPS = 32 };

static int16_t input[SAMPLES + TAPS], output[SAMPLES], taps[TAPS];

#ifndef __ARM_NEON
static int16_t saturate(int32_t value)
{
    return value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : (int16_t)value;
}
#endif

__attribute__((noinline)) static void filter(void)
{
#ifdef __ARM_NEON
    for (int i = 0; i < SAMPLES; i += 8) {
        int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
        for (int k = 0; k < TAPS; k++) {
            int16x8_t samples = vld1q_s16(input + i + k);
            low = vmlal_n_s16(low, vget_low_s16(samples), taps[k]);
            high = vmlal_n_s16(high, vget_high_s16(samples), taps[k]);
        }
        vst1q_s16(output + i, vcombine_s16(vqrshrn_n_s32(low, 15), vqrshrn_n_s32(high, 15)));
    }
#else
    for (int i = 0; i < SAMPLES; i++) {
        int32_t sum = 0;
        for (int k = 0; k < TAPS; k++)
            sum += (int32_t)input[i + k] * taps[k];
        output[i] = saturate((sum + (1 << 14)) >> 15);
    }
#endif
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t random = 13, checksum = FOLD_START;
    for (int i = 0; i < SAMPLES + TAPS; i++)
        input[i] = (int16_t)(next_random(&random) >> 48);
    for (int i = 0; i < TAPS; i++)
        taps[i] = (int16_t)((next_random(&random) >> 52) - 2048);
    for (uint64_t round = 0; round < iterations; round++) {
        filter();
        for (int i = 0; i < SAMPLES; i += 61)
            checksum = fold(checksum, (uint16_t)output[i]);
        input[round % SAMPLES] ^= output[(round * 7) % SAMPLES];
    }
    return checksum;
}
