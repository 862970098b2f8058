/*
 * Code that others write: another thread, another process, the kernel; through the mapping that it is executed from, through a second
 * one, and through the file behind both; with and without an instruction of the executing side that serializes.
 */
#include "../guest.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef long (*function)(void);

static struct {
    uint8_t *writable, *executable;
    int file;
} code;

enum { SIZE = 8192, RWX = PROT_READ | PROT_WRITE | PROT_EXEC };

static long call(const void *at)
{
    function target;
    memcpy(&target, &at, sizeof target);
    return target();
}

static void serialize(void)
{
    __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
}

static void nothing(void) {}

/* mov eax, VALUE; ret */
static uint64_t returning(uint32_t value)
{
    return UINT64_C(0x9090c300000000b8) | (uint64_t)value << 8;
}

static void write_function(uint8_t *at, uint32_t value)
{
    atomic_store((_Atomic uint64_t *)(void *)at, returning(value));
}

static void one_mapping(void)
{
    code.executable = code.writable = mmap(NULL, SIZE, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(code.writable != MAP_FAILED);
    code.file = -1;
}

static void two_mappings(void)
{
    code.file = memfd_create("code", MFD_CLOEXEC);
    REQUIRE(code.file >= 0 && ftruncate(code.file, SIZE) == 0);
    code.writable = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, code.file, 0);
    code.executable = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, code.file, 0);
    REQUIRE(code.writable != MAP_FAILED && code.executable != MAP_FAILED);
}

static void unmap(void)
{
    munmap(code.writable, SIZE);
    if (code.executable != code.writable)
        munmap(code.executable, SIZE);
    if (code.file >= 0)
        close(code.file);
}

/* Lets others run, where there are more threads than processors. */
static void wait_for(_Atomic long *word, long value)
{
    for (int spins = 0; atomic_load(word) < value; spins++)
        if (spins > 1000)
            sched_yield();
}

static _Atomic long published, seen;
static void (*before_executing)(void);

enum { ROUNDS = 1000 };

static void *execute(void *unused)
{
    (void)unused;
    for (long i = 1; i <= ROUNDS; i++) {
        wait_for(&published, i);
        before_executing();
        REQUIRE(call(code.executable) == i);
        REQUIRE(call(code.executable + 4096) == i + 7);
        atomic_store(&seen, i);
    }
    return NULL;
}

/* The writer says when it has written, and waits until that was executed. */
static void by_turns(void)
{
    published = seen = 0;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, execute, NULL) == 0);
    for (long i = 1; i <= ROUNDS; i++) {
        write_function(code.writable, (uint32_t)i);
        write_function(code.writable + 4096, (uint32_t)i + 7);
        atomic_store(&published, i);
        wait_for(&seen, i);
    }
    REQUIRE(pthread_join(thread, NULL) == 0);
}

static void by_turns_with(void (*map)(void), void (*between)(void))
{
    before_executing = between;
    map();
    by_turns();
    unmap();
}

static void by_a_thread_and_serialized(void) { by_turns_with(one_mapping, serialize); }
static void by_a_thread(void) { by_turns_with(one_mapping, nothing); }
static void by_a_thread_elsewhere_and_serialized(void) { by_turns_with(two_mappings, serialize); }
static void by_a_thread_elsewhere(void) { by_turns_with(two_mappings, nothing); }

static void *run_until_patched(void *unused)
{
    (void)unused;
    REQUIRE(call(code.executable) == 5);
    return NULL;
}

/* A loop without an end, of which a store makes one. */
static void end_a_loop(void (*map)(void))
{
    static const uint8_t loop[] = {
        0xb8, 5, 0, 0, 0,       /* mov eax, 5 */
        0x48, 0xff, 0xc1,       /* 1: inc rcx */
        0x48, 0x01, 0xca,       /* add rdx, rcx */
        0x90,                   /* nop */
        0xeb, 0xf7,             /* jmp 1b, in one word */
        0xc3,
    };
    map();
    for (int i = 0; i < 20; i++) {
        memcpy(code.writable, loop, sizeof loop);
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, run_until_patched, NULL) == 0);
        sleep_ms(i < 3 ? 60 : 5);
        atomic_store((_Atomic uint16_t *)(void *)(code.writable + 12), 0x9090);
        REQUIRE(pthread_join(thread, NULL) == 0);
    }
    unmap();
}

