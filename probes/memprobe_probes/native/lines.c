#define _GNU_SOURCE
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Gives away the whole lines of a buffer; returns how many bytes they took, or -1. */
static long take_lines(char *text, size_t length, int (*take)(void *, const char *), void *into)
{
    size_t done = 0;
    for (char *end; (end = memchr(text + done, '\n', length - done)) != NULL;) {
        *end = '\0';
        if (take(into, text + done))
            return -1;
        done = (size_t)(end - text) + 1;
    }
    return (long)done;
}

int lines_read(int file, char *room, int (*take)(void *into, const char *line), void *into)
{
    size_t held = 0;
    for (;;) {
        ssize_t got = read(file, room + held, LINES_ROOM - held);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && held == 0 ? 0 : -1;
        held += (size_t)got;
        long done = take_lines(room, held, take, into);
        if (done < 0 || (done == 0 && held == LINES_ROOM))
            return -1;
        held -= (size_t)done;
        memmove(room, room + done, held);
    }
}

uint64_t lines_number(const char **text, unsigned base)
{
    uint64_t value = 0;
    for (;; (*text)++) {
        unsigned digit = (unsigned)(**text - '0');
        if (digit > 9)
            digit = **text >= 'a' && **text <= 'f' ? (unsigned)(**text - 'a' + 10) : base;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

int lines_mapped(const char *line, MappedLine *mapped)
{
    mapped->start = lines_number(&line, 16);
    line++;
    mapped->end = lines_number(&line, 16);
    if (line[0] != ' ' || mapped->end <= mapped->start)
        return -1;
    mapped->rights = line + 1;
    line += 6;
    lines_number(&line, 16);
    line++;
    uint64_t major = lines_number(&line, 16);
    line++;
    uint64_t minor = lines_number(&line, 16);
    line++;
    uint64_t inode = lines_number(&line, 10);
    while (*line == ' ')
        line++;
    mapped->file = inode ? inode ^ major << 56 ^ minor << 40 : 0;
    mapped->name = line;
    return 0;
}
