/* The Mandelbrot set in 80 bits: each operation is one of x87's, and most results are inexact. */
#define KERNEL_NAME "x87"
#define KERNEL_ITERATIONS 3

enum { WIDTH = 240, HEIGHT = 160, LIMIT = 100 };
typedef long double number;
#define N(literal) literal##L

#include "mandelbrot.h"
