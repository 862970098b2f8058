/* Corners of mmap, mremap, mprotect, munmap, brk, and what /proc/self/maps says about them. */
#include "guest.h"
#include <sys/stat.h>

enum { PAGE = 4096, ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS, RW = PROT_READ | PROT_WRITE };

static char *map(size_t pages)
{
    char *memory = mmap(NULL, pages * PAGE, RW, ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED && (uintptr_t)memory % PAGE == 0);
    return memory;
}

static int is_mapped(const void *page)
{
    unsigned char resident;
    return mincore((void *)page, PAGE, &resident) == 0;
}

static void fixed_addresses(void)
{
    char *memory = map(4);
    memset(memory, 'a', 4 * PAGE);
    REQUIRE(mmap(memory + PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0) == memory + PAGE);
    REQUIRE(memory[0] == 'a' && memory[PAGE] == 0 && memory[2 * PAGE] == 'a');
    REQUIRE_ERROR((long)mmap(memory, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    REQUIRE(munmap(memory + 2 * PAGE, PAGE) == 0);
    REQUIRE(mmap(memory + 2 * PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == memory + 2 * PAGE);
    REQUIRE_ERROR((long)mmap(memory + 1, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
    REQUIRE_ERROR((long)mmap(NULL, 0, RW, ANONYMOUS, -1, 0), EINVAL);
    char *hint = memory;
    munmap(memory, 4 * PAGE);
    REQUIRE(mmap(hint, PAGE, RW, ANONYMOUS, -1, 0) == hint);
    munmap(hint, PAGE);
}

/* Programs may ask for any address below 2^38, which every RISC-V mode has. */
static void chosen_low_and_high_addresses(void)
{
    static const uint64_t addresses[] = { 0x10000000, 0x7f000000, 0x100000000, 0x1234567000, 0x3000000000 };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        char *wanted = (char *)(uintptr_t)addresses[i];
        char *got = mmap(wanted, 16 * PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        REQUIRE(got == wanted);
        got[16 * PAGE - 1] = 1;
        REQUIRE(munmap(got, 16 * PAGE) == 0);
    }
}

static void partial_unmapping(void)
{
    char *memory = map(5);
    memset(memory, 'b', 5 * PAGE);
    REQUIRE(munmap(memory + PAGE, PAGE) == 0 && munmap(memory + 3 * PAGE, PAGE) == 0);
    REQUIRE(memory[0] == 'b' && memory[2 * PAGE] == 'b' && memory[4 * PAGE] == 'b');
    REQUIRE(is_mapped(memory) && !is_mapped(memory + PAGE) && is_mapped(memory + 2 * PAGE) && !is_mapped(memory + 3 * PAGE));
    REQUIRE(munmap(memory, 5 * PAGE) == 0);
    REQUIRE_ERROR(munmap(memory + 7, PAGE), EINVAL);
    REQUIRE_ERROR(mprotect(memory, PAGE, PROT_READ), ENOMEM);
}

static void remapping(void)
{
    char *memory = map(8);
    for (int i = 0; i < 8; i++)
        memory[i * PAGE] = (char)('0' + i);
    REQUIRE(mremap(memory, 8 * PAGE, 4 * PAGE, 0) == memory && !is_mapped(memory + 4 * PAGE));
    REQUIRE(mremap(memory, 4 * PAGE, 6 * PAGE, 0) == memory && memory[3 * PAGE] == '3' && memory[5 * PAGE] == 0);
    REQUIRE(mmap(memory + 6 * PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED, -1, 0) == memory + 6 * PAGE);
    REQUIRE_ERROR((long)mremap(memory, 6 * PAGE, 9 * PAGE, 0), ENOMEM);
    char *moved = mremap(memory, 6 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    REQUIRE(moved != MAP_FAILED && moved != memory && moved[2 * PAGE] == '2' && moved[63 * PAGE] == 0);
    REQUIRE(!is_mapped(memory));
    char *place = map(64);
    REQUIRE(mremap(moved, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place && place[PAGE] == '1');
    REQUIRE_ERROR((long)mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE), EFAULT);
    munmap(place, 64 * PAGE);
}

static void protection_of_parts(void)
{
    char *memory = map(3);
    REQUIRE(mprotect(memory + PAGE, PAGE, PROT_NONE) == 0);
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    REQUIRE(write(pipe_ends[1], memory, 10) == 10);
    REQUIRE_ERROR(write(pipe_ends[1], memory + PAGE, 10), EFAULT);
    REQUIRE(write(pipe_ends[1], memory + 2 * PAGE, 10) == 10);
    REQUIRE(mprotect(memory + PAGE, PAGE, PROT_READ) == 0 && write(pipe_ends[1], memory + PAGE, 10) == 10);
    REQUIRE_ERROR(read(pipe_ends[0], memory + PAGE, 10), EFAULT);
    close(pipe_ends[0]), close(pipe_ends[1]);
    munmap(memory, 3 * PAGE);
}

static void files(void)
{
    char name[] = "mmap-XXXXXX", text[16] = { 0 };
    int file = mkstemp(name);
    REQUIRE(file >= 0 && ftruncate(file, 3 * PAGE) == 0 && pwrite(file, "middle", 6, PAGE) == 6);
    char *shared = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, file, 0);
    char *own = mmap(NULL, PAGE, RW, MAP_PRIVATE, file, PAGE);
    REQUIRE(shared != MAP_FAILED && own != MAP_FAILED && memcmp(own, "middle", 6) == 0);
    own[0] = 'M';
    REQUIRE(shared[PAGE] == 'm');
    shared[2 * PAGE] = 'Z';
    REQUIRE(msync(shared, 3 * PAGE, MS_SYNC) == 0 && pread(file, text, 1, 2 * PAGE) == 1 && text[0] == 'Z');
    REQUIRE(pwrite(file, "W", 1, 0) == 1 && shared[0] == 'W');
    int constant = open(name, O_RDONLY);
    REQUIRE_ERROR((long)mmap(NULL, PAGE, RW, MAP_SHARED, constant, 0), EACCES);
    REQUIRE_ERROR((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, file, 100), EINVAL);
    REQUIRE_ERROR((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF);
    close(constant), close(file), unlink(name);
    REQUIRE(shared[2 * PAGE] == 'Z');
    munmap(shared, 3 * PAGE), munmap(own, PAGE);
}

/* qemu-user 10.0.2 fails this. */
static int first(void) { return 1; }
static int second(void) { return 2; }

/* Pages of a file in another order, in which code is executed. */
static void file_pages(void)
{
    char name[] = "mmap-XXXXXX";
    int file = mkstemp(name);
    REQUIRE(file >= 0 && unlink(name) == 0 && ftruncate(file, 3 * PAGE) == 0);
    char *pages = mmap(NULL, 3 * PAGE, RW | PROT_EXEC, MAP_SHARED, file, 0), *own;
    REQUIRE(pages != MAP_FAILED && pwrite(file, (void *)first, 32, 0) == 32 && pwrite(file, (void *)second, 32, 2 * PAGE) == 32);
    int (*call)(void) = (int (*)(void))pages;
    __builtin___clear_cache(pages, pages + 3 * PAGE);
    REQUIRE(call() == 1 && remap_file_pages(pages, PAGE, 0, 2, 0) == 0);
    __builtin___clear_cache(pages, pages + PAGE);
    REQUIRE(call() == 2);
    volatile char *seen = pages;
    seen[100] = 'a';
    REQUIRE(seen[2 * PAGE + 100] == 'a' && seen[PAGE] == 0);
    REQUIRE(remap_file_pages(pages + 2 * PAGE, PAGE, 0, 0, 0) == 0 && ((int (*)(void))(pages + 2 * PAGE))() == 1);
    REQUIRE_ERROR(remap_file_pages(pages, PAGE, PROT_READ, 1, 0), EINVAL);
    REQUIRE_ERROR(remap_file_pages(pages, 0, 0, 1, 0), EINVAL);
    own = mmap(NULL, PAGE, RW, MAP_PRIVATE, file, 0);
    REQUIRE_ERROR(remap_file_pages(own, PAGE, 0, 1, 0), EINVAL);
    REQUIRE(munmap(pages, 3 * PAGE) == 0 && munmap(own, PAGE) == 0);
    REQUIRE_ERROR(remap_file_pages(pages, PAGE, 0, 1, 0), EINVAL);
    close(file);
}

static void validated_flags(void)
{
    char name[] = "mmap-XXXXXX";
    int file = mkstemp(name);
    REQUIRE(file >= 0 && ftruncate(file, 2 * PAGE) == 0);
    char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED_VALIDATE, file, 0);
    REQUIRE(shared != MAP_FAILED && munmap(shared, PAGE) == 0);
    REQUIRE(mmap(shared, PAGE, RW, MAP_SHARED_VALIDATE | MAP_FIXED, file, PAGE) == shared);
    /* The compiler takes the two for different bytes. */
    volatile char *bytes = shared;
    bytes[0] = 'a';
    REQUIRE(bytes[PAGE] == 'a');
    REQUIRE_ERROR((long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | 0x80000 /* MAP_SYNC */, file, 0), EOPNOTSUPP);
    munmap(shared, 2 * PAGE), close(file), unlink(name);
}

static void shared_with_children(void)
{
    volatile int *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile char *own = map(1);
    pid_t child = fork();
    if (child == 0) {
        shared[0] = 42;
        own[0] = 42;
        _exit(0);
    }
    REQUIRE(waitpid(child, NULL, 0) == child && shared[0] == 42 && own[0] == 0);
}

static void advice(void)
{
    char *memory = map(4);
    memset(memory, 'q', 4 * PAGE);
    REQUIRE(madvise(memory + PAGE, PAGE, MADV_DONTNEED) == 0 && memory[0] == 'q' && memory[PAGE] == 0);
    REQUIRE(madvise(memory, 4 * PAGE, MADV_WILLNEED) == 0 && mlock(memory, PAGE) == 0 && munlock(memory, PAGE) == 0);
    REQUIRE_ERROR(madvise(memory + 1, PAGE, MADV_DONTNEED), EINVAL);
    munmap(memory, 4 * PAGE);
}

static void large_reservation(void)
{
    size_t size = (size_t)16 << 30;
    char *memory = mmap(NULL, size, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + (size >> 1), PAGE, RW) == 0);
    memory[size >> 1] = 1;
    REQUIRE(munmap(memory, size) == 0);
}

static void the_break(void)
{
    char *start = sbrk(0);
    REQUIRE(start != (void *)-1 && sbrk(10 * PAGE) == start);
    start[10 * PAGE - 1] = 'e';
    REQUIRE(sbrk(-5 * PAGE) == start + 10 * PAGE && sbrk(5 * PAGE) == start + 5 * PAGE);
    REQUIRE(start[10 * PAGE - 1] == 0 && sbrk(0) == start + 10 * PAGE);
    REQUIRE(brk(start) == 0 && sbrk(0) == start);
    REQUIRE((char *)syscall(SYS_brk, 1) == start);
}

static int find_in_maps(const void *address, char *permissions, char *path)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    char line[512];
    int found = 0;
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        path[0] = '\0';
        REQUIRE(sscanf(line, "%lx-%lx %4s %*s %*s %*s %255[^\n]", &start, &end, permissions, path) >= 3);
        found = (uintptr_t)address >= start && (uintptr_t)address < end;
    }
    fclose(maps);
    return found;
}

static void maps_are_the_guests(void)
{
    char permissions[5], path[256], local = 0, exe[256] = { 0 };
    char *memory = map(2);
    REQUIRE(find_in_maps(memory, permissions, path) && strcmp(permissions, "rw-p") == 0);
    REQUIRE(mprotect(memory, PAGE, PROT_READ) == 0);
    REQUIRE(find_in_maps(memory, permissions, path) && strcmp(permissions, "r--p") == 0);
    munmap(memory, 2 * PAGE);
    REQUIRE(!find_in_maps(memory, permissions, path));
    REQUIRE(find_in_maps(&local, permissions, path) && strcmp(path, "[stack]") == 0);
    /* The name of a file that is mapped need not be text. */
    int file = open("mmap-\xff", O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(file >= 0 && ftruncate(file, PAGE) == 0);
    char *named = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    REQUIRE(named != MAP_FAILED && find_in_maps(named, permissions, path) && strcmp(permissions, "r--s") == 0);
    REQUIRE(find_in_maps(&local, permissions, path) && close(file) == 0 && unlink("mmap-\xff") == 0);
    munmap(named, PAGE);
    void (*function)(void) = maps_are_the_guests;
    void *code;
    memcpy(&code, &function, sizeof code);
    REQUIRE(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    REQUIRE(find_in_maps(code, permissions, path) && strcmp(permissions, "r-xp") == 0 && strcmp(path, exe) == 0);
}

int main(void)
{
    RUN(fixed_addresses);
    RUN(chosen_low_and_high_addresses);
    RUN(partial_unmapping);
    RUN(remapping);
    RUN(protection_of_parts);
    RUN(files);
    RUN(file_pages);
    RUN(validated_flags);
    RUN(shared_with_children);
    RUN(advice);
    RUN(large_reservation);
    RUN(the_break);
    RUN(maps_are_the_guests);
    return finish();
}
