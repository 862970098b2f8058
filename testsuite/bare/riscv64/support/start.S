/* Entry of all harts, trap vectors, changes of mode, and the probes. */
#include "../bare.h"

#define STACK 4096

    .section .text.start, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    li      t1, MAX_HARTS
    bgeu    t0, t1, park
    la      t1, m_vector
    csrw    mtvec, t1
    csrw    mie, zero
    csrw    satp, zero
    // mstatus.FS stays off: this program is compiled without floating point.
    li      t1, HART_SIZE
    mul     t1, t1, t0
    la      tp, harts
    add     tp, tp, t1
    csrw    mscratch, tp
    addi    t1, t0, 1
    li      t2, STACK
    mul     t1, t1, t2
    la      sp, stacks
    add     sp, sp, t1
    // All memory is open to S and U mode: NAPOT over everything.
    li      t1, -1
    csrw    pmpaddr0, t1
    li      t1, 0x1f
    csrw    pmpcfg0, t1
    bnez    t0, secondary

    la      t1, bss_start
    la      t2, bss_end
1:  sd      zero, 0(t1)
    addi    t1, t1, 8
    bltu    t1, t2, 1b
    mv      a0, a1
    call    bare_main
park:
    csrw    mie, zero
1:  wfi
    j       1b

// Waits for its software interrupt, then calls what start_hart left for it, again and again.
secondary:
    li      t1, 8
    csrw    mie, t1
1:  wfi
    csrr    t1, mip
    andi    t1, t1, 8
    beqz    t1, 1b
    csrw    mie, zero
    csrr    a0, mhartid
    call    bare_secondary
    csrr    t0, mhartid
    j       secondary

.macro registers op, base
    \op     x1, 8(\base)
    \op     x2, 16(\base)
    \op     x3, 24(\base)
    \op     x5, 40(\base)
    \op     x6, 48(\base)
    \op     x7, 56(\base)
    \op     x8, 64(\base)
    \op     x9, 72(\base)
    \op     x10, 80(\base)
    \op     x11, 88(\base)
    \op     x12, 96(\base)
    \op     x13, 104(\base)
    \op     x14, 112(\base)
    \op     x15, 120(\base)
    \op     x16, 128(\base)
    \op     x17, 136(\base)
    \op     x18, 144(\base)
    \op     x19, 152(\base)
    \op     x20, 160(\base)
    \op     x21, 168(\base)
    \op     x22, 176(\base)
    \op     x23, 184(\base)
    \op     x24, 192(\base)
    \op     x25, 200(\base)
    \op     x26, 208(\base)
    \op     x27, 216(\base)
    \op     x28, 224(\base)
    \op     x29, 232(\base)
    \op     x30, 240(\base)
    \op     x31, 248(\base)
.endm

    .text
    .balign 4
    .globl m_vector
m_vector:
    csrrw   tp, mscratch, tp
    registers sd, tp
    csrrw   t0, mscratch, tp
    sd      t0, 32(tp)
    csrr    t0, mepc
    sd      t0, FRAME_EPC(tp)
    csrr    t0, mcause
    sd      t0, FRAME_CAUSE(tp)
    csrr    t0, mtval
    sd      t0, FRAME_TVAL(tp)
    csrr    t0, mstatus
    sd      t0, FRAME_STATUS(tp)
    ld      sp, HART_M_STACK(tp)
    mv      a0, tp
    call    m_trap
    ld      t0, FRAME_EPC(tp)
    csrw    mepc, t0
    ld      t0, FRAME_STATUS(tp)
    csrw    mstatus, t0
    registers ld, tp
    ld      tp, 32(tp)
    mret

// As above, for S mode: sscratch has the address of the frame for S traps.
    .balign 4
    .globl s_vector
