/*
 * The Mandelbrot set, in numbers of any type.
 *
 * Beside what kernel.h asks for, a kernel defines `number`, N(literal) as a literal of that type,
 * and WIDTH, HEIGHT and LIMIT.
 */
#include "kernel.h"

static uint32_t escape_time(number cx, number cy)
{
    number x = N(0.0), y = N(0.0), xx = N(0.0), yy = N(0.0);
    uint32_t n = 0;
    while (n < LIMIT && xx + yy <= N(4.0)) {
        y = N(2.0) * x * y + cy;
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
    CHECK(escape_time(N(0.0), N(0.0)) == LIMIT && escape_time(N(-1.0), N(0.0)) == LIMIT);
    CHECK(escape_time(N(2.0), N(2.0)) == 1);
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t inside = 0;
        number shift = (number)i * N(0.001);
        for (int row = 0; row < HEIGHT; row++) {
            uint64_t sum = 0;
            number cy = ((number)row - HEIGHT / 2) * (N(2.4) / HEIGHT);
            for (int column = 0; column < WIDTH; column++) {
                uint32_t n = escape_time((number)column * (N(3.2) / WIDTH) - N(2.3) + shift, cy);
                inside += n == LIMIT;
                sum = sum * 31 + n;
            }
            checksum = fold(checksum, sum);
        }
        CHECK(inside > WIDTH * HEIGHT / 8 && inside < WIDTH * HEIGHT / 3);
    }
    return checksum;
}
