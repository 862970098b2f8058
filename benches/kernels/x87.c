/* The Mandelbrot set in 80 bits: each operation is one of x87's, and most results are inexact. */
#define KERNEL_NAME "x87"
#define KERNEL_ITERATIONS 3
#include "kernel.h"

enum { WIDTH = 240, HEIGHT = 160, LIMIT = 100 };

static uint32_t escape_time(long double cx, long double cy)
{
    long double x = 0.0L, y = 0.0L, xx = 0.0L, yy = 0.0L;
    uint32_t n = 0;
    while (n < LIMIT && xx + yy <= 4.0L) {
        y = 2.0L * x * y + cy;
        x = xx - yy + cx;
        xx = x * x;
        yy = y * y;
        n++;
    }
    return n;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START;
    CHECK(escape_time(0.0L, 0.0L) == LIMIT && escape_time(-1.0L, 0.0L) == LIMIT);
    CHECK(escape_time(2.0L, 2.0L) == 1);
    for (uint64_t i = 0; i < iterations; i++) {
        long double shift = (long double)i * 0.001L;
        for (int row = 0; row < HEIGHT; row++) {
            uint64_t sum = 0;
            long double cy = ((long double)row - HEIGHT / 2) * (2.4L / HEIGHT);
            for (int column = 0; column < WIDTH; column++)
                sum = sum * 31 + escape_time((long double)column * (3.2L / WIDTH) - 2.3L + shift, cy);
            checksum = fold(checksum, sum);
        }
    }
    return checksum;
}
