/*
 * What may be executed beside code: the stack, as PT_GNU_STACK says (`arch/x86/include/asm/elf.h` has the table), and in the
 * personality READ_IMPLIES_EXEC whatever may be read.
 */
#include "../guest.h"
#include <elf.h>
#include <setjmp.h>
#include <sys/personality.h>
#include <sys/stat.h>

enum { STACK = 1, HEAP = 2, MAPPED = 4, INHERITED = 8 };

static sigjmp_buf back;

static void leave(int signal, siginfo_t *info, void *context)
{
    (void)context;
    REQUIRE(signal == SIGSEGV && info->si_code == SEGV_ACCERR);
    siglongjmp(back, 1);
}

/* Whether code at an address that may be written runs. */
static int runs(uint8_t *at)
{
    static const uint8_t seven[] = { 0xb8, 7, 0, 0, 0, 0xc3 };
    long (*target)(void);
    memcpy(at, seven, sizeof seven);
    memcpy(&target, &at, sizeof target);
    handle(SIGSEGV, leave, 0);
    return sigsetjmp(back, 1) == 0 && target() == 7;
}

static int executable(void)
{
    uint8_t on_stack[64];
    uint8_t *heap = sbrk(8192);
    uint8_t *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(heap != (void *)-1 && mapped != MAP_FAILED);
    int all = runs(on_stack) ? STACK : 0;
    all |= runs(heap + 4096) ? HEAP : 0;
    all |= runs(mapped) ? MAPPED : 0;
    all |= personality(0xffffffff) & READ_IMPLIES_EXEC ? INHERITED : 0;
    return all;
}

static void report(void) { _exit(executable()); }

static int status_of(void (*body)(void))
{
    int status = in_child(body);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static uint8_t *image;
static size_t size;

static void read_itself(void)
{
    struct stat stat;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(file >= 0 && fstat(file, &stat) == 0);
    size = (size_t)stat.st_size;
    image = malloc(size);
    for (size_t at = 0; at < size;) {
        ssize_t got = read(file, image + at, size - at);
        REQUIRE(got > 0);
        at += (size_t)got;
    }
    close(file);
}

static Elf64_Phdr *header_of_stack(void)
{
    const Elf64_Ehdr *elf = (const void *)image;
    Elf64_Phdr *headers = (void *)(image + elf->e_phoff);
    for (int n = 0; n < elf->e_phnum; n++)
        if (headers[n].p_type == PT_GNU_STACK)
            return &headers[n];
    REQUIRE(!"a header for the stack");
    return NULL;
}

static char path[64];

static void execute(void)
{
    execl(path, path, "report", NULL);
    _exit(100);
}

/* What a copy of this program with such a header finds executable. */
static int executable_with(uint32_t type, uint32_t flags)
{
    read_itself();
    Elf64_Phdr *header = header_of_stack();
    header->p_type = type;
    header->p_flags = flags;
    snprintf(path, sizeof path, "exec_stack-%d", getpid());
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    REQUIRE(file >= 0 && write(file, image, size) == (ssize_t)size && close(file) == 0);
    free(image);
    int found = status_of(execute);
    REQUIRE(unlink(path) == 0);
    return found;
}

static void as_the_header_says(void)
{
    REQUIRE(executable_with(PT_GNU_STACK, PF_R | PF_W) == 0);
    REQUIRE(executable_with(PT_GNU_STACK, PF_R | PF_W | PF_X) == STACK);
    REQUIRE(executable_with(PT_NULL, PF_R | PF_W | PF_X) == 0);
}

static void imply(void)
{
    int before = personality(0xffffffff);
    REQUIRE(before >= 0 && !(before & READ_IMPLIES_EXEC));
    uint8_t *early = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(early != MAP_FAILED);
    REQUIRE(personality((unsigned)before | READ_IMPLIES_EXEC) == before);
    REQUIRE(!runs(early));
    REQUIRE(mprotect(early, 4096, PROT_READ | PROT_WRITE) == 0 && runs(early));
    uint8_t *unreadable = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(unreadable != MAP_FAILED && mprotect(unreadable, 4096, PROT_READ) == 0);
    REQUIRE(executable() == (HEAP | MAPPED | INHERITED));
    REQUIRE(status_of(report) == (HEAP | MAPPED | INHERITED));
    /* A new program starts without. */
    REQUIRE(executable_with(PT_GNU_STACK, PF_R | PF_W) == 0);
    REQUIRE(personality((unsigned)before) == (before | READ_IMPLIES_EXEC));
    REQUIRE(executable() == 0);
}

static void what_is_read_may_be_executed(void) { REQUIRE(in_child(imply) == 0); }

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "report") == 0)
        report();
    RUN(as_the_header_says);
    RUN(what_is_read_may_be_executed);
    return finish();
}
