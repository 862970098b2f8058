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
    // table[i] = i * i, and their sum, which is 99 * 100 * 199 / 6
    adrp    x1, table
    add     x1, x1, :lo12:table
    mov     x2, #0
    mov     x3, #0
1:  mul     x4, x2, x2
    str     x4, [x1, x2, lsl #3]
    ldr     x5, [x1, x2, lsl #3]
    add     x3, x3, x5
    add     x2, x2, #1
    cmp     x2, #100
    b.lt    1b
    ldr     x4, =328350
    mov     x0, #1
    cmp     x3, x4
    b.ne    2f

    mov     x8, SYS_write
    adrp    x1, success
    add     x1, x1, :lo12:success
    mov     x2, success_length
    svc     #0
    sub     x0, x0, success_length
2:  mov     x8, SYS_exit_group
    svc     #0

    .section .note.GNU-stack, "", @progbits
