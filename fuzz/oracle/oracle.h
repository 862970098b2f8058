// What runs instruction cases on whatever executes this program, and reports the state after each:
// requests come on standard input, responses go to standard output, in the layouts below, which
// src/oracle.rs shares. Freestanding, because a case may set every register: nothing here may
// rely on reserved ones, and the stack pointer is only good outside of a case.
//
// A guest's file includes this file after it has defined
//   WORDS                     how many 64-bit words of registers a state has
//   breakpoint, BREAKPOINT    the unit that memory around the code is filled with, and its value
//   system_call               up to six arguments; the numbers below are those of all newer ports
//   enter_start, enter_end    code that loads the registers that its first argument points to
//   run, resume               run calls it; the signal handler comes back to resume
//   jump                      the instruction that jumps so many bytes forward, of 8 bytes at most
//   flush                     makes instruction fetches see what was written
//   read_registers            from a signal's context
//   pc_of                     where the pc is in it
// It may define, too, as macros
//   OWN_SYSTEM_CALL_NUMBERS   that it has those below, and START, as what to call `_start`
//   BEFORE_CASE               loads what must not be loaded last
//   NOT_YET                   whether a signal is not the end of the case
//   PC_OF_SIGNAL              where the pc was
//   AT_SIGNAL, BEFORE_RESUMING  makes a state, or a context, one in which C runs
//   OTHER_SIGNALS             that a case may end with
//   AT_START                  what is to be done once
// Compile with -mgeneral-regs-only or the like where the compiler might use registers of a case.

enum { CODE_MAX = 512, PAGE = 4096, EDGE = 256 };
#define CODE 0x10000000ul
#define DATA 0x20000000ul

struct request {
    uint64_t registers[WORDS];
    uint64_t code_len;
    uint8_t code[CODE_MAX];
    uint8_t memory[2 * EDGE];
};

struct response {
    uint64_t registers[WORDS];
    uint64_t pc;
    uint64_t signal; // and above bit 32 si_code
    uint64_t addr;
    uint8_t memory[2 * EDGE];
};

static struct request request;
static struct response response;
static uint8_t handler_stack[128 * 1024] __attribute__((aligned(16)));

#ifndef OWN_SYSTEM_CALL_NUMBERS
enum { READ = 63, WRITE = 64, EXIT = 93, SIGALTSTACK = 132, RT_SIGACTION = 134, MMAP = 222, MPROTECT = 226 };
#define START void _start(void)
#endif
#ifndef BEFORE_CASE
#define BEFORE_CASE(registers)
#endif
#ifndef NOT_YET
#define NOT_YET(signal, context) 0
#endif
#ifndef PC_OF_SIGNAL
#define PC_OF_SIGNAL(signal, info, context) (*pc_of(context))
#endif
#ifndef AT_SIGNAL
#define AT_SIGNAL(context)
#define BEFORE_RESUMING(context)
#endif
#ifndef OTHER_SIGNALS
#define OTHER_SIGNALS SIGBUS
#endif
#ifndef AT_START
#define AT_START
#endif

extern const uint8_t enter_start[], enter_end[];
extern void run(struct request *request, uint64_t enter);
extern void resume(void);

// What GCC may call by itself.
void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (size_t i = 0; i < n; i++)
        t[i] = f[i];
    return to;
}

static void handler(int signal, siginfo_t *info, void *context)
{
    AT_SIGNAL(context);
    if (NOT_YET(signal, context))
        return;
    read_registers(context, response.registers);
    response.pc = PC_OF_SIGNAL(signal, info, context);
    response.signal = (uint64_t)(uint32_t)info->si_code << 32 | (uint32_t)signal;
    response.addr = (uint64_t)info->si_addr;
    BEFORE_RESUMING(context);
    *pc_of(context) = (uint64_t)resume;
}

struct kernel_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
#ifdef SA_RESTORER_WORD
    void *restorer;
#endif
    uint64_t mask;
};

static void catch(int signal)
{
    struct kernel_sigaction action = {.handler = handler, .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
#ifdef SA_RESTORER_FLAG
    extern void restorer(void);
    action.restorer = (void *)restorer;
    action.flags |= SA_RESTORER_FLAG;
#endif
    system_call(RT_SIGACTION, signal, (long)&action, 0, sizeof action.mask, 0, 0);
}

static void map(uint64_t addr, long protection)
{
    const long fixed_private_anonymous = 0x10 | 0x02 | 0x20;
    if (system_call(MMAP, addr, PAGE, protection, fixed_private_anonymous, -1, 0) != (long)addr)
        system_call(EXIT, 2, 0, 0, 0, 0, 0);
}

// What is there for all cases, none may change.
static void protect(uint64_t start, uint64_t end)
{
    const long read = 1, execute = 4;
    if (system_call(MPROTECT, start, end - start, read | execute, 0, 0, 0) != 0)
        system_call(EXIT, 4, 0, 0, 0, 0, 0);
}

static int read_all(void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        long got = system_call(READ, 0, (long)to + done, n - done, 0, 0, 0);
        if (got <= 0)
            return 0;
        done += got;
    }
    return 1;
}

static void write_all(const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        long put = system_call(WRITE, 1, (long)from + done, n - done, 0, 0, 0);
        if (put <= 0)
            system_call(EXIT, 3, 0, 0, 0, 0, 0);
        done += put;
    }
}

static void run_case(uint64_t enter)
{
    breakpoint *code = (breakpoint *)CODE;
    for (size_t i = 0; i < PAGE / sizeof *code; i++)
        code[i] = BREAKPOINT;
    memcpy(code, request.code, request.code_len);
    flush(code, PAGE);
    for (size_t i = 0; i < PAGE / 8; i++)
        ((volatile uint64_t *)DATA)[i] = 0;
    memcpy((void *)DATA, request.memory, EDGE);
    memcpy((void *)(DATA + PAGE - EDGE), request.memory + EDGE, EDGE);
    BEFORE_CASE(request.registers);
    run(&request, enter);
    memcpy(response.memory, (void *)DATA, EDGE);
    memcpy(response.memory + EDGE, (void *)(DATA + PAGE - EDGE), EDGE);
}

START
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    system_call(SIGALTSTACK, (long)&stack, 0, 0, 0, 0, 0);
    catch(SIGILL);
    catch(SIGTRAP);
    catch(SIGBUS);
    catch(SIGSEGV);
    static const int others[] = {OTHER_SIGNALS};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        catch(others[i]);
    const long read = 1, write = 2, execute = 4;
    // Breakpoints around the code as far as branches reach, but for a gap below them.
    const uint64_t enter = CODE - 16 * PAGE, fence = CODE - 8 * PAGE;
    map(enter, read | write | execute);
    for (uint64_t page = fence; page <= CODE; page += PAGE)
        map(page, read | write | execute);
    for (breakpoint *at = (breakpoint *)fence; at < (breakpoint *)(CODE + PAGE); at++)
        *at = BREAKPOINT;
    map(DATA - PAGE, read);
    map(DATA, read | write);
    size_t length = enter_end - enter_start;
    memcpy((void *)enter, enter_start, length);
    uint64_t to_code = jump(CODE - enter - length);
    memcpy((void *)(enter + length), &to_code, sizeof to_code);
    flush((void *)enter, length + sizeof to_code);
    protect(enter, enter + PAGE);
    protect(fence, CODE);
    AT_START;
    while (read_all(&request, sizeof request)) {
        run_case(enter);
        write_all(&response, sizeof response);
    }
    system_call(EXIT, 0, 0, 0, 0, 0, 0);
}
