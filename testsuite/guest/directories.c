/* System calls on names: directories, links, renames, permissions, times, stat in all its forms, inotify. */
#include "guest.h"
#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <utime.h>

static char top[128];

static void touch(const char *path)
{
    int file = open(path, O_CREAT | O_WRONLY, 0644);
    REQUIRE(file >= 0);
    close(file);
}

static void making_and_removing(void)
{
    REQUIRE(mkdir("a", 0750) == 0 && mkdir("a/b", 0777) == 0);
    REQUIRE_ERROR(mkdir("a", 0700), EEXIST);
    REQUIRE_ERROR(mkdir("x/y", 0700), ENOENT);
    REQUIRE_ERROR(rmdir("a"), ENOTEMPTY);
    touch("a/file");
    REQUIRE_ERROR(rmdir("a/file"), ENOTDIR);
    REQUIRE_ERROR(unlink("a/b"), EISDIR);
    int directory = open("a", O_RDONLY | O_DIRECTORY);
    REQUIRE(mkdirat(directory, "c", 0700) == 0 && unlinkat(directory, "c", AT_REMOVEDIR) == 0);
    REQUIRE_ERROR(unlinkat(directory, "b", 0), EISDIR);
    REQUIRE(unlinkat(directory, "file", 0) == 0 && rmdir("a/b") == 0 && rmdir("a") == 0);
    REQUIRE_ERROR(openat(directory, "late", O_CREAT | O_WRONLY, 0600), ENOENT);
    close(directory);
}

static void listing(void)
{
    char path[32];
    int seen[300] = { 0 }, count = 0, dots = 0;
    REQUIRE(mkdir("many", 0700) == 0);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "many/entry-%d", i);
        touch(path);
    }
    DIR *directory = opendir("many");
    REQUIRE(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory));) {
        int number;
        if (entry->d_name[0] == '.') {
            dots++;
            continue;
        }
        REQUIRE(sscanf(entry->d_name, "entry-%d", &number) == 1 && !seen[number]++ && entry->d_ino != 0);
        REQUIRE(entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
        count++;
    }
    REQUIRE(count == 300 && dots == 2);
    rewinddir(directory);
    REQUIRE(readdir(directory) != NULL);
    long position = telldir(directory);
    struct dirent *entry = readdir(directory);
    char second[256];
    strcpy(second, entry->d_name);
    readdir(directory);
    seekdir(directory, position);
    REQUIRE(strcmp(readdir(directory)->d_name, second) == 0);
    closedir(directory);
    char small[10];
    int raw = open("many", O_RDONLY);
    REQUIRE_ERROR(syscall(SYS_getdents64, raw, small, sizeof small), EINVAL);
    close(raw);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "many/entry-%d", i);
        REQUIRE(unlink(path) == 0);
    }
    REQUIRE(rmdir("many") == 0);
}

