/* Reset values of CSRs and what WARL fields keep. Privileged ISA, "Machine-Level CSRs". */
#include "bare.h"

static u64 mstatus_at_reset, mie_at_reset;

static void identity(void)
{
    CHECK_EQ(csr_read(mhartid), 0);
    CHECK_EQ(csr_read(misa) >> 62, 2);
    CHECK_EQ(csr_read(misa) & (BIT('i' - 'a') | BIT('m' - 'a') | BIT('a' - 'a') | BIT('c' - 'a')),
             BIT('i' - 'a') | BIT('m' - 'a') | BIT('a' - 'a') | BIT('c' - 'a'));
    CHECK_EQ(csr_read(misa) & (BIT('s' - 'a') | BIT('u' - 'a')), BIT('s' - 'a') | BIT('u' - 'a'));
    csr_read(mvendorid);
    csr_read(marchid);
    csr_read(mimpid);
    csr_read(mconfigptr);
}

static void status_at_reset(void)
{
    CHECK_EQ(mstatus_at_reset & (MSTATUS_MIE | MSTATUS_MPRV), 0);
    CHECK_EQ(mie_at_reset, 0);
    CHECK_EQ(mstatus_at_reset >> 32 & 15, 0xa); /* UXL and SXL are 64 bits */
}

static void mpp_is_warl(void)
{
    for (u64 mode = 0; mode < 4; mode++) {
        csr_clear(mstatus, MSTATUS_MPP);
        csr_set(mstatus, mode << 11);
        u64 kept = (csr_read(mstatus) & MSTATUS_MPP) >> 11;
        if (mode == 2)
            CHECK(kept != 2);
        else
            CHECK_EQ(kept, mode);
    }
}

static void status_bits(void)
{
    u64 writable = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_MPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM |
                   MSTATUS_TW | MSTATUS_TSR | MSTATUS_FS;
    u64 before = csr_read(mstatus);
    csr_set(mstatus, writable);
    CHECK_EQ(csr_read(mstatus) & writable, writable);
    CHECK(csr_read(mstatus) & MSTATUS_SD); /* FS is dirty */
    /* sstatus shows what S mode may see of it */
    u64 shown = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_FS | MSTATUS_SD;
    CHECK_EQ(csr_read(sstatus) & (shown | MSTATUS_MPIE | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MPP), shown);
    CHECK_EQ(csr_read(sstatus) >> 32 & 3, 2);
    csr_clear(sstatus, MSTATUS_SUM);
    CHECK_EQ(csr_read(mstatus) & MSTATUS_SUM, 0);
    csr_clear(mstatus, writable);
    CHECK_EQ(csr_read(mstatus) & (writable | MSTATUS_SD), 0);
    csr_write(mstatus, before);
}

static void trap_vectors(void)
{
    u64 before = csr_read(mtvec);
    csr_write(mtvec, before | 1);
    CHECK_EQ(csr_read(mtvec), before | 1);
    csr_write(mtvec, before | 2); /* reserved */
    CHECK((csr_read(mtvec) & 3) < 2);
    csr_write(mtvec, before);
    CHECK_EQ(csr_read(mtvec), before);
    csr_write(stvec, 0x80001001);
    CHECK_EQ(csr_read(stvec), 0x80001001);
    csr_write(stvec, 0);
}

/* qemu fails epc_has_no_lowest_bit: mepc[0] is always zero, "Machine Exception Program Counter Register" */
static void epc_has_no_lowest_bit(void)
{
    csr_write(mepc, -1UL);
    CHECK_EQ(csr_read(mepc), -2UL); /* IALIGN is 16 */
    csr_write(sepc, 0x123456789abcdef1);
    CHECK_EQ(csr_read(sepc), 0x123456789abcdef0);
}

static void trap_registers(void)
{
    csr_write(sscratch, -1UL);
    CHECK_EQ(csr_read(sscratch), -1UL);
    csr_write(mtval, 0xdeadbeefcafe);
    CHECK_EQ(csr_read(mtval), 0xdeadbeefcafe);
    csr_write(stval, 0xdeadbeefcafe);
    CHECK_EQ(csr_read(stval), 0xdeadbeefcafe);
    csr_write(scause, INTERRUPT(IRQ_STI));
    CHECK_EQ(csr_read(scause), INTERRUPT(IRQ_STI));
    csr_write(mcause, CAUSE_STORE_PAGE);
    CHECK_EQ(csr_read(mcause), CAUSE_STORE_PAGE);
}

/* qemu fails ecall_from_m_cannot_be_delegated: medeleg[11] is read-only zero, "Machine Trap Delegation Registers" */
static void ecall_from_m_cannot_be_delegated(void)
{
    csr_write(medeleg, -1UL);
    CHECK_EQ(csr_read(medeleg) & BIT(CAUSE_ECALL_M), 0);
    csr_write(medeleg, 0);
}

static void delegation_registers(void)
{
    csr_write(medeleg, -1UL);
    u64 delegable = BIT(CAUSE_FETCH_PAGE) | BIT(CAUSE_LOAD_PAGE) | BIT(CAUSE_STORE_PAGE) | BIT(CAUSE_ECALL_U) |
                    BIT(CAUSE_ILLEGAL) | BIT(CAUSE_BREAKPOINT);
    CHECK_EQ(csr_read(medeleg) & delegable, delegable);
    csr_write(medeleg, 0);
    CHECK_EQ(csr_read(medeleg), 0);
    u64 supervisor = BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI);
    csr_write(mideleg, -1UL);
    CHECK_EQ(csr_read(mideleg) & supervisor, supervisor);
    CHECK_EQ(csr_read(mideleg) & (BIT(IRQ_MSI) | BIT(IRQ_MTI) | BIT(IRQ_MEI)), 0);
    csr_write(mideleg, 0);
    CHECK_EQ(csr_read(mideleg) & supervisor, 0);
}

