/* Words split, copied, compared and searched in text: the C library's string functions and short loops. */
#define KERNEL_NAME "strings"
#define KERNEL_ITERATIONS 80
#include "kernel.h"

enum { TEXT = 1 << 20, LONGEST_WORD = 14, LINE = 96 };

static char text[TEXT + 1], reversed[TEXT + 1], scratch[TEXT + 1];

static void write_text(uint64_t *random)
{
    size_t at = 0, column = 0;
    while (at < TEXT) {
        size_t length = 1 + next_random(random) % LONGEST_WORD;
        for (size_t i = 0; i < length && at < TEXT; i++, column++)
            text[at++] = (char)('a' + next_random(random) % 26);
        if (at < TEXT) {
            text[at++] = column > LINE ? '\n' : ' ';
            column = column > LINE ? 0 : column + 1;
        }
    }
    text[TEXT] = '\0';
}

/* Copies `from` to `to` with the order of its lines' words reversed, word by word. */
static size_t reverse_words(char *to, const char *from)
{
    char *out = to;
    while (*from) {
        size_t line = strcspn(from, "\n");
        const char *end = from + line;
        while (end > from) {
            const char *word = end;
            while (word > from && word[-1] != ' ')
                word--;
            memcpy(out, word, (size_t)(end - word));
            out += end - word;
            if (word > from)
                *out++ = ' ';
            end = word > from ? word - 1 : word;
        }
        from += line;
        if (*from)
            *out++ = *from++;
    }
    *out = '\0';
    return (size_t)(out - to);
}

static uint64_t count_of(const char *in, const char *word)
{
    uint64_t count = 0;
    for (const char *hit = strstr(in, word); hit; hit = strstr(hit + 1, word))
        count++;
    return count;
}

static uint64_t longest_line(const char *in)
{
    uint64_t longest = 0;
    for (const char *end; (end = strchr(in, '\n')); in = end + 1)
        if ((uint64_t)(end - in) > longest)
            longest = (uint64_t)(end - in);
    return longest;
}

static uint64_t kernel(uint64_t iterations)
{
    uint64_t checksum = FOLD_START, random = 5;
    for (uint64_t i = 0; i < iterations; i++) {
        if (i % 8 == 0)
            write_text(&random);
        size_t length = reverse_words(reversed, text);
        CHECK(length == strlen(text));
        reverse_words(scratch, reversed);
        CHECK(strcmp(scratch, text) == 0);
        checksum = fold(checksum, count_of(reversed, "ab") * 1000 + longest_line(reversed));
        memmove(text, text + 1, TEXT - 1);
    }
    return checksum;
}
