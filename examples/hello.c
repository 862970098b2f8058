/*
 * A Linux program to try Ferry with, for RISC-V 64 and AArch64: no C library, system calls only.
 *
 *     hello              says where it runs, and pi to 1,000 digits
 *     hello DIGITS       pi to that many digits (up to 20,000)
 *     hello words        counts the words of standard input; prints the ten most frequent
 *
 * Built by build.sh, next to it; the results are committed, so that trying them needs no cross compiler.
 */
typedef unsigned int u32;
typedef unsigned long u64;

enum { SYS_read = 63, SYS_write = 64, SYS_exit_group = 94, SYS_uname = 160 };

/* Both architectures have the same numbers, and take them and the arguments in registers. */
#ifdef __aarch64__
#define NUMBER "x8"
#define ARGUMENT(n) "x" #n
#define CALL "svc 0"
#else
#define NUMBER "a7"
#define ARGUMENT(n) "a" #n
#define CALL "ecall"
#endif

static long syscall3(long number, long a, long b, long c)
{
    register long a0 __asm__(ARGUMENT(0)) = a;
    register long a1 __asm__(ARGUMENT(1)) = b;
    register long a2 __asm__(ARGUMENT(2)) = c;
    register long number_register __asm__(NUMBER) = number;
    __asm__ volatile(CALL : "+r"(a0) : "r"(a1), "r"(a2), "r"(number_register) : "memory");
    return a0;
}

/* Output, collected. */
static char out[4096];
static u64 out_len;

static void flush(void)
{
    for (u64 done = 0; done < out_len;) {
        long written = syscall3(SYS_write, 1, (long)(out + done), (long)(out_len - done));
        if (written <= 0)
            syscall3(SYS_exit_group, 1, 0, 0);
        done += (u64)written;
    }
    out_len = 0;
}

static void put_char(char c)
{
    if (out_len == sizeof out)
        flush();
    out[out_len++] = c;
}

static void put(const char *text)
{
    while (*text)
        put_char(*text++);
}

/* Right-aligned in `width` columns. */
static void put_number(u64 n, u64 width)
{
    char digits[20];
    u64 count = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    for (u64 i = count; i < width; i++)
        put_char(' ');
    while (count)
        put_char(digits[--count]);
}

/* The spigot of Rabinowitz and Wagon ("A Spigot Algorithm for the Digits of Pi", 1995). */
enum { MAX_DIGITS = 20000, BASE = 10 };

static u32 remainders[MAX_DIGITS * 10 / 3 + 2];
static u64 printed;

static void put_digit(u32 digit)
{
    if (printed == 1)
        put_char('.');
    if (printed > 1 && (printed - 1) % 50 == 0)
        put((printed - 1) % 100 == 0 ? "\n  " : " ");
    put_char((char)('0' + digit));
    printed++;
}

static void pi(u64 digits)
{
    u64 length = digits * 10 / 3 + 2, nines = 0;
    u32 held = 0;
    for (u64 i = 0; i < length; i++)
        remainders[i] = 2;
    for (u64 n = 0; printed < digits; n++) {
        u64 carry = 0;
        for (u64 i = length - 1; i > 0; i--) {
            u64 x = remainders[i] * (u64)BASE + carry;
            remainders[i] = (u32)(x % (2 * i + 1));
            carry = x / (2 * i + 1) * i;
        }
        u64 x = remainders[0] * (u64)BASE + carry;
        remainders[0] = (u32)(x % BASE);
        u32 digit = (u32)(x / BASE);
        if (digit == 9) { /* Whether it stays one depends on what follows. */
            nines++;
            continue;
        }
        if (n > 0)
            put_digit(held + digit / 10);
        for (; nines > 0; nines--)
            if (printed < digits)
                put_digit(digit == 10 ? 0 : 9);
        held = digit % 10;
    }
    put_char('\n');
}

/* Words, in a hash table with open addressing; their text in one buffer. */
enum { TABLE = 1 << 16, TEXT = 1 << 20, LONGEST = 63, SHOWN = 10 };

static struct word {
    const char *text;
    u64 count;
} table[TABLE];
static char text[TEXT];
static u64 text_len, distinct, total;

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void add_word(const char *word, u64 length)
{
    u32 hash = 2166136261; /* FNV-1a */
    for (u64 i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)word[i]) * 16777619;
    struct word *slot = &table[hash % TABLE];
    while (slot->text && !same(slot->text, word))
        slot = slot + 1 == table + TABLE ? table : slot + 1;
    total++;
    if (!slot->text) {
        if (distinct == TABLE / 2 || text_len + length + 1 > TEXT)
            return; /* full: known words are still counted */
        slot->text = text + text_len;
        for (u64 i = 0; i <= length; i++)
            text[text_len++] = word[i];
        distinct++;
    }
    slot->count++;
}

static void read_words(void)
{
    static char input[1 << 16];
    char word[LONGEST + 1];
    u64 length = 0;
    for (long got; (got = syscall3(SYS_read, 0, (long)input, sizeof input)) > 0;) {
        for (long i = 0; i < got; i++) {
            char c = input[i] >= 'A' && input[i] <= 'Z' ? (char)(input[i] + 32) : input[i];
            if (c >= 'a' && c <= 'z') {
                if (length < LONGEST)
                    word[length++] = c;
            } else if (length) {
                word[length] = 0;
                add_word(word, length);
                length = 0;
            }
        }
    }
    word[length] = 0;
    if (length)
        add_word(word, length);
}

static void words(void)
{
    read_words();
    put_number(total, 0);
    put(" words, ");
    put_number(distinct, 0);
    put(" different\n");
    for (int shown = 0; shown < SHOWN; shown++) {
        struct word *most = 0;
        for (struct word *slot = table; slot < table + TABLE; slot++)
            if (slot->count && (!most || slot->count > most->count))
                most = slot;
        if (!most)
            break;
        put_number(most->count, 8);
        put(" ");
        put(most->text);
        put("\n");
        most->count = 0;
    }
}

static void greet(void)
{
    static struct { char system[65], node[65], release[65], version[65], machine[65], domain[65]; } name;
    syscall3(SYS_uname, (long)&name, 0, 0);
    put("Hello from a ");
    put(name.machine);
    put(" program on ");
    put(name.system);
    put(".\n");
}

static int run(long argc, char **argv)
{
    u64 digits = 1000;
    if (argc > 1 && same(argv[1], "words")) {
        words();
        return 0;
    }
    if (argc > 1) {
        digits = 0;
        for (const char *c = argv[1]; *c >= '0' && *c <= '9' && digits <= MAX_DIGITS; c++)
            digits = digits * 10 + (u64)(*c - '0');
        if (digits == 0 || digits > MAX_DIGITS) {
            put("usage: hello [words | DIGITS (1 to 20000)]\n");
            return 2;
        }
    } else {
        greet();
    }
    pi(digits);
    return 0;
}

__attribute__((used)) static void start(long *stack)
{
    int status = run(stack[0], (char **)(stack + 1));
    flush();
    syscall3(SYS_exit_group, status, 0, 0);
}

/* The stack pointer points to argc, then argv. */
#ifdef __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\nbl start\n");
#else
__asm__(".globl _start\n_start: .option push\n.option norelax\nlla gp, __global_pointer$\n.option pop\n"
        "mv a0, sp\nandi sp, sp, -16\ncall start\n");
#endif
