/* Operands beyond what 32 bits reach: relative to code that lies there, and by whole addresses. Often enough to be compiled. */
#include "../guest.h"

static long call(const void *code, long argument)
{
    long (*target)(long);
    memcpy(&target, &code, sizeof target);
    return target(argument);
}

static void relative_to_code(void)
{
    static const uint8_t code[] = {
        0x48, 0x89, 0x3d, 0x39, 0x10, 0x00, 0x00,             /* mov [rip+0x1039], rdi: at 0x1040 */
        0x89, 0x3d, 0x3b, 0x10, 0x00, 0x00,                   /* mov [rip+0x103b], edi: at 0x1048 */
        0x66, 0x89, 0x3d, 0x38, 0x10, 0x00, 0x00,             /* mov [rip+0x1038], di: at 0x104c */
        0x40, 0x88, 0x3d, 0x33, 0x10, 0x00, 0x00,             /* mov [rip+0x1033], dil: at 0x104e */
        0x48, 0x83, 0x05, 0x1d, 0x10, 0x00, 0x00, 0x01,       /* add qword [rip+0x101d], 1: at 0x1040 */
        0x48, 0x8b, 0x05, 0x16, 0x10, 0x00, 0x00,             /* mov rax, [rip+0x1016] */
        0xc3,
    };
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED && (uintptr_t)page > UINT32_MAX);
    memcpy(page, code, sizeof code);
    uint64_t wide, narrow;
    for (long i = 0; i < 20000; i++) {
        long value = i * 0x123456789;
        REQUIRE(call(page, value) == value + 1);
        memcpy(&wide, page + 0x1040, 8);
        memcpy(&narrow, page + 0x1048, 8);
        uint64_t expected = (uint32_t)value | (uint64_t)(uint16_t)value << 32 | (uint64_t)(uint8_t)value << 48;
        REQUIRE(wide == (uint64_t)value + 1 && (narrow & UINT64_C(0xffffffffffffff)) == expected);
    }
    munmap(page, 8192);
}

static void by_whole_addresses(void)
{
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    uint64_t *word = (uint64_t *)(void *)(page + 4096 + 64);
    uint8_t code[] = {
        0x48, 0x89, 0xf8,                         /* mov rax, rdi */
        0x48, 0xa3, 0, 0, 0, 0, 0, 0, 0, 0,       /* mov [word], rax */
        0x48, 0xff, 0xc0,                         /* inc rax */
        0x48, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0,       /* mov rax, [word] */
        0xc3,
    };
    memcpy(code + 5, &word, 8);
    memcpy(code + 18, &word, 8);
    memcpy(page, code, sizeof code);
    for (long i = 0; i < 20000; i++)
        REQUIRE(call(page, i << 20) == i << 20 && *word == (uint64_t)i << 20);
    munmap(page, 8192);
}

int main(void)
{
    RUN(relative_to_code);
    RUN(by_whole_addresses);
    return finish();
}
