/* Interrupts taken in M and S mode: what arrived, and in which order. */
#include "bare.h"

#define MAX_SEEN 16

static volatile u64 seen[MAX_SEEN];
static volatile unsigned seen_count;
/* Where the last one interrupted the program */
static volatile u64 seen_epc;

__attribute__((unused)) static void note(struct frame *frame)
{
    if (seen_count < MAX_SEEN)
        seen[seen_count] = frame->cause;
    seen_count++;
    seen_epc = frame->epc;
}

/* M mode: notes the interrupt and masks it. Other traps end `run`. */
__attribute__((unused)) static int note_m(struct frame *frame)
{
    if (!(frame->cause >> 63))
        return 0;
    note(frame);
    csr_clear(mie, BIT(frame->cause & 63));
    return 1;
}

/* S mode, likewise. */
__attribute__((unused)) static int note_s(struct frame *frame)
{
    if (!(frame->cause >> 63))
        return 0;
    note(frame);
    csr_clear(sie, BIT(frame->cause & 63));
    return 1;
}

__attribute__((unused)) static void forget(void)
{
    seen_count = 0;
    for (unsigned i = 0; i < MAX_SEEN; i++)
        seen[i] = 0;
}

/* spin(count): something to interrupt, in any mode. */
asm(".text\n.balign 4\n.globl spin\nspin: addi a0, a0, -1\n bnez a0, spin\n ret\n");
extern u8 spin[];
/* spin_until(address): loops until the word there is not zero, with a limit. */
asm(".text\n.balign 4\n.globl spin_until\n"
    "spin_until: li t1, 200000000\n1: lw t0, 0(a0)\n bnez t0, 2f\n addi t1, t1, -1\n bnez t1, 1b\n2: mv a0, t0\n ret\n");
extern u8 spin_until[];
/* In M mode: with MIE set. */
asm(".text\n.balign 4\n.globl spin_with_mie, spin_with_sie\n"
    "spin_with_mie: csrsi mstatus, 8\n1: addi a0, a0, -1\n bnez a0, 1b\n csrci mstatus, 8\n ret\n"
    "spin_with_sie: csrsi sstatus, 2\n1: addi a0, a0, -1\n bnez a0, 1b\n csrci sstatus, 2\n ret\n");
extern u8 spin_with_mie[], spin_with_sie[];
#define SPINS 2000
