# The least that a guest program needs: arithmetic, a loop, loads and stores, two system calls.
    .set SYS_write, 64
    .set SYS_exit_group, 94

    .section .rodata
success:
    .ascii "ok bare\nok all\n"
    .set success_length, . - success

    .bss
    .balign 8
table:
    .zero 8 * 100

    .text
    .globl main
main:
    # table[i] = i * i, and their sum, which is 99 * 100 * 199 / 6
    la      t0, table
    li      t1, 0
    li      t2, 100
    li      t3, 0
1:  mul     t4, t1, t1
    slli    t5, t1, 3
    add     t5, t5, t0
    sd      t4, 0(t5)
    ld      t6, 0(t5)
    add     t3, t3, t6
    addi    t1, t1, 1
    blt     t1, t2, 1b
    li      t4, 328350
    li      a0, 1
    bne     t3, t4, 2f

    li      a7, SYS_write
    la      a1, success
    li      a2, success_length
    ecall
    xori    a0, a0, success_length
2:  li      a7, SYS_exit_group
    ecall

    .section .note.GNU-stack, "", @progbits
