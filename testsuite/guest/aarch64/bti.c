/* FEAT_BTI: which indirect branches may go where on pages with PROT_BTI, and PSTATE.BTYPE in signal frames. */
#include "../guest.h"
#include <asm/hwcap.h>
#include <link.h>
#include <sys/auxv.h>
#include <ucontext.h>

#ifndef PROT_BTI
#define PROT_BTI 0x10
#endif
#ifndef HWCAP2_BTI
#define HWCAP2_BTI (1 << 17)
#endif

enum { PAGE = 4096, WORDS = PAGE / 4, REPEAT = 3000 };

/* What PSTATE.BTYPE says. */
enum btype { NONE, JUMP_OR_CALL, CALL, JUMP };

/* A page that is not guarded, and one that is. */
static uint32_t *plain, *guarded;

/* Ways to X3, entered by RET: the branch, and BTYPE after it from either page. */
static const struct way {
    const char *name;
    uint32_t code[2];
    enum btype from_plain, from_guarded;
} ways[] = {
    {"ret x3", {0xd65f0060}, NONE, NONE},
    {"br x3", {0xd61f0060}, JUMP_OR_CALL, JUMP},
    {"br x16", {0xaa0303f0, 0xd61f0200}, JUMP_OR_CALL, JUMP_OR_CALL},
    {"br x17", {0xaa0303f1, 0xd61f0220}, JUMP_OR_CALL, JUMP_OR_CALL},
    {"blr x3", {0xd63f0060}, CALL, CALL},
    {"blr x16", {0xaa0303f0, 0xd63f0200}, CALL, CALL},
    {"paciza x3; braaz x3", {0xdac123e3, 0xd61f087f}, JUMP_OR_CALL, JUMP},
    {"pacizb x3; blrabz x3", {0xdac127e3, 0xd63f0c7f}, CALL, CALL},
};

/* First instructions, and after which BTYPE they may stand on a guarded page. What follows is `mov x0, #1; ret x10`. */
static const struct place {
    const char *name;
    uint32_t code;
    int allowed[4];
} places[] = {
    {"nop", 0xd503201f, {1, 0, 0, 0}},
    {"bti", 0xd503241f, {1, 0, 0, 0}},
    {"bti c", 0xd503245f, {1, 1, 1, 0}},
    {"bti j", 0xd503249f, {1, 1, 0, 1}},
    {"bti jc", 0xd50324df, {1, 1, 1, 1}},
    {"paciasp", 0xd503233f, {1, 1, 1, 0}},
    {"pacibsp", 0xd503237f, {1, 1, 1, 0}},
    {"paciaz", 0xd503231f, {1, 0, 0, 0}},
    {"add x1, x1, #0", 0x91000021, {1, 0, 0, 0}},
    {"udf #0", 0, {0, 0, 0, 0}},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint32_t *way_on(uint32_t *page, unsigned way)
{
    return page + 4 * way;
}

static uint32_t *place_on(uint32_t *page, unsigned place)
{
    return page + 256 + 4 * place;
}

static void fill(uint32_t *page)
{
    for (unsigned i = 0; i < COUNT(ways); i++)
        memcpy(way_on(page, i), ways[i].code, sizeof ways[i].code);
    for (unsigned i = 0; i < COUNT(places); i++) {
        const uint32_t code[] = {places[i].code, 0xd2800020, 0xd65f0140};
        memcpy(place_on(page, i), code, sizeof code);
    }
    page[WORDS - 1] = 0xd503201f;
}

static void make_pages(void)
{
    plain = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(plain != MAP_FAILED);
    guarded = plain + WORDS;
    fill(plain);
    fill(guarded);
    /* From the last word of the plain page to the first of the guarded one. */
    const uint32_t code[] = {0xd503201f, 0xd2800020, 0xd65f0140};
    memcpy(guarded + 512, code, sizeof code);
    plain[WORDS - 1] = 0x14000201;
    __builtin___clear_cache((char *)plain, (char *)(plain + 2 * WORDS));
    REQUIRE(mprotect(plain, PAGE, PROT_READ | PROT_EXEC) == 0);
    REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC | PROT_BTI) == 0);
}

