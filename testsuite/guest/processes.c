/* fork from threads, vfork and posix_spawn with their errors, exec, waiting, and process identities. */
#include "guest.h"
#include <grp.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;
static char own_path[4096];
static const char *own_name;

static atomic_int stop;

static void *allocate_all_the_time(void *argument)
{
    while (!stop) {
        char *memory = malloc(1000);
        memset(memory, 1, 1000);
        free(memory);
    }
    return argument;
}

static void *fork_again_and_again(void *argument)
{
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            char *memory = malloc(5000);
            memset(memory, 2, 5000);
            free(memory);
            _exit(i);
        }
        int status;
        REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == i);
    }
    return argument;
}

/* Every lock of the emulator must survive: other threads allocate, translate and fork meanwhile. */
static void fork_from_threads(void)
{
    pthread_t busy[2], forking[3];
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&busy[i], NULL, allocate_all_the_time, NULL) == 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_create(&forking[i], NULL, fork_again_and_again, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(forking[i], NULL);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(busy[i], NULL);
}

static void *in_new_thread(void *argument) { return (char *)argument + 1; }

static void child_makes_threads(void)
{
    for (long i = 0; i < 5; i++) {
        pthread_t thread;
        void *result;
        REQUIRE(pthread_create(&thread, NULL, in_new_thread, (void *)i) == 0);
        REQUIRE(pthread_join(thread, &result) == 0 && (long)result == i + 1);
    }
}

/* qemu-user 10.0.2 may hang in this. */
static void threads_after_fork(void) { REQUIRE(in_child(child_makes_threads) == 0); }

/* qemu-user 10.0.2 fails this: its vfork is a fork, so the parent does not see what the child wrote. */
static void vfork_shares_memory(void)
{
    volatile int shared = 1;
    pid_t child = vfork();
    if (child == 0) {
        shared = 2;
        _exit(3);
    }
    int status;
    REQUIRE(child > 0 && shared == 2);
    REQUIRE(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
}

/* qemu-user 10.0.2 fails this for the same reason. */
static void spawn_reports_errors(void)
{
    pid_t child = 0;
    char *arguments[] = { "x", NULL };
    REQUIRE(posix_spawn(&child, "/no/such/program", NULL, NULL, arguments, environ) == ENOENT);
    REQUIRE(posix_spawn(&child, "/", NULL, NULL, arguments, environ) == EACCES);
    REQUIRE(posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, environ) == ENOENT);
    REQUIRE_ERROR(waitpid(-1, NULL, WNOHANG), ECHILD);
}

