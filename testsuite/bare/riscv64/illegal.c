/* Illegal instructions and the bits in mtval. Privileged ISA, "Machine Trap Value Register". */
#include "bare.h"

#define CODE(name, bytes) asm(".text\n.balign 4\n.globl " #name "\n" #name ": " bytes "\n.balign 4\n"); extern u8 name[]
CODE(zeros, ".2byte 0");
CODE(ones, ".4byte 0xffffffff");
CODE(reserved_opcode, ".4byte 0x0000007f");
CODE(bad_load, ".4byte 0x00007003");      /* LOAD with funct3 7 */
CODE(bad_shift, ".4byte 0x42051513");     /* slli with a bit above the shift amount */
CODE(bad_compressed, ".2byte 0x8002");    /* c.jr x0 */
CODE(bad_addi4spn, ".2byte 0x0004");      /* c.addi4spn with immediate 0 */
CODE(at_halfword, ".2byte 0x0001, 0xffff, 0xffff"); /* c.nop, then an illegal instruction */

static void in_mode(unsigned mode)
{
    EXPECT_TRAP(run(mode, ENTRY(zeros), 0), M_MODE, CAUSE_ILLEGAL, zeros, 0);
    EXPECT_TRAP(run(mode, ENTRY(ones), 0), M_MODE, CAUSE_ILLEGAL, ones, 0xffffffff);
    EXPECT_TRAP(run(mode, ENTRY(reserved_opcode), 0), M_MODE, CAUSE_ILLEGAL, reserved_opcode, 0x7f);
    EXPECT_TRAP(run(mode, ENTRY(bad_load), 0), M_MODE, CAUSE_ILLEGAL, bad_load, 0x7003);
    EXPECT_TRAP(run(mode, ENTRY(bad_shift), 0), M_MODE, CAUSE_ILLEGAL, bad_shift, 0x42051513);
    EXPECT_TRAP(run(mode, ENTRY(bad_compressed), 0), M_MODE, CAUSE_ILLEGAL, bad_compressed, 0x8002);
    EXPECT_TRAP(run(mode, ENTRY(bad_addi4spn), 0), M_MODE, CAUSE_ILLEGAL, bad_addi4spn, 0x0004);
    EXPECT_TRAP(run(mode, ENTRY(at_halfword), 0), M_MODE, CAUSE_ILLEGAL, at_halfword + 2, 0xffffffff);
}

static void in_machine_mode(void) { in_mode(M_MODE); }
static void in_supervisor_mode(void) { in_mode(S_MODE); }
static void in_user_mode(void) { in_mode(U_MODE); }

static void privileged_instructions_in_user_mode(void)
{
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_sfence), 0), M_MODE, CAUSE_ILLEGAL, probe_sfence, 0x12000073);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_read_satp), 0), M_MODE, CAUSE_ILLEGAL, probe_read_satp, 0x18002573);
    EXPECT_TRAP(run(U_MODE, ENTRY(probe_write_satp), 0), M_MODE, CAUSE_ILLEGAL, probe_write_satp, 0x18051073);
}

/* Registers and memory are as they were before the instruction. */
asm(".text\n.balign 4\n.globl set_then_trap\n"
    "set_then_trap: li t0, 11\n li t1, 22\n li s1, 33\n.4byte 0xffffffff\n");
extern u8 set_then_trap[];

static void registers_are_exact(void)
{
    struct outcome outcome = run(U_MODE, ENTRY(set_then_trap), 44);
    CHECK(!outcome.returned);
    struct frame *frame = &this_hart()->m_frame;
    CHECK_EQ(frame->x[5], 11);
    CHECK_EQ(frame->x[6], 22);
    CHECK_EQ(frame->x[9], 33);
    CHECK_EQ(frame->x[10], 44);
}

int main(void)
{
    RUN(in_machine_mode);
    RUN(in_supervisor_mode);
    RUN(in_user_mode);
    RUN(privileged_instructions_in_user_mode);
    RUN(registers_are_exact);
    return 0;
}