static void a_loop_is_ended(void) { end_a_loop(one_mapping); }
static void a_loop_is_ended_elsewhere(void) { end_a_loop(two_mappings); }

static _Atomic int stop;
/* So long at least, and so long at most until everything has been seen, on machines that have other work; in ns. */
#define SHORT 300000000
#define LONG INT64_C(20000000000)

static void *toggle(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; !atomic_load(&stop); i ^= 1)
        write_function(code.writable, 1 + i);
    return NULL;
}

/* One aligned store between two sequences: the old or the new one is executed. */
static void while_it_runs_elsewhere(void)
{
    two_mappings();
    write_function(code.writable, 1);
    stop = 0;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, toggle, NULL) == 0);
    int counts[3] = { 0 };
    int64_t start = now_ns();
    while (now_ns() < start + SHORT || (now_ns() < start + LONG && !(counts[1] && counts[2])))
        for (int i = 0; i < 100; i++) {
            long result = call(code.executable);
            REQUIRE(result == 1 || result == 2);
            counts[result]++;
        }
    stop = 1;
    REQUIRE(pthread_join(thread, NULL) == 0 && counts[1] > 0 && counts[2] > 0);
    unmap();
}

static volatile long trapped;

static void skip_function(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    /* As if the function had returned 3. */
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t back;
    memcpy(&back, (void *)registers[REG_RSP], sizeof back);
    registers[REG_RSP] += 8;
    registers[REG_RIP] = (greg_t)back;
    registers[REG_RAX] = 3;
    trapped++;
}

static void *patch_by_breakpoints(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; !atomic_load(&stop); i ^= 1) {
        atomic_store((_Atomic uint8_t *)code.writable, 0xcc);
        REQUIRE(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
        uint8_t bytes[3] = { 0, 0, (uint8_t)i };
        memcpy(code.writable + 2, bytes, sizeof bytes);
        code.writable[1] = (uint8_t)(1 + i);
        REQUIRE(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
        atomic_store((_Atomic uint8_t *)code.writable, 0xb8);
        /* For the others to see. */
        for (volatile int spins = 0; spins < 2000; spins++)
            ;
    }
    return NULL;
}

/* As kernels do it: a breakpoint first, then the rest of the instruction, then its first byte. */
static void with_breakpoints(void)
{
    handle(SIGTRAP, skip_function, 0);
    REQUIRE(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
    one_mapping();
    write_function(code.writable, 1);
    stop = 0;
    trapped = 0;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, patch_by_breakpoints, NULL) == 0);
    int others = 0;
    int64_t start = now_ns();
    while (now_ns() < start + SHORT || (now_ns() < start + LONG && !(trapped && others)))
        for (int i = 0; i < 20; i++) {
            long result = call(code.executable);
            REQUIRE(result == 1 || result == 3 || result == 0x01000002);
            others += result == 0x01000002;
        }
    stop = 1;
    REQUIRE(pthread_join(thread, NULL) == 0 && trapped > 0 && others > 0);
    unmap();
}

/* The kernel writes what it reads. */
static void by_system_calls(void)
{
    one_mapping();
    int pipes[2], sockets[2];
    REQUIRE(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0);
    for (uint32_t i = 1; i <= 400; i++) {
        uint64_t bytes = returning(i);
        struct iovec parts[2] = { { code.writable, 3 }, { code.writable + 3, 5 } };
        struct iovec from = { &bytes, 8 }, to = { code.writable, 8 };
        switch (i % 5) {
        case 0:
            REQUIRE(write(pipes[1], &bytes, 8) == 8 && read(pipes[0], code.writable, 8) == 8);
            break;
        case 1:
            REQUIRE(write(pipes[1], &bytes, 8) == 8 && readv(pipes[0], parts, 2) == 8);
            break;
        case 2:
            REQUIRE(send(sockets[1], &bytes, 8, 0) == 8 && recv(sockets[0], code.writable, 8, 0) == 8);
            break;
        case 3: {
            struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
            REQUIRE(send(sockets[1], &bytes, 8, 0) == 8 && recvmsg(sockets[0], &message, 0) == 8);
            break;
        }
        default:
            REQUIRE(process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 8);
        }
        REQUIRE(call(code.executable) == i);
    }
    close(pipes[0]), close(pipes[1]), close(sockets[0]), close(sockets[1]);
    unmap();
}