static void spawn_with_actions(void)
{
    int pipe_ends[2];
    REQUIRE(pipe2(pipe_ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGTERM);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char *arguments[] = { own_path, "say", "spawned", NULL };
    pid_t child;
    REQUIRE(posix_spawn(&child, own_path, &actions, &attributes, arguments, environ) == 0);
    close(pipe_ends[1]);
    char text[64] = { 0 };
    REQUIRE(read(pipe_ends[0], text, sizeof text) == 8 && strcmp(text, "spawned\n") == 0);
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(pipe_ends[0]);
}

/* Runs this program again with other arguments and returns what it printed. */
static const char *run(char *const arguments[], char *const environment[], const char *path, int *status)
{
    static char text[8192];
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], 1);
        close(pipe_ends[0]), close(pipe_ends[1]);
        execve(path, arguments, environment);
        _exit(errno);
    }
    close(pipe_ends[1]);
    size_t length = 0;
    ssize_t part;
    while ((part = read(pipe_ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)part;
    text[length] = '\0';
    close(pipe_ends[0]);
    REQUIRE(waitpid(child, status, 0) == child);
    return text;
}

static void arguments_and_environment_arrive(void)
{
    int status;
    char *arguments[] = { "renamed program", "list", "", "two words", "\xc3\xa9", NULL };
    char *environment[] = { "A=1", "EMPTY=", "B=x=y", NULL };
    const char *text = run(arguments, environment, own_path, &status);
    REQUIRE(status == 0);
    REQUIRE(strcmp(text, "[renamed program][list][][two words][\xc3\xa9]{A=1}{EMPTY=}{B=x=y}\n") == 0);
}

static void large_arguments(void)
{
    static char big[100 * 1024];
    memset(big, 'v', sizeof big - 1);
    char *arguments[102] = { own_path, "count" };
    for (int i = 2; i < 100; i++)
        arguments[i] = "abc";
    arguments[100] = big;
    int status;
    char *environment[] = { NULL };
    REQUIRE(strcmp(run(arguments, environment, own_path, &status), "101 102693\n") == 0 && status == 0);
}

static void write_script(const char *name, const char *text)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    REQUIRE(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static void scripts(void)
{
    char name[64], text[4400], expected[4400];
    int status;
    snprintf(name, sizeof name, "./script-%d", (int)getpid());
    char *arguments[] = { "ignored", "one", NULL }, *environment[] = { NULL };
    snprintf(text, sizeof text, "#! %s list\n", own_path);
    write_script(name, text);
    snprintf(expected, sizeof expected, "[%s][list][%s][one]\n", own_path, name);
    REQUIRE(strcmp(run(arguments, environment, name, &status), expected) == 0);
    write_script(name, "#!/no/such/interpreter\n");
    REQUIRE(*run(arguments, environment, name, &status) == '\0' && WEXITSTATUS(status) == ENOENT);
    write_script(name, "plain text\n");
    REQUIRE(*run(arguments, environment, name, &status) == '\0' && WEXITSTATUS(status) == ENOEXEC);
    REQUIRE(chmod(name, 0644) == 0);
    REQUIRE(*run(arguments, environment, name, &status) == '\0' && WEXITSTATUS(status) == EACCES);
    unlink(name);
}

/* Five scripts may lead to a program, six may not. */
static void scripts_of_scripts(void)
{
    enum { SCRIPTS = 6 };
    char names[SCRIPTS][64], text[4400], *environment[] = { NULL };
    for (int i = 0; i < SCRIPTS; i++) {
        snprintf(names[i], sizeof names[i], "./script-%d-%d", (int)getpid(), i);
        snprintf(text, sizeof text, i == 0 ? "#!%s say\n" : "#!%s", i == 0 ? own_path : names[i - 1]);
        write_script(names[i], text);
    }
    int status;
    char *arguments[] = { "ignored", NULL };
    REQUIRE(strncmp(run(arguments, environment, names[4], &status), "./script-", 9) == 0);
    REQUIRE(*run(arguments, environment, names[5], &status) == '\0' && WEXITSTATUS(status) == ELOOP);
    for (int i = 0; i < SCRIPTS; i++)
        unlink(names[i]);
}

static void copy_of_this_program(const char *name)
{
    static char bytes[1 << 16];
    int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    REQUIRE(from >= 0 && to >= 0);
    for (ssize_t got; (got = read(from, bytes, sizeof bytes)) != 0;)
        REQUIRE(got > 0 && write(to, bytes, (size_t)got) == got);
    close(from), close(to);
}

/* Whether execve says what keeps a file from being a program; hosts before Linux 6.14 cannot be asked whether somebody writes to it. */
static void exec_errors(void)
{
    char name[64], *arguments[] = { "x", "say", "hello", NULL }, *environment[] = { NULL };
    snprintf(name, sizeof name, "./copy-%d", (int)getpid());
    copy_of_this_program(name);
    REQUIRE_ERROR(execve("/dev/null/x", arguments, environment), ENOTDIR);
    REQUIRE_ERROR(execve("/dev", arguments, environment), EACCES);
    REQUIRE_ERROR(execve("", arguments, environment), ENOENT);
    int status, file = open(name, O_WRONLY);
    errno = 0;
    int can_ask = syscall(SYS_execveat, 99, "", NULL, NULL, AT_EMPTY_PATH | 0x10000 /* AT_EXECVE_CHECK */) < 0 && errno == EBADF;
    if (can_ask)
        REQUIRE(*run(arguments, environment, name, &status) == '\0' && WEXITSTATUS(status) == ETXTBSY);
    close(file);
    REQUIRE(strcmp(run(arguments, environment, name, &status), "hello\n") == 0);
    unlink(name);
}

/* /proc/self/exe is the file itself, whatever became of its name. */
static void program_without_a_name(void)
{
    char name[64], *arguments[] = { "x", "vanish", name, NULL }, *environment[] = { NULL };
    snprintf(name, sizeof name, "./vanishing-%d", (int)getpid());
    copy_of_this_program(name);
    int status;
    REQUIRE(strcmp(run(arguments, environment, name, &status), "again (deleted)\n") == 0 && status == 0);
    REQUIRE(access(name, F_OK) != 0);
}

static void exec_keeps_limits(void)
{
    char *arguments[] = { "x", "limits", NULL }, *environment[] = { NULL };
    struct rlimit space, stack;
    REQUIRE(getrlimit(RLIMIT_AS, &space) == 0 && getrlimit(RLIMIT_STACK, &stack) == 0);
    REQUIRE(setrlimit(RLIMIT_AS, &(struct rlimit){ 1 << 30, space.rlim_max }) == 0);
    REQUIRE(setrlimit(RLIMIT_STACK, &(struct rlimit){ 512 << 10, stack.rlim_max }) == 0);
    int status;
    const char *text = run(arguments, environment, own_path, &status);
    REQUIRE(setrlimit(RLIMIT_AS, &space) == 0 && setrlimit(RLIMIT_STACK, &stack) == 0);
    REQUIRE(strcmp(text, "1073741824 524288 no room\n") == 0);
}

static void exec_closes_and_resets(void)
{
    int status, kept = dup(0), closed = fcntl(0, F_DUPFD_CLOEXEC, 100);
    char numbers[2][16];
    snprintf(numbers[0], 16, "%d", kept);
    snprintf(numbers[1], 16, "%d", closed);
    char *arguments[] = { own_path, "inspect", numbers[0], numbers[1], NULL }, *environment[] = { NULL };
    signal(SIGUSR1, SIG_IGN);
    handle(SIGUSR2, NULL, 0);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &old);
    const char *text = run(arguments, environment, own_path, &status);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL), signal(SIGUSR2, SIG_DFL);
    REQUIRE(strcmp(text, "kept closed ignored default blocked\n") == 0);
    close(kept), close(closed);
}

