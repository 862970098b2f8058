// The oracle of RISC-V; see oracle.h. Words of registers: x0 to x31, f0 to f31, fcsr.

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

enum { WORDS = 65 };
typedef uint16_t breakpoint;
#define BREAKPOINT 0x9002 // c.ebreak

uint64_t saved[16];

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long a0 asm("a0") = a, a1 asm("a1") = b, a2 asm("a2") = c, a3 asm("a3") = d;
    register long a4 asm("a4") = e, a5 asm("a5") = f, a7 asm("a7") = number;
    asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                 : "memory");
    return a0;
}

asm(".option norvc\n"
    ".globl enter_start, enter_end, run, resume\n"
    "enter_start:\n"
    "  mv t6, a0\n"
    "  ld t0, 512(t6)\n"
    "  csrw fcsr, t0\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  fld f\\n, (256 + 8*\\n)(t6)\n"
    "  .endr\n"
    "  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  ld x\\n, (8*\\n)(t6)\n"
    "  .endr\n"
    "enter_end:\n"
    "run:\n"
    "  la t0, saved\n"
    "  sd ra, 0(t0); sd sp, 8(t0); sd gp, 16(t0); sd tp, 24(t0)\n"
    "  sd s0, 32(t0); sd s1, 40(t0); sd s2, 48(t0); sd s3, 56(t0); sd s4, 64(t0); sd s5, 72(t0)\n"
    "  sd s6, 80(t0); sd s7, 88(t0); sd s8, 96(t0); sd s9, 104(t0); sd s10, 112(t0)\n"
    "  sd s11, 120(t0)\n"
    "  jr a1\n"
    "resume:\n"
    "  la t0, saved\n"
    "  ld ra, 0(t0); ld sp, 8(t0); ld gp, 16(t0); ld tp, 24(t0)\n"
    "  ld s0, 32(t0); ld s1, 40(t0); ld s2, 48(t0); ld s3, 56(t0); ld s4, 64(t0); ld s5, 72(t0)\n"
    "  ld s6, 80(t0); ld s7, 88(t0); ld s8, 96(t0); ld s9, 104(t0); ld s10, 112(t0)\n"
    "  ld s11, 120(t0)\n"
    "  csrw fcsr, zero\n"
    "  ret\n"
    ".option rvc\n");

static void read_registers(ucontext_t *context, uint64_t *registers)
{
    for (int n = 1; n < 32; n++)
        registers[n] = context->uc_mcontext.__gregs[n];
    for (int n = 0; n < 32; n++)
        registers[32 + n] = context->uc_mcontext.__fpregs.__d.__f[n];
    registers[64] = context->uc_mcontext.__fpregs.__d.__fcsr;
}

static uint64_t *pc_of(ucontext_t *context)
{
    return (uint64_t *)&context->uc_mcontext.__gregs[0];
}

static void flush(void *start, size_t length)
{
    (void)start, (void)length;
    asm volatile("fence.i" ::: "memory");
}

// jal zero, offset
static uint32_t jump(uint32_t offset)
{
    return (offset >> 20 & 1) << 31 | (offset >> 1 & 0x3ff) << 21 | (offset >> 11 & 1) << 20
         | (offset >> 12 & 0xff) << 12 | 0x6f;
}

#include "oracle.h"
