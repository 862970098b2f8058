/* Says hello: what is measured is starting and ending. */
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
