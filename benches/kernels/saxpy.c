/* y = a x + y over vectors of singles: loads, one multiplication, one addition and a store, four lanes at a time
 * where there are vectors. Multiplication and addition are rounded apart, so that all machines agree. */
#define KERNEL_NAME "saxpy"
#define KERNEL_ITERATIONS 20000
#include "kernel.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { LENGTH = 16384 };

static float x[LENGTH], y[LENGTH];

__attribute__((noinline)) static void saxpy(float a)
{
#if defined(__ARM_NEON)
    float32x4_t factor = vdupq_n_f32(a);
    for (int i = 0; i < LENGTH; i += 8) {
        float32x4_t low = vmulq_f32(factor, vld1q_f32(x + i)), high = vmulq_f32(factor, vld1q_f32(x + i + 4));
        vst1q_f32(y + i, vaddq_f32(low, vld1q_f32(y + i)));
        vst1q_f32(y + i + 4, vaddq_f32(high, vld1q_f32(y + i + 4)));
    }
#elif defined(__SSE2__)
    __m128 factor = _mm_set1_ps(a);
    for (int i = 0; i < LENGTH; i += 8) {
        __m128 low = _mm_mul_ps(factor, _mm_loadu_ps(x + i)), high = _mm_mul_ps(factor, _mm_loadu_ps(x + i + 4));
        _mm_storeu_ps(y + i, _mm_add_ps(low, _mm_loadu_ps(y + i)));
        _mm_storeu_ps(y + i + 4, _mm_add_ps(high, _mm_loadu_ps(y + i + 4)));
    }
#else
    for (int i = 0; i < LENGTH; i++)
        y[i] = a * x[i] + y[i];
#endif
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t random = 11, checksum = FOLD_START;
    for (int i = 0; i < LENGTH; i++) {
        x[i] = (float)(int32_t)(next_random(&random) >> 40) / 1048576.0f;
        y[i] = (float)i / 256.0f;
    }
    for (uint64_t i = 0; i < iterations; i++)
        saxpy(i % 2 ? 0.25f : -0.249f);
    saxpy(0.0f);
    for (int i = 0; i < LENGTH; i += 7) {
        CHECK(y[i] == y[i]);
        checksum = fold_double(checksum, y[i]);
    }
    return checksum;
}
