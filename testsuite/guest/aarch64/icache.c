/*
 * Changed code with the maintenance that the architecture asks for (DC CVAU, DSB, IC IVAU, DSB, ISB), which
 * must be seen; and without, where hardware may run the old or the new instruction but nothing else.
 */
#include "../guest.h"

static uint32_t *code;

static void synchronise(void *at)
{
    __asm__ volatile("dc cvau, %0\n  dsb ish\n  ic ivau, %0\n  dsb ish\n  isb" ::"r"(at) : "memory");
}

static uint32_t load_value(uint32_t value) { return 0x52800000 | value << 5; /* movz w0, value */ }

static void emit(uint32_t value)
{
    *(volatile uint32_t *)code = load_value(value);
    ((volatile uint32_t *)code)[1] = 0xd65f03c0; /* ret */
}

static uint32_t call(void)
{
    uint32_t (*function)(void);
    memcpy(&function, &code, sizeof function);
    return function();
}

static void with_maintenance(void)
{
    for (uint32_t i = 0; i < 2000; i++) {
        emit(i);
        synchronise(code);
        REQUIRE(call() == i);
    }
}

static void without_maintenance(void)
{
    emit(0);
    synchronise(code);
    uint32_t known = 0;
    for (uint32_t i = 1; i < 2000; i++) {
        emit(i);
        uint32_t value = call();
        REQUIRE(value >= known && value <= i);
        known = value;
    }
    synchronise(code);
    REQUIRE(call() == 1999);
}

/* The instruction after the store, in the same straight run of code, is changed. */
static void the_next_instruction(void)
{
    for (uint32_t i = 0; i < 500; i++) {
        static const uint32_t program[] = {
            0xb9001c01, /* str w1, [x0, #28] */
            0x91007003, /* add x3, x0, #28 */
            0xd50b7b23, /* dc cvau, x3 */
            0xd5033b9f, /* dsb ish */
            0xd50b7523, /* ic ivau, x3 */
            0xd5033b9f, /* dsb ish */
            0xd5033fdf, /* isb */
            0x528000e0, /* movz w0, 7: replaced by the store */
            0xd65f03c0, /* ret */
        };
        memcpy(code, program, sizeof program);
        __builtin___clear_cache((char *)code, (char *)code + sizeof program);
        uint32_t (*function)(void *, uint32_t);
        memcpy(&function, &code, sizeof function);
        REQUIRE(function(code, load_value(i)) == i);
    }
}

/* Sizes of cache lines, and whether maintenance is needed, as a program may ask. */
static void cache_type(void)
{
    uint64_t ctr;
    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    uint64_t instruction_line = UINT64_C(4) << (ctr & 15), data_line = UINT64_C(4) << (ctr >> 16 & 15);
    REQUIRE(instruction_line >= 16 && instruction_line <= 2048 && data_line >= 16 && data_line <= 2048);
}

int main(void)
{
    code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(code != MAP_FAILED);
    RUN(with_maintenance);
    RUN(without_maintenance);
    RUN(the_next_instruction);
    RUN(cache_type);
    return finish();
}
