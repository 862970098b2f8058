/* Goldfish RTC: nanoseconds since 1970, latched by a read of the low half; the alarm through the PLIC. */
#include "bare.h"

#define RTC_BASE 0x101000
#define RTC_TIME_LOW REG32(RTC_BASE + 0x00)
#define RTC_TIME_HIGH REG32(RTC_BASE + 0x04)
#define RTC_ALARM_LOW REG32(RTC_BASE + 0x08)
#define RTC_ALARM_HIGH REG32(RTC_BASE + 0x0c)
#define RTC_IRQ_ENABLED REG32(RTC_BASE + 0x10)
#define RTC_ALARM_STATUS REG32(RTC_BASE + 0x18)
#define RTC_CLEAR_INTERRUPT REG32(RTC_BASE + 0x1c)
#define RTC_SOURCE 11
#define PLIC_PENDING REG32(PLIC_BASE + 0x1000)

static u64 now(void)
{
    u64 low = RTC_TIME_LOW;
    return (u64)RTC_TIME_HIGH << 32 | low;
}

static void time_of_day(void)
{
    u64 first = now();
    CHECK(first > 1600000000UL * 1000000000UL); /* 2020 */
    CHECK(first < 4000000000UL * 1000000000UL); /* 2096 */
    u64 end = MTIME + 10000; /* 1 ms */
    while (MTIME < end) {
    }
    u64 passed = now() - first;
    CHECK(passed >= 500000);
    CHECK(passed < 10UL * 1000000000UL);
}

static void alarm(void)
{
    u64 at = now() + 100000000; /* 100 ms: still to come when its status is read */
    RTC_IRQ_ENABLED = 1;
    RTC_ALARM_HIGH = (u32)(at >> 32);
    RTC_ALARM_LOW = (u32)at;
    CHECK(RTC_ALARM_STATUS & 1);
    u64 end = MTIME + 50000000; /* 5 s */
    while (!(PLIC_PENDING >> RTC_SOURCE & 1) && MTIME < end) {
    }
    CHECK(PLIC_PENDING >> RTC_SOURCE & 1);
    CHECK(now() >= at);
    CHECK_EQ(RTC_ALARM_STATUS & 1, 0);
    RTC_CLEAR_INTERRUPT = 1;
    RTC_IRQ_ENABLED = 0;
}

int main(void)
{
    RUN(time_of_day);
    RUN(alarm);
    return 0;
}
