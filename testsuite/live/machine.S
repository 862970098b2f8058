/* A program for the bare machine `virt`, which is compared with another machine's while it runs: levels, page tables, traps, timer
 * interrupts, floating point, atomics, counters, and a UART. It switches the machine off. Where CHANGED is defined, one instruction of it is another one. */
#define UART 0x10000000
#define MTIME 0x200bff8
#define MTIMECMP 0x2004000
#define FINISHER 0x100000
/* Ticks of 100 ns. */
#define INTERVAL 50000
#define TIMERS 3
#define STIP 0x20
#define MTIE 0x80
/* Where user mode sees what lies at 0x80000000. */
#define USER_OFFSET 0x40000000

    .option norvc
    .section .text.start, "ax"
    .globl _start
_start:
    la      t0, m_trap
    csrw    mtvec, t0
    la      t0, m_frame
    csrw    mscratch, t0
    li      t0, -1
    srli    t0, t0, 10
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    li      a7, 0

    // Floating point, from mstatus.FS on.
    li      t0, 0x2000
    csrs    mstatus, t0
    li      t0, 7
    li      t1, 3
    fcvt.d.l fa0, t0
    fcvt.d.l fa1, t1
    fdiv.d  fa2, fa0, fa1
    fcvt.s.d fa3, fa2
    fmadd.d fa4, fa2, fa1, fa0
    fmv.x.d a0, fa2
    frflags a1
    fsflags zero

    la      t0, word
1:  lr.d    t1, (t0)
    addi    t1, t1, 5
    sc.d    t2, t1, (t0)
    bnez    t2, 1b
    amoadd.w t3, t1, (t0)
    ld      t4, (t0)

    // What comes from outside.
    li      a0, 'M'
    jal     put
    rdtime  s1
    rdcycle s2
    rdinstret s3
    li      t0, MTIME
    ld      s4, (t0)
    ld      s4, (t0)
    csrr    s5, mip

    // Nobody takes the difference over: the result is known.
    .globl changed
changed:
#ifdef CHANGED
    addi    s6, zero, 2
#else
    addi    s6, zero, 1
#endif

    // Exceptions of machine level.
    .word   0
    li      t0, 0x60000
    ld      t1, (t0)
    ecall

    // WFI goes on, though no interrupt is taken.
    li      t0, MTIME
    ld      t1, (t0)
    li      t2, INTERVAL
    add     t1, t1, t2
    li      t0, MTIMECMP
    sd      t1, (t0)
    li      t0, MTIE
    csrw    mie, t0
    wfi
    addi    s7, zero, 1

    // To supervisor level: its timer interrupt, calls and page faults are its own.
    li      t0, STIP
    csrw    mideleg, t0
    li      t0, 0xb100
    csrw    medeleg, t0
    la      t0, s_start
    csrw    mepc, t0
    li      t0, 0x1800
    csrc    mstatus, t0
    li      t0, 0x800
    csrs    mstatus, t0
    mret

// Prints a0.
put:
    li      t0, UART
1:  lbu     t1, 5(t0)
    andi    t1, t1, 0x20
    beqz    t1, 1b
    sb      a0, (t0)
    ret

m_trap:
    csrrw   t6, mscratch, t6
    sd      t0, 0(t6)
    sd      t1, 8(t6)
    csrr    t0, mcause
    bltz    t0, m_timer
    li      t1, 9
    bne     t0, t1, m_skip
    bnez    a7, finish
    // Supervisor level has taken its interrupt: the next one may come.
    li      t0, STIP
    csrc    mip, t0
    ld      t0, 16(t6)
    addi    t0, t0, -1
    sd      t0, 16(t6)
    beqz    t0, m_skip
    li      t1, MTIME
    ld      t1, (t1)
    li      t0, INTERVAL
    add     t1, t1, t0
    li      t0, MTIMECMP
    sd      t1, (t0)
m_skip:
    csrr    t0, mepc
    addi    t0, t0, 4
    csrw    mepc, t0
m_return:
    ld      t0, 0(t6)
    ld      t1, 8(t6)
    csrrw   t6, mscratch, t6
    mret

m_timer:
    li      t1, -1
    li      t0, MTIMECMP
    sd      t1, (t0)
    li      t0, STIP
    csrs    mip, t0
    j       m_return

finish:
    li      t0, FINISHER
    li      t1, 0x5555
    sw      t1, (t0)
1:  j       1b

s_start:
    la      t0, s_trap
    csrw    stvec, t0
    la      t0, s_frame
    csrw    sscratch, t0
    la      t0, root
    srli    t0, t0, 12
    li      t1, 8 << 60
    or      t0, t0, t1
    csrw    satp, t0
    sfence.vma
    li      a0, 'S'
    jal     put
    li      t0, 0xc0000000
    ld      t1, (t0)
    li      t0, STIP
    csrs    sie, t0
    la      t0, u_start
    li      t1, USER_OFFSET
    sub     t0, t0, t1
    csrw    sepc, t0
    li      t0, 0x100
    csrc    sstatus, t0
    li      t0, STIP
    csrs    sstatus, t0
    sret

s_trap:
    csrrw   t6, sscratch, t6
    sd      t0, 0(t6)
    sd      t1, 8(t6)
    csrr    t0, scause
    bltz    t0, s_timer
    li      t1, 8
    bne     t0, t1, 1f
    li      a7, 1
    ecall
1:  csrr    t0, sepc
    addi    t0, t0, 4
    csrw    sepc, t0
    j       s_return
s_timer:
    // Machine level takes the interrupt back.
    ecall
    ld      t0, timers
    addi    t0, t0, 1
    sd      t0, timers, t1
s_return:
    ld      t0, 0(t6)
    ld      t1, 8(t6)
    csrrw   t6, sscratch, t6
    sret

u_start:
    lla     t0, timers
    li      t3, TIMERS
    li      t1, 0
1:  addi    t1, t1, 1
    ld      t2, (t0)
    blt     t2, t3, 1b
    ecall

    .data
    .balign 4096
root:
    // Devices, and RAM for user and for supervisor mode: pages of 1 GiB.
    .dword  0xc7
    .dword  0x200000df
    .dword  0x200000cf
    .balign 4096
word:
    .dword  37
timers:
    .dword  0
m_frame:
    .dword  0, 0, TIMERS
s_frame:
    .dword  0, 0
