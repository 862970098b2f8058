/* Product of two matrices of doubles, rows by rows: multiply-add streams over contiguous memory. */
#define KERNEL_NAME "matmul"
#define KERNEL_ITERATIONS 4
#include "kernel.h"

enum { N = 256 };

static double a[N][N], b[N][N], product[N][N];

/* Small integers: every sum is exact, so the result can be checked with integer arithmetic. */
static void fill(double m[N][N], uint64_t *random)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            m[i][j] = (double)(next_random(random) >> 56) - 128.0;
}

__attribute__((noipa)) static void multiply(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            product[i][j] = 0.0;
        for (int k = 0; k < N; k++) {
            double factor = a[i][k];
            for (int j = 0; j < N; j++)
                product[i][j] += factor * b[k][j];
        }
    }
}

static int64_t exact_element(int i, int j)
{
    int64_t sum = 0;
    for (int k = 0; k < N; k++)
        sum += (int64_t)a[i][k] * (int64_t)b[k][j];
    return sum;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 3;
    for (uint64_t n = 0; n < iterations; n++) {
        fill(a, &random);
        fill(b, &random);
        multiply();
        for (int i = 0; i < N; i += 17) {
            CHECK(product[i][N - 1 - i] == (double)exact_element(i, N - 1 - i));
            checksum = fold_double(checksum, product[i][i]);
        }
    }
    return checksum;
}
