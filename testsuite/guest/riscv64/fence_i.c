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

/* j offset */
static uint32_t jump(int32_t offset)
{
    uint32_t bits = (uint32_t)offset;
    return (bits >> 20 & 1) << 31 | (bits >> 1 & 0x3ff) << 21 | (bits >> 11 & 1) << 20 | (bits >> 12 & 0xff) << 12 | 0x6f;
}

/* A loop that lies on two pages, hot enough to be compiled as one: the first page counts, the second adds. */
static void a_hot_loop_across_pages(void)
{
    /* li a1, 0; addi a0, a0, 1; j 2f; 1: j PAGE; 2: addi a0, a0, -1; bnez a0, 1b; mv a0, a1; ret */
    uint32_t counts[] = { 0x00000593, 0x00150513, jump(8), jump(4096 - 12), 0xfff50513, 0xfe051ce3, 0x00058513, 0x00008067 };
    uint32_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    memcpy(pages, counts, sizeof counts);
    pages[1025] = jump(16 - 4100);
    long (*sum)(long);
    memcpy(&sum, &pages, sizeof sum);
    for (uint32_t i = 1; i <= 8; i++) {
        /* addi a1, a1, i; j 2b */
        *(volatile uint32_t *)&pages[1024] = 0x00058593 | i << 20;
        __asm__ volatile("fence.i" ::: "memory");
        for (int k = 0; k < 4; k++)
            REQUIRE(sum(100000) == 100000L * i);
    }
    munmap(pages, 8192);
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
    RUN(a_hot_loop_across_pages);
    return finish();
}