/* Into the page that makes the system call. */
static void by_a_system_call_of_its_own(void)
{
    static const uint8_t reader[] = {
        0x53,                                     /* push rbx */
        0xbb, 1, 0, 0, 0,                         /* mov ebx, 1 */
        0x31, 0xc0,                               /* xor eax, eax: read(edi, rip + 2, 4) */
        0x48, 0x8d, 0x35, 0x08, 0x00, 0x00, 0x00, /* lea rsi, [rip+8] */
        0xba, 4, 0, 0, 0,                         /* mov edx, 4 */
        0x0f, 0x05,                               /* syscall */
        0xb8, 0, 0, 0, 0,                         /* mov eax, what was read */
        0x5b, 0xc3,
    };
    int pipes[2];
    one_mapping();
    REQUIRE(pipe(pipes) == 0);
    memcpy(code.writable, reader, sizeof reader);
    for (uint32_t i = 1; i < 500; i++) {
        REQUIRE(write(pipes[1], &i, 4) == 4);
        long (*target)(int);
        memcpy(&target, &code.executable, sizeof target);
        REQUIRE(target(pipes[0]) == i);
    }
    close(pipes[0]), close(pipes[1]);
    unmap();
}

/* Through the file that is mapped. */
static void through_the_file(void)
{
    two_mappings();
    for (uint32_t i = 1; i <= 500; i++) {
        uint64_t bytes = returning(i);
        REQUIRE(pwrite(code.file, &bytes, 8, 4096) == 8);
        REQUIRE(call(code.executable + 4096) == i);
    }
    unmap();
}

/* Past its protection, as debuggers do it; the page is the process's own from then on. */
static void through_the_process_s_memory(void)
{
    two_mappings();
    write_function(code.writable, 1);
    uint8_t *own = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, code.file, 0);
    REQUIRE(own != MAP_FAILED && call(own) == 1);
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    REQUIRE(memory >= 0);
    for (uint32_t i = 2; i < 300; i++) {
        uint64_t bytes = returning(i);
        REQUIRE(pwrite(memory, &bytes, 8, (off_t)(uintptr_t)own) == 8);
        REQUIRE(call(own) == i);
    }
    REQUIRE(call(code.executable) == 1);
    close(memory);
    munmap(own, SIZE);
    unmap();
}

static long futex(void *word, int what, long value, void *other, long more)
{
    return syscall(SYS_futex, word, what, value, NULL, other, more);
}

static struct {
    struct robust_list_head head;
    struct robust_list entry;
    uint32_t word;
} *robust;

static void *die_with_a_lock(void *unused)
{
    robust->head = (struct robust_list_head){ { &robust->entry }, offsetof(__typeof__(*robust), word) - offsetof(__typeof__(*robust), entry), NULL };
    robust->entry.next = &robust->head.list;
    robust->word = (uint32_t)syscall(SYS_gettid);
    REQUIRE(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head) == 0);
    REQUIRE(call(code.executable) == 4);
    return unused;
}

static int leave_at_once(void *unused)
{
    (void)unused;
    return 0;
}

/* Words that the kernel changes of its own accord, in a page of code. */
static void words_beside_code(void)
{
    one_mapping();
    _Atomic uint32_t *word = (void *)(code.writable + 2048);
    write_function(code.writable, 4);
    for (int i = 0; i < 20; i++) {
        REQUIRE(call(code.executable) == 4);
        *word = 0;
        REQUIRE(call(code.executable) == 4);
        REQUIRE(futex((void *)word, FUTEX_WAKE_OP, 1, (void *)word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)) >= 0 && *word == 3);
        *word = 0;
        REQUIRE(call(code.executable) == 4);
        REQUIRE(futex((void *)word, FUTEX_LOCK_PI, 0, NULL, 0) == 0 && *word == (uint32_t)syscall(SYS_gettid));
        REQUIRE(call(code.executable) == 4);
        REQUIRE(futex((void *)word, FUTEX_UNLOCK_PI, 0, NULL, 0) == 0 && *word == 0);
        /* A thread's number when it starts, and zero when it has ended. */
        *word = 1;
        REQUIRE(call(code.executable) == 4);
        static char stack[65536] __attribute__((aligned(16)));
        int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
        int thread = clone(leave_at_once, stack + sizeof stack, flags, NULL, word + 1, NULL, word);
        REQUIRE(thread > 0 && word[1] == (uint32_t)thread);
        REQUIRE(call(code.executable) == 4);
        for (uint32_t seen; (seen = *word) != 0;)
            futex((void *)word, FUTEX_WAIT, seen, NULL, 0);
        /* A lock whose owner dies. */
        robust = (void *)(code.writable + 3072);
        pthread_t owner;
        REQUIRE(pthread_create(&owner, NULL, die_with_a_lock, NULL) == 0 && pthread_join(owner, NULL) == 0);
        REQUIRE(robust->word & FUTEX_OWNER_DIED);
    }
    unmap();
}

