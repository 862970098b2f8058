/*
 * Code at addresses that differ in high bits only, in Sv57: each is its own place, with its own pc. And physical
 * addresses of more than 48 bits, where nothing is.
 * Privileged ISA, "Sv57: Page-Based 57-bit Virtual-Memory System"
 */
#include "bare.h"

#define SATP_MODE SATP_SV57
#define LOW 0x1234567000UL
/* Bits 63 to 57 are as bit 56 is. */
#define PLACES 9
static const u64 places[PLACES] = {
    LOW,
    LOW | 1UL << 46,
    LOW | 1UL << 47,
    LOW | 1UL << 48,
    LOW | 3UL << 47,
    LOW | 1UL << 55,
    LOW | 0xffUL << 48,
    LOW | 0xffUL << 56,
    LOW | 0x1ffffUL << 47,
};

static u64 *root;

/* Two pages each: `other` begins on the second. */
static u32 code[PLACES][2048] __attribute__((aligned(4096)));

/* auipc a0, 0; ret */
static void returns_its_place(u32 *at)
{
    at[0] = 0x00000517;
    at[1] = 0x00008067;
}

/* li a0, number; ret */
static void returns_a_number(u32 *at, u32 number)
{
    at[0] = 0x00000513 | number << 20;
    at[1] = 0x00008067;
}

static void lay_out(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        for (unsigned page = 0; page < 2; page++)
            map(root, SATP_MODE, places[i] + page * PAGE, (u64)code[i] + page * PAGE, 0, PTE_RX);
    fence_i();
    sfence();
}

static void each_place_has_its_own_code(void)
{
    for (u32 i = 0; i < PLACES; i++)
        returns_a_number(code[i], i + 1);
    lay_out();
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < PLACES; i++)
            EXPECT_VALUE(run(S_MODE, places[i], 0), i + 1);
}

static void each_place_has_its_own_pc(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        returns_its_place(code[i]);
    lay_out();
    for (unsigned i = 0; i < PLACES; i++)
        EXPECT_VALUE(run(S_MODE, places[i], 0), places[i]);
    /* All are the same page. */
    for (unsigned i = 0; i < PLACES; i++)
        map(root, SATP_MODE, places[i], (u64)code[0], 0, PTE_RX);
    sfence();
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < PLACES; i++)
            EXPECT_VALUE(run(S_MODE, places[i], 0), places[i]);
}

static void traps_name_the_place(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        code[i][0] = 0x00053503; /* ld a0, 0(a0) */
        code[i][1] = 0;
    }
    lay_out();
    for (unsigned i = 0; i < PLACES; i++) {
        u64 nowhere = places[i] ^ 0x8000000;
        EXPECT_TRAP(run(S_MODE, places[i], nowhere), M_MODE, CAUSE_LOAD_PAGE, places[i], nowhere);
        EXPECT_TRAP(run(S_MODE, nowhere, 0), M_MODE, CAUSE_FETCH_PAGE, nowhere, nowhere);
        EXPECT_ILLEGAL(run(S_MODE, places[i] + 4, 0), places[i] + 4);
    }
}

/* Hot, so that it is compiled: between two pages, by direct and by computed jumps. */
static void loops_run_anywhere(void)
{
    static const u32 first[] = {
        0x00000793, /* li a5, 0 */
        0x000186b7, /* lui a3, 0x18: rounds */
        0x00000717, /* loop: auipc a4, 0 */
        0x00e7c7b3, /* xor a5, a5, a4 */
        0x00179713, /* slli a4, a5, 1 */
        0x03f7d793, /* srli a5, a5, 63 */
        0x00e787b3, /* add a5, a5, a4 */
        0x7e50006f, /* j other: 0xfe4 on */
    };
    static const u32 second[] = {
        0x00000717, /* other: auipc a4, 0 */
        0x00e787b3, /* add a5, a5, a4 */
        0xfff68693, /* addi a3, a3, -1 */
        0x00068663, /* beqz a3, end */
        0x80070713, /* addi a4, a4, -2048 */
        0x80870067, /* jr -2040(a4): loop */
        0x00078513, /* end: mv a0, a5 */
        0x00008067, /* ret */
    };
    for (unsigned i = 0; i < PLACES; i++) {
        for (unsigned n = 0; n < 8; n++) {
            code[i][n] = first[n];
            code[i][1024 + n] = second[n];
        }
    }
    lay_out();
    for (unsigned i = 0; i < PLACES; i++) {
        u64 value = 0;
        for (u64 round = 0; round < 0x18000; round++) {
            value ^= places[i] + 8;
            value = value >> 63 | value << 1;
            value += places[i] + PAGE;
        }
        EXPECT_VALUE(run(S_MODE, places[i], 0), value);
    }
}

/* Physical addresses have 56 bits: more than the program's own in the upper ones is nowhere. */
static void nothing_is_beyond(void)
{
    for (unsigned bit = 47; bit < 56; bit++) {
        u64 beyond = (u64)code[0] | BIT(bit);
        EXPECT_TRAP(run(M_MODE, beyond, 0), M_MODE, CAUSE_FETCH_ACCESS, beyond, beyond);
        EXPECT_TRAP(run(M_MODE, ENTRY(probe_ld), beyond), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, beyond);
        map(root, SATP_MODE, LOW, beyond, 0, PTE_RWX);
        sfence();
        EXPECT_TRAP(run(S_MODE, LOW, 0), M_MODE, CAUSE_FETCH_ACCESS, LOW, LOW);
        EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), LOW), M_MODE, CAUSE_STORE_ACCESS, probe_sd, LOW);
    }
}

int main(void)
{
    root = new_space(SATP_MODE);
    if (!use_space(root, SATP_MODE, 0)) {
        absent("sv57");
        return 0;
    }
    RUN(each_place_has_its_own_code);
    RUN(each_place_has_its_own_pc);
    RUN(traps_name_the_place);
    RUN(loops_run_anywhere);
    RUN(nothing_is_beyond);
    return 0;
}
