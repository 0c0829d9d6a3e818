#include "proc.h"

#include <string.h>

void proc_path(char *path, int pid, const char *name)
{
    char digits[12], *digit = digits + sizeof digits - 1;
    *digit = '\0';
    for (unsigned left = (unsigned)pid; left; left /= 10)
        *--digit = (char)('0' + left % 10);
    strcpy(path, "/proc/");
    strcat(path, pid ? digit : "self");
    strcat(path, "/");
    strncat(path, name, 40);
}