static void with_protections_in_turn(void)
{
    one_mapping();
    for (uint32_t i = 1; i <= 1000; i++) {
        REQUIRE(mprotect(code.writable, SIZE, PROT_READ | PROT_WRITE) == 0);
        write_function(code.writable, i);
        REQUIRE(mprotect(code.writable, SIZE, i % 3 ? PROT_READ | PROT_EXEC : PROT_EXEC) == 0);
        REQUIRE(call(code.executable) == i);
    }
    unmap();
}

/* Other memory at the same address. */
static void by_other_mappings(void)
{
    two_mappings();
    for (uint32_t i = 0; i < 2; i++)
        write_function(code.writable + 4096 * i, 10 + i);
    uint8_t *place = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, code.file, 0);
    REQUIRE(place != MAP_FAILED);
    for (int i = 0; i < 300; i++) {
        REQUIRE(mmap(place, 4096, PROT_READ | PROT_EXEC, (i & 2 ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, code.file, 4096 * (i & 1)) == place);
        REQUIRE(call(place) == 10 + (i & 1));
        void *moved = mmap(NULL, 4096, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(moved != MAP_FAILED);
        write_function(moved, 100 + (uint32_t)i);
        REQUIRE(call(moved) == 100 + i);
        REQUIRE(mremap(moved, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
        REQUIRE(call(place) == 100 + i);
    }
    /* What was written to a private page is dropped. */
    REQUIRE(mmap(place, 4096, RWX, MAP_PRIVATE | MAP_FIXED, code.file, 0) == place);
    for (uint32_t i = 0; i < 100; i++) {
        write_function(place, 50 + i);
        REQUIRE(call(place) == 50 + i);
        REQUIRE(madvise(place, 4096, MADV_DONTNEED) == 0);
        REQUIRE(call(place) == 10);
    }
    munmap(place, 4096);
    unmap();
}

struct meeting {
    _Atomic long published, seen;
};

/* Code in memory of two processes: each writes what the other executes. */
static void between_processes(void)
{
    struct meeting *meeting = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *shared = mmap(NULL, SIZE, RWX, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(meeting != MAP_FAILED && shared != MAP_FAILED);
    write_function(shared, 77);
    REQUIRE(call(shared) == 77);
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int wrong = 0;
        for (long i = 1; i <= ROUNDS; i++) {
            wait_for(&meeting->published, i);
            wrong |= call(shared) != i;
            write_function(shared + 4096, (uint32_t)i * 3);
            atomic_store(&meeting->seen, i);
        }
        _exit(wrong);
    }
    for (long i = 1; i <= ROUNDS; i++) {
        write_function(shared, (uint32_t)i);
        atomic_store(&meeting->published, i);
        wait_for(&meeting->seen, i);
        REQUIRE(call(shared + 4096) == i * 3);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    munmap(shared, SIZE);
    munmap(meeting, 4096);
}

int main(void)
{
    RUN(by_a_thread_and_serialized);
    RUN(by_a_thread);
    RUN(by_a_thread_elsewhere_and_serialized);
    RUN(by_a_thread_elsewhere);
    RUN(a_loop_is_ended);
    RUN(a_loop_is_ended_elsewhere);
    RUN(while_it_runs_elsewhere);
    RUN(with_breakpoints);
    RUN(by_system_calls);
    RUN(by_a_system_call_of_its_own);
    RUN(words_beside_code);
    RUN(through_the_file);
    RUN(with_protections_in_turn);
    RUN(by_other_mappings);
    RUN(between_processes);
    /* Last, as an emulator may take more care from here on. */
    RUN(through_the_process_s_memory);
    return finish();
}
