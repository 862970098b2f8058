/* Environment calls and breakpoints from each mode. Privileged ISA, "Environment Call and Breakpoint". */
#include "bare.h"

static void ecall_from_each_mode(void)
{
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_ecall), 0), M_MODE, CAUSE_ECALL_M, probe_ecall, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ecall), 0), M_MODE, CAUSE_ECALL_S, probe_ecall, 0);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_ecall), 0), M_MODE, CAUSE_ECALL_U, probe_ecall, 0);
}

/* mtval is the address of the instruction or zero: "Machine Trap Value Register". */
static void breakpoint(unsigned mode, u64 entry)
{
    struct outcome outcome = run(mode, entry, 0);
    CHECK(!outcome.returned);
    CHECK_EQ(outcome.m.cause, CAUSE_BREAKPOINT);
    CHECK_EQ(outcome.m.epc, entry);
    CHECK(outcome.m.tval == entry || outcome.m.tval == 0);
    CHECK_EQ(outcome.m.from, mode);
}

static void ebreak_from_each_mode(void)
{
    breakpoint(M_MODE, ENTRY(probe_ebreak));
    breakpoint(S_MODE, ENTRY(probe_ebreak));
    breakpoint(U_MODE, ENTRY(probe_ebreak));
    breakpoint(U_MODE, ENTRY(probe_c_ebreak));
}

static int skip_ecall(struct frame *frame)
{
    if (frame->cause == CAUSE_ECALL_U && frame->x[17] != LEAVE_RETURN) {
        frame->epc += 4;
        frame->x[10] = frame->x[10] + 1;
        return 1;
    }
    return 0;
}

static void a_handler_resumes_after_the_call(void)
{
    this_hart()->on_m = skip_ecall;
    EXPECT_VALUE(run(U_MODE, ENTRY(probe_ecall), 41), 42);
    this_hart()->on_m = 0;
}

int main(void)
{
    RUN(ecall_from_each_mode);
    RUN(ebreak_from_each_mode);
    RUN(a_handler_resumes_after_the_call);
    return 0;
}
