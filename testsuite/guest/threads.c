/* Threads: creation, joining, synchronisation, thread-local storage, cancellation, robust mutexes. */
#include "guest.h"
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { THREADS = 16, ROUNDS = 5000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long shared;
static __thread long local = 11;
static __thread char big_local[5000];

static void *add(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        shared++;
        pthread_mutex_unlock(&mutex);
        local++;
    }
    memset(big_local, 1, sizeof big_local);
    REQUIRE(local == 11 + ROUNDS);
    return argument;
}

static void create_and_join(void)
{
    pthread_t threads[THREADS];
    shared = 0;
    for (long i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, add, (void *)(i * 3)) == 0);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        REQUIRE(pthread_join(threads[i], &result) == 0 && (long)result == i * 3);
    }
    REQUIRE(shared == (long)THREADS * ROUNDS && local == 11 && big_local[77] == 0);
}

static void *nothing(void *argument) { return argument; }

static void many_short_threads(void)
{
    for (long i = 0; i < 1000; i++) {
        pthread_t thread;
        void *result;
        REQUIRE(pthread_create(&thread, NULL, nothing, (void *)i) == 0);
        REQUIRE(pthread_join(thread, &result) == 0 && (long)result == i);
    }
}

static int turn;

static void *take_turns(void *argument)
{
    int own = (int)(long)argument;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 3 != own)
            pthread_cond_wait(&condition, &mutex);
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void condition_variables(void)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, take_turns, (void *)i) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    REQUIRE(turn == 1500);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 50000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    REQUIRE(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int once_count, serial_count, inside;
static long pair[2];

static void only_once(void) { once_count++; }

static void *mixture(void *argument)
{
    pthread_once(&once, only_once);
    for (int i = 0; i < 300; i++) {
        if (i % 10 == (long)argument) {
            pthread_rwlock_wrlock(&rwlock);
            pair[0]++;
            pair[1]++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            REQUIRE(pair[0] == pair[1]);
            pthread_rwlock_unlock(&rwlock);
        }
        sem_wait(&semaphore);
        REQUIRE(++inside <= 2);
        inside--;
        sem_post(&semaphore);
        if (i % 50 == 0 && pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            serial_count++;
    }
    return NULL;
}

static void other_synchronisation(void)
{
    pthread_t threads[8];
    pthread_barrier_init(&barrier, NULL, 8);
    sem_init(&semaphore, 0, 2);
    for (long i = 0; i < 8; i++)
        REQUIRE(pthread_create(&threads[i], NULL, mixture, (void *)i) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    REQUIRE(once_count == 1 && serial_count == 6 && pair[0] == 8 * 30);
}

static atomic_int destroyed;
static pthread_key_t key;
static void destroy(void *value) { destroyed += (int)(long)value; }

static void *set_it(void *argument)
{
    pthread_setspecific(key, argument);
    return pthread_getspecific(key);
}

static void thread_specific_data(void)
{
    REQUIRE(pthread_key_create(&key, destroy) == 0);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, set_it, (void *)42L) == 0);
    pthread_join(thread, NULL);
    REQUIRE(destroyed == 42 && pthread_getspecific(key) == NULL);
}

static pthread_mutex_t robust;

static void *die_with_lock(void *argument)
{
    pthread_mutex_lock(&robust);
    return argument;
}

static void robust_mutex(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    REQUIRE(pthread_mutex_init(&robust, &attributes) == 0);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, die_with_lock, NULL) == 0);
    pthread_join(thread, NULL);
    REQUIRE(pthread_mutex_lock(&robust) == EOWNERDEAD);
    REQUIRE(pthread_mutex_consistent(&robust) == 0);
    REQUIRE(pthread_mutex_lock(&robust) == EDEADLK);
    REQUIRE(pthread_mutex_unlock(&robust) == 0);
}

/* qemu-user 10.0.2 fails this: it has no robust lists. */
static void robust_mutex_between_processes(void)
{
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    REQUIRE(pthread_mutex_init(mutex, &attributes) == 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(mutex);
        _exit(0);
    }
    REQUIRE(waitpid(child, NULL, 0) == child);
    REQUIRE(pthread_mutex_lock(mutex) == EOWNERDEAD);
    pthread_mutex_consistent(mutex);
    REQUIRE(pthread_mutex_unlock(mutex) == 0);
    munmap(mutex, 4096);
}

static atomic_int cleaned;
static void clean(void *argument) { (void)argument; cleaned++; }