static volatile sig_atomic_t refused, taken;
static siginfo_t reported;
static uint64_t pstate, fault_address;
static int has_record;

/* Goes on at X10, with X0 = 0. */
static void to_x10(int signal, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    refused = signal;
    reported = *info;
    pstate = machine->pstate;
    fault_address = machine->fault_address;
    has_record = ((struct _aarch64_ctx *)(machine->__reserved + 528))->magic != 0;
    machine->regs[0] = 0;
    machine->pc = machine->regs[10];
}

static enum btype btype(void)
{
    return pstate >> 10 & 3;
}

static uint64_t go(uint32_t *way, uint32_t *place)
{
    register uint64_t x0 __asm__("x0") = 2;
    register uint32_t *x3 __asm__("x3") = place;
    register uint32_t *x4 __asm__("x4") = way;
    __asm__ volatile("adr x10, 1f\n ret x4\n1:"
                     : "+r"(x0), "+r"(x3)
                     : "r"(x4)
                     : "x1", "x10", "x16", "x17", "x30", "memory");
    return x0;
}

static void cpu_description(void)
{
    uint64_t pfr1;
    __asm__ volatile("mrs %0, id_aa64pfr1_el1" : "=r"(pfr1));
    REQUIRE((getauxval(AT_HWCAP2) & HWCAP2_BTI) != 0 ? (pfr1 & 15) == 1 : (pfr1 & 15) == 0);
}

static void check(unsigned way, uint32_t *from, unsigned place, uint32_t *to)
{
    enum btype type = from == guarded ? ways[way].from_guarded : ways[way].from_plain;
    int allowed = places[place].code != 0 && (to == plain || places[place].allowed[type]);
    uint32_t *target = place_on(to, place);
    for (int i = 0; i < (allowed ? REPEAT : 20); i++) {
        refused = 0;
        uint64_t result = go(way_on(from, way), target);
        int right = allowed ? !refused && result == 1 : refused == SIGILL && result == 0;
        if (!right)
            fprintf(stderr, "%s (%s) to %s (%s)\n", ways[way].name, from == guarded ? "guarded" : "plain",
                    places[place].name, to == guarded ? "guarded" : "plain");
        REQUIRE(right);
        if (!allowed && to == guarded && type != NONE) {
            REQUIRE(reported.si_code == ILL_ILLOPC && reported.si_addr == target && btype() == type);
            REQUIRE(fault_address == 0 && !has_record);
        }
    }
}

/* qemu-user 10.0.2 fails this: its si_code is ILL_ILLOPN, and its frames have one record more. */
static void places_admit_branches(void)
{
    handle(SIGILL, to_x10, 0);
    for (unsigned way = 0; way < COUNT(ways); way++)
        for (unsigned place = 0; place < COUNT(places); place++)
            for (int pages = 0; pages < 4; pages++)
                check(way, pages & 1 ? guarded : plain, place, pages & 2 ? guarded : plain);
}

/* The same place by turns: what was found for one kind of branch must not do for another. */
static void kinds_are_told_apart(void)
{
    handle(SIGILL, to_x10, 0);
    for (int i = 0; i < 2000; i++)
        for (unsigned way = 0; way < COUNT(ways); way++) {
            refused = 0;
            enum btype type = ways[way].from_guarded;
            go(way_on(guarded, way), place_on(guarded, 2));
            REQUIRE((refused == 0) == places[2].allowed[type]);
        }
}

static void any_instruction_clears(void)
{
    handle(SIGILL, to_x10, 0);
    for (int i = 0; i < REPEAT; i++) {
        refused = 0;
        REQUIRE(go(way_on(plain, 4), plain + WORDS - 1) == 1 && !refused);
    }
}

static void breakpoints_are_admitted(void)
{
    REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_WRITE) == 0);
    guarded[600] = 0xd4200000;
    __builtin___clear_cache((char *)(guarded + 600), (char *)(guarded + 601));
    REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC | PROT_BTI) == 0);
    handle(SIGTRAP, to_x10, 0);
    REQUIRE(go(way_on(guarded, 1), guarded + 600) == 0 && refused == SIGTRAP);
}

