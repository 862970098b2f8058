/* Accesses to where nothing is: access faults, with exact cause and value. Privileged ISA, "Physical Memory Attributes". */
#include "bare.h"

static void in_mode(unsigned mode)
{
    EXPECT_TRAP(run(mode, ENTRY(probe_lb), HOLE + 1), M_MODE, CAUSE_LOAD_ACCESS, probe_lb, HOLE + 1);
    EXPECT_TRAP(run(mode, ENTRY(probe_lhu), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_lhu, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_lw), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_lw, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_ld), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_sb), HOLE + 3), M_MODE, CAUSE_STORE_ACCESS, probe_sb, HOLE + 3);
    EXPECT_TRAP(run(mode, ENTRY(probe_sh), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_sh, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_sw), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_sw, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_sd), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_sd, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_lr), HOLE), M_MODE, CAUSE_LOAD_ACCESS, probe_lr, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_amoadd), HOLE), M_MODE, CAUSE_STORE_ACCESS, probe_amoadd, HOLE);
    EXPECT_TRAP(run(mode, ENTRY(probe_jump), HOLE), M_MODE, CAUSE_FETCH_ACCESS, HOLE, HOLE);
    /* Above all memory */
    u64 high = 1UL << 45;
    EXPECT_TRAP(run(mode, ENTRY(probe_ld), high), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, high);
    EXPECT_TRAP(run(mode, ENTRY(probe_sd), high), M_MODE, CAUSE_STORE_ACCESS, probe_sd, high);
    EXPECT_TRAP(run(mode, ENTRY(probe_jump), high), M_MODE, CAUSE_FETCH_ACCESS, high, high);
}

static void of_machine_mode(void) { in_mode(M_MODE); }
static void of_supervisor_mode(void) { in_mode(S_MODE); }
static void of_user_mode(void) { in_mode(U_MODE); }

/* With translation, the value is the virtual address. */
static void through_a_mapping(void)
{
    u64 *root = new_space(SATP_SV39);
    u64 window = 0x1000000000;
    map(root, SATP_SV39, window, HOLE, 0, PTE_RWX);
    use_space(root, SATP_SV39, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), window + 8), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, window + 8);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sw), window + 4), M_MODE, CAUSE_STORE_ACCESS, probe_sw, window + 4);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), window), M_MODE, CAUSE_FETCH_ACCESS, window, window);
    use_no_space();
}

/* qemu fails page_tables_in_a_hole: it reports page faults; "Virtual Address Translation Process", step 2 */
static void page_tables_in_a_hole(void)
{
    u64 *root = new_space(SATP_SV39);
    u64 window = 0x1000000000;
    root[window >> 30 & 511] = pte(HOLE, PTE_V);
    use_space(root, SATP_SV39, 0);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_ld), window), M_MODE, CAUSE_LOAD_ACCESS, probe_ld, window);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_sd), window), M_MODE, CAUSE_STORE_ACCESS, probe_sd, window);
    EXPECT_TRAP(run(S_MODE, ENTRY(probe_jump), window), M_MODE, CAUSE_FETCH_ACCESS, window, window);
    use_no_space();
}

int main(void)
{
    RUN(of_machine_mode);
    RUN(of_supervisor_mode);
    RUN(of_user_mode);
    RUN(through_a_mapping);
    RUN(page_tables_in_a_hole);
    return 0;
}
