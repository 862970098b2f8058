/* The Mandelbrot set in single precision: short dependent chains of f32 multiplies and adds. */
#define KERNEL_NAME "mandelbrot"
#define KERNEL_ITERATIONS 6
#include "kernel.h"

enum { WIDTH = 480, HEIGHT = 320, LIMIT = 200 };

static uint32_t escape_time(float cx, float cy)
{
    float x = 0.0f, y = 0.0f, xx = 0.0f, yy = 0.0f;
    uint32_t n = 0;
    while (n < LIMIT && xx + yy <= 4.0f) {
        y = 2.0f * x * y + cy;
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
    CHECK(escape_time(0.0f, 0.0f) == LIMIT && escape_time(-1.0f, 0.0f) == LIMIT);
    CHECK(escape_time(2.0f, 2.0f) == 1);
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t inside = 0;
        float shift = (float)i * 0.001f;
        for (int row = 0; row < HEIGHT; row++) {
            uint64_t sum = 0;
            float cy = ((float)row - HEIGHT / 2) * (2.4f / HEIGHT);
            for (int column = 0; column < WIDTH; column++) {
                uint32_t n = escape_time((float)column * (3.2f / WIDTH) - 2.3f + shift, cy);
                inside += n == LIMIT;
                sum = sum * 31 + n;
            }
            checksum = fold(checksum, sum);
        }
        CHECK(inside > WIDTH * HEIGHT / 8 && inside < WIDTH * HEIGHT / 3);
    }
    return checksum;
}
