/*
 * Changed code with fence.i, which must be seen, and without, where hardware may run the old or the
 * new instruction but nothing else.
 */
#include "../guest.h"

static uint32_t *code;

/* li a0, value; ret */
static void emit(int value)
{
    *(volatile uint32_t *)code = (uint32_t)value << 20 | 0x513;
    ((volatile uint32_t *)code)[1] = 0x00008067;
}

static int call(void)
{
    int (*function)(void);
    memcpy(&function, &code, sizeof function);
    return function();
}

static void with_fence(void)
{
    for (int i = 0; i < 2000; i++) {
        emit(i);
        __asm__ volatile("fence.i" ::: "memory");
        REQUIRE(call() == i);
    }
}

static void without_fence(void)
{
    emit(0);
    __asm__ volatile("fence.i" ::: "memory");
    int known = 0;
    for (int i = 1; i < 2000; i++) {
        emit(i);
        int value = call();
        REQUIRE(value >= known && value <= i);
        known = value;
    }
    __asm__ volatile("fence.i" ::: "memory");
    REQUIRE(call() == 1999);
}

/* The instruction after the store, in the same straight run of code, is changed. */
static void the_next_instruction(void)
{
    for (uint32_t i = 0; i < 500; i++) {
        /* sw a1, 12(a0); fence.i; nop; li a0, 7; ret, with the li replaced by the store. */
        static const uint32_t program[] = { 0x00b52623, 0x0000100f, 0x00000013, 0x00700513, 0x00008067 };
        memcpy(code, program, sizeof program);
        __asm__ volatile("fence.i" ::: "memory");
        int (*function)(void *, uint32_t);
        memcpy(&function, &code, sizeof function);
        REQUIRE(function(code, i << 20 | 0x513) == (int)i);
    }
}

/* One instruction that lies in two pages, changed by half. */
static void across_a_page_boundary(void)
{
    uint32_t *saved = code;
    uint16_t *halves = (uint16_t *)((char *)code + 4096 - 2);
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t load = i << 20 | 0x513;
        *(volatile uint16_t *)halves = (uint16_t)load;
        *(volatile uint16_t *)(halves + 1) = (uint16_t)(load >> 16);
        *(volatile uint16_t *)(halves + 2) = 0x8082; /* c.ret */
        __asm__ volatile("fence.i" ::: "memory");
        code = (uint32_t *)halves;
        REQUIRE(call() == (int)i);
    }
    code = saved;
}

static void flush_system_call(void)
{
    for (int i = 0; i < 200; i++) {
        emit(i);
        REQUIRE(syscall(259 /* riscv_flush_icache */, code, (char *)code + 8, 0) == 0);
        REQUIRE(call() == i);
    }
}

int main(void)
{
    code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(code != MAP_FAILED);
    RUN(with_fence);
    RUN(without_fence);
    RUN(the_next_instruction);
    RUN(across_a_page_boundary);
    RUN(flush_system_call);
    return finish();
}