/* The exception of a BRK says how control came to it, on pages of both kinds, and of a misaligned pc, too; what is
   executed before it clears that. qemu-user 10.0.2 fails this: it reports 0. */
static void breakpoints_report_btype(void)
{
    REQUIRE(mprotect(plain, PAGE, PROT_READ | PROT_WRITE) == 0);
    plain[599] = 0xd503201f;
    plain[600] = 0xd4200000;
    __builtin___clear_cache((char *)(plain + 599), (char *)(plain + 601));
    REQUIRE(mprotect(plain, PAGE, PROT_READ | PROT_EXEC) == 0);
    handle(SIGTRAP, to_x10, 0);
    handle(SIGBUS, to_x10, 0);
    for (int i = 0; i < 200; i++)
        for (unsigned way = 0; way < COUNT(ways); way++) {
            REQUIRE(go(way_on(guarded, way), guarded + 600) == 0 && btype() == ways[way].from_guarded);
            REQUIRE(go(way_on(plain, way), guarded + 600) == 0 && btype() == ways[way].from_plain);
            REQUIRE(go(way_on(plain, way), plain + 600) == 0 && btype() == ways[way].from_plain);
            REQUIRE(go(way_on(plain, way), plain + 599) == 0 && btype() == NONE && refused == SIGTRAP);
            REQUIRE(go(way_on(plain, way), (uint32_t *)((char *)plain + 2398)) == 0 && refused == SIGBUS);
            REQUIRE(btype() == ways[way].from_plain);
        }
}

typedef int clock_function(clockid_t, struct timespec *);

/* Of the vdso's code, called functions may be called, and the rest nobody may jump to. */
static void the_vdso_is_guarded(void)
{
    char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
    ElfW(Ehdr) *elf = (ElfW(Ehdr) *)vdso;
    ElfW(Phdr) *segments = (ElfW(Phdr) *)(vdso + elf->e_phoff);
    ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < elf->e_phnum; i++)
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (ElfW(Dyn) *)(vdso + segments[i].p_vaddr);
    ElfW(Sym) *symbols = NULL;
    uint32_t *hash = NULL;
    char *names = NULL;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        char *at = vdso + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = (ElfW(Sym) *)at;
        if (dynamic->d_tag == DT_STRTAB)
            names = at;
        if (dynamic->d_tag == DT_HASH)
            hash = (uint32_t *)at;
    }
    REQUIRE(symbols && names && hash);
    handle(SIGILL, to_x10, 0);
    int called = 0;
    for (uint32_t i = 1; i < hash[1]; i++) {
        uint32_t *function = (uint32_t *)(vdso + symbols[i].st_value);
        if (strcmp(names + symbols[i].st_name, "__kernel_clock_gettime") == 0) {
            struct timespec now = {0, 0};
            REQUIRE(((clock_function *)function)(CLOCK_REALTIME, &now) == 0 && now.tv_sec > 0);
            refused = 0;
            REQUIRE(go(way_on(guarded, 1), function) == 0 && refused == SIGILL && btype() == JUMP);
            called++;
        } else if (strcmp(names + symbols[i].st_name, "__kernel_rt_sigreturn") == 0) {
            refused = 0;
            REQUIRE(go(way_on(plain, 4), function) == 0 && refused == SIGILL && btype() == CALL);
            called++;
        }
    }
    REQUIRE(called == 2);
}

static void pages_change(void)
{
    handle(SIGILL, to_x10, 0);
    for (int i = 0; i < 20; i++) {
        REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC) == 0);
        for (int n = 0; n < 100; n++)
            REQUIRE(go(way_on(plain, 4), place_on(guarded, 0)) == 1);
        REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC | PROT_BTI) == 0);
        REQUIRE(go(way_on(plain, 4), place_on(guarded, 0)) == 0);
    }
    REQUIRE_ERROR(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC | 0x40), EINVAL);
    uint32_t *mapped = mmap(NULL, PAGE, PROT_READ | PROT_EXEC | PROT_BTI, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    /* udf is not even looked at. */
    REQUIRE(go(way_on(plain, 4), mapped) == 0 && btype() == CALL && reported.si_addr == mapped);
    REQUIRE(munmap(mapped, PAGE) == 0);
}

