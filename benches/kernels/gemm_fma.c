/* C = A B over doubles with AVX2 and FMA: four lanes, fused. On machines without, the same by fma() of the C library. */
#define KERNEL_NAME "gemm-fma"
#define KERNEL_ITERATIONS 60
#include "kernel.h"
#include <math.h>

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#endif

enum { SIZE = 192 };

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

__attribute__((noinline)) static void multiply(void)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j += 8) {
#ifdef __x86_64__
            __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
            for (int k = 0; k < SIZE; k++) {
                __m256d factor = _mm256_broadcast_sd(&a[i][k]);
                low = _mm256_fmadd_pd(factor, _mm256_loadu_pd(&b[k][j]), low);
                high = _mm256_fmadd_pd(factor, _mm256_loadu_pd(&b[k][j + 4]), high);
            }
            _mm256_storeu_pd(&c[i][j], low);
            _mm256_storeu_pd(&c[i][j + 4], high);
#else
            for (int lane = j; lane < j + 8; lane++) {
                double sum = 0;
                for (int k = 0; k < SIZE; k++)
                    sum = fma(a[i][k], b[k][lane], sum);
                c[i][lane] = sum;
            }
#endif
        }
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t random = 5, checksum = FOLD_START;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (double)(int64_t)(next_random(&random) >> 20) / 0x1p43;
            b[i][j] = (double)(int64_t)(next_random(&random) >> 20) / 0x1p43 - 1;
        }
    for (uint64_t n = 0; n < iterations; n++) {
        multiply();
        for (int i = 0; i < SIZE; i++)
            a[i][n % SIZE] = c[i][(n * 7) % SIZE] / SIZE;
    }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j += 5) {
            CHECK(c[i][j] == c[i][j]);
            checksum = fold_double(checksum, c[i][j]);
        }
    return checksum;
}
