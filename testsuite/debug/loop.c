/*
 * What debuggers are tried on: without a library, so that it runs as a program and on a bare machine (-DMACHINE).
 * `step` is called with 1, 2, 3, … and adds its argument to `total`; after 50000 calls it ends with status 7.
 */
typedef unsigned long u64;

volatile u64 total, calls;

__attribute__((noinline)) void step(u64 n)
{
    total += n;
    calls++;
}

void _start(void) __attribute__((naked));

void finish(void)
{
#ifdef MACHINE
    /* The finisher: 7 << 16 | failure. */
    *(volatile unsigned *)0x100000 = 7 << 16 | 0x3333;
    for (;;) {
    }
#else
    register u64 a0 asm("a0") = 7;
    register u64 a7 asm("a7") = 94;
    asm volatile("ecall" ::"r"(a0), "r"(a7));
    __builtin_unreachable();
#endif
}

void run(void)
{
    for (u64 n = 1; n <= 50000; n++)
        step(n);
    finish();
}

void _start(void)
{
#ifdef MACHINE
    asm volatile("csrr t0, mhartid\n1: bnez t0, 1b\nli sp, 0x80100000\nj run");
#else
    asm volatile("j run");
#endif
}
