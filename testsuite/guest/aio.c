/* Asynchronous input and output by the kernel, as libaio asks for it. */
#include "guest.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static aio_context_t context;

static long submit(struct iocb **list, long count) { return syscall(SYS_io_submit, context, count, list); }

static long events(long least, long most, struct io_event *to, struct timespec *limit)
{
    return syscall(SYS_io_getevents, context, least, most, to, limit);
}

static struct iocb operation(int code, int file, const void *buffer, size_t length, long offset)
{
    struct iocb made = { .aio_lio_opcode = code, .aio_fildes = file, .aio_buf = (uintptr_t)buffer, .aio_nbytes = length };
    made.aio_offset = offset;
    made.aio_data = (uintptr_t)buffer;
    return made;
}

static int fresh(void)
{
    char name[] = "aio-XXXXXX";
    int file = mkstemp(name);
    REQUIRE(file >= 0 && unlink(name) == 0);
    return file;
}

static void reads_and_writes(void)
{
    char there[9000], back[9000] = { 0 }, one[8] = { 0 }, two[8] = { 0 };
    memset(there, 'x', sizeof there), memcpy(there + 4000, "firstsecond", 11);
    int file = fresh();
    struct iocb write = operation(IOCB_CMD_PWRITE, file, there, sizeof there, 0), *list[3] = { &write };
    struct io_event done[4];
    REQUIRE(submit(list, 1) == 1 && events(1, 4, done, NULL) == 1);
    REQUIRE(done[0].obj == (uintptr_t)&write && done[0].data == (uintptr_t)there && done[0].res == sizeof there);
    struct iovec parts[2] = { { one, 5 }, { two, 6 } };
    struct iocb read = operation(IOCB_CMD_PREAD, file, back, sizeof back, 0);
    struct iocb scatter = operation(IOCB_CMD_PREADV, file, parts, 2, 4000);
    struct iocb short_one = operation(IOCB_CMD_PREAD, file, back, 100, 8950);
    list[0] = &read, list[1] = &scatter, list[2] = &short_one;
    REQUIRE(submit(list, 3) == 3 && events(3, 4, done, NULL) == 3);
    REQUIRE(strcmp(one, "first") == 0 && strcmp(two, "second") == 0 && back[8999] == 'x');
    for (int i = 0; i < 3; i++)
        REQUIRE(done[i].res == (done[i].obj == (uintptr_t)&read ? 9000 : done[i].obj == (uintptr_t)&scatter ? 11 : 50));
    close(file);
}

static int one(void) { return 1; }
static int two(void) { return 2; }

/* The kernel writes to a page from which code was executed. */
static void reading_code(void)
{
    char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(code != MAP_FAILED);
    int (*call)(void) = (int (*)(void))code;
    memcpy(code, (void *)one, 32);
    __builtin___clear_cache(code, code + 32);
    REQUIRE(call() == 1);
    int file = fresh();
    REQUIRE(write(file, (void *)two, 32) == 32);
    struct iocb read = operation(IOCB_CMD_PREAD, file, code, 32, 0), *list[] = { &read };
    struct io_event done;
    REQUIRE(submit(list, 1) == 1 && events(1, 1, &done, NULL) == 1 && done.res == 32);
    __builtin___clear_cache(code, code + 32);
    REQUIRE(call() == 2);
    close(file), munmap(code, 4096);
}

static volatile int signals;
static void on_signal(int number, siginfo_t *info, void *unused)
{
    (void)number, (void)info, (void)unused;
    signals++;
}

static void waiting(void)
{
    int ends[2], told = eventfd(0, 0);
    uint64_t count;
    REQUIRE(pipe(ends) == 0 && told >= 0);
    struct iocb poll = operation(IOCB_CMD_POLL, ends[0], (void *)1 /* POLLIN */, 0, 0), *list[] = { &poll };
    poll.aio_flags = IOCB_FLAG_RESFD, poll.aio_resfd = told;
    struct io_event done;
    struct timespec short_time = { 0, 20000000 };
    REQUIRE(submit(list, 1) == 1 && events(1, 1, &done, &short_time) == 0);
    handle(SIGALRM, on_signal, SA_RESTART);
    setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 50000 } }, NULL);
    REQUIRE_ERROR(events(1, 1, &done, NULL), EINTR);
    REQUIRE(signals == 1);
    REQUIRE(write(ends[1], "x", 1) == 1 && read(told, &count, 8) == 8 && count == 1);
    REQUIRE(events(1, 1, &done, NULL) == 1 && (done.res & 1));
    REQUIRE(submit(list, 1) == 1 && read(told, &count, 8) == 8);
    REQUIRE(syscall(SYS_io_pgetevents, context, 1l, 1l, &done, NULL, NULL) == 1);
    close(ends[0]), close(ends[1]), close(told);
}

/* What libaio reads without asking the kernel. */
static void ring(void)
{
    const uint32_t *words = (const uint32_t *)context;
    REQUIRE(words[1] >= 8 && words[4] == 0xa10a10a1 && words[2] == words[3]);
}

static void errors(void)
{
    char byte;
    long kernel = (long)0xffff800000000000;
    aio_context_t other = 1;
    REQUIRE_ERROR(syscall(SYS_io_setup, 8, &other), EINVAL);
    other = 0;
    REQUIRE_ERROR(syscall(SYS_io_setup, 0, &other), EINVAL);
    REQUIRE_ERROR(syscall(SYS_io_setup, 8, kernel), EFAULT);
    struct iocb bad = operation(IOCB_CMD_PREAD, -1, &byte, 1, 0), *list[2] = { &bad, (struct iocb *)kernel };
    REQUIRE_ERROR(submit(list, 1), EBADF);
    REQUIRE_ERROR(submit(list + 1, 1), EFAULT);
    REQUIRE_ERROR(submit(list, -1), EINVAL);
    REQUIRE(submit(list, 0) == 0);
    int file = fresh();
    bad = operation(IOCB_CMD_FSYNC, file, NULL, 0, 0), bad.aio_buf = 0;
    REQUIRE(submit(list, 2) == 1);
    struct io_event done;
    REQUIRE(events(1, 1, &done, NULL) == 1 && done.res == 0);
    REQUIRE_ERROR(syscall(SYS_io_cancel, context, &bad, &done), EINVAL);
    REQUIRE_ERROR(events(2, 1, &done, NULL), EINVAL);
    struct iocb far = operation(IOCB_CMD_PREAD, file, (void *)kernel, 1, 0);
    list[0] = &far;
    REQUIRE_ERROR(submit(list, 1), EFAULT);
    close(file);
}

static void many_contexts(void)
{
    for (int i = 0; i < 100; i++) {
        aio_context_t one = 0;
        REQUIRE(syscall(SYS_io_setup, 100, &one) == 0 && *(volatile uint32_t *)(one + 16) == 0xa10a10a1);
        REQUIRE(syscall(SYS_io_destroy, one) == 0);
        REQUIRE_ERROR(syscall(SYS_io_destroy, one), EINVAL);
        REQUIRE_ERROR(msync((void *)one, 4096, MS_ASYNC), ENOMEM);
        void *again = mmap((void *)one, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        REQUIRE(again == (void *)one && munmap(again, 4096) == 0);
    }
}

int main(void)
{
    REQUIRE(syscall(SYS_io_setup, 8, &context) == 0 && context != 0);
    RUN(reads_and_writes);
    RUN(reading_code);
    RUN(waiting);
    RUN(ring);
    RUN(errors);
    RUN(many_contexts);
    REQUIRE(syscall(SYS_io_destroy, context) == 0);
    return finish();
}