static void interrupt_registers(void)
{
    u64 all = BIT(IRQ_SSI) | BIT(IRQ_MSI) | BIT(IRQ_STI) | BIT(IRQ_MTI) | BIT(IRQ_SEI) | BIT(IRQ_MEI);
    csr_write(mie, all);
    CHECK_EQ(csr_read(mie) & all, all);
    CHECK_EQ(csr_read(sie), 0); /* nothing is delegated */
    csr_write(mideleg, BIT(IRQ_STI));
    CHECK_EQ(csr_read(sie), BIT(IRQ_STI));
    csr_write(sie, 0);
    CHECK_EQ(csr_read(mie) & all, all & ~BIT(IRQ_STI));
    csr_write(mideleg, 0);
    csr_write(mie, 0);
    /* MSIP, MTIP and MEIP are read-only; SSIP is writable. */
    u64 before = csr_read(mip);
    csr_set(mip, BIT(IRQ_MSI) | BIT(IRQ_MEI) | BIT(IRQ_SSI));
    CHECK_EQ(csr_read(mip) & (BIT(IRQ_MSI) | BIT(IRQ_MEI) | BIT(IRQ_SSI)), BIT(IRQ_SSI));
    csr_clear(mip, BIT(IRQ_SSI));
    CHECK_EQ(csr_read(mip) & BIT(IRQ_SSI), 0);
    (void)before;
}

static void satp_keeps_its_value_when_the_mode_is_reserved(void)
{
    csr_write(satp, 0);
    csr_write(satp, SATP_SV39 << 60 | 0x1234);
    CHECK_EQ(csr_read(satp), SATP_SV39 << 60 | 0x1234);
    csr_write(satp, 5UL << 60 | 0x777);
    CHECK_EQ(csr_read(satp), SATP_SV39 << 60 | 0x1234);
    csr_write(satp, 0);
    CHECK_EQ(csr_read(satp), 0);
}

static void counter_enables(void)
{
    csr_write(mcounteren, 7);
    CHECK_EQ(csr_read(mcounteren) & 7, 7);
    csr_write(mcounteren, 0);
    CHECK_EQ(csr_read(mcounteren), 0);
    csr_write(scounteren, 7);
    CHECK_EQ(csr_read(scounteren) & 7, 7);
    csr_write(scounteren, 0);
}

/* Accesses that must be illegal instructions, in M mode or below. */
#define CSR_PROBE(name, text) asm(".text\n.balign 4\n.globl " #name "\n" #name ": " text "\nret\n"); extern u8 name[]
CSR_PROBE(read_nowhere, "csrr a0, 0x5c5");
CSR_PROBE(write_hartid, "csrw mhartid, x0");
CSR_PROBE(set_hartid_nothing, "csrs mhartid, x0");
CSR_PROBE(write_cycle, "csrw cycle, a0");
CSR_PROBE(read_mstatus, "csrr a0, mstatus");
CSR_PROBE(read_sstatus, "csrr a0, sstatus");

static u64 bits_at(const u8 *code) { return *(const u32 *)code; }

static void accesses_that_do_not_exist(void)
{
    EXPECT_TRAP(run(M_MODE, ENTRY(read_nowhere), 0), M_MODE, CAUSE_ILLEGAL, read_nowhere, bits_at(read_nowhere));
    EXPECT_TRAP(run(M_MODE, ENTRY(write_hartid), 0), M_MODE, CAUSE_ILLEGAL, write_hartid, bits_at(write_hartid));
    EXPECT_TRAP(run(M_MODE, ENTRY(write_cycle), 0), M_MODE, CAUSE_ILLEGAL, write_cycle, bits_at(write_cycle));
    EXPECT_TRAP(run(S_MODE, ENTRY(read_mstatus), 0), M_MODE, CAUSE_ILLEGAL, read_mstatus, bits_at(read_mstatus));
    EXPECT_TRAP(run(U_MODE, ENTRY(read_sstatus), 0), M_MODE, CAUSE_ILLEGAL, read_sstatus, bits_at(read_sstatus));
    EXPECT_VALUE(run(M_MODE, ENTRY(set_hartid_nothing), 0), 0); /* csrs with x0 does not write */
    CHECK(run(S_MODE, ENTRY(read_sstatus), 0).returned);
}

int main(void)
{
    mstatus_at_reset = csr_read(mstatus);
    mie_at_reset = csr_read(mie);
    RUN(identity);
    RUN(status_at_reset);
    RUN(mpp_is_warl);
    RUN(status_bits);
    RUN(trap_vectors);
    RUN(epc_has_no_lowest_bit);
    RUN(trap_registers);
    RUN(ecall_from_m_cannot_be_delegated);
    RUN(delegation_registers);
    RUN(interrupt_registers);
    RUN(satp_keeps_its_value_when_the_mode_is_reserved);
    RUN(counter_enables);
    RUN(accesses_that_do_not_exist);
    return 0;
}