/* Leaves the handler that could not be entered by its return address, to which control then comes as by RET. */
static void leave_handler(int signal, siginfo_t *info, void *context)
{
    to_x10(signal, info, context);
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    machine->pc = machine->regs[30];
    machine->pstate &= ~(3ull << 10);
}

/* A handler is entered as if it were called. */
static void handlers_are_called(void)
{
    handle(SIGILL, leave_handler, 0);
    struct sigaction action = {.sa_handler = (void (*)(int))(guarded + 700)};
    for (unsigned place = 0; place < 5; place++) {
        REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_WRITE) == 0);
        guarded[700] = places[place].code;
        guarded[701] = 0xd65f03c0;
        __builtin___clear_cache((char *)(guarded + 700), (char *)(guarded + 702));
        REQUIRE(mprotect(guarded, PAGE, PROT_READ | PROT_EXEC | PROT_BTI) == 0);
        REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
        refused = 0;
        REQUIRE(raise(SIGUSR1) == 0);
        REQUIRE((refused == 0) == places[place].allowed[CALL]);
        if (refused)
            REQUIRE(btype() == CALL && reported.si_addr == guarded + 700);
    }
}

static uint32_t *resumed_at;
static uint64_t resumed_with;

static void resume(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    machine->pc = (uint64_t)resumed_at;
    machine->pstate = (machine->pstate & ~(3ull << 10)) | resumed_with << 10;
}

/* What a handler leaves in BTYPE counts when it returns. */
static void frames_restore_btype(void)
{
    handle(SIGTRAP, resume, 0);
    handle(SIGILL, to_x10, 0);
    for (unsigned place = 0; place < COUNT(places) - 1; place++)
        for (resumed_with = 0; resumed_with < 4; resumed_with++) {
            register uint64_t x0 __asm__("x0") = 2;
            resumed_at = place_on(guarded, place);
            refused = 0;
            __asm__ volatile("adr x10, 1f\n brk #0\n1:" : "+r"(x0)::"x1", "x10", "x30", "memory");
            REQUIRE((refused == 0) == places[place].allowed[resumed_with]);
            REQUIRE(x0 == (refused == 0) && (!refused || btype() == resumed_with));
        }
}

static void count(int signal)
{
    (void)signal;
    taken++;
}

/* A signal between a branch and its target does not change what comes of it. */
static void signals_come_between(void)
{
    handle(SIGILL, to_x10, 0);
    signal(SIGALRM, count);
    struct itimerval every = {{0, 300}, {0, 300}};
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
    refused = 0;
    int64_t end = now_ns() + 200000000;
    while (now_ns() < end)
        for (int i = 0; i < 100; i++) {
            REQUIRE(go(way_on(guarded, 4), place_on(guarded, 2)) == 1);
            REQUIRE(go(way_on(guarded, 1), place_on(guarded, 3)) == 1);
        }
    REQUIRE(!refused && taken > 10);
    for (int i = 0; i < 2000; i++)
        REQUIRE(go(way_on(guarded, 4), place_on(guarded, 3)) == 0);
    memset(&every, 0, sizeof every);
    REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

int main(void)
{
    RUN(cpu_description);
    if (getauxval(AT_HWCAP2) & HWCAP2_BTI) {
        make_pages();
        RUN(places_admit_branches);
        RUN(kinds_are_told_apart);
        RUN(any_instruction_clears);
        RUN(breakpoints_are_admitted);
        RUN(breakpoints_report_btype);
        RUN(the_vdso_is_guarded);
        RUN(pages_change);
        RUN(handlers_are_called);
        RUN(frames_restore_btype);
        RUN(signals_come_between);
    } else {
        REQUIRE_ERROR(mprotect((void *)((uint64_t)main & ~4095ull), 4096, PROT_READ | PROT_EXEC | PROT_BTI), EINVAL);
    }
    return finish();
}
