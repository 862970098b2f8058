/* Console, checks, the device tree, and the end of the machine. */
#include "../bare.h"

/* 16550: transmitter holding register, line status register with "holding register empty" */
#define UART_THR REG8(UART_BASE)
#define UART_LSR REG8(UART_BASE + 5)
#define LSR_THRE BIT(5)

extern volatile u64 tohost;
static u64 failures;
static const u8 *device_tree;

int main(void);
void bare_main(const u8 *tree) __attribute__((noreturn));
void *memset(void *to, int byte, u64 length);
void *memcpy(void *to, const void *from, u64 length);
void setup_traps(void);

void *memset(void *to, int byte, u64 length)
{
    volatile u8 *bytes = to;
    for (u64 i = 0; i < length; i++)
        bytes[i] = (u8)byte;
    return to;
}

void *memcpy(void *to, const void *from, u64 length)
{
    volatile u8 *target = to;
    const u8 *source = from;
    for (u64 i = 0; i < length; i++)
        target[i] = source[i];
    return to;
}

void print(const char *text)
{
    for (; *text; text++) {
        while (!(UART_LSR & LSR_THRE)) {
        }
        UART_THR = (u8)*text;
    }
}

void print_hex(u64 value)
{
    char text[19] = "0x";
    int length = 2;
    for (int shift = 60; shift >= 0; shift -= 4) {
        unsigned digit = value >> shift & 15;
        if (digit || length > 2 || shift == 0)
            text[length++] = "0123456789abcdef"[digit];
    }
    text[length] = 0;
    print(text);
}

static void print_place(const char *file, int line)
{
    char text[12];
    int at = sizeof text - 1;
    text[at] = 0;
    for (; line > 0; line /= 10)
        text[--at] = (char)('0' + line % 10);
    for (const char *c = file; *c; c++)
        if (*c == '/')
            file = c + 1;
    print(file);
    print(":");
    print(text + at);
    print(": ");
}

void failed(const char *file, int line, const char *what)
{
    failures++;
    print_place(file, line);
    print("not so: ");
    print(what);
    print("\n");
}

void failed_values(const char *file, int line, const char *what, u64 actual, u64 expected)
{
    failures++;
    print_place(file, line);
    print(what);
    print(" is ");
    print_hex(actual);
    print(", not ");
    print_hex(expected);
    print("\n");
}

void run_test(const char *name, void (*test)(void))
{
    u64 before = failures;
    test();
    print(failures == before ? "ok " : "FAILED ");
    print(name);
    print("\n");
}

void absent(const char *extension)
{
    print("absent: ");
    print(extension);
    print("\n");
}

u64 failure_code(void) { return failures < 100 ? failures : 100; }

void finish(void)
{
    u64 code = failure_code();
    print(code ? "FAILED\n" : "ok all\n");
    end_by_finisher(code);
}

void end_by_finisher(u64 code)
{
    REG32(FINISHER_BASE) = code ? (u32)code << 16 | 0x3333 : 0x5555;
    for (;;)
        wfi();
}

void end_by_tohost(u64 code)
{
    tohost = code << 1 | 1;
    for (;;)
        wfi();
}

void bare_main(const u8 *tree)
{
    device_tree = tree;
    setup_traps();
    main();
    finish();
}

/* --- the device tree, Devicetree Specification 5 -------------------------------------------- */

static u32 big_endian(const u8 *at) { return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3]; }

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static u64 length_of(const char *text)
{
    u64 length = 0;
    while (text[length])
        length++;
    return length;
}

/* Calls `visit` for each property of this name until it returns true. */
static int each_property(const char *name, int (*visit)(const u8 *value, u32 length, const void *context),
                         const void *context)
{
    enum { BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4 };
    if (!device_tree || big_endian(device_tree) != 0xd00dfeed)
        return 0;
    const u8 *at = device_tree + big_endian(device_tree + 8);
    const char *strings = (const char *)device_tree + big_endian(device_tree + 12);
    for (;;) {
        u32 token = big_endian(at);
        at += 4;
        if (token == BEGIN_NODE) {
            at += (length_of((const char *)at) + 4) & ~3UL;
        } else if (token == PROPERTY) {
            u32 length = big_endian(at);
            if (same(strings + big_endian(at + 4), name) && visit(at + 8, length, context))
                return 1;
            at += 8 + ((length + 3) & ~3U);
        } else if (token != END_NODE && token != NOP) {
            return 0;
        }
    }
}

static int lists(const u8 *value, u32 length, const void *wanted)
{
    for (u32 at = 0; at < length; at += length_of((const char *)value + at) + 1)
        if (same((const char *)value + at, wanted))
            return 1;
    return 0;
}

int has_extension(const char *name) { return each_property("riscv,isa-extensions", lists, name); }

static unsigned harts_seen;

static int count_cpu(const u8 *value, u32 length, const void *context)
{
    (void)value, (void)length, (void)context;
    harts_seen++;
    return 0;
}

unsigned hart_count(void)
{
    harts_seen = 0;
    each_property("riscv,isa-extensions", count_cpu, 0);
    return harts_seen;
}
