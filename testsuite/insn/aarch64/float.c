// Runs one instruction of floating point or Advanced SIMD on many operands. Requests come on standard input: a header,
// then operands; a result for each operand goes to standard output, 0x55 in all bytes if the instruction is UNDEFINED.

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct header {
    uint32_t word;
    uint32_t fpcr;
    uint64_t count;
};

struct operands {
    uint64_t v[6][2];  // v0 to v5; the others repeat the last four
    uint64_t x[2];
    uint64_t fpsr;
    uint64_t nzcv;
};

struct result {
    uint64_t v0[2];
    uint64_t x0;
    uint64_t fpsr;
    uint64_t nzcv;
};

// loop(operands, results, count), with a no-operation where the instruction goes.
asm(".globl loop_start, loop_insn, loop_end\n"
    "loop_start:\n"
    "  stp d8, d9, [sp, #-64]!\n"
    "  stp d10, d11, [sp, #16]\n"
    "  stp d12, d13, [sp, #32]\n"
    "  stp d14, d15, [sp, #48]\n"
    "  mov x9, x0\n"
    "  mov x10, x1\n"
    "  mov x11, x2\n"
    "1:\n"
    "  ldp q0, q1, [x9]\n"
    "  ldp q2, q3, [x9, #32]\n"
    "  ldp q4, q5, [x9, #64]\n"
    "  ldp q6, q7, [x9, #32]\n"
    "  ldp q8, q9, [x9, #64]\n"
    "  ldp q10, q11, [x9, #32]\n"
    "  ldp q12, q13, [x9, #64]\n"
    "  ldp q14, q15, [x9, #32]\n"
    "  ldp q16, q17, [x9, #64]\n"
    "  ldp q18, q19, [x9, #32]\n"
    "  ldp q20, q21, [x9, #64]\n"
    "  ldp q22, q23, [x9, #32]\n"
    "  ldp q24, q25, [x9, #64]\n"
    "  ldp q26, q27, [x9, #32]\n"
    "  ldp q28, q29, [x9, #64]\n"
    "  ldp q30, q31, [x9, #32]\n"
    "  ldp x0, x1, [x9, #96]\n"
    "  ldp x12, x13, [x9, #112]\n"
    "  msr fpsr, x12\n"
    "  msr nzcv, x13\n"
    "loop_insn:\n"
    "  nop\n"
    "  str q0, [x10]\n"
    "  mrs x12, fpsr\n"
    "  mrs x13, nzcv\n"
    "  stp x0, x12, [x10, #16]\n"
    "  str x13, [x10, #32]\n"
    "  add x9, x9, #128\n"
    "  add x10, x10, #40\n"
    "  subs x11, x11, #1\n"
    "  b.ne 1b\n"
    "  ldp d10, d11, [sp, #16]\n"
    "  ldp d12, d13, [sp, #32]\n"
    "  ldp d14, d15, [sp, #48]\n"
    "  ldp d8, d9, [sp], #64\n"
    "  ret\n"
    "loop_end:\n");

extern const uint8_t loop_start[], loop_insn[], loop_end[];

enum { CHUNK = 1000 };

static struct operands operands[CHUNK];
static struct result results[CHUNK];
static sigjmp_buf undefined;

static void on_undefined(int signal)
{
    (void)signal;
    siglongjmp(undefined, 1);
}

int main(void)
{
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 2;
    signal(SIGILL, on_undefined);
    memcpy(code, loop_start, loop_end - loop_start);
    void (*loop)(struct operands *, struct result *, uint64_t) = (void *)code;
    // Both outlive a jump.
    static struct header header;
    static uint64_t now;
    while (fread(&header, sizeof header, 1, stdin) == 1) {
        memcpy(code + (loop_insn - loop_start), &header.word, sizeof header.word);
        __builtin___clear_cache((char *)code, (char *)code + 4096);
        while (header.count) {
            now = header.count < CHUNK ? header.count : CHUNK;
            if (fread(operands, sizeof operands[0], now, stdin) != now)
                return 3;
            if (sigsetjmp(undefined, 1) == 0) {
                asm volatile("msr fpcr, %0" ::"r"((uint64_t)header.fpcr));
                loop(operands, results, now);
                asm volatile("msr fpcr, xzr\n msr fpsr, xzr");
            } else {
                asm volatile("msr fpcr, xzr\n msr fpsr, xzr");
                memset(results, 0x55, sizeof results);
            }
            if (fwrite(results, sizeof results[0], now, stdout) != now)
                return 4;
            header.count -= now;
        }
    }
    return 0;
}
