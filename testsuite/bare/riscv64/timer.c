/* mtime, mtimecmp and the machine timer interrupt. Privileged ISA, "Machine Timer (mtime and mtimecmp) Registers". */
#include "interrupts.h"

static void time_goes_on(void)
{
    u64 start = MTIME;
    for (int i = 0; i < 1000000 && MTIME == start; i++) {
    }
    CHECK(MTIME > start);
    CHECK(csr_read(time) >= start);
    u64 a = csr_read(time), b = MTIME, c = csr_read(time);
    CHECK(a <= b && b <= c);
}

static void halves_of_the_registers(void)
{
    MTIMECMP(0) = 0x1122334455667788;
    CHECK_EQ(REG32(CLINT_BASE + 0x4000), 0x55667788);
    CHECK_EQ(REG32(CLINT_BASE + 0x4004), 0x11223344);
    REG32(CLINT_BASE + 0x4004) = 0xffffffff;
    CHECK_EQ(MTIMECMP(0), 0xffffffff55667788);
    REG32(CLINT_BASE + 0x4000) = 0xffffffff;
    CHECK_EQ(MTIMECMP(0), -1UL);
}

static void pending_follows_the_comparison(void)
{
    MTIMECMP(0) = -1UL;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MTI), 0);
    MTIMECMP(0) = 0;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MTI), BIT(IRQ_MTI));
    MTIMECMP(0) = -1UL;
    CHECK_EQ(csr_read(mip) & BIT(IRQ_MTI), 0);
}

/* In M mode it needs MIE; in lower modes it does not. */
static void global_enable(void)
{
    this_hart()->on_m = note_m;
    MTIMECMP(0) = 0;
    forget();
    csr_write(mie, BIT(IRQ_MTI));
    CHECK(run(M_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 0);
    CHECK(run(M_MODE, ENTRY(spin_with_mie), SPINS).returned);
    CHECK_EQ(seen_count, 1);
    CHECK_EQ(seen[0], INTERRUPT(IRQ_MTI));
    for (unsigned mode = U_MODE; mode <= S_MODE; mode++) {
        forget();
        csr_write(mie, BIT(IRQ_MTI));
        CHECK(run(mode, ENTRY(spin), SPINS).returned);
        CHECK_EQ(seen_count, 1);
        CHECK_EQ(seen_epc, ENTRY(spin)); /* before the first instruction */
    }
    forget();
    csr_write(mie, 0);
    CHECK(run(U_MODE, ENTRY(spin), SPINS).returned);
    CHECK_EQ(seen_count, 0);
    MTIMECMP(0) = -1UL;
    this_hart()->on_m = 0;
}

static volatile u32 flag;

static int raise_flag(struct frame *frame)
{
    if (frame->cause != INTERRUPT(IRQ_MTI))
        return 0;
    note(frame);
    MTIMECMP(0) = -1UL;
    flag = 1;
    return 1;
}

/* A deadline in the future ends a loop that does nothing else. */
static void at_its_time(unsigned mode)
{
    this_hart()->on_m = raise_flag;
    forget();
    flag = 0;
    csr_write(mie, BIT(IRQ_MTI));
    u64 deadline = MTIME + 20000; /* 2 ms */
    MTIMECMP(0) = deadline;
    EXPECT_VALUE(run(mode, ENTRY(spin_until), (u64)&flag), 1);
    CHECK(MTIME >= deadline);
    CHECK_EQ(seen_count, 1);
    csr_write(mie, 0);
    this_hart()->on_m = 0;
}

static void at_its_time_in_user_mode(void) { at_its_time(U_MODE); }
static void at_its_time_in_supervisor_mode(void) { at_its_time(S_MODE); }

static int rearm(struct frame *frame)
{
    if (frame->cause != INTERRUPT(IRQ_MTI))
        return 0;
    seen_count++;
    MTIMECMP(0) = seen_count < 20 ? MTIME + 1000 : -1UL;
    flag = seen_count >= 20;
    return 1;
}

static void again_and_again(void)
{
    this_hart()->on_m = rearm;
    forget();
    flag = 0;
    csr_write(mie, BIT(IRQ_MTI));
    MTIMECMP(0) = MTIME + 1000;
    EXPECT_VALUE(run(S_MODE, ENTRY(spin_until), (u64)&flag), 1);
    CHECK_EQ(seen_count, 20);
    csr_write(mie, 0);
    this_hart()->on_m = 0;
}

int main(void)
{
    MTIMECMP(0) = -1UL;
    RUN(time_goes_on);
    RUN(halves_of_the_registers);
    RUN(pending_follows_the_comparison);
    RUN(global_enable);
    RUN(at_its_time_in_user_mode);
    RUN(at_its_time_in_supervisor_mode);
    RUN(again_and_again);
    return 0;
}
