/*
 * What programs for the bare machine share: CSRs, checks, privilege modes, traps and page tables.
 *
 * A program's `main` runs on hart 0 in M mode, without translation and with all memory open to S and
 * U mode (PMP entry 63, or the last that there is, is left for programs; entry 0 is in use). It enters
 * other modes by `run`, which reports how that ended. `RUN` calls one test function and prints its name;
 * `CHECK` prints what is wrong on the UART. The program ends through the finisher, with the number of failures.
 *
 * What the runner reads in a program's source:
 *     harts: N                      start it with N harts (default 1)
 *     status: N                     it ends with exit status N (default 0)
 *     tohost only                   nothing but `tohost` ends it, which qemu's `virt` does not know
 *     qemu fails FUNCTION: WHY      what the reference does otherwise, and what the manual says
 *     qemu may fail FUNCTION: WHY   what it does otherwise now and then
 */
#ifndef FERRY_BARE_H
#define FERRY_BARE_H

#define UART_BASE 0x10000000
#define FINISHER_BASE 0x100000
#define CLINT_BASE 0x2000000
#define PLIC_BASE 0xc000000
#define RAM_BASE 0x80000000
/* Nothing is there. */
#define HOLE 0x60000

#define MAX_HARTS 64
/* Layout of `struct hart`, for the assembly. */
#define HART_SIZE 1024
#define HART_S_FRAME 296
#define HART_M_STACK 592
#define HART_S_STACK 600
#define HART_CONTEXT 608
/* Layout of `struct frame`. */
#define FRAME_EPC 256
#define FRAME_CAUSE 264
#define FRAME_TVAL 272
#define FRAME_STATUS 280

/* What a7 says at an `ecall` with which a mode is left. */
#define LEAVE_RETURN 0x1ea7e
#define LEAVE_S_TRAP 0x1ea7f

/* What the probes store. */
#define PROBE_VALUE 0x5a

#define U_MODE 0
#define S_MODE 1
#define M_MODE 3

/* mcause and scause, Privileged ISA, table "Machine cause register values after trap" */
#define INTERRUPT(n) ((1UL << 63) | (n))
#define CAUSE_FETCH_MISALIGNED 0
#define CAUSE_FETCH_ACCESS 1
#define CAUSE_ILLEGAL 2
#define CAUSE_BREAKPOINT 3
#define CAUSE_LOAD_MISALIGNED 4
#define CAUSE_LOAD_ACCESS 5
#define CAUSE_STORE_MISALIGNED 6
#define CAUSE_STORE_ACCESS 7
#define CAUSE_ECALL_U 8
#define CAUSE_ECALL_S 9
#define CAUSE_ECALL_M 11
#define CAUSE_FETCH_PAGE 12
#define CAUSE_LOAD_PAGE 13
#define CAUSE_STORE_PAGE 15

/* mip and mie: bits, which are the codes of the interrupts too */
#define IRQ_SSI 1
#define IRQ_MSI 3
#define IRQ_STI 5
#define IRQ_MTI 7
#define IRQ_SEI 9
#define IRQ_MEI 11
#define BIT(n) (1UL << (n))

#define MSTATUS_SIE BIT(1)
#define MSTATUS_MIE BIT(3)
#define MSTATUS_SPIE BIT(5)
#define MSTATUS_MPIE BIT(7)
#define MSTATUS_SPP BIT(8)
#define MSTATUS_MPP (3UL << 11)
#define MSTATUS_FS (3UL << 13)
#define MSTATUS_MPRV BIT(17)
#define MSTATUS_SUM BIT(18)
#define MSTATUS_MXR BIT(19)
#define MSTATUS_TVM BIT(20)
#define MSTATUS_TW BIT(21)
#define MSTATUS_TSR BIT(22)
#define MSTATUS_SD BIT(63)

/* Page table entries */
#define PTE_V BIT(0)
#define PTE_R BIT(1)
#define PTE_W BIT(2)
#define PTE_X BIT(3)
#define PTE_U BIT(4)
#define PTE_G BIT(5)
#define PTE_A BIT(6)
#define PTE_D BIT(7)
#define PTE_PBMT(n) ((unsigned long)(n) << 61)
#define PTE_N BIT(63)
#define PTE_AD (PTE_A | PTE_D)
#define PTE_RW (PTE_V | PTE_R | PTE_W | PTE_AD)
#define PTE_RX (PTE_V | PTE_R | PTE_X | PTE_AD)
#define PTE_RWX (PTE_V | PTE_R | PTE_W | PTE_X | PTE_AD)

#define SATP_SV39 8UL
#define SATP_SV48 9UL
#define SATP_SV57 10UL

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

