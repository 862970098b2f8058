/* LR/SC across traps, and AMOs that fault. Unprivileged ISA, "A"; Privileged ISA for the causes. */
#include "bare.h"

static u64 word[8] __attribute__((aligned(64)));

/* pair(address): lr, add one, sc; returns sc's result. */
asm(".text\n.balign 4\n.globl lr_sc\nlr_sc: lr.d t0, (a0)\n addi t0, t0, 1\n sc.d a0, t0, (a0)\n ret\n"
    /* with a call between, which a handler answers */
    ".globl lr_ecall_sc\nlr_ecall_sc: lr.d t0, (a0)\n addi t0, t0, 1\n ecall\n sc.d a0, t0, (a0)\n ret\n"
    ".globl sc_other\nsc_other: lr.d t0, (a0)\n addi a0, a0, 8\n sc.d a0, t0, (a0)\n ret\n"
    ".globl sc_twice\nsc_twice: lr.d t0, (a0)\n addi t0, t0, 1\n sc.d t1, t0, (a0)\n sc.d a0, t0, (a0)\n ret\n"
    /* the constrained loop must come to an end */
    ".globl lr_sc_loop\nlr_sc_loop: lr.d t0, (a0)\n addi t0, t0, 1\n sc.d t1, t0, (a0)\n bnez t1, lr_sc_loop\n mv a0, t0\n ret\n");
extern u8 lr_sc[], lr_ecall_sc[], sc_other[], sc_twice[], lr_sc_loop[];

static void in_each_mode(void)
{
    static const unsigned modes[] = {M_MODE, S_MODE, U_MODE};
    word[0] = 0;
    for (unsigned i = 0; i < 3; i++)
        EXPECT_VALUE(run(modes[i], ENTRY(lr_sc_loop), (u64)word), i + 1);
    EXPECT_VALUE(run(M_MODE, ENTRY(lr_sc), (u64)word), 0);
    CHECK_EQ(word[0], 4);
}

static void without_a_reservation(void)
{
    word[0] = 1;
    CHECK(run(U_MODE, ENTRY(sc_twice), (u64)word).value != 0);
    CHECK_EQ(word[0], 2);
    /* elsewhere than the reservation, in this implementation's and qemu's sets of one word */
    word[1] = 9;
    run(U_MODE, ENTRY(sc_other), (u64)word);
    CHECK(word[1] == 9 || word[1] == 2);
}

/* The handler takes the reservation for another address: the SC must fail. */
static int use_another(struct frame *frame)
{
    if (frame->cause != CAUSE_ECALL_U || frame->x[17] == LEAVE_RETURN)
        return 0;
    u64 value, result;
    asm volatile("lr.d %0, (%2)\n sc.d %1, %0, (%2)" : "=&r"(value), "=&r"(result) : "r"(&word[4]) : "memory");
    frame->epc += 4;
    return 1;
}

static void a_trap_with_a_pair_of_its_own(void)
{
    word[0] = 5;
    this_hart()->on_m = use_another;
    struct outcome outcome = run(U_MODE, ENTRY(lr_ecall_sc), (u64)word);
    this_hart()->on_m = 0;
    CHECK(outcome.returned);
    CHECK(outcome.value != 0);
    CHECK_EQ(word[0], 5);
}

/* The handler changes the word and, as every trap handler must, gives up the reservation by an SC to a dummy. */
static int change_the_word(struct frame *frame)
{
    if (frame->cause != CAUSE_ECALL_U || frame->x[17] == LEAVE_RETURN)
        return 0;
    u64 result;
    word[0] = 50;
    asm volatile("sc.d %0, x0, (%1)" : "=r"(result) : "r"(&word[4]) : "memory");
    frame->epc += 4;
    return 1;
}

static void a_handler_that_changes_the_word(void)
{
    word[0] = 5;
    this_hart()->on_m = change_the_word;
    struct outcome outcome = run(U_MODE, ENTRY(lr_ecall_sc), (u64)word);
    this_hart()->on_m = 0;
    CHECK(outcome.value != 0);
    CHECK_EQ(word[0], 50);
}

static u32 amo_result(u64 entry, u32 *at, u64 operand)
{
    register u64 a0 asm("a0") = (u64)at;
    register u64 a1 asm("a1") = operand;
    asm volatile("jalr %1" : "+r"(a0) : "r"(entry), "r"(a1) : "ra", "memory");
    return (u32)a0;
}

static void a_word_inside_a_doubleword(void)
{
    word[2] = 0x1111111122222222;
    CHECK_EQ(amo_result(ENTRY(probe_amoswap_w), (u32 *)&word[2] + 1, 0x33333333), 0x11111111);
    CHECK_EQ(word[2], 0x3333333322222222);
}

/* AMOs need their natural alignment: a misaligned or an access fault, of the store kind. */
static void misaligned(void)
{
    struct outcome outcome = run(U_MODE, ENTRY(probe_amoadd), (u64)word + 4);
    if (outcome.returned)
        return; /* Zama16b-like hardware may allow it within 16 bytes */
    CHECK(outcome.m.cause == CAUSE_STORE_MISALIGNED || outcome.m.cause == CAUSE_STORE_ACCESS);
    CHECK_EQ(outcome.m.tval, (u64)word + 4);
    CHECK_EQ(outcome.m.epc, ENTRY(probe_amoadd));
}

static void lr_misaligned(void)
{
    struct outcome outcome = run(U_MODE, ENTRY(probe_lr), (u64)word + 4);
    CHECK(!outcome.returned);
    CHECK(outcome.m.cause == CAUSE_LOAD_MISALIGNED || outcome.m.cause == CAUSE_LOAD_ACCESS);
    CHECK_EQ(outcome.m.tval, (u64)word + 4);
    outcome = run(U_MODE, ENTRY(probe_sc), (u64)word + 4);
    CHECK(outcome.returned ? outcome.value != 0
                           : outcome.m.cause == CAUSE_STORE_MISALIGNED || outcome.m.cause == CAUSE_STORE_ACCESS);
}

/* A failing SC may fault or not where it cannot write; an SC that would succeed must. */
asm(".text\n.balign 4\n.globl lr_then_sc_read_only\n.option push\n.option norvc\n"
    "lr_then_sc_read_only: lr.d t0, (a0)\n.globl sc_read_only\nsc_read_only: sc.d a0, t0, (a0)\n ret\n.option pop\n");
extern u8 lr_then_sc_read_only[], sc_read_only[];

static void sc_to_a_read_only_page(void)
{
    static u64 page[512] __attribute__((aligned(4096)));
    u64 *root = new_space(SATP_SV39), window = 0x1000000000;
    map(root, SATP_SV39, window, (u64)page, 0, PTE_V | PTE_R | PTE_A);
    use_space(root, SATP_SV39, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(lr_then_sc_read_only), window), M_MODE, CAUSE_STORE_PAGE, sc_read_only, window);
    use_no_space();
}

int main(void)
{
    RUN(in_each_mode);
    RUN(without_a_reservation);
    RUN(a_trap_with_a_pair_of_its_own);
    RUN(a_handler_that_changes_the_word);
    RUN(a_word_inside_a_doubleword);
    RUN(misaligned);
    RUN(lr_misaligned);
    RUN(sc_to_a_read_only_page);
    return 0;
}
