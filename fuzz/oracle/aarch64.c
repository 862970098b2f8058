// The oracle of AArch64; see oracle.h. Words of registers: x0 to x30, sp, nzcv, fpsr, fpcr, one that
// is not used, then the lower and upper halves of v0 to v31.

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>
#include <asm/sigcontext.h>

enum { SP = 31, NZCV = 32, FPSR = 33, FPCR = 34, V0 = 36, WORDS = V0 + 64 };
typedef uint32_t breakpoint;
#define BREAKPOINT 0xd4200000 // brk #0
#define SA_RESTORER_WORD

uint64_t saved[13];

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x0 asm("x0") = a, x1 asm("x1") = b, x2 asm("x2") = c, x3 asm("x3") = d;
    register long x4 asm("x4") = e, x5 asm("x5") = f, x8 asm("x8") = number;
    asm volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8)
                 : "memory");
    return x0;
}

asm(".globl enter_start, enter_end, run, resume\n"
    "enter_start:\n"
    "  clrex\n"
    "  ldp x1, x2, [x0, #8*31]\n"
    "  mov sp, x1\n"
    "  msr nzcv, x2\n"
    "  ldp x1, x2, [x0, #8*33]\n"
    "  msr fpsr, x1\n"
    "  msr fpcr, x2\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "  ldr q\\n, [x0, #(8*36 + 16*\\n)]\n"
    "  .endr\n"
    "  .irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "  ldr x\\n, [x0, #(8*\\n)]\n"
    "  .endr\n"
    "  ldr x0, [x0]\n"
    "enter_end:\n"
    "run:\n"
    "  adrp x9, saved; add x9, x9, :lo12:saved\n"
    "  stp x19, x20, [x9]; stp x21, x22, [x9, #16]; stp x23, x24, [x9, #32]; stp x25, x26, [x9, #48]\n"
    "  stp x27, x28, [x9, #64]; stp x29, x30, [x9, #80]; mov x10, sp; str x10, [x9, #96]\n"
    "  br x1\n"
    "resume:\n"
    "  adrp x9, saved; add x9, x9, :lo12:saved\n"
    "  ldp x19, x20, [x9]; ldp x21, x22, [x9, #16]; ldp x23, x24, [x9, #32]; ldp x25, x26, [x9, #48]\n"
    "  ldp x27, x28, [x9, #64]; ldp x29, x30, [x9, #80]; ldr x10, [x9, #96]; mov sp, x10\n"
    "  msr fpcr, xzr\n"
    "  ret\n");

static void read_registers(ucontext_t *context, uint64_t *registers)
{
    const mcontext_t *machine = &context->uc_mcontext;
    for (int n = 0; n < 31; n++)
        registers[n] = machine->regs[n];
    registers[SP] = machine->sp;
    registers[NZCV] = machine->pstate & 0xf0000000;
    const uint8_t *record = machine->__reserved;
    for (;;) {
        const struct _aarch64_ctx *head = (const void *)record;
        if (head->magic == FPSIMD_MAGIC)
            break;
        if (head->magic == 0)
            system_call(93, 4, 0, 0, 0, 0, 0);
        record += head->size;
    }
    const struct fpsimd_context *fpsimd = (const void *)record;
    registers[FPSR] = fpsimd->fpsr;
    registers[FPCR] = fpsimd->fpcr;
    const uint64_t *halves = (const void *)fpsimd->vregs;
    for (int n = 0; n < 64; n++)
        registers[V0 + n] = halves[n];
}

static uint64_t *pc_of(ucontext_t *context)
{
    return (uint64_t *)&context->uc_mcontext.pc;
}

static void flush(void *start, size_t length)
{
    // As for the smallest lines that there may be.
    for (size_t at = 0; at < length; at += 16)
        asm volatile("dc cvau, %0" ::"r"((char *)start + at) : "memory");
    asm volatile("dsb ish" ::: "memory");
    for (size_t at = 0; at < length; at += 16)
        asm volatile("ic ivau, %0" ::"r"((char *)start + at) : "memory");
    asm volatile("dsb ish; isb" ::: "memory");
}

// b offset
static uint32_t jump(uint32_t offset)
{
    return 0x14000000 | (offset >> 2 & 0x03ffffff);
}

#include "oracle.h"
