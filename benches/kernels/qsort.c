/* Quicksort with a comparison through a function pointer: unpredictable branches, indirect calls. */
#define KERNEL_NAME "qsort"
#define KERNEL_ITERATIONS 5
#include "kernel.h"

enum { COUNT = 500000, INSERTION_LIMIT = 12 };

typedef int (*compare_fn)(const uint64_t *, const uint64_t *);

static uint64_t values[COUNT];

static int ascending(const uint64_t *a, const uint64_t *b)
{
    return (*a > *b) - (*a < *b);
}

static int by_low_half(const uint64_t *a, const uint64_t *b)
{
    uint32_t x = (uint32_t)*a, y = (uint32_t)*b;
    return x == y ? ascending(a, b) : (x > y) - (x < y);
}

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t old = *a;
    *a = *b;
    *b = old;
}

static void insertion_sort(uint64_t *first, uint64_t *last, compare_fn compare)
{
    for (uint64_t *i = first + 1; i <= last; i++)
        for (uint64_t *j = i; j > first && compare(j - 1, j) > 0; j--)
            swap(j - 1, j);
}

static uint64_t median_of_three(uint64_t *first, uint64_t *last, compare_fn compare)
{
    uint64_t *middle = first + (last - first) / 2;
    if (compare(first, middle) > 0)
        swap(first, middle);
    if (compare(middle, last) > 0)
        swap(middle, last);
    if (compare(first, middle) > 0)
        swap(first, middle);
    return *middle;
}

__attribute__((noinline)) static void sort(uint64_t *first, uint64_t *last, compare_fn compare)
{
    while (last - first > INSERTION_LIMIT) {
        uint64_t pivot = median_of_three(first, last, compare);
        uint64_t *low = first, *high = last;
        while (low <= high) {
            while (compare(low, &pivot) < 0)
                low++;
            while (compare(high, &pivot) > 0)
                high--;
            if (low <= high)
                swap(low++, high--);
        }
        if (high - first < last - low) {
            sort(first, high, compare);
            first = low;
        } else {
            sort(low, last, compare);
            last = high;
        }
    }
    insertion_sort(first, last, compare);
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 42;
    for (uint64_t i = 0; i < iterations; i++) {
        compare_fn compare = i % 2 ? by_low_half : ascending;
        uint64_t sum = 0, sorted_sum = 0;
        for (int k = 0; k < COUNT; k++)
            sum += values[k] = next_random(&random);
        sort(values, values + COUNT - 1, compare);
        for (int k = 0; k < COUNT; k++) {
            CHECK(k == 0 || compare(&values[k - 1], &values[k]) <= 0);
            sorted_sum += values[k];
        }
        CHECK(sum == sorted_sum);
        checksum = fold(fold(checksum, values[0]), values[COUNT / 2]);
    }
    return checksum;
}
