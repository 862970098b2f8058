/* harts: 2 */
/* Software interrupts between harts that wait in WFI, remote fences by them, and code that another hart changes. */
#include "interrupts.h"

static volatile u64 pings, pongs, stop, answer;

static void pong(u64 hart)
{
    csr_write(mie, BIT(IRQ_MSI));
    for (u64 is_last = 0; !is_last;) {
        while (!(csr_read(mip) & BIT(IRQ_MSI)))
            wfi();
        MSIP(hart) = 0;
        asm volatile("fence" ::: "memory");
        /* Before the answer: behind it, the next ping may be on its way already. */
        is_last = stop;
        pongs = pongs + 1;
        asm volatile("fence" ::: "memory");
        MSIP(0) = 1;
    }
    csr_write(mie, 0);
}

static void ping_pong(void)
{
    csr_write(mie, BIT(IRQ_MSI));
    start_hart(1, pong);
    for (int i = 0; i < 500; i++) {
        pings = pings + 1;
        if (i == 499)
            stop = 1;
        asm volatile("fence" ::: "memory");
        /* The first is its start. */
        while (MSIP(1)) {
        }
        MSIP(1) = 1;
        while (!(csr_read(mip) & BIT(IRQ_MSI)))
            wfi();
        MSIP(0) = 0;
    }
    CHECK(pongs >= 400);
    csr_write(mie, 0);
}

/* A hart in S mode with translation, whose page is taken away by another: it must see that after the remote fence. */
#define WINDOW 0x1000000000UL
static u64 first[512] __attribute__((aligned(4096))) = {111};
static u64 second[512] __attribute__((aligned(4096))) = {222};
static u64 *root;
static volatile u64 phase, seen_value[2];

static int fence_on_ipi(struct frame *frame)
{
    if (frame->cause != INTERRUPT(IRQ_MSI))
        return 0;
    MSIP(csr_read(mhartid)) = 0;
    sfence();
    fence_i();
    answer = 1;
    return 1;
}

/* Loads from the window until it is not 111. */
asm(".text\n.balign 4\n.globl load_until_changed\n"
    "load_until_changed: li t1, 111\n li t2, 400000000\n1: ld t0, 0(a0)\n bne t0, t1, 2f\n addi t2, t2, -1\n bnez t2, 1b\n"
    "2: mv a0, t0\n ret\n");
extern u8 load_until_changed[];

static void watch(u64 hart)
{
    this_hart()->on_m = fence_on_ipi;
    use_space(root, SATP_SV39, 0);
    csr_write(mie, BIT(IRQ_MSI));
    phase = 1;
    seen_value[1] = run(S_MODE, ENTRY(load_until_changed), WINDOW).value;
    csr_write(mie, 0);
    use_no_space();
    this_hart()->on_m = 0;
    phase = 2;
    (void)hart;
}

static void remote_fence(void)
{
    root = new_space(SATP_SV39);
    map(root, SATP_SV39, WINDOW, (u64)first, 0, PTE_RW);
    while (MSIP(1)) {
    }
    start_hart(1, watch);
    while (phase != 1) {
    }
    for (volatile int i = 0; i < 100000; i++) {
    }
    map(root, SATP_SV39, WINDOW, (u64)second, 0, PTE_RW);
    asm volatile("fence" ::: "memory");
    MSIP(1) = 1;
    while (!answer) {
    }
    while (phase != 2) {
    }
    CHECK_EQ(seen_value[1], 222);
}

/* Code changed by another hart is seen after that hart's message and a fence.i here. */
static volatile u32 code[1024] __attribute__((aligned(4096))) = {0x00100513, 0x00008067};
static volatile u64 turn;

static void call_code(u64 hart)
{
    (void)hart;
    for (u64 i = 1; i <= 200; i++) {
        while (turn != 2 * i - 1) {
        }
        fence_i();
        register u64 a0 asm("a0") = 0;
        asm volatile("jalr %1" : "+r"(a0) : "r"(code) : "ra", "memory");
        seen_value[0] = a0;
        asm volatile("fence" ::: "memory");
        turn = 2 * i;
    }
}

static void code_of_another_hart(void)
{
    while (MSIP(1)) {
    }
    start_hart(1, call_code);
    for (u64 i = 1; i <= 200; i++) {
        code[0] = 0x00000513 | (u32)i << 20;
        asm volatile("fence rw, rw" ::: "memory");
        turn = 2 * i - 1;
        while (turn != 2 * i) {
        }
        CHECK_EQ(seen_value[0], i);
    }
}

int main(void)
{
    if (hart_count() < 2) {
        absent("a second hart");
        return 0;
    }
    RUN(ping_pong);
    RUN(remote_fence);
    RUN(code_of_another_hart);
    return 0;
}
