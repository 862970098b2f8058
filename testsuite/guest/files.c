/* System calls on files: reading, writing, seeking, flags, locks, copying, memory files. */
#include "guest.h"
#include <stddef.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char name[64];

static int fresh(void)
{
    snprintf(name, sizeof name, "files-XXXXXX");
    int file = mkstemp(name);
    REQUIRE(file >= 0);
    return file;
}

static void open_flags(void)
{
    int file = fresh();
    REQUIRE_ERROR(open(name, O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    REQUIRE_ERROR(open("no/such/file", O_RDONLY), ENOENT);
    REQUIRE_ERROR(open(name, O_RDONLY | O_DIRECTORY), ENOTDIR);
    REQUIRE_ERROR(open(".", O_WRONLY), EISDIR);
    REQUIRE(write(file, "12345", 5) == 5);
    int append = open(name, O_WRONLY | O_APPEND);
    REQUIRE((fcntl(append, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY));
    REQUIRE(lseek(append, 0, SEEK_SET) == 0 && write(append, "67", 2) == 2 && lseek(append, 0, SEEK_CUR) == 7);
    REQUIRE_ERROR(read(append, name + 32, 1), EBADF);
    close(append);
    int cut = open(name, O_RDWR | O_TRUNC | O_CLOEXEC);
    struct stat status;
    REQUIRE(fstat(cut, &status) == 0 && status.st_size == 0 && fcntl(cut, F_GETFD) == FD_CLOEXEC);
    close(cut);
    int path = open(name, O_PATH);
    REQUIRE_ERROR(write(path, "x", 1), EBADF);
    close(path), unlink(name);
    symlink("target", name);
    REQUIRE_ERROR(open(name, O_RDONLY | O_NOFOLLOW), ELOOP);
    unlink(name);
    int hidden = open(".", O_TMPFILE | O_RDWR, 0600);
    REQUIRE(hidden >= 0 || errno == EOPNOTSUPP);
    close(hidden), close(file);
}

static void reading_and_writing(void)
{
    int file = fresh();
    char a[4] = "abc", b[4] = "def", text[16] = { 0 };
    struct iovec out[] = { { a, 3 }, { NULL, 0 }, { b, 3 } }, in[] = { { text, 2 }, { text + 8, 4 } };
    REQUIRE(writev(file, out, 3) == 6 && pwrite(file, "X", 1, 4) == 1 && lseek(file, 0, SEEK_CUR) == 6);
    REQUIRE(preadv(file, in, 2, 0) == 6 && memcmp(text, "ab", 2) == 0 && memcmp(text + 8, "cdXf", 4) == 0);
    REQUIRE(pwritev(file, out, 3, 10) == 6 && pread(file, text, 16, 6) == 10 && text[0] == 0 && text[4] == 'a');
    REQUIRE(pread(file, text, 16, 100) == 0);
    REQUIRE(preadv2(file, in, 1, 1, 0) == 2 && memcmp(text, "bc", 2) == 0);
    REQUIRE_ERROR(pread(file, text, 1, -1), EINVAL);
    REQUIRE_ERROR(lseek(file, -1, SEEK_SET), EINVAL);
    REQUIRE_ERROR(syscall(SYS_writev, file, out, -1), EINVAL);
    REQUIRE_ERROR(read(999, text, 1), EBADF);
    close(file), unlink(name);
}

static void sizes_and_holes(void)
{
    int file = fresh();
    struct stat status;
    REQUIRE(ftruncate(file, 1 << 20) == 0 && fstat(file, &status) == 0 && status.st_size == 1 << 20 && status.st_blocks == 0);
    REQUIRE(pwrite(file, "data", 4, 512 * 1024) == 4);
    off_t data = lseek(file, 0, SEEK_DATA), hole = lseek(file, 512 * 1024, SEEK_HOLE);
    REQUIRE((data == 512 * 1024 && hole > data) || (data == 0 && hole == 1 << 20));
    REQUIRE(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 2 << 20) == 0 || errno == EOPNOTSUPP);
    REQUIRE(fstat(file, &status) == 0 && status.st_size == 1 << 20);
    REQUIRE(truncate(name, 10) == 0 && lseek(file, 0, SEEK_END) == 10);
    REQUIRE(posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL) == 0 && fsync(file) == 0 && fdatasync(file) == 0);
    close(file), unlink(name);
}

static void duplicates(void)
{
    int file = fresh(), copy = dup(file), chosen = dup2(file, 200), third = dup3(file, 201, O_CLOEXEC);
    REQUIRE(copy > file && chosen == 200 && third == 201);
    REQUIRE(write(file, "shared", 6) == 6 && lseek(copy, 0, SEEK_CUR) == 6 && lseek(200, 0, SEEK_CUR) == 6);
    REQUIRE(fcntl(201, F_GETFD) == FD_CLOEXEC && fcntl(200, F_GETFD) == 0 && fcntl(file, F_DUPFD, 300) == 300);
    REQUIRE(dup2(file, file) == file);
    REQUIRE_ERROR(dup3(file, file, 0), EINVAL);
    REQUIRE_ERROR(dup(999), EBADF);
    REQUIRE(syscall(SYS_close_range, 200, 301, 0) == 0 && fcntl(300, F_GETFD) == -1);
    REQUIRE(fcntl(copy, F_SETFL, O_NONBLOCK) == 0 && (fcntl(file, F_GETFL) & O_NONBLOCK));
    close(file), close(copy), unlink(name);
}

static int locked_file;

static void child_finds_the_lock(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 1 };
    REQUIRE_ERROR(fcntl(locked_file, F_SETLK, &lock), EAGAIN);
    REQUIRE(fcntl(locked_file, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == getppid());
    REQUIRE(lock.l_start == 10 && lock.l_len == 10);
    lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 30, .l_len = 1 };
    REQUIRE(fcntl(locked_file, F_SETLK, &lock) == 0);
    int again = open(name, O_RDWR);
    REQUIRE_ERROR(flock(again, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

static void locks(void)
{
    locked_file = fresh();
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
    REQUIRE(fcntl(locked_file, F_SETLK, &lock) == 0 && flock(locked_file, LOCK_EX) == 0);
    REQUIRE(in_child(child_finds_the_lock) == 0);
    int other = open(name, O_RDWR);
    struct flock own = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 40, .l_len = 5 }, conflict = own;
    REQUIRE(fcntl(locked_file, F_OFD_SETLK, &own) == 0);
    REQUIRE_ERROR(fcntl(other, F_OFD_SETLK, &conflict), EAGAIN);
    REQUIRE(flock(locked_file, LOCK_UN) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0);
    close(other), close(locked_file), unlink(name);
}

static void copying(void)
{
    int from = fresh();
    char source[64], text[64] = { 0 };
    strcpy(source, name);
    int to = fresh();
    REQUIRE(write(from, "0123456789", 10) == 10);
    off_t offset = 2, zero = 0;
    REQUIRE(sendfile(to, from, &offset, 5) == 5 && offset == 7);
    REQUIRE(copy_file_range(from, &offset, to, NULL, 3, 0) == 3 && offset == 10);
    REQUIRE(pread(to, text, 20, 0) == 8 && memcmp(text, "23456789", 8) == 0);
    int ends[2], others[2];
    REQUIRE(pipe(ends) == 0 && pipe(others) == 0);
    REQUIRE(splice(from, &zero, ends[1], NULL, 10, 0) == 10 && tee(ends[0], others[1], 4, 0) == 4);
    REQUIRE(read(others[0], text, 20) == 4 && splice(ends[0], NULL, to, &(loff_t){ 100 }, 10, 0) == 10);
    REQUIRE(pread(to, text, 20, 100) == 10 && memcmp(text, "0123456789", 10) == 0);
    struct iovec vector = { "spliced", 7 };
    REQUIRE(vmsplice(ends[1], &vector, 1, 0) == 7 && read(ends[0], text, 20) == 7);
    for (int i = 0; i < 2; i++)
        close(ends[i]), close(others[i]);
    close(from), close(to), unlink(source), unlink(name);
}

static void memory_files(void)
{
    int file = (int)syscall(SYS_memfd_create, "sealed", 2 /* MFD_ALLOW_SEALING */);
    REQUIRE(file >= 0 && write(file, "memory", 6) == 6);
    REQUIRE(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
    REQUIRE_ERROR(write(file, "x", 1), EPERM);
    REQUIRE_ERROR(ftruncate(file, 1), EPERM);
    REQUIRE(fcntl(file, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK));
    char path[64], text[64] = { 0 };
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    REQUIRE(readlink(path, text, sizeof text) > 0 && strncmp(text, "/memfd:sealed", 13) == 0);
    int again = open(path, O_RDONLY);
    REQUIRE(again >= 0 && read(again, text, 6) == 6 && memcmp(text, "memory", 6) == 0);
    close(file), close(again);
}

static void terminals_and_counts(void)
{
    int ends[2], bytes = -1;
    REQUIRE(pipe(ends) == 0 && write(ends[1], "1234", 4) == 4);
    REQUIRE(ioctl(ends[0], FIONREAD, &bytes) == 0 && bytes == 4);
    int one = 1;
    REQUIRE(ioctl(ends[0], FIONBIO, &one) == 0 && (fcntl(ends[0], F_GETFL) & O_NONBLOCK));
    struct winsize size = { 0 };
    REQUIRE_ERROR(ioctl(ends[0], TIOCGWINSZ, &size), ENOTTY);
    REQUIRE(!isatty(ends[0]));
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master >= 0) {
        REQUIRE(grantpt(master) == 0 && unlockpt(master) == 0 && ptsname(master) != NULL);
        int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
        struct winsize wanted = { .ws_row = 33, .ws_col = 99 };
        REQUIRE(terminal >= 0 && isatty(terminal) && ioctl(master, TIOCSWINSZ, &wanted) == 0);
        REQUIRE(ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_row == 33 && size.ws_col == 99);
        /* As the kernel has it, which is shorter than the library's. */
        unsigned char locked[64];
        memset(locked, 0xff, sizeof locked);
        REQUIRE(ioctl(terminal, TIOCGLCKTRMIOS, locked) == 0 && locked[0] == 0 && locked[35] == 0 && locked[36] == 0xff);
        char text[16] = { 0 };
        REQUIRE(write(master, "line\n", 5) == 5 && read(terminal, text, sizeof text) == 5 && strcmp(text, "line\n") == 0);
        close(terminal), close(master);
    }
    close(ends[0]), close(ends[1]);
}

int main(void)
{
    RUN(open_flags);
    RUN(reading_and_writing);
    RUN(sizes_and_holes);
    RUN(duplicates);
    RUN(locks);
    RUN(copying);
    RUN(memory_files);
    RUN(terminals_and_counts);
    return finish();
}
