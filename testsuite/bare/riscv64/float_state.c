/* mstatus.FS: off, initial, clean, dirty. Privileged ISA, "Extension Context Status in mstatus Register". */
#include "bare.h"

#define FS_OFF (0UL << 13)
#define FS_INITIAL (1UL << 13)
#define FS_CLEAN (2UL << 13)
#define FS_DIRTY (3UL << 13)

#define FLOAT(name, text) \
    asm(".text\n.balign 4\n.option push\n.option arch, +f, +d\n.option norvc\n.globl " #name "\n" #name ": " text "\n ret\n.option pop\n"); \
    extern u8 name[]
FLOAT(fp_add, "fadd.d fa0, fa0, fa1");
FLOAT(fp_load, "fld fa0, 0(a0)");
FLOAT(fp_store, "fsd fa0, 0(a0)");
FLOAT(fp_move_out, "fmv.x.d a0, fa0");
FLOAT(fp_move_in, "fmv.d.x fa0, a0");
FLOAT(read_fcsr, "csrr a0, fcsr");
FLOAT(write_frm, "csrw frm, a0");
FLOAT(fp_compare, "feq.d a0, fa0, fa0");

static void set_fs(u64 state)
{
    csr_clear(mstatus, MSTATUS_FS);
    csr_set(mstatus, state);
}
static u64 fs(void) { return csr_read(mstatus) & MSTATUS_FS; }
static u64 bits_at(const u8 *code) { return *(const u32 *)code; }
static u64 memory[2];

static void off_is_illegal(void)
{
    static u8 *const all[] = {fp_add, fp_load, fp_store, fp_move_out, fp_move_in, read_fcsr, write_frm, fp_compare};
    static const unsigned modes[] = {M_MODE, S_MODE, U_MODE};
    set_fs(FS_OFF);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        for (unsigned m = 0; m < 3; m++)
            EXPECT_TRAP(run(modes[m], ENTRY(all[i]), (u64)memory), M_MODE, CAUSE_ILLEGAL, all[i], bits_at(all[i]));
    CHECK_EQ(csr_read(mstatus) & MSTATUS_SD, 0);
}

static void writes_make_it_dirty(void)
{
    static u8 *const all[] = {fp_add, fp_load, fp_move_in, write_frm};
    for (u64 state = FS_INITIAL; state <= FS_CLEAN; state += FS_INITIAL) {
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
            set_fs(state);
            CHECK_EQ(csr_read(mstatus) & MSTATUS_SD, 0);
            CHECK(run(U_MODE, ENTRY(all[i]), all[i] == write_frm ? 0 : (u64)memory).returned);
            CHECK_EQ(fs(), FS_DIRTY);
            CHECK_EQ(csr_read(mstatus) & MSTATUS_SD, MSTATUS_SD);
            CHECK_EQ(csr_read(sstatus) & MSTATUS_SD, MSTATUS_SD);
        }
    }
}

/* Reads may leave it; what has no effect on the state must not lose it either. */
static void values_survive(void)
{
    set_fs(FS_DIRTY);
    run(U_MODE, ENTRY(fp_move_in), 0x400921fb54442d18);
    set_fs(FS_OFF);
    set_fs(FS_CLEAN);
    EXPECT_VALUE(run(U_MODE, ENTRY(fp_move_out), 0), 0x400921fb54442d18);
    memory[0] = 0;
    CHECK(run(S_MODE, ENTRY(fp_store), (u64)memory).returned);
    CHECK_EQ(memory[0], 0x400921fb54442d18);
}

/* One instruction that only adds a flag to fflags makes it dirty as well. */
FLOAT(fp_divide_by_zero, "fmv.d.x fa1, x0\n li t0, 1\n fcvt.d.l fa0, t0\n fdiv.d fa0, fa0, fa1\n csrr a0, fflags");

static void flags_accrue(void)
{
    set_fs(FS_INITIAL);
    EXPECT_VALUE(run(U_MODE, ENTRY(fp_divide_by_zero), 0) , 8);
    CHECK_EQ(fs(), FS_DIRTY);
}

/* The reserved rounding mode is illegal where it is used. */
static void reserved_rounding_mode(void)
{
    set_fs(FS_DIRTY);
    CHECK(run(U_MODE, ENTRY(write_frm), 5).returned);
    EXPECT_TRAP(run(U_MODE, ENTRY(fp_add), 0), M_MODE, CAUSE_ILLEGAL, fp_add, bits_at(fp_add));
    CHECK(run(U_MODE, ENTRY(write_frm), 0).returned);
    CHECK(run(U_MODE, ENTRY(fp_add), 0).returned);
}

int main(void)
{
    RUN(off_is_illegal);
    RUN(writes_make_it_dirty);
    RUN(values_survive);
    RUN(flags_accrue);
    RUN(reserved_rounding_mode);
    return 0;
}