s_vector:
    csrrw   tp, sscratch, tp
    registers sd, tp
    csrrw   t0, sscratch, tp
    sd      t0, 32(tp)
    csrr    t0, sepc
    sd      t0, FRAME_EPC(tp)
    csrr    t0, scause
    sd      t0, FRAME_CAUSE(tp)
    csrr    t0, stval
    sd      t0, FRAME_TVAL(tp)
    csrr    t0, sstatus
    sd      t0, FRAME_STATUS(tp)
    ld      sp, (HART_S_STACK - HART_S_FRAME)(tp)
    addi    a0, tp, -HART_S_FRAME
    call    s_trap
    beqz    a0, 1f
    ld      t0, FRAME_EPC(tp)
    csrw    sepc, t0
    ld      t0, FRAME_STATUS(tp)
    csrw    sstatus, t0
    registers ld, tp
    ld      tp, 32(tp)
    sret
1:  li      a7, LEAVE_S_TRAP
    ecall

// enter(struct hart *hart, u64 entry, u64 argument, u64 stack, u64 return): mstatus.MPP is set.
    .globl enter
enter:
    addi    t0, a0, HART_CONTEXT
    sd      ra, 0(t0)
    sd      sp, 8(t0)
    sd      s0, 16(t0)
    sd      s1, 24(t0)
    sd      s2, 32(t0)
    sd      s3, 40(t0)
    sd      s4, 48(t0)
    sd      s5, 56(t0)
    sd      s6, 64(t0)
    sd      s7, 72(t0)
    sd      s8, 80(t0)
    sd      s9, 88(t0)
    sd      s10, 96(t0)
    sd      s11, 104(t0)
    csrw    mepc, a1
    mv      a0, a2
    mv      sp, a3
    mv      ra, a4
    li      a1, PROBE_VALUE
    li      a7, 0
    mret

// Back to the caller of `enter`, from a trap.
    .globl leave_to
leave_to:
    addi    t0, a0, HART_CONTEXT
    ld      ra, 0(t0)
    ld      sp, 8(t0)
    ld      s0, 16(t0)
    ld      s1, 24(t0)
    ld      s2, 32(t0)
    ld      s3, 40(t0)
    ld      s4, 48(t0)
    ld      s5, 56(t0)
    ld      s6, 64(t0)
    ld      s7, 72(t0)
    ld      s8, 80(t0)
    ld      s9, 88(t0)
    ld      s10, 96(t0)
    ld      s11, 104(t0)
    ret

// Where functions that `run` called return to.
    .globl leave
leave:
    li      a7, LEAVE_RETURN
    ecall

.macro probe name, instruction:vararg
    .balign 8
    .globl probe_\name
probe_\name:
    .option push
    .option norvc
    \instruction
    .option pop
    ret
.endm
    probe lb, lb a0, 0(a0)
    probe lhu, lhu a0, 0(a0)
    probe lw, lw a0, 0(a0)
    probe ld, ld a0, 0(a0)
    probe sb, sb a1, 0(a0)
    probe sh, sh a1, 0(a0)
    probe sw, sw a1, 0(a0)
    probe sd, sd a1, 0(a0)
    probe lr, lr.d a0, (a0)
    probe sc, sc.d a0, a1, (a0)
    probe amoadd, amoadd.d a0, a1, (a0)
    probe amoswap_w, amoswap.w a0, a1, (a0)
    probe jump, jr a0
    probe ecall, ecall
    probe ebreak, ebreak
    probe mret, mret
    probe sret, sret
    probe wfi, wfi
    probe sfence, sfence.vma
    probe fence_i, fence.i
    probe nop, nop
    probe rdcycle, rdcycle a0
    probe rdtime, rdtime a0
    probe rdinstret, rdinstret a0
    probe read_satp, csrr a0, satp
    probe write_satp, csrw satp, a0
    .balign 4
    .globl probe_c_ebreak
probe_c_ebreak:
    c.ebreak
    ret

    .section .tohost, "aw"
    .balign 64
    .globl tohost
tohost:
    .dword 0
    .balign 64
    .globl fromhost
fromhost:
    .dword 0

    .bss
    .balign 4096
stacks:
    .skip STACK * MAX_HARTS
