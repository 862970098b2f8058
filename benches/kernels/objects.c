/* Objects of several classes behind method tables: calls through loaded pointers, polymorphic sites. */
#define KERNEL_NAME "objects"
#define KERNEL_ITERATIONS 80
#include "kernel.h"

enum { SHAPES = 4096, ROUNDS = 60 };

struct shape;

struct methods {
    uint64_t (*area)(const struct shape *);
    void (*grow)(struct shape *, uint64_t amount);
    uint64_t (*edges)(const struct shape *);
};

struct shape {
    const struct methods *methods;
    uint64_t width, height;
};

static uint64_t rectangle_area(const struct shape *s) { return s->width * s->height; }
static uint64_t triangle_area(const struct shape *s) { return s->width * s->height / 2; }
static uint64_t square_area(const struct shape *s) { return s->width * s->width; }
static uint64_t point_area(const struct shape *s) { (void)s; return 0; }

static void grow_both(struct shape *s, uint64_t amount) { s->width += amount; s->height += amount; }
static void grow_width(struct shape *s, uint64_t amount) { s->width += amount; }
static void grow_never(struct shape *s, uint64_t amount) { (void)s; (void)amount; }

static uint64_t four_edges(const struct shape *s) { (void)s; return 4; }
static uint64_t three_edges(const struct shape *s) { (void)s; return 3; }
static uint64_t no_edges(const struct shape *s) { (void)s; return 0; }

static const struct methods classes[] = {
    { rectangle_area, grow_both, four_edges },
    { triangle_area, grow_both, three_edges },
    { square_area, grow_width, four_edges },
    { point_area, grow_never, no_edges },
};

enum { CLASSES = sizeof classes / sizeof classes[0] };

static struct shape shapes[SHAPES];

static uint64_t expected_edges(uint64_t *random)
{
    static const uint64_t edges[CLASSES] = { 4, 3, 4, 0 };
    uint64_t total = 0;
    for (int i = 0; i < SHAPES; i++) {
        uint64_t class = next_random(random) % CLASSES;
        shapes[i] = (struct shape){ &classes[class], next_random(random) % 64, next_random(random) % 64 };
        total += edges[class];
    }
    return total;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 17;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t expected = expected_edges(&random), area = 0;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            uint64_t edges = 0;
            for (int k = 0; k < SHAPES; k++) {
                struct shape *shape = &shapes[k];
                edges += shape->methods->edges(shape);
                shape->methods->grow(shape, round & 3);
                area += shape->methods->area(shape);
            }
            CHECK(edges == expected);
        }
        checksum = fold(checksum, area);
    }
    return checksum;
}