static void *exec_from_thread(void *argument)
{
    char *arguments[] = { own_path, "say", "from a thread", NULL };
    execve(own_path, arguments, environ);
    return argument;
}

static void exec_in_a_thread(void)
{
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], 1);
        pthread_t thread;
        pthread_create(&thread, NULL, exec_from_thread, NULL);
        for (;;)
            pause();
    }
    int status;
    char text[64] = { 0 };
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    REQUIRE(read(pipe_ends[0], text, sizeof text) == 14 && strcmp(text, "from a thread\n") == 0);
    close(pipe_ends[0]), close(pipe_ends[1]);
}

static void proc_describes_this_program(void)
{
    char text[4096] = { 0 };
    REQUIRE(access("/proc/self/exe", X_OK) == 0);
    int file = open("/proc/self/cmdline", O_RDONLY);
    REQUIRE(file >= 0 && read(file, text, sizeof text - 1) > 0 && strcmp(text, own_name) == 0);
    close(file);
    file = open("/proc/self/comm", O_RDONLY);
    memset(text, 0, sizeof text);
    REQUIRE(prctl(PR_SET_NAME, "guest-name") == 0);
    REQUIRE(read(file, text, sizeof text) == 11 && strcmp(text, "guest-name\n") == 0);
    close(file);
    REQUIRE(prctl(PR_GET_NAME, text) == 0 && strcmp(text, "guest-name") == 0);
    int status;
    char *arguments[] = { "x", "exe", NULL }, *environment[] = { NULL };
    const char *exe = run(arguments, environment, "/proc/self/exe", &status);
    REQUIRE(strcmp(exe, own_path) == 0);
}

static void waiting(void)
{
    pid_t children[3];
    for (int i = 0; i < 3; i++)
        if ((children[i] = fork()) == 0) {
            sleep_ms(30 * (3 - i));
            _exit(i);
        }
    int status;
    REQUIRE(waitpid(children[0], &status, WNOHANG) == 0);
    siginfo_t info;
    REQUIRE(waitid(P_PID, (id_t)children[2], &info, WEXITED | WNOWAIT) == 0 && info.si_pid == children[2]);
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        REQUIRE(wait(&status) > 0 && WIFEXITED(status));
        sum += WEXITSTATUS(status);
    }
    REQUIRE(sum == 3);
    REQUIRE_ERROR(wait(&status), ECHILD);
}

