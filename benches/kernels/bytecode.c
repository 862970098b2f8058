/* A bytecode interpreter with a switch in its loop: indirect branches that depend on data. */
#define KERNEL_NAME "bytecode"
#define KERNEL_ITERATIONS 2
#include "kernel.h"

enum opcode { MOVE, ADD, MULTIPLY, AND, XOR, SHIFT_RIGHT, JUMP, JUMP_EQUAL, JUMP_LESS, CALL, RETURN, HALT };

enum variable { ZERO, ONE, THREE, LIMIT, START, VALUE, LENGTH, BEST, LONGEST, HASH, PARITY, VARIABLES };

struct instruction {
    uint8_t opcode, target, left, right;
};

enum { COLLATZ_LIMIT = 60000, LONGEST_START = 52527, LONGEST_LENGTH = 339, CALL_DEPTH = 16 };

/* Positions in the program that jumps name. */
enum label { OUTER = 1, INNER = 3, DONE = 8, NEXT = 11, STEP = 14, EVEN = 19 };

/*
 * The longest Collatz sequence that starts below LIMIT. The step from one value to the next is a
 * subroutine. A jump's destination stands in `target`.
 */
static const struct instruction program[] = {
    { MOVE, START, ONE, 0 },
    [OUTER] = { MOVE, VALUE, START, 0 },
    { MOVE, LENGTH, ZERO, 0 },
    [INNER] = { JUMP_EQUAL, DONE, VALUE, ONE },
    { CALL, STEP, 0, 0 },
    { ADD, LENGTH, LENGTH, ONE },
    { XOR, HASH, HASH, VALUE },
    { JUMP, INNER, 0, 0 },
    [DONE] = { JUMP_LESS, NEXT, LENGTH, BEST },
    { MOVE, BEST, LENGTH, 0 },
    { MOVE, LONGEST, START, 0 },
    [NEXT] = { ADD, START, START, ONE },
    { JUMP_LESS, OUTER, START, LIMIT },
    { HALT, 0, 0, 0 },
    [STEP] = { AND, PARITY, VALUE, ONE },
    { JUMP_EQUAL, EVEN, PARITY, ZERO },
    { MULTIPLY, VALUE, VALUE, THREE },
    { ADD, VALUE, VALUE, ONE },
    { RETURN, 0, 0, 0 },
    [EVEN] = { SHIFT_RIGHT, VALUE, VALUE, ONE },
    { RETURN, 0, 0, 0 },
};

__attribute__((noipa)) static void interpret(const struct instruction *code, uint64_t *v)
{
    uint32_t calls[CALL_DEPTH], depth = 0, pc = 0;
    for (;;) {
        struct instruction i = code[pc++];
        switch ((enum opcode)i.opcode) {
        case MOVE: v[i.target] = v[i.left]; break;
        case ADD: v[i.target] = v[i.left] + v[i.right]; break;
        case MULTIPLY: v[i.target] = v[i.left] * v[i.right]; break;
        case AND: v[i.target] = v[i.left] & v[i.right]; break;
        case XOR: v[i.target] = v[i.left] ^ v[i.right]; break;
        case SHIFT_RIGHT: v[i.target] = v[i.left] >> v[i.right]; break;
        case JUMP: pc = i.target; break;
        case JUMP_EQUAL: if (v[i.left] == v[i.right]) pc = i.target; break;
        case JUMP_LESS: if (v[i.left] < v[i.right]) pc = i.target; break;
        case CALL: CHECK(depth < CALL_DEPTH); calls[depth++] = pc; pc = i.target; break;
        case RETURN: CHECK(depth > 0); pc = calls[--depth]; break;
        case HALT: return;
        }
    }
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t variables[VARIABLES] = { [ONE] = 1, [THREE] = 3, [LIMIT] = COLLATZ_LIMIT, [HASH] = i };
        interpret(program, variables);
        CHECK(variables[LONGEST] == LONGEST_START && variables[BEST] == LONGEST_LENGTH);
        checksum = fold(checksum, variables[HASH]);
    }
    return checksum;
}