/* CSRs by name or number */
#define CSR_TEXT_(csr) #csr
#define CSR_TEXT(csr) CSR_TEXT_(csr)
#define csr_read(csr)                                                          \
    ({                                                                         \
        u64 value_;                                                            \
        asm volatile("csrr %0, " CSR_TEXT(csr) : "=r"(value_)::"memory");      \
        value_;                                                                \
    })
#define csr_write(csr, value) asm volatile("csrw " CSR_TEXT(csr) ", %0" ::"r"((u64)(value)) : "memory")
#define csr_set(csr, value) asm volatile("csrs " CSR_TEXT(csr) ", %0" ::"r"((u64)(value)) : "memory")
#define csr_clear(csr, value) asm volatile("csrc " CSR_TEXT(csr) ", %0" ::"r"((u64)(value)) : "memory")
#define csr_swap(csr, value)                                                   \
    ({                                                                         \
        u64 old_;                                                              \
        asm volatile("csrrw %0, " CSR_TEXT(csr) ", %1" : "=r"(old_) : "r"((u64)(value)) : "memory"); \
        old_;                                                                  \
    })
/* Numbers that older assemblers have no names for */
#define CSR_MENVCFG 0x30a
#define CSR_SENVCFG 0x10a
#define CSR_MSTATEEN0 0x30c
#define CSR_SSTATEEN0 0x10c
#define CSR_STIMECMP 0x14d
#define CSR_MCYCLECFG 0x321

#define MENVCFG_FIOM BIT(0)
#define ENVCFG_CBIE(n) ((u64)(n) << 4)
#define ENVCFG_CBCFE BIT(6)
#define ENVCFG_CBZE BIT(7)
#define MENVCFG_ADUE BIT(61)
#define MENVCFG_PBMTE BIT(62)
#define MENVCFG_STCE BIT(63)

static inline void fence_i(void) { asm volatile("fence.i" ::: "memory"); }
static inline void sfence(void) { asm volatile("sfence.vma" ::: "memory"); }
static inline void wfi(void) { asm volatile("wfi" ::: "memory"); }

#define REG8(address) (*(volatile u8 *)(u64)(address))
#define REG32(address) (*(volatile u32 *)(u64)(address))
#define REG64(address) (*(volatile u64 *)(u64)(address))
#define MSIP(hart) REG32(CLINT_BASE + 4 * (hart))
#define MTIMECMP(hart) REG64(CLINT_BASE + 0x4000 + 8 * (hart))
#define MTIME REG64(CLINT_BASE + 0xbff8)

/* --- machine.c: console, checks, the end ------------------------------------------------------ */

void print(const char *text);
void print_hex(u64 value);
/* Counts one failure, and prints where and what. */
void failed(const char *file, int line, const char *what);
void failed_values(const char *file, int line, const char *what, u64 actual, u64 expected);
void run_test(const char *name, void (*test)(void));
/* Says that a part was left out because the CPU has no such extension. */
void absent(const char *extension);
/* How many failures there were, as an exit status */
u64 failure_code(void);
/* Ends the machine, through the finisher, with the failures counted so far. */
void finish(void) __attribute__((noreturn));
/* The two ways to end it: 0 is success. */
void end_by_finisher(u64 code) __attribute__((noreturn));
void end_by_tohost(u64 code) __attribute__((noreturn));

#define RUN(test) run_test(#test, test)
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition))                                                      \
            failed(__FILE__, __LINE__, #condition);                            \
    } while (0)
#define CHECK_EQ(actual, expected) check_equal(__FILE__, __LINE__, #actual, (u64)(actual), (u64)(expected))

static inline void check_equal(const char *file, int line, const char *what, u64 actual, u64 expected)
{
    if (actual != expected)
        failed_values(file, line, what, actual, expected);
}

/* Whether the device tree lists this extension for the first CPU. */
int has_extension(const char *name);
/* How many CPUs the device tree has. */
unsigned hart_count(void);

/* --- trap.c: privilege modes ------------------------------------------------------------------ */

/* Registers and trap CSRs, as the trap vector saves them. x[0] is unused. */
struct frame {
    u64 x[32];
    u64 epc, cause, tval, status;
    u64 reserved;
};

struct trap {
    u64 cause, epc, tval, status;
    /* The mode that it came from */
    unsigned from;
};

/* How `run` ended. */
struct outcome {
    /* The function returned `value`; otherwise it trapped. */
    int returned;
    u64 value;
    /* The trap to M mode that ended it */
    struct trap m;
    /* Traps to S mode on the way, and the last of them */
    u64 s_traps;
    struct trap s;
};

/* Returns true to go on at frame->epc with the frame's registers. */
typedef int handler(struct frame *frame);

