// Runs one floating-point instruction on many operands. Requests come on standard input: a header,
// then operands; a result for each operand goes to standard output.

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct header {
    uint32_t word;  // rd = fa0 or a0, rs1 = fa1 or a1, rs2 = fa2, rs3 = fa3
    uint32_t frm;
    uint64_t count;
};

struct operands {
    uint64_t f[3];
    uint64_t x;
    uint64_t fflags;
};

struct result {
    uint64_t f;
    uint64_t x;
    uint64_t fflags;
};

// loop(operands, results, count), with a no-operation where the instruction goes.
asm(".option push\n.option norvc\n"
    ".globl loop_start, loop_insn, loop_end\n"
    "loop_start:\n"
    "  mv a4, a2\n"
    "  mv a2, a0\n"
    "  mv a3, a1\n"
    "1:\n"
    "  fld fa1, 0(a2)\n"
    "  fld fa2, 8(a2)\n"
    "  fld fa3, 16(a2)\n"
    "  ld a1, 24(a2)\n"
    "  ld a0, 32(a2)\n"
    "  csrw fflags, a0\n"
    "  fmv.d.x fa0, zero\n"
    "  li a0, 0\n"
    "loop_insn:\n"
    "  nop\n"
    "  fsd fa0, 0(a3)\n"
    "  sd a0, 8(a3)\n"
    "  csrr a0, fflags\n"
    "  sd a0, 16(a3)\n"
    "  addi a2, a2, 40\n"
    "  addi a3, a3, 24\n"
    "  addi a4, a4, -1\n"
    "  bnez a4, 1b\n"
    "  ret\n"
    "loop_end:\n"
    ".option pop\n");

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
        asm volatile("fence.i" ::: "memory");
        while (header.count) {
            uint64_t now = header.count < CHUNK ? header.count : CHUNK;
            if (fread(operands, sizeof operands[0], now, stdin) != now)
                return 3;
            asm volatile("csrw frm, %0" ::"r"((uint64_t)header.frm));
            loop(operands, results, now);
            asm volatile("csrw fcsr, zero");
            if (fwrite(results, sizeof results[0], now, stdout) != now)
                return 4;
            header.count -= now;
        }
    }
    return 0;
}
