/* Code that is written while it runs: through its own address and through an alias. Unprivileged ISA, "Zifencei". */
#include "bare.h"

#define LI_A0(n) (0x00000513 | (u32)(n) << 20)
#define RET 0x00008067

static volatile u32 code[1024] __attribute__((aligned(4096)));

static void at_its_own_address(void)
{
    code[1] = RET;
    for (u32 i = 0; i < 200; i++) {
        code[0] = LI_A0(i);
        fence_i();
        CHECK_EQ(run(M_MODE, ENTRY(code), 0).value, i);
    }
}

/* Data beside code in the same page changes often; the code does not. */
static void data_in_a_code_page(void)
{
    code[0] = LI_A0(77);
    code[1] = RET;
    fence_i();
    for (u32 i = 0; i < 2000; i++) {
        code[512] = i;
        if (i % 100 == 0)
            CHECK_EQ(run(S_MODE, ENTRY(code), 0).value, 77);
    }
    CHECK_EQ(code[512], 1999);
}

/* A loop that patches itself: each round adds another immediate. */
static void a_loop_that_patches_itself(void)
{
    /* add: a1 += n; the word is rewritten by M mode between calls from a hot loop. */
    u64 sum = 0;
    code[0] = 0x00008067;
    code[1] = RET;
    for (u32 i = 0; i < 500; i++) {
        code[0] = 0x00050513 | (i & 0x3ff) << 20; /* addi a0, a0, i */
        fence_i();
        for (int k = 0; k < 8; k++) {
            register u64 a0 asm("a0") = sum;
            asm volatile("jalr %1" : "+r"(a0) : "r"(code) : "ra", "memory");
            sum = a0;
        }
    }
    CHECK_EQ(sum, 8 * (499 * 500 / 2));
}

/* store_fence_call(alias, word, code): in one mode, without leaving it. */
asm(".text\n.balign 4\n.globl store_fence_call\n"
    "store_fence_call: mv t2, ra\n ld t0, 0(a0)\n lw t1, 8(a0)\n sw t1, 0(t0)\n fence.i\n ld t0, 16(a0)\n"
    " jalr t0\n mv ra, t2\n ret\n");
extern u8 store_fence_call[];
static volatile struct {
    u64 alias;
    u64 word;
    u64 entry;
} patch;

/* Two virtual addresses of one page: one executable, the other writable. */
static void through_an_alias(void)
{
    u64 *root = new_space(SATP_SV39);
    u64 executable = 0x1000000000, writable = 0x1800000000;
    map(root, SATP_SV39, executable, (u64)code, 0, PTE_RX);
    map(root, SATP_SV39, writable, (u64)code, 0, PTE_RW);
    use_space(root, SATP_SV39, 0);
    code[1] = RET;
    for (u32 i = 0; i < 100; i++) {
        patch.alias = writable;
        patch.word = LI_A0(i);
        patch.entry = executable;
        EXPECT_VALUE(run(S_MODE, ENTRY(store_fence_call), (u64)&patch), i);
    }
    /* A store by M mode to the physical page */
    code[0] = LI_A0(1234);
    fence_i();
    EXPECT_VALUE(run(S_MODE, executable, 0), 1234);
    use_no_space();
}

/* A page of code is remapped to another page. */
static u32 other[1024] __attribute__((aligned(4096))) = {LI_A0(500), RET};

static void another_page_at_the_address(void)
{
    u64 *root = new_space(SATP_SV39);
    u64 at = 0x1000000000;
    code[0] = LI_A0(400);
    code[1] = RET;
    use_space(root, SATP_SV39, 0);
    for (int i = 0; i < 50; i++) {
        map(root, SATP_SV39, at, (u64)code, 0, PTE_RX);
        asm volatile("sfence.vma %0" ::"r"(at) : "memory");
        EXPECT_VALUE(run(S_MODE, at, 0), 400);
        map(root, SATP_SV39, at, (u64)other, 0, PTE_RX);
        asm volatile("sfence.vma %0" ::"r"(at) : "memory");
        EXPECT_VALUE(run(S_MODE, at, 0), 500);
    }
    use_no_space();
}

/* call(address): by a jump, which a translator may remember. */
asm(".text\n.balign 4\n.globl call_at\ncall_at: mv t2, ra\n jalr a0\n mv ra, t2\n ret\n");
extern u8 call_at[];

static u64 call(u64 address) { return run(S_MODE, ENTRY(call_at), address).value; }

/* The same, where the code was called again since a fence for another page of code. */
static void another_page_after_a_fence_elsewhere(void)
{
    static u32 beside[1024] __attribute__((aligned(4096))) = {LI_A0(600), RET};
    u64 *root = new_space(SATP_SV39);
    u64 at = 0x1000000000, elsewhere = 0x1000001000;
    map(root, SATP_SV39, at, (u64)code, 0, PTE_RX);
    map(root, SATP_SV39, elsewhere, (u64)beside, 0, PTE_RX);
    use_space(root, SATP_SV39, 0);
    for (int i = 0; i < 50; i++) {
        u64 now = i % 2 ? 500 : 400;
        CHECK_EQ(call(at), now);
        CHECK_EQ(call(elsewhere), 600);
        asm volatile("sfence.vma %0" ::"r"(elsewhere) : "memory");
        CHECK_EQ(call(at), now);
        CHECK_EQ(call(at), now);
        map(root, SATP_SV39, at, (u64)(i % 2 ? code : other), 0, PTE_RX);
        asm volatile("sfence.vma %0" ::"r"(at) : "memory");
        CHECK_EQ(call(elsewhere), 600);
        CHECK_EQ(call(at), i % 2 ? 400 : 500);
    }
    use_no_space();
}

/* sum(count): a loop that lies on two pages, and adds on the second. */
asm(".text\n.balign 4096\n.globl sum, summand\n.option push\n.option norvc\n"
    "sum: li a1, 0\n addi a0, a0, 1\n j 2f\n1: j summand\n2: addi a0, a0, -1\n bnez a0, 1b\n mv a0, a1\n ret\n"
    ".balign 4096\nsummand: addi a1, a1, 1\n j 2b\n.balign 4096\n.option pop\n");
u64 sum(u64 count);
extern volatile u32 summand[];

/* What was compiled of both pages together goes when one of them changes. */
static void hot_code_across_pages(void)
{
    for (u32 i = 1; i <= 8; i++) {
        summand[0] = 0x00058593 | i << 20; /* addi a1, a1, i */
        fence_i();
        for (int k = 0; k < 4; k++)
            CHECK_EQ(sum(100000), 100000 * i);
    }
}

int main(void)
{
    RUN(at_its_own_address);
    RUN(data_in_a_code_page);
    RUN(a_loop_that_patches_itself);
    RUN(through_an_alias);
    RUN(another_page_at_the_address);
    RUN(another_page_after_a_fence_elsewhere);
    RUN(hot_code_across_pages);
    return 0;
}
