// Runs one instruction on many operands. Requests come on standard input: a header, then operands; a result for
// each operand goes to standard output.

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct header {
    uint32_t word;  // vd = v0, vn = v1, …; xd = x0, xn = x1, …
    uint32_t fpcr;
    uint64_t count;
};

struct operands {
    uint64_t v[6][2];
    uint64_t x[4];
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
    "  mov x9, x0\n"
    "  mov x10, x1\n"
    "  mov x11, x2\n"
    "1:\n"
    "  ldp q0, q1, [x9]\n"
    "  ldp q2, q3, [x9, #32]\n"
    "  ldp q4, q5, [x9, #64]\n"
    "  ldp x0, x1, [x9, #96]\n"
    "  ldp x2, x3, [x9, #112]\n"
    "  ldp x12, x13, [x9, #128]\n"
    "  msr fpsr, x12\n"
    "  msr nzcv, x13\n"
    "loop_insn:\n"
    "  nop\n"
    "  str q0, [x10]\n"
    "  mrs x12, fpsr\n"
    "  mrs x13, nzcv\n"
    "  stp x0, x12, [x10, #16]\n"
    "  str x13, [x10, #32]\n"
    "  add x9, x9, #144\n"
    "  add x10, x10, #40\n"
    "  subs x11, x11, #1\n"
    "  b.ne 1b\n"
    "  ret\n"
    "loop_end:\n");

extern const uint8_t loop_start[], loop_insn[], loop_end[];

enum { CHUNK = 1000 };

static struct operands operands[CHUNK];
static struct result results[CHUNK];

int main(void)
{
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 2;
    memcpy(code, loop_start, loop_end - loop_start);
    void (*loop)(struct operands *, struct result *, uint64_t) = (void *)code;
    struct header header;
    while (fread(&header, sizeof header, 1, stdin) == 1) {
        memcpy(code + (loop_insn - loop_start), &header.word, sizeof header.word);
        __builtin___clear_cache((char *)code, (char *)code + 4096);
        while (header.count) {
            uint64_t now = header.count < CHUNK ? header.count : CHUNK;
            if (fread(operands, sizeof operands[0], now, stdin) != now)
                return 3;
            asm volatile("msr fpcr, %0" ::"r"((uint64_t)header.fpcr));
            loop(operands, results, now);
            asm volatile("msr fpcr, xzr\n msr fpsr, xzr");
            if (fwrite(results, sizeof results[0], now, stdout) != now)
                return 4;
            header.count -= now;
        }
    }
    return 0;
}
