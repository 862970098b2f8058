/* The kernel's key rings: each command of keyctl(2) has arguments of its own. */
#include "guest.h"
#include <linux/keyctl.h>
#include <sys/uio.h>

typedef int32_t key;

static key add(const char *name, const char *payload, key ring)
{
    return (key)syscall(SYS_add_key, "user", name, payload, strlen(payload), ring);
}

static long control(int command, long a, long b, long c, long d)
{
    return syscall(SYS_keyctl, command, a, b, c, d);
}

static void what_a_key_holds(void)
{
    key ring = KEY_SPEC_PROCESS_KEYRING, one = add("ferry:one", "first", ring);
    REQUIRE(one > 0);
    char bytes[64] = { 0 };
    REQUIRE(control(KEYCTL_READ, one, (long)bytes, sizeof bytes, 0) == 5 && strcmp(bytes, "first") == 0);
    REQUIRE(control(KEYCTL_READ, one, 0, 0, 0) == 5);
    REQUIRE(control(KEYCTL_UPDATE, one, (long)"another", 7, 0) == 0);
    REQUIRE(control(KEYCTL_READ, one, (long)bytes, sizeof bytes, 0) == 7 && strcmp(bytes, "another") == 0);
    long length = control(KEYCTL_DESCRIBE, one, (long)bytes, sizeof bytes, 0);
    REQUIRE(length == (long)strlen(bytes) + 1 && strncmp(bytes, "user;", 5) == 0 && strstr(bytes, ";ferry:one") != NULL);
    REQUIRE(control(KEYCTL_REVOKE, one, 0, 0, 0) == 0);
    REQUIRE_ERROR(control(KEYCTL_READ, one, (long)bytes, sizeof bytes, 0), EKEYREVOKED);
}

static void rings_and_searches(void)
{
    key process = (key)control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0);
    key ring = (key)syscall(SYS_add_key, "keyring", "ferry:ring", NULL, 0, process), two = add("ferry:two", "second", ring);
    REQUIRE(process > 0 && ring > 0 && two > 0);
    REQUIRE(control(KEYCTL_SEARCH, process, (long)"user", (long)"ferry:two", 0) == two);
    REQUIRE_ERROR(control(KEYCTL_SEARCH, process, (long)"user", (long)"ferry:none", 0), ENOKEY);
    REQUIRE(control(KEYCTL_LINK, two, process, 0, 0) == 0 && control(KEYCTL_UNLINK, two, ring, 0, 0) == 0);
    REQUIRE_ERROR(control(KEYCTL_UNLINK, two, ring, 0, 0), ENOENT);
    REQUIRE(control(KEYCTL_RESTRICT_KEYRING, ring, 0, 0, 0) == 0);
    REQUIRE_ERROR(add("ferry:three", "third", ring), EPERM);
    REQUIRE(control(KEYCTL_SETPERM, two, 0x3f000000, 0, 0) == 0 && control(KEYCTL_SET_TIMEOUT, two, 100, 0, 0) == 0);
    REQUIRE(control(KEYCTL_CLEAR, process, 0, 0, 0) == 0);
    key session = (key)control(KEYCTL_JOIN_SESSION_KEYRING, (long)"ferry:session", 0, 0, 0);
    REQUIRE(session > 0 && control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0) == session);
}

static void errors(void)
{
    key one = add("ferry:one", "first", KEY_SPEC_PROCESS_KEYRING);
    long kernel = (long)0xffff800000000000, unmapped = 8;
    REQUIRE(one > 0);
    REQUIRE_ERROR(control(KEYCTL_UPDATE, one, unmapped, 4, 0), EFAULT);
    REQUIRE_ERROR(control(KEYCTL_UPDATE, one, kernel, 4, 0), EFAULT);
    REQUIRE_ERROR(control(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", kernel, 0), EFAULT);
    REQUIRE_ERROR(control(KEYCTL_JOIN_SESSION_KEYRING, kernel, 0, 0, 0), EFAULT);
    REQUIRE_ERROR(control(1000, one, 0, 0, 0), EOPNOTSUPP);
    REQUIRE_ERROR(control(-1, one, 0, 0, 0), EOPNOTSUPP);
    REQUIRE_ERROR(control(KEYCTL_REVOKE, 0x7ffffff0, 0, 0, 0), ENOKEY);
    /* Nobody has asked this process to make a key. */
    struct iovec parts[2] = { { "pay", 3 }, { "load", 4 } };
    REQUIRE_ERROR(control(KEYCTL_INSTANTIATE_IOV, one, (long)parts, 2, 0), EPERM);
    REQUIRE_ERROR(control(KEYCTL_INSTANTIATE, one, (long)"payload", 7, 0), EPERM);
}

int main(void)
{
    RUN(what_a_key_holds);
    RUN(rings_and_searches);
    RUN(errors);
    return finish();
}
