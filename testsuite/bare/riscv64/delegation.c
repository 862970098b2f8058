/* Traps delegated to S mode, and those that are not. Privileged ISA, "Machine Trap Delegation Registers". */
#include "bare.h"

static u8 illegal_code[] __attribute__((aligned(4))) = {0xff, 0xff, 0xff, 0xff};

static void exceptions_of_user_mode_go_to_s(void)
{
    csr_write(medeleg, BIT(CAUSE_ILLEGAL) | BIT(CAUSE_BREAKPOINT) | BIT(CAUSE_LOAD_ACCESS) | BIT(CAUSE_STORE_ACCESS) |
                           BIT(CAUSE_FETCH_ACCESS) | BIT(CAUSE_ECALL_U));
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_ecall), 0), S_MODE, CAUSE_ECALL_U, probe_ecall, 0);
    EXPECT_TRAP(run(U_MODE, ENTRY(illegal_code), 0), S_MODE, CAUSE_ILLEGAL, illegal_code, 0xffffffff);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_ld), HOLE), S_MODE, CAUSE_LOAD_ACCESS, probe_ld, HOLE);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_sd), HOLE), S_MODE, CAUSE_STORE_ACCESS, probe_sd, HOLE);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_jump), HOLE), S_MODE, CAUSE_FETCH_ACCESS, HOLE, HOLE);
}

static void exceptions_of_s_mode_go_to_s(void)
{
    csr_write(medeleg, BIT(CAUSE_ILLEGAL) | BIT(CAUSE_LOAD_ACCESS));
    EXPECT_TRAP(run(S_MODE, ENTRY(illegal_code), 0), S_MODE, CAUSE_ILLEGAL, illegal_code, 0xffffffff);
    struct outcome outcome = run(S_MODE, ENTRY(probe_lw), HOLE);
    EXPECT_TRAP(outcome, S_MODE, CAUSE_LOAD_ACCESS, probe_lw, HOLE);
    CHECK_EQ(outcome.s.from, S_MODE);
    /* What is not delegated still goes to M. */
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_sd, HOLE);
}

static void exceptions_of_m_mode_never_do(void)
{
    csr_write(medeleg, -1UL);
    EXPECT_TRAP(run(M_MODE, ENTRY(illegal_code), 0), M_MODE, CAUSE_ILLEGAL, illegal_code, 0xffffffff);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_ld), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, HOLE);
    EXPECT_TRAP(run(M_MODE, ENTRY(probe_ecall), 0), M_MODE, CAUSE_ECALL_M, probe_ecall, 0);
    csr_write(medeleg, 0);
}

static u64 status_in_handler;

static int resume_after(struct frame *frame)
{
    status_in_handler = csr_read(sstatus);
    frame->epc += 4;
    return 1;
}

static void the_stack_of_privileges(void)
{
    csr_write(medeleg, BIT(CAUSE_ILLEGAL));
    this_hart()->on_s = resume_after;
    /* From U with SIE set: SPP 0, SPIE 1, SIE 0; sret puts them back. */
    csr_set(sstatus, MSTATUS_SIE);
    struct outcome outcome = run(U_MODE, ENTRY(probe_read_satp), 7);
    EXPECT_VALUE(outcome, 7);
    CHECK_EQ(outcome.s_traps, 1);
    CHECK_EQ(outcome.s.from, U_MODE);
    CHECK_EQ(status_in_handler & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPIE);
    CHECK_EQ(csr_read(sstatus) & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SIE | MSTATUS_SPIE);
    /* From S with SIE clear */
    csr_clear(sstatus, MSTATUS_SIE);
    csr_set(mstatus, MSTATUS_TVM);
    outcome = run(S_MODE, ENTRY(probe_read_satp), 8);
    csr_clear(mstatus, MSTATUS_TVM);
    EXPECT_VALUE(outcome, 8);
    CHECK_EQ(outcome.s.from, S_MODE);
    CHECK_EQ(status_in_handler & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPP);
    CHECK_EQ(csr_read(sstatus) & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE);
    this_hart()->on_s = 0;
    csr_write(medeleg, 0);
}

static u64 s_cause, s_epc;

static int note_and_skip(struct frame *frame)
{
    s_cause = frame->cause;
    s_epc = frame->epc;
    frame->epc += 4;
    return 1;
}

/* The call returns to code that ends `run` by another trap, since ecall no longer reaches M mode. */
asm(".text\n.balign 4\n.globl call_then_end\n.option push\n.option norvc\n"
    "call_then_end: ecall\n csrr a0, mscratch\n.option pop\n");
extern u8 call_then_end[];

static void an_ecall_of_s_mode_can_stay_there(void)
{
    csr_write(medeleg, BIT(CAUSE_ECALL_S));
    this_hart()->on_s = note_and_skip;
    struct outcome outcome = run(S_MODE, ENTRY(call_then_end), 0);
    CHECK_EQ(outcome.m.cause, CAUSE_ILLEGAL);
    CHECK_EQ(outcome.m.epc, ENTRY(call_then_end) + 4);
    CHECK_EQ(s_cause, CAUSE_ECALL_S);
    CHECK_EQ(s_epc, ENTRY(call_then_end));
    this_hart()->on_s = 0;
    csr_write(medeleg, 0);
}

int main(void)
{
    use_s_vector();
    RUN(exceptions_of_user_mode_go_to_s);
    RUN(exceptions_of_s_mode_go_to_s);
    RUN(exceptions_of_m_mode_never_do);
    RUN(the_stack_of_privileges);
    RUN(an_ecall_of_s_mode_can_stay_there);
    return 0;
}
