/* PLIC, with the UART as its source. RISC-V PLIC Specification 1.0; source 10, contexts 0 (M) and 1 (S) of hart 0. */
#include "interrupts.h"

#define UART_SOURCE 10
#define PRIORITY(source) REG32(PLIC_BASE + 4 * (source))
#define PENDING(source) (REG32(PLIC_BASE + 0x1000 + (source) / 32 * 4) >> ((source) % 32) & 1)
#define ENABLE(context, source) REG32(PLIC_BASE + 0x2000 + 0x80 * (context) + (source) / 32 * 4)
#define THRESHOLD(context) REG32(PLIC_BASE + 0x200000 + 0x1000 * (context))
#define CLAIM(context) REG32(PLIC_BASE + 0x200004 + 0x1000 * (context))

/* 16550: interrupt enable register with "transmitter holding register empty", interrupt identification register */
#define UART_IER REG8(UART_BASE + 1)
#define UART_IIR REG8(UART_BASE + 2)
#define IER_THRE 2

static void quiet(void)
{
    UART_IER = 0;
    /* A request that the gateway has passed on stays pending until it is claimed. */
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    THRESHOLD(0) = 0;
    PRIORITY(UART_SOURCE) = 1;
    for (u32 claimed; (claimed = CLAIM(0)) != 0;)
        CLAIM(0) = claimed;
    PRIORITY(UART_SOURCE) = 0;
    THRESHOLD(0) = 0;
    THRESHOLD(1) = 0;
    ENABLE(0, UART_SOURCE) = 0;
    ENABLE(1, UART_SOURCE) = 0;
    csr_write(mie, 0);
}

static void registers(void)
{
    PRIORITY(UART_SOURCE) = 7;
    CHECK_EQ(PRIORITY(UART_SOURCE), 7);
    PRIORITY(0) = 7;
    CHECK_EQ(PRIORITY(0), 0); /* source 0 does not exist */
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    CHECK_EQ(ENABLE(0, UART_SOURCE), BIT(UART_SOURCE));
    CHECK_EQ(ENABLE(1, UART_SOURCE), 0);
    THRESHOLD(1) = 3;
    CHECK_EQ(THRESHOLD(1), 3);
    CHECK_EQ(CLAIM(0), 0); /* nothing is pending */
    quiet();
}

/* qemu fails enabling_what_is_pending: it looks at the enable bits at the next change of something else, "Interrupt Enables" */
static void enabling_what_is_pending(void)
{
    PRIORITY(UART_SOURCE) = 1;
    UART_IER = IER_THRE;
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), BIT(IRQ_MEI));
    ENABLE(0, UART_SOURCE) = 0;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), 0);
    quiet();
}

static void pending_threshold_and_priority(void)
{
    CHECK_EQ(PENDING(UART_SOURCE), 0);
    PRIORITY(UART_SOURCE) = 1;
    UART_IER = IER_THRE;
    CHECK_EQ(PENDING(UART_SOURCE), 1);
    CHECK_EQ(csr_read(mip) & (BIT(IRQ_MEI) | BIT(IRQ_SEI)), 0);
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    PRIORITY(UART_SOURCE) = 2;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), BIT(IRQ_MEI));
    /* The threshold, then the priority, keep it away. */
    THRESHOLD(0) = 2;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), 0);
    THRESHOLD(0) = 0;
    PRIORITY(UART_SOURCE) = 0;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), 0);
    quiet();
}

static void claim_and_complete(void)
{
    PRIORITY(UART_SOURCE) = 1;
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    UART_IER = IER_THRE;
    CHECK_EQ(CLAIM(0), UART_SOURCE);
    CHECK_EQ(PENDING(UART_SOURCE), 0);
    CHECK_EQ(CLAIM(0), 0); /* one claim, until it is complete */
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MEI), 0);
    CHECK_EQ(UART_IIR & 15, 2); /* reading it takes the reason away */
    CLAIM(0) = UART_SOURCE;
    CHECK_EQ(PENDING(UART_SOURCE), 0);
    quiet();
}

static u32 claimed;

static int serve(struct frame *frame)
{
    if (frame->cause != INTERRUPT(IRQ_MEI) && frame->cause != INTERRUPT(IRQ_SEI))
        return 0;
    note(frame);
    unsigned context = frame->cause == INTERRUPT(IRQ_SEI);
    claimed = CLAIM(context);
    (void)UART_IIR;
    CLAIM(context) = claimed;
    return 1;
}

static void delivered_to_m_mode(void)
{
    this_hart()->on_m = serve;
    forget();
    PRIORITY(UART_SOURCE) = 1;
    ENABLE(0, UART_SOURCE) = BIT(UART_SOURCE);
    csr_write(mie, BIT(IRQ_MEI));
    UART_IER = IER_THRE;
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_MEI));
    CHECK_EQ(claimed, UART_SOURCE);
    this_hart()->on_m = 0;
    quiet();
}

static void delivered_to_s_mode(void)
{
    use_s_vector();
    this_hart()->on_s = serve;
    forget();
    claimed = 0;
    csr_write(mideleg, BIT(IRQ_SEI));
    PRIORITY(UART_SOURCE) = 1;
    ENABLE(1, UART_SOURCE) = BIT(UART_SOURCE);
    csr_write(mie, BIT(IRQ_SEI));
    UART_IER = IER_THRE;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_SEI), BIT(IRQ_SEI));
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_SEI));
    CHECK_EQ(claimed, UART_SOURCE);
    csr_write(mideleg, 0);
    this_hart()->on_s = 0;
    quiet();
}

int main(void)
{
    quiet();
    RUN(registers);
    RUN(enabling_what_is_pending);
    RUN(pending_threshold_and_priority);
    RUN(claim_and_complete);
    RUN(delivered_to_m_mode);
    RUN(delivered_to_s_mode);
    return 0;
}
