/* The Mandelbrot set in single precision: short dependent chains of f32 multiplies and adds. */
#define KERNEL_NAME "mandelbrot"
#define KERNEL_ITERATIONS 6

enum { WIDTH = 480, HEIGHT = 320, LIMIT = 200 };
typedef float number;
#define N(literal) literal##f

#include "mandelbrot.h"
