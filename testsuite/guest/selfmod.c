/*
 * Code that changes while it runs, as just-in-time compilers do it. Every change is announced by
 * __builtin___clear_cache (fence.i or the kernel's service on RISC-V, DC CVAU and IC IVAU on AArch64, nothing on x86-64).
 */
#include "guest.h"
#include <pthread.h>
#include <stdatomic.h>

typedef int (*function)(void);

/* Writes `return value` (0..2047), which takes 8 bytes at most. */
static void emit(void *code, int value)
{
#if defined(__riscv)
    uint32_t instructions[] = { (uint32_t)value << 20 | 0x00000513 /* addi a0, zero, value */, 0x00008067 /* ret */ };
#elif defined(__aarch64__)
    uint32_t instructions[] = { 0x52800000 | (uint32_t)value << 5 /* movz w0, value */, 0xd65f03c0 /* ret */ };
#else
    uint8_t instructions[] = { 0xb8, (uint8_t)value, (uint8_t)(value >> 8), 0, 0, 0xc3 };
#endif
    memcpy(code, instructions, sizeof instructions);
}

static void announce(void *code, size_t size) { __builtin___clear_cache((char *)code, (char *)code + size); }

__attribute__((noipa)) static int call(const void *code)
{
    function target;
    memcpy(&target, &code, sizeof target);
    return target();
}

static char *pages(size_t size, int protection)
{
    char *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return memory;
}

static void rewritten_in_place(void)
{
    char *code = pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int i = 0; i < 2000; i++) {
        emit(code, i);
        announce(code, 16);
        for (int k = 0; k < 3; k++)
            REQUIRE(call(code) == i);
    }
    munmap(code, 4096);
}

/* Many small functions in one page, with data between them that is written all the time. */
static void code_beside_data(void)
{
    char *page = pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int i = 0; i < 64; i++)
        emit(page + 64 * i, i);
    announce(page, 4096);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 64; i++) {
            volatile long *data = (volatile long *)(page + 64 * i + 32);
            REQUIRE(call(page + 64 * i) == i + (*data & 1) * 100);
            *data += 2;
            REQUIRE(*data == 2 * (round + 1));
        }
    emit(page + 64 * 5, 1005);
    announce(page, 4096);
    REQUIRE(call(page + 64 * 5) == 1005 && call(page + 64 * 6) == 6);
    munmap(page, 4096);
}

static void write_or_execute(void)
{
    char *code = pages(8192, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 200; i++) {
        REQUIRE(mprotect(code, 8192, PROT_READ | PROT_WRITE) == 0);
        emit(code + 4096 * (i % 2), i);
        announce(code, 8192);
        REQUIRE(mprotect(code, 8192, PROT_READ | PROT_EXEC) == 0);
        REQUIRE(call(code + 4096 * (i % 2)) == i);
    }
    munmap(code, 8192);
}

static int memory_file(size_t size)
{
    int file = (int)syscall(SYS_memfd_create, "code", 1 /* MFD_CLOEXEC */);
    REQUIRE(file >= 0 && ftruncate(file, (off_t)size) == 0);
    return file;
}

/* qemu-user 10.0.2 fails this: it tracks code by address. */
static void mapped_twice(void)
{
    int file = memory_file(8192);
    char *writable = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *executable = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    REQUIRE(writable != MAP_FAILED && executable != MAP_FAILED && writable != executable);
    for (int i = 0; i < 1000; i++) {
        emit(writable + 4096 + 16, i);
        announce(executable + 4096, 64);
        REQUIRE(call(executable + 4096 + 16) == i);
    }
    char *late = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 4096);
    emit(late + 16, 1234);
    announce(executable + 4096, 64);
    REQUIRE(call(executable + 4096 + 16) == 1234);
    munmap(writable, 8192), munmap(executable, 8192), munmap(late, 4096), close(file);
}

/* qemu-user 10.0.2 fails this for the same reason. */
static void changed_by_system_calls(void)
{
    int file = memory_file(4096);
    char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    char instructions[16] = { 0 };
    for (int i = 0; i < 200; i++) {
        emit(instructions, i);
        REQUIRE(pwrite(file, instructions, 16, 0) == 16);
        announce(code, 16);
        REQUIRE(call(code) == i);
        emit(instructions, i + 500);
        REQUIRE(pwrite(file, instructions, 16, 64) == 16 && pread(file, code, 16, 64) == 16);
        announce(code, 16);
        REQUIRE(call(code) == i + 500);
    }
    munmap(code, 4096), close(file);
}

static void mapped_anew_at_the_same_address(void)
{
    char *other = pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC), *place = pages(4096, PROT_NONE);
    for (int i = 0; i < 200; i++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        REQUIRE(mmap(place, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) == place);
        emit(place, i);
        announce(place, 16);
        REQUIRE(call(place) == i);
        if (i % 2)
            REQUIRE(munmap(place, 4096) == 0);
    }
    emit(other, 777);
    REQUIRE(mmap(place, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == place);
    emit(place, 1);
    announce(place, 16);
    REQUIRE(call(place) == 1);
    REQUIRE(mremap(other, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    announce(place, 16);
    REQUIRE(call(place) == 777);
    munmap(place, 4096);
}

static char *shared_code;
static atomic_int published, running, stop;

static void *run_published(void *argument)
{
    running++;
    while (!stop) {
        int index = published;
        REQUIRE(call(shared_code + 16 * index) == index);
    }
    return argument;
}

/* New functions appear in a page that other threads are executing from. */
static void appended_while_others_run(void)
{
    pthread_t threads[3];
    shared_code = pages(16 * 1024, PROT_READ | PROT_WRITE | PROT_EXEC);
    emit(shared_code, 0);
    announce(shared_code, 16);
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, run_published, NULL) == 0);
    while (running < 3)
        sleep_ms(1);
    for (int i = 1; i < 1024; i++) {
        emit(shared_code + 16 * i, i);
        announce(shared_code + 16 * i, 16);
        published = i;
        if (i % 64 == 0)
            sleep_ms(1);
    }
    sleep_ms(20);
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* A child's changes are its own. */
static void private_after_fork(void)
{
    char *code = pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    emit(code, 5);
    announce(code, 16);
    REQUIRE(call(code) == 5);
    pid_t child = fork();
    if (child == 0) {
        emit(code, 6);
        announce(code, 16);
        _exit(call(code));
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 6 && call(code) == 5);
    munmap(code, 4096);
}

int main(void)
{
    RUN(rewritten_in_place);
    RUN(code_beside_data);
    RUN(write_or_execute);
    RUN(mapped_twice);
    RUN(changed_by_system_calls);
    RUN(mapped_anew_at_the_same_address);
    RUN(appended_while_others_run);
    RUN(private_after_fork);
    return finish();
}