static void *wait_forever(void *argument)
{
    pthread_cleanup_push(clean, NULL);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return argument;
}

static void *spin_forever(void *argument)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile long i = 0;; i++)
        ;
    return argument;
}

static void cancellation(void)
{
    void *(*bodies[])(void *) = { wait_forever, spin_forever };
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        void *result;
        REQUIRE(pthread_create(&thread, NULL, bodies[i], NULL) == 0);
        sleep_ms(50);
        REQUIRE(pthread_cancel(thread) == 0);
        REQUIRE(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
    REQUIRE(cleaned == 1);
}

static void *use_stack(void *argument)
{
    volatile char frame[900 * 1024];
    for (size_t i = 0; i < sizeof frame; i += 1024)
        frame[i] = 1;
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    REQUIRE(pthread_getattr_np(pthread_self(), &attributes) == 0);
    pthread_attr_getstack(&attributes, &stack, &size);
    pthread_attr_destroy(&attributes);
    REQUIRE((char *)frame > (char *)stack && (char *)frame < (char *)stack + size && size >= 1 << 20);
    return argument;
}

static void *finish_detached(void *flag)
{
    *(atomic_int *)flag = 1;
    return NULL;
}

static void stack_sizes_and_names(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstacksize(&attributes, 1 << 20) == 0);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, &attributes, use_stack, NULL) == 0);
    pthread_join(thread, NULL);
    REQUIRE(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    atomic_int done = 0;
    REQUIRE(pthread_create(&thread, &attributes, finish_detached, &done) == 0);
    while (!done)
        sleep_ms(1);
    char name[16];
    REQUIRE(pthread_setname_np(pthread_self(), "renamed") == 0);
    REQUIRE(pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "renamed") == 0);
}

static void *exit_the_process(void *argument)
{
    sleep_ms(30);
    exit((int)(long)argument);
}

static void child_leaves_by_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, exit_the_process, (void *)7L);
    for (;;)
        pause();
}

static void *outlive_main(void *argument)
{
    (void)argument;
    sleep_ms(100);
    exit(8);
}

static void child_main_thread_ends(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, outlive_main, NULL);
    pthread_exit(NULL);
}

static void ends_of_processes(void)
{
    REQUIRE(WEXITSTATUS(in_child(child_leaves_by_thread)) == 7);
    REQUIRE(WEXITSTATUS(in_child(child_main_thread_ends)) == 8);
}

static int listed_threads(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static int number_after(const char *path, const char *word, int fields)
{
    char text[8192];
    int file = open(path, O_RDONLY);
    ssize_t len = read(file, text, sizeof text - 1);
    close(file);
    REQUIRE(len > 0);
    text[len] = 0;
    char *at = strstr(text, word);
    REQUIRE(at != NULL);
    for (at += strlen(word); fields > 0; fields--)
        at = strchr(at, ' ') + 1;
    return atoi(at);
}

static void require_threads(int count)
{
    REQUIRE(listed_threads() == count);
    REQUIRE(number_after("/proc/self/status", "\nThreads:", 0) == count);
    REQUIRE(number_after("/proc/self/stat", ") ", 17) == count);
}

static void *wait_there(void *barrier)
{
    REQUIRE(number_after("/proc/self/status", "\nPid:", 0) == getpid() && number_after("/proc/thread-self/status", "\nPid:", 0) == gettid());
    REQUIRE(number_after("/proc/thread-self/stat", "", 0) == gettid() && number_after("/proc/self/stat", "", 0) == getpid());
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    return NULL;
}

/* qemu-user 10.0.2 fails this: it shows a thread of its own. */
static void threads_in_proc(void)
{
    static pthread_barrier_t barrier;
    pthread_t threads[2];
    for (volatile int hot = 0; hot < 3000000; hot++)
        ;
    pthread_barrier_init(&barrier, NULL, 3);
    /* A thread that was joined may be there for a moment. */
    for (int tries = 0; listed_threads() != 1 && tries < 100; tries++)
        sleep_ms(10);
    require_threads(1);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, wait_there, &barrier);
    pthread_barrier_wait(&barrier);
    require_threads(3);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    RUN(create_and_join);
    RUN(many_short_threads);
    RUN(condition_variables);
    RUN(other_synchronisation);
    RUN(thread_specific_data);
    RUN(robust_mutex);
    RUN(robust_mutex_between_processes);
    RUN(cancellation);
    RUN(stack_sizes_and_names);
    RUN(ends_of_processes);
    RUN(threads_in_proc);
    return finish();
}