static void identities(void)
{
    REQUIRE(getpid() == syscall(SYS_gettid) && getppid() > 0 && getpgrp() == getpgid(0));
    REQUIRE(getuid() == geteuid() && getgid() == getegid());
    pid_t child = fork();
    if (child == 0) {
        REQUIRE(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        REQUIRE_ERROR(setsid(), EPERM);
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
}

/* Who has entered a root keeps it, whatever becomes of the rights to the directories above; and so do the programs it executes. */
static void rights_given_up_below_a_root(void)
{
    char closed[64], root[80], program[96];
    snprintf(closed, sizeof closed, "closed-%d", (int)getpid());
    snprintf(root, sizeof root, "%s/root", closed);
    snprintf(program, sizeof program, "%s/program", root);
    if (geteuid() != 0 || getauxval(AT_BASE) != 0)
        return;
    REQUIRE(mkdir(closed, 0700) == 0 && mkdir(root, 0755) == 0);
    copy_of_this_program(program);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (chroot(root) != 0)
            _exit(errno == EPERM ? 0 : 1);
        REQUIRE(chdir("/") == 0 && setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        struct stat status;
        REQUIRE(stat("/program", &status) == 0 && stat("/../program", &status) == 0 && stat("program", &status) == 0);
        REQUIRE(open("/program", O_RDONLY) >= 0 && open("/", O_RDONLY | O_DIRECTORY) >= 0);
        REQUIRE_ERROR(open("/new", O_WRONLY | O_CREAT, 0600), EACCES);
        execl("/program", "x", "inside", (char *)NULL);
        _exit(errno);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    unlink(program), rmdir(root), rmdir(closed);
}

static int second_personality(int argc, char **argv)
{
    if (strcmp(argv[1], "say") == 0) {
        puts(argv[2]);
    } else if (strcmp(argv[1], "list") == 0) {
        for (int i = 0; i < argc; i++)
            printf("[%s]", argv[i]);
        for (char **variable = environ; *variable; variable++)
            printf("{%s}", *variable);
        puts("");
    } else if (strcmp(argv[1], "count") == 0) {
        size_t total = 0;
        for (int i = 2; i < argc; i++)
            total += strlen(argv[i]);
        printf("%d %zu\n", argc, total);
    } else if (strcmp(argv[1], "inside") == 0) {
        REQUIRE(getuid() == 65534 && access("/program", X_OK) == 0 && open("/program", O_RDONLY) >= 0);
        REQUIRE(access("/", W_OK) != 0 && access("/proc/self", F_OK) != 0);
    } else if (strcmp(argv[1], "vanish") == 0) {
        REQUIRE(unlink(argv[2]) == 0);
        execl("/proc/self/exe", "x", "vanished", (char *)NULL);
    } else if (strcmp(argv[1], "vanished") == 0) {
        char path[4096] = { 0 };
        struct stat own;
        ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
        REQUIRE(len > 10 && stat("/proc/self/exe", &own) == 0 && own.st_nlink == 0 && own.st_size > 1000);
        printf("again%s\n", path + len - 10);
    } else if (strcmp(argv[1], "limits") == 0) {
        struct rlimit space, stack;
        REQUIRE(getrlimit(RLIMIT_AS, &space) == 0 && getrlimit(RLIMIT_STACK, &stack) == 0);
        printf("%lu %lu %s\n", (unsigned long)space.rlim_cur, (unsigned long)stack.rlim_cur, malloc(1 << 30) == NULL ? "no room" : "room");
    } else if (strcmp(argv[1], "exe") == 0) {
        char path[4096] = { 0 };
        REQUIRE(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
        fputs(path, stdout);
    } else {
        struct sigaction usr1, usr2;
        sigset_t mask;
        sigaction(SIGUSR1, NULL, &usr1), sigaction(SIGUSR2, NULL, &usr2);
        sigprocmask(SIG_BLOCK, NULL, &mask);
        printf("%s %s %s %s %s\n", fcntl(atoi(argv[2]), F_GETFD) >= 0 ? "kept" : "lost",
               fcntl(atoi(argv[3]), F_GETFD) < 0 ? "closed" : "open", usr1.sa_handler == SIG_IGN ? "ignored" : "reset",
               usr2.sa_handler == SIG_DFL ? "default" : "kept", sigismember(&mask, SIGHUP) ? "blocked" : "open");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return second_personality(argc, argv);
    own_name = argv[0];
    REQUIRE(readlink("/proc/self/exe", own_path, sizeof own_path - 1) > 0);
    REQUIRE(getenv("GUEST_ENVIRONMENT") != NULL && strcmp(getenv("GUEST_ENVIRONMENT"), "kept") == 0);
    RUN(fork_from_threads);
    RUN(threads_after_fork);
    RUN(spawn_with_actions);
    RUN(arguments_and_environment_arrive);
    RUN(large_arguments);
    RUN(scripts);
    RUN(scripts_of_scripts);
    RUN(exec_errors);
    RUN(program_without_a_name);
    RUN(exec_keeps_limits);
    RUN(exec_closes_and_resets);
    RUN(exec_in_a_thread);
    RUN(proc_describes_this_program);
    RUN(waiting);
    RUN(identities);
    RUN(rights_given_up_below_a_root);
    RUN(vfork_shares_memory);
    RUN(spawn_reports_errors);
    return finish();
}
