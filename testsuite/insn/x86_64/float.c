// Runs one instruction of x87, MMX or vectors on many operands. Requests come on standard input: a header, then operands; a
// result for each operand goes to standard output, with the signal that the instruction raised, if it did.

#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct header {
    uint8_t code[15];
    uint8_t length;
    uint64_t count;
};

// The beginning of what FXSAVE stores.
struct x87 {
    uint16_t control, status;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t instruction, operand;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
};

struct operands {
    struct x87 x87;
    uint64_t v[3][4]; // ymm0 to ymm2
    uint64_t memory[4]; // at rbx
    uint64_t rax, rcx, rflags, unused;
};

struct result {
    struct x87 x87;
    uint64_t v0[4];
    uint64_t memory[4];
    uint64_t rax, rflags;
    uint64_t signal; // that the instruction raised, and in the lower half where, from its start
    uint64_t unused;
};

_Static_assert(sizeof(struct operands) == 320 && sizeof(struct result) == 256, "as in tests/float/x86_64.rs");
_Static_assert(offsetof(struct operands, memory) == 256 && offsetof(struct operands, rax) == 288, "used below");
_Static_assert(offsetof(struct result, rax) == 224 && offsetof(struct result, signal) == 240, "used below");

// loop(operands, results, count), with room for the instruction. FXSAVE and FXRSTOR reach beyond the records, for vector registers
// that nobody needs. WAIT raises what x87 instructions have left.
asm(".globl loop_start, loop_insn, loop_after, loop_end\n"
    "loop_start:\n"
    "  push %rbx\n"
    "  push %r12\n"
    "  push %r13\n"
    "  push %r14\n"
    "  push %r15\n"
    "  mov %rdi, %r12\n"
    "  mov %rsi, %r13\n"
    "  mov %rdx, %r14\n"
    "1:\n"
    "  xor %r15d, %r15d\n"
    "  fxrstor64 (%r12)\n"
    "  vmovups 160(%r12), %ymm0\n"
    "  vmovups 192(%r12), %ymm1\n"
    "  vmovups 224(%r12), %ymm2\n"
    "  lea 256(%r12), %rbx\n"
    "  mov 288(%r12), %rax\n"
    "  mov 296(%r12), %rcx\n"
    "  push 304(%r12)\n"
    "  popfq\n"
    "loop_insn:\n"
    "  .skip 16, 0x90\n"
    "  fwait\n"
    "loop_after:\n"
    "  fxsave64 (%r13)\n"
    "  vmovups %ymm0, 160(%r13)\n"
    "  vmovups (%rbx), %ymm0\n"
    "  vmovups %ymm0, 192(%r13)\n"
    "  mov %r15, 240(%r13)\n"
    "  mov %rax, 224(%r13)\n"
    "  pushfq\n"
    "  pop 232(%r13)\n"
    "  fninit\n"
    "  movl $0x1f80, -4(%rsp)\n"
    "  ldmxcsr -4(%rsp)\n"
    "  add $320, %r12\n"
    "  add $256, %r13\n"
    "  dec %r14\n"
    "  jnz 1b\n"
    "  vzeroupper\n"
    "  pop %r15\n"
    "  pop %r14\n"
    "  pop %r13\n"
    "  pop %r12\n"
    "  pop %rbx\n"
    "  ret\n"
    "loop_end:\n");

extern const uint8_t loop_start[], loop_insn[], loop_after[], loop_end[];

enum { CHUNK = 1000, ROOM = 16, SLACK = 2 };

static struct operands operands[CHUNK + SLACK] __attribute__((aligned(64)));
static struct result results[CHUNK + SLACK] __attribute__((aligned(64)));
static uint8_t *code;

static void on_exception(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *insn = code + (loop_insn - loop_start);
    greg_t from = registers[REG_RIP] - (greg_t)(uintptr_t)insn;
    registers[REG_R15] = (greg_t)(signal << 8 | (info->si_code & 0xff)) << 32 | from;
    registers[REG_RIP] = (greg_t)(uintptr_t)(code + (loop_after - loop_start));
}

static void place(const struct header *header)
{
    uint8_t *insn = code + (loop_insn - loop_start);
    memset(insn, 0x90, ROOM);
    memcpy(insn, header->code, header->length);
    if (header->length + 2 <= ROOM) {
        insn[header->length] = 0xeb; // jmp
        insn[header->length + 1] = (uint8_t)(ROOM - 2 - header->length);
    }
}

// Where the last instruction and its operand were depends on the processor; reserved bytes say nothing.
static void forget(struct result *result)
{
    result->x87.reserved = 0;
    result->x87.opcode = 0;
    result->x87.instruction = result->x87.operand = 0;
    result->x87.mxcsr_mask = 0;
    for (int n = 0; n < 8; n++)
        memset(result->x87.st[n] + 10, 0, 6);
    result->unused = 0;
}

int main(void)
{
    static struct header header;
    static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        sigaction(signals[n], &action, NULL);
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 2;
    memcpy(code, loop_start, (size_t)(loop_end - loop_start));
    void (*loop)(struct operands *, struct result *, uint64_t) = (void *)code;
    while (fread(&header, sizeof header, 1, stdin) == 1) {
        if (header.length > sizeof header.code)
            return 3;
        place(&header);
        while (header.count) {
            uint64_t now = header.count < CHUNK ? header.count : CHUNK;
            if (fread(operands, sizeof operands[0], now, stdin) != now)
                return 4;
            loop(operands, results, now);
            for (uint64_t n = 0; n < now; n++)
                forget(&results[n]);
            if (fwrite(results, sizeof results[0], now, stdout) != now)
                return 5;
            header.count -= now;
        }
    }
    return 0;
}
