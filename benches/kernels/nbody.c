/* Gravitation between a handful of bodies: double arithmetic with divisions and square roots. */
#define KERNEL_NAME "nbody"
#define KERNEL_ITERATIONS 30
#include "kernel.h"
#include <math.h>

enum { BODIES = 6, STEPS = 20000 };

struct body {
    double position[3], velocity[3], mass;
};

static struct body bodies[BODIES];

/* A heavy centre and light bodies on circular orbits of growing radius in tilted planes. */
static void set_up(void)
{
    memset(bodies, 0, sizeof bodies);
    bodies[0].mass = 1000.0;
    for (int i = 1; i < BODIES; i++) {
        double radius = 4.0 * i, speed = sqrt(bodies[0].mass / radius);
        bodies[i].mass = 0.25 / i;
        bodies[i].position[i % 3] = radius;
        bodies[i].velocity[(i + 1) % 3] = speed;
    }
}

static double energy(void)
{
    double total = 0.0;
    for (int i = 0; i < BODIES; i++) {
        const double *v = bodies[i].velocity;
        total += 0.5 * bodies[i].mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0.0;
            for (int k = 0; k < 3; k++) {
                double d = bodies[i].position[k] - bodies[j].position[k];
                square += d * d;
            }
            total -= bodies[i].mass * bodies[j].mass / sqrt(square);
        }
    }
    return total;
}

static void attract(struct body *p, struct body *q, double dt)
{
    double dx = p->position[0] - q->position[0];
    double dy = p->position[1] - q->position[1];
    double dz = p->position[2] - q->position[2];
    double square = dx * dx + dy * dy + dz * dz;
    double pull = dt / (square * sqrt(square));
    p->velocity[0] -= dx * q->mass * pull, q->velocity[0] += dx * p->mass * pull;
    p->velocity[1] -= dy * q->mass * pull, q->velocity[1] += dy * p->mass * pull;
    p->velocity[2] -= dz * q->mass * pull, q->velocity[2] += dz * p->mass * pull;
}

__attribute__((noipa)) static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++)
            attract(&bodies[i], &bodies[j], dt);
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].position[k] += dt * bodies[i].velocity[k];
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START;
    set_up();
    double start = energy();
    for (uint64_t i = 0; i < iterations; i++) {
        for (int step = 0; step < STEPS; step++)
            advance(0.0005);
        CHECK(fabs(energy() - start) < 1e-3 * fabs(start));
        checksum = fold_double(checksum, energy());
    }
    return checksum;
}
