/* harts: 3 */
/* qemu may fail while_it_runs: with threads, it runs old code where a store meets the translation of its page */
/* qemu may fail while_two_run_it: likewise */
/*
 * Code that one hart writes and others run. Unprivileged ISA, "Zifencei": what was stored before is executed after
 * another hart has seen that it was stored (by an interrupt, or by reading a word) and has executed FENCE.I itself.
 */
#include "interrupts.h"

/* lui a0, n: a store of one word gives the next number */
#define LUI_A0(n) (0x00000537 | (u32)(n) << 12)
#define RET 0x00008067
#define PAGES 48
#define RACES 600
#define MESSAGES 12000
#define CALLS 6000

static volatile u32 code[PAGES][1024] __attribute__((aligned(4096)));
static volatile u64 published, page_number, done, old_code;
/* Calls by each hart; in the cases with interrupts, calls for each of them */
static volatile u64 calls[MAX_HARTS];

static u64 call(volatile u32 *entry)
{
    register u64 a0 asm("a0") = 0;
    asm volatile("jalr %1" : "+r"(a0) : "r"(entry) : "ra", "memory");
    return a0 >> 12;
}

static void publish(u64 number)
{
    asm volatile("fence rw, w" ::: "memory");
    published = number;
}

/* Runs whatever code there is, all the time: never older than what it knows to be published. */
static void race(u64 hart)
{
    while (!done) {
        /* If the page is still the same in the end, what was published is of it. */
        u64 page = page_number;
        asm volatile("fence r, rw" ::: "memory");
        u64 known = published;
        asm volatile("fence r, rw" ::: "memory");
        fence_i();
        u64 value = call(code[page]);
        if (page_number == page && value < known)
            __atomic_fetch_add(&old_code, 1, __ATOMIC_RELAXED);
        calls[hart] = calls[hart] + 1;
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
}

static void next_page(u64 page, u64 harts)
{
    published = 0;
    code[page][1] = RET;
    code[page][0] = LUI_A0(0);
    asm volatile("fence" ::: "memory");
    page_number = page;
    /* The others may still be about to run the page before. */
    for (u64 hart = 1; hart < harts; hart++)
        for (u64 before = calls[hart]; calls[hart] < before + 2;) {
        }
}

/* Each page is written to before it is ever run, and while it is: by stores, and by AMOs. */
static void write_while_others_run(u64 harts)
{
    published = done = old_code = page_number = 0;
    code[0][0] = LUI_A0(0);
    code[0][1] = RET;
    for (u64 hart = 1; hart < harts; hart++)
        start_hart(hart, race);
    for (u64 page = 0; page < PAGES; page++) {
        next_page(page, harts);
        for (u64 i = 1; i <= RACES; i++) {
            if (page % 2)
                asm volatile("amoswap.w x0, %1, (%0)" ::"r"(code[page]), "r"(LUI_A0(i)) : "memory");
            else
                code[page][0] = LUI_A0(i);
            publish(i);
            /* Beside the code, where it hits nothing. */
            code[page][512] = i;
        }
    }
    done = 1;
    while (done != harts) {
    }
    CHECK_EQ(old_code, 0);
}

static void while_it_runs(void) { write_while_others_run(2); }

/* What one of them has translated, the other finds. */
static void while_two_run_it(void) { write_while_others_run(3); }

/* Answers each interrupt with what the code gives, until one finds that all is done: none is left then. */
static void answer(u64 hart)
{
    csr_write(mie, BIT(IRQ_MSI));
    for (;;) {
        while (!(csr_read(mip) & BIT(IRQ_MSI)))
            wfi();
        MSIP(hart) = 0;
        asm volatile("fence" ::: "memory");
        if (done)
            break;
        fence_i();
        u64 value = 0;
        for (u64 i = 0; i < calls[hart]; i++)
            value = call(code[page_number]);
        old_code = value;
        publish(published + 1);
    }
    csr_write(mie, 0);
    done = 2;
}

static void ask(u64 page, u64 number)
{
    u64 before = published;
    code[page][0] = LUI_A0(number);
    page_number = page;
    asm volatile("fence" ::: "memory");
    MSIP(1) = 1;
    while (published == before) {
    }
    asm volatile("fence r, rw" ::: "memory");
    if (old_code != number)
        failed_values(__FILE__, __LINE__, "the code's number", old_code, number);
}

static void by_interrupt(u64 rounds, u64 calls_each)
{
    published = done = 0;
    calls[1] = calls_each;
    start_hart(1, answer);
    while (MSIP(1)) {
    }
    for (u64 i = 0; i < rounds; i++)
        ask(i % PAGES, i);
    done = 1;
    MSIP(1) = 1;
    while (done != 2) {
    }
}

static void one_message_one_call(void) { by_interrupt(MESSAGES, 1); }

/* Often enough that it pays to compile it. */
static void code_that_runs_hot(void) { by_interrupt(60, CALLS); }

int main(void)
{
    if (hart_count() < 3) {
        absent("a third hart");
        return 0;
    }
    RUN(while_it_runs);
    RUN(while_two_run_it);
    RUN(one_message_one_call);
    RUN(code_that_runs_hot);
    return 0;
}