static void links_and_renames(void)
{
    struct stat one, two;
    char text[64];
    touch("one");
    REQUIRE(link("one", "two") == 0 && stat("one", &one) == 0 && stat("two", &two) == 0);
    REQUIRE(one.st_ino == two.st_ino && one.st_nlink == 2);
    REQUIRE(symlink("one", "soft") == 0 && readlink("soft", text, sizeof text) == 3 && memcmp(text, "one", 3) == 0);
    REQUIRE(readlink("soft", text, 2) == 2);
    REQUIRE_ERROR(readlink("one", text, sizeof text), EINVAL);
    REQUIRE(lstat("soft", &two) == 0 && S_ISLNK(two.st_mode) && two.st_size == 3);
    REQUIRE(rename("two", "three") == 0);
    REQUIRE_ERROR(rename("two", "four"), ENOENT);
    touch("five");
    REQUIRE_ERROR(renameat2(AT_FDCWD, "three", AT_FDCWD, "five", RENAME_NOREPLACE), EEXIST);
    REQUIRE(stat("five", &two) == 0 && renameat2(AT_FDCWD, "three", AT_FDCWD, "five", RENAME_EXCHANGE) == 0);
    struct stat after;
    REQUIRE(stat("three", &after) == 0 && after.st_ino == two.st_ino);
    REQUIRE(symlink("loop", "loop") == 0);
    REQUIRE_ERROR(open("loop", O_RDONLY), ELOOP);
    REQUIRE(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", AT_SYMLINK_FOLLOW) == 0 && lstat("hard", &after) == 0 && S_ISREG(after.st_mode));
    const char *names[] = { "one", "three", "five", "soft", "loop", "hard" };
    for (int i = 0; i < 6; i++)
        REQUIRE(unlink(names[i]) == 0);
}

static void working_directory(void)
{
    char here[512], there[512];
    REQUIRE(getcwd(here, sizeof here) == here && mkdir("inner", 0700) == 0);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    REQUIRE(chdir("inner") == 0 && getcwd(there, sizeof there) != NULL);
    REQUIRE(strncmp(here, there, strlen(here)) == 0 && strcmp(there + strlen(here), "/inner") == 0);
    REQUIRE(fchdir(directory) == 0 && getcwd(there, sizeof there) && strcmp(here, there) == 0);
    REQUIRE_ERROR((long)getcwd(there, 2) - 1, ERANGE);
    REQUIRE_ERROR(chdir("nowhere"), ENOENT);
    char link[512] = { 0 };
    REQUIRE(readlink("/proc/self/cwd", link, sizeof link) > 0 && strcmp(link, here) == 0);
    close(directory), rmdir("inner");
}

static void permissions(void)
{
    struct stat status;
    mode_t old = umask(027);
    int file = open("mode", O_CREAT | O_WRONLY, 0666);
    REQUIRE(fstat(file, &status) == 0 && (status.st_mode & 07777) == 0640);
    REQUIRE(umask(old) == 027 && chmod("mode", 04751) == 0 && stat("mode", &status) == 0 && (status.st_mode & 07777) == 04751);
    REQUIRE(fchmod(file, 0600) == 0 && fchmodat(AT_FDCWD, "mode", 0644, 0) == 0 && fstat(file, &status) == 0 && (status.st_mode & 07777) == 0644);
    REQUIRE(access("mode", R_OK | W_OK) == 0 && faccessat(AT_FDCWD, "mode", F_OK, 0) == 0);
    REQUIRE_ERROR(access("mode", X_OK), EACCES);
    REQUIRE_ERROR(access("mode/x", F_OK), ENOTDIR);
    REQUIRE(chown("mode", (uid_t)-1, (gid_t)-1) == 0 && fchown(file, getuid(), getgid()) == 0);
    REQUIRE(mknod("fifo", S_IFIFO | 0600, 0) == 0 && stat("fifo", &status) == 0 && S_ISFIFO(status.st_mode) && status.st_size == 0);
    close(file), unlink("mode"), unlink("fifo");
}

static void times(void)
{
    struct stat status;
    touch("time");
    struct timespec both[2] = { { 1000000000, 123456789 }, { 2000000000, 987654321 } };
    REQUIRE(utimensat(AT_FDCWD, "time", both, 0) == 0 && stat("time", &status) == 0);
    REQUIRE(status.st_atim.tv_sec == 1000000000 && status.st_mtim.tv_sec == 2000000000 && status.st_mtim.tv_nsec == 987654321);
    both[0].tv_nsec = UTIME_OMIT, both[1].tv_nsec = UTIME_NOW;
    REQUIRE(utimensat(AT_FDCWD, "time", both, 0) == 0 && stat("time", &status) == 0);
    REQUIRE(status.st_atim.tv_sec == 1000000000 && labs(status.st_mtim.tv_sec - time(NULL)) < 10);
    struct utimbuf old = { 5, 6 };
    REQUIRE(utime("time", &old) == 0 && stat("time", &status) == 0 && status.st_mtim.tv_sec == 6);
    unlink("time");
}

static void every_stat(void)
{
    struct stat a, b;
    struct statx x;
    int file = open("stat", O_CREAT | O_RDWR, 0600);
    REQUIRE(write(file, "0123456789", 10) == 10 && fstat(file, &a) == 0 && fstatat(AT_FDCWD, "stat", &b, 0) == 0);
    REQUIRE(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == 10 && a.st_uid == getuid() && a.st_blksize > 0);
    REQUIRE(statx(AT_FDCWD, "stat", 0, STATX_BASIC_STATS | STATX_BTIME, &x) == 0);
    REQUIRE(x.stx_size == 10 && x.stx_ino == a.st_ino && x.stx_mode == a.st_mode && x.stx_nlink == 1);
    REQUIRE(makedev(x.stx_dev_major, x.stx_dev_minor) == a.st_dev && x.stx_mtime.tv_sec == a.st_mtim.tv_sec);
    REQUIRE(statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &x) == 0 && x.stx_size == 10);
    REQUIRE(stat("/dev/null", &a) == 0 && S_ISCHR(a.st_mode) && a.st_rdev == makedev(1, 3));
    REQUIRE_ERROR(stat("", &a), ENOENT);
    char long_name[300];
    memset(long_name, 'n', 299), long_name[299] = '\0';
    REQUIRE_ERROR(stat(long_name, &a), ENAMETOOLONG);
    struct statfs system;
    REQUIRE(statfs(".", &system) == 0 && system.f_bsize > 0 && system.f_namelen == 255 && fstatfs(file, &system) == 0);
    close(file), unlink("stat");
}

static void watching(void)
{
    int watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    REQUIRE(watcher >= 0);
    int watch = inotify_add_watch(watcher, ".", IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
    char buffer[1024] __attribute__((aligned(8)));
    REQUIRE(watch >= 0);
    REQUIRE_ERROR(read(watcher, buffer, sizeof buffer), EAGAIN);
    touch("seen");
    REQUIRE(rename("seen", "moved") == 0 && unlink("moved") == 0);
    ssize_t length = read(watcher, buffer, sizeof buffer);
    static const uint32_t expected[] = { IN_CREATE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE };
    int count = 0;
    for (char *at = buffer; at < buffer + length; count++) {
        struct inotify_event *event = (struct inotify_event *)at;
        REQUIRE(count < 4 && event->wd == watch && event->mask == expected[count]);
        REQUIRE(strcmp(event->name, count < 2 ? "seen" : "moved") == 0);
        at += sizeof *event + event->len;
    }
    REQUIRE(count == 4 && inotify_rm_watch(watcher, watch) == 0);
    close(watcher);
}

int main(void)
{
    snprintf(top, sizeof top, "directories-%d", (int)getpid());
    REQUIRE(mkdir(top, 0700) == 0 && chdir(top) == 0);
    RUN(making_and_removing);
    RUN(listing);
    RUN(links_and_renames);
    RUN(working_directory);
    RUN(permissions);
    RUN(times);
    RUN(every_stat);
    RUN(watching);
    REQUIRE(chdir("..") == 0 && rmdir(top) == 0);
    return finish();
}
