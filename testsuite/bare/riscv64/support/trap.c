/* Privilege modes: entering them, and what comes back. */
#include "../bare.h"

#define TRAP_STACK 2048

union hart_slot harts[MAX_HARTS] __attribute__((aligned(HART_SIZE)));
static u8 m_stacks[MAX_HARTS][TRAP_STACK] __attribute__((aligned(16)));
static u8 s_stacks[MAX_HARTS][TRAP_STACK] __attribute__((aligned(16)));
/* For code that `run` calls, one for each hart */
static u8 stacks_of_modes[MAX_HARTS][2 * TRAP_STACK] __attribute__((aligned(16)));

void setup_traps(void);
void m_trap(struct hart *hart);
u64 s_trap(struct hart *hart);
void bare_secondary(u64 hart);
void enter(struct hart *hart, u64 entry, u64 argument, u64 stack, u64 back);
void leave_to(struct hart *hart) __attribute__((noreturn));
extern u8 leave[], s_vector[];

void setup_traps(void)
{
    for (unsigned i = 0; i < MAX_HARTS; i++) {
        harts[i].hart.m_stack = (u64)m_stacks[i] + TRAP_STACK;
        harts[i].hart.s_stack = (u64)s_stacks[i] + TRAP_STACK;
    }
}

u64 user(u64 address) { return csr_read(satp) ? address + USER_OFFSET : address; }

void use_s_vector(void)
{
    csr_write(stvec, s_vector);
    csr_write(sscratch, &this_hart()->s_frame);
}

static struct trap trap_of(const struct frame *frame, unsigned from)
{
    return (struct trap){frame->cause, frame->epc, frame->tval, frame->status, from};
}

void m_trap(struct hart *hart)
{
    struct frame *frame = &hart->m_frame;
    unsigned from = (frame->status & MSTATUS_MPP) >> 11;
    if (hart->busy) {
        print("trap inside the trap handler, or outside of `run`: cause ");
        print_hex(frame->cause);
        print(" at ");
        print_hex(frame->epc);
        print(" value ");
        print_hex(frame->tval);
        print("\n");
        failed(__FILE__, __LINE__, "traps only where they are expected");
        finish();
    }
    hart->busy = 1;
    if (hart->on_m && hart->on_m(frame)) {
        hart->busy = 0;
        return;
    }
    hart->outcome.m = trap_of(frame, from);
    u64 ecall = CAUSE_ECALL_U + from;
    hart->outcome.returned = frame->cause == ecall && frame->x[17] == LEAVE_RETURN;
    hart->outcome.value = frame->x[10];
    leave_to(hart);
}

/* In S mode: nothing here may touch a CSR of M mode. */
u64 s_trap(struct hart *hart)
{
    struct frame *frame = &hart->s_frame;
    hart->outcome.s = trap_of(frame, frame->status & MSTATUS_SPP ? S_MODE : U_MODE);
    hart->outcome.s_traps++;
    return hart->on_s && hart->on_s(frame);
}

struct outcome run(unsigned mode, u64 entry, u64 argument)
{
    struct hart *hart = this_hart();
    u64 index = (u64)((union hart_slot *)hart - harts);
    u64 offset = mode == U_MODE ? user(0) : 0;
    hart->outcome = (struct outcome){0};
    hart->busy = 0;
    csr_clear(mstatus, MSTATUS_MPP | MSTATUS_MPIE);
    csr_set(mstatus, (u64)mode << 11);
    enter(hart, entry + offset, argument, (u64)(stacks_of_modes[index] + 2 * TRAP_STACK) + offset, (u64)leave + offset);
    hart->busy = 1;
    return hart->outcome;
}

void bare_secondary(u64 hart)
{
    MSIP(hart) = 0;
    asm volatile("fence" ::: "memory");
    harts[hart].hart.entry(hart);
}

void start_hart(u64 hart, void (*entry)(u64 hart))
{
    harts[hart].hart.entry = entry;
    harts[hart].hart.busy = 1;
    asm volatile("fence" ::: "memory");
    MSIP(hart) = 1;
}

static void print_outcome(struct outcome outcome)
{
    struct trap trap = outcome.s_traps ? outcome.s : outcome.m;
    if (outcome.returned) {
        print("    it returned ");
        print_hex(outcome.value);
    } else {
        print(outcome.s_traps ? "    it trapped to S mode, cause " : "    it trapped to M mode, cause ");
        print_hex(trap.cause);
        print(" at ");
        print_hex(trap.epc);
        print(" value ");
        print_hex(trap.tval);
    }
    print("\n");
}

void check_trap(const char *file, int line, const char *what, struct outcome outcome, unsigned to, u64 cause,
                u64 epc, u64 tval)
{
    struct trap trap = to == S_MODE ? outcome.s : outcome.m;
    int right_mode = to == S_MODE ? outcome.s_traps == 1 : outcome.s_traps == 0;
    if (outcome.returned || !right_mode || trap.cause != cause || trap.epc != epc || trap.tval != tval) {
        failed(file, line, what);
        print_outcome(outcome);
        print("    expected cause ");
        print_hex(cause);
        print(" at ");
        print_hex(epc);
        print(" value ");
        print_hex(tval);
        print("\n");
    }
}

void check_returned(const char *file, int line, const char *what, struct outcome outcome, u64 value)
{
    if (!outcome.returned || outcome.value != value) {
        failed(file, line, what);
        print_outcome(outcome);
        print("    expected the value ");
        print_hex(value);
        print("\n");
    }
}