struct hart {
    struct frame m_frame;
    struct frame s_frame;
    u64 m_stack, s_stack;
    /* ra, sp, s0 to s11 of the caller of `run` */
    u64 context[14];
    struct outcome outcome;
    /* What gets traps to M and S mode first, if not null */
    handler *on_m, *on_s;
    u64 busy;
    /* For a hart that MSWI starts */
    void (*entry)(u64 hart);
};
_Static_assert(__builtin_offsetof(struct hart, s_frame) == HART_S_FRAME, "for the assembly");
_Static_assert(__builtin_offsetof(struct hart, m_stack) == HART_M_STACK, "for the assembly");
_Static_assert(__builtin_offsetof(struct hart, context) == HART_CONTEXT, "for the assembly");
_Static_assert(sizeof(struct hart) <= HART_SIZE, "for the assembly");

union hart_slot {
    struct hart hart;
    u8 bytes[HART_SIZE];
};
extern union hart_slot harts[MAX_HARTS];

/* This hart's own; in M mode only. */
static inline struct hart *this_hart(void)
{
    struct hart *hart;
    asm volatile("csrr %0, mscratch" : "=r"(hart));
    return hart;
}

/* What `run` and the probes call: an address, and a number or an address. */
#define ENTRY(function) ((u64)(function))

/*
 * Calls the code at `entry` with `argument` in a0 in privilege mode `mode`, on a stack of its own and with
 * interrupts of M mode disabled (in S and U mode, those that are enabled in mie are taken all the same).
 * Ends at the first trap to M mode that `on_m` does not resume, or to S mode that `on_s` does not.
 */
struct outcome run(unsigned mode, u64 entry, u64 argument);

/* Where `address` of this program is in U mode: with translation on, its alias for users. */
u64 user(u64 address);

/* Starts `entry` on another hart, by its software interrupt. */
void start_hart(u64 hart, void (*entry)(u64 hart));

/* Sets up S mode's trap vector, which counts traps and ends `run` (or see on_s). */
void use_s_vector(void);

void check_trap(const char *file, int line, const char *what, struct outcome outcome, unsigned to, u64 cause,
                u64 epc, u64 tval);
/* Runs, and demands a trap to mode `to` with exactly these values. */
#define EXPECT_TRAP(outcome, to, cause, epc, tval)                             \
    check_trap(__FILE__, __LINE__, #outcome, outcome, to, cause, (u64)(epc), (u64)(tval))
/* An illegal instruction at `entry`, which is four bytes long: mtval has it, or zero. */
#define EXPECT_ILLEGAL(result, entry)                                          \
    do {                                                                       \
        struct outcome result_ = (result);                                     \
        u64 bits_ = result_.m.tval ? *(const u32 *)(entry) : 0;                \
        check_trap(__FILE__, __LINE__, #result, result_, M_MODE, CAUSE_ILLEGAL, (u64)(entry), bits_); \
    } while (0)
void check_returned(const char *file, int line, const char *what, struct outcome outcome, u64 value);
/* Runs, and demands that it returns this value. */
#define EXPECT_VALUE(outcome, value) check_returned(__FILE__, __LINE__, #outcome, outcome, (u64)(value))

/*
 * Each begins with the instruction that it is named after, with the address in a0, and returns what
 * was read. Stores write PROBE_VALUE, which is in a1.
 */
extern u8 probe_lb[], probe_lhu[], probe_lw[], probe_ld[], probe_sb[], probe_sh[], probe_sw[], probe_sd[], probe_lr[],
    probe_sc[], probe_amoadd[], probe_amoswap_w[], probe_jump[], probe_ecall[], probe_ebreak[], probe_c_ebreak[],
    probe_mret[], probe_sret[], probe_wfi[], probe_sfence[], probe_fence_i[], probe_nop[], probe_rdcycle[],
    probe_rdtime[], probe_rdinstret[], probe_read_satp[], probe_write_satp[];

/* --- paging.c --------------------------------------------------------------------------------- */

#define PAGE 4096UL
#define MEGAPAGE (512 * PAGE)
#define GIGAPAGE (512 * MEGAPAGE)
/* Where users see this program. */
#define USER_OFFSET 0x2000000000UL

/* An unused page, filled with zeros. */
void *new_page(void);
/* A page table with this program in it: for S mode where it is, for U mode at USER_OFFSET. */
u64 *new_space(u64 satp_mode);
/* The entry for `address` at `level` (0 is the last), with the tables above it made if absent. */
u64 *pte_of(u64 *root, u64 satp_mode, u64 address, unsigned level);
void map(u64 *root, u64 satp_mode, u64 address, u64 physical, unsigned level, u64 flags);
static inline u64 pte(u64 physical, u64 flags) { return physical >> 12 << 10 | flags; }
/* Turns translation on for S and U mode, and flushes; returns false if the mode does not exist. */
int use_space(u64 *root, u64 satp_mode, u64 asid);
/* Turns translation off again. */
void use_no_space(void);

#endif
#endif
