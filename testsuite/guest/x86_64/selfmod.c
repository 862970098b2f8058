/*
 * Code that changes without any announcement, as x86 allows it: in the block that is being executed, through another mapping
 * of the same memory, by another thread, and across pages.
 */
#include "../guest.h"
#include <pthread.h>
#include <stdatomic.h>

typedef long (*function)(long);

static uint8_t *pages(size_t size)
{
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return memory;
}

__attribute__((noipa)) static long call(const void *code, long argument)
{
    function target;
    memcpy(&target, &code, sizeof target);
    return target(argument);
}

/* An instruction that the one before it has written. */
static void the_next_instruction(void)
{
    static const uint8_t code[] = {
        0x89, 0x3d, 0x01, 0x00, 0x00, 0x00, /* mov [rip+1], edi: the immediate of the next */
        0xb8, 0, 0, 0, 0,                   /* mov eax, 0 */
        0xc3,
    };
    uint8_t *page = pages(4096);
    memcpy(page, code, sizeof code);
    for (long i = 1; i < 3000; i++)
        REQUIRE(call(page, i) == i);
    munmap(page, 4096);
}

/* A loop that counts in its own immediate operand. */
static void a_loop_that_writes_itself(void)
{
    static const uint8_t code[] = {
        0x31, 0xc0,                               /* xor eax, eax */
        0x05, 1, 0, 0, 0,                         /* 1: add eax, 1 */
        0xff, 0x05, 0xf6, 0xff, 0xff, 0xff,       /* inc dword [rip-10]: the immediate */
        0xff, 0xcf,                               /* dec edi */
        0x75, 0xf1,                               /* jne 1b */
        0xc7, 0x05, 0xe8, 0xff, 0xff, 0xff, 1, 0, 0, 0, /* mov dword [rip-24], 1 */
        0xc3,
    };
    uint8_t *page = pages(4096);
    memcpy(page, code, sizeof code);
    for (long n = 1; n < 400; n++)
        REQUIRE(call(page, n) == n * (n + 1) / 2);
    munmap(page, 4096);
}

/* REP STOSB over the code that comes after it. */
static void a_string_instruction_over_code(void)
{
    static const uint8_t code[] = {
        0x48, 0x8d, 0x3d, 0x09, 0x00, 0x00, 0x00, /* lea rdi, [rip+9] */
        0xb9, 8, 0, 0, 0,                         /* mov ecx, 8 */
        0xf3, 0xaa,                               /* rep stosb */
        0xf3, 0xaa,                               /* again, for nothing */
        0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b, /* ud2 four times, until it becomes nops */
        0xb8, 7, 0, 0, 0,                         /* mov eax, 7 */
        0xc3,
    };
    uint8_t *page = pages(4096);
    for (int i = 0; i < 300; i++) {
        memcpy(page, code, sizeof code);
        function target;
        memcpy(&target, &page, sizeof target);
        long result;
        __asm__ volatile("mov $0x90, %%al\n call *%1" : "=&a"(result) : "r"(target) : "rdi", "rcx", "rsi", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
        REQUIRE(result == 7);
    }
    munmap(page, 4096);
}

static void return_value(uint8_t *code, int value)
{
    code[0] = 0xb8;
    memcpy(code + 1, &value, 4);
    code[5] = 0xc3;
}

static void through_a_second_mapping(void)
{
    int file = memfd_create("code", MFD_CLOEXEC);
    REQUIRE(file >= 0 && ftruncate(file, 8192) == 0);
    uint8_t *writable = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *executable = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    REQUIRE(writable != MAP_FAILED && executable != MAP_FAILED);
    for (int i = 0; i < 2000; i++) {
        return_value(writable + 100, i);
        /* What the processor needs where code is changed by another address than it is executed from. */
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
        REQUIRE(call(executable + 100, 0) == i);
    }
    munmap(writable, 8192);
    munmap(executable, 8192);
    close(file);
}

/* The second page of an instruction that lies in two. */
static void across_pages(void)
{
    uint8_t *page = pages(8192);
    for (int at = 4091; at < 4096; at++)
        for (int i = 0; i < 200; i++) {
            return_value(page + at, i << 16 | i);
            REQUIRE(call(page + at, 0) == (i << 16 | i));
            page[at + 4] = (uint8_t)(i >> 3);
            REQUIRE(call(page + at, 0) == ((i >> 3) << 24 | (i << 16 & 0xff0000) | i));
        }
    munmap(page, 8192);
}

static uint8_t *shared_code;
static _Atomic int published, seen;

static void *execute(void *unused)
{
    (void)unused;
    for (int i = 1; i <= 500; i++) {
        while (atomic_load(&published) < i)
            ;
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
        REQUIRE(call(shared_code, 0) == i);
        atomic_store(&seen, i);
    }
    return NULL;
}

/* Cross-modifying code as the manual has it: write, publish, serialize, execute. */
static void by_another_thread(void)
{
    shared_code = pages(4096);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, execute, NULL) == 0);
    for (int i = 1; i <= 500; i++) {
        return_value(shared_code, i);
        atomic_store(&published, i);
        while (atomic_load(&seen) < i)
            ;
    }
    REQUIRE(pthread_join(thread, NULL) == 0);
    munmap(shared_code, 4096);
}

static _Atomic int stop;

static void *toggle(void *code)
{
    /* One aligned store: the other thread executes the old or the new instruction. */
    for (int i = 0; !atomic_load(&stop); i ^= 1) {
        uint64_t value = i ? UINT64_C(0x9090c300000001b8) : UINT64_C(0x9090c300000002b8);
        atomic_store((_Atomic uint64_t *)code, value);
    }
    return NULL;
}

/* As kernels patch themselves: INT3 aside, one aligned store between two valid sequences of the same length. */
static void while_it_runs(void)
{
    uint8_t *code = pages(4096);
    memcpy(code, (uint8_t[]){0xb8, 1, 0, 0, 0, 0xc3, 0x90, 0x90}, 8);
    stop = 0;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, toggle, code) == 0);
    int counts[3] = { 0 };
    int64_t end = now_ns() + 300000000;
    while (now_ns() < end)
        for (int i = 0; i < 100; i++) {
            long result = call(code, 0);
            REQUIRE(result == 1 || result == 2);
            counts[result]++;
        }
    stop = 1;
    REQUIRE(pthread_join(thread, NULL) == 0);
    REQUIRE(counts[1] > 0 && counts[2] > 0);
    munmap(code, 4096);
}

int main(void)
{
    RUN(the_next_instruction);
    RUN(a_loop_that_writes_itself);
    RUN(a_string_instruction_over_code);
    RUN(through_a_second_mapping);
    RUN(across_pages);
    RUN(by_another_thread);
    RUN(while_it_runs);
    return finish();
}
