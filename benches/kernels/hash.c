/* A chained hash table with inserts, look-ups and removals: pointer chasing and cache misses. */
#define KERNEL_NAME "hash"
#define KERNEL_ITERATIONS 24
#include "kernel.h"

enum { BUCKETS = 1 << 15, KEYS = 120000, LOOKUPS = 600000 };

struct entry {
    struct entry *next;
    uint64_t key, value;
};

static struct entry *buckets[BUCKETS];
static struct entry pool[KEYS];
static struct entry *free_entries;

static struct entry **bucket_of(uint64_t key)
{
    return &buckets[key * UINT64_C(0x9e3779b97f4a7c15) >> 49];
}

static struct entry **find(uint64_t key)
{
    struct entry **link = bucket_of(key);
    while (*link && (*link)->key != key)
        link = &(*link)->next;
    return link;
}

static void add(uint64_t key, uint64_t amount)
{
    struct entry **link = find(key);
    if (!*link) {
        struct entry *fresh = free_entries;
        free_entries = fresh->next;
        *fresh = (struct entry){ NULL, key, 0 };
        *link = fresh;
    }
    (*link)->value += amount;
}

static uint64_t take(uint64_t key)
{
    struct entry **link = find(key), *entry = *link;
    if (!entry)
        return 0;
    *link = entry->next;
    entry->next = free_entries;
    free_entries = entry;
    return entry->value;
}

static void clear(void)
{
    memset(buckets, 0, sizeof buckets);
    free_entries = NULL;
    for (int i = 0; i < KEYS; i++) {
        pool[i].next = free_entries;
        free_entries = &pool[i];
    }
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 11;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t given = 0, taken = 0, found = 0;
        clear();
        for (int k = 0; k < LOOKUPS; k++) {
            uint64_t amount = next_random(&random) >> 40;
            add(next_random(&random) % KEYS, amount);
            given += amount;
        }
        for (int k = 0; k < LOOKUPS; k++) {
            struct entry *entry = *find(next_random(&random) % (2 * KEYS));
            found += entry ? entry->value : 1;
        }
        for (uint64_t key = 0; key < KEYS; key++)
            taken += take(key);
        CHECK(given == taken);
        checksum = fold(fold(checksum, taken), found);
    }
    return checksum;
}
