#define _GNU_SOURCE
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

enum {
    ROOM = 1 << 16, /* of the text: a line is at most a path and 100 characters */
    MOST = 1 << 17, /* mappings; the kernel's own limit is mostly 65530 */
};

static uint64_t hexadecimal(const char **text)
{
    uint64_t value = 0;
    for (;; (*text)++) {
        char c = **text;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

static uint64_t decimal(const char **text)
{
    uint64_t value = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        value = value * 10 + (uint64_t)(**text - '0');
    return value;
}

/* 7f0c00000000-7f0c00021000 rw-p 00000000 00:00 0     [heap] */
static int add_line(Table *maps, const char *line)
{
    if (maps->used == MOST)
        return -1;
    Mapping *mapping = (Mapping *)maps->rows + maps->used;
    mapping->start = hexadecimal(&line);
    line++;
    mapping->end = hexadecimal(&line);
    if (line[0] != ' ' || mapping->end <= mapping->start)
        return -1;
    int readable = line[1] == 'r' && line[2] == 'w' && line[4] == 'p';
    mapping->is = (line[3] == 'x' ? MAP_CODE : 0) | (line[1] == 'r' ? MAP_READ : 0);
    line += 6;
    hexadecimal(&line);
    line++;
    uint64_t major = hexadecimal(&line);
    line++;
    uint64_t minor = hexadecimal(&line);
    line++;
    uint64_t inode = decimal(&line);
    while (*line == ' ')
        line++;
    mapping->file = inode ? inode ^ major << 56 ^ minor << 40 : 0;
    int named = *line != '\0' && strcmp(line, "[heap]") && strncmp(line, "[anon", 5);
    mapping->is |= (inode ? MAP_FILE : 0) | (strcmp(line, "[heap]") == 0 ? MAP_HEAP : 0) |
                   (readable && !inode && !named ? MAP_PLAIN : 0);
    maps->used++;
    return 0;
}

/* Adds the whole lines of a buffer; returns how many bytes they took, or -1. */
static long add_lines(Table *maps, char *text, size_t length)
{
    size_t done = 0;
    while (done < length) {
        char *end = memchr(text + done, '\n', length - done);
        if (end == NULL)
            break;
        *end = '\0';
        if (add_line(maps, text + done) < 0)
            return -1;
        done = (size_t)(end - text) + 1;
    }
    return (long)done;
}

static int read_lines(Table *maps, int file, char *text)
{
    size_t held = 0;
    for (;;) {
        ssize_t got = read(file, text + held, ROOM - held);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && held == 0 && maps->used ? 0 : -1;
        held += (size_t)got;
        long done = add_lines(maps, text, held);
        if (done < 0 || (done == 0 && held == ROOM))
            return -1;
        held -= (size_t)done;
        memmove(text, text + done, held);
    }
}

/* A library's constants and variables are never freed: mark them like its code. */
static void mark_libraries(Table *maps)
{
    Mapping *all = maps->rows;
    for (size_t code = 0; code < maps->used; code++) {
        if (!all[code].file || !(all[code].is & MAP_CODE))
            continue;
        for (size_t i = code; i-- > 0 && all[i].file == all[code].file;)
            all[i].is |= MAP_CODE;
        for (size_t i = code + 1; i < maps->used && all[i].file == all[code].file; i++)
            all[i].is |= MAP_CODE;
    }
}

/* The text is read behind the rows: a table that grew, or a buffer that is gone afterwards, would
   stay in the map as memory that can be read. */
int maps_open(Table *maps)
{
    return maps_open_of(maps, 0);
}

int maps_open_of(Table *maps, int pid)
{
    char path[64];
    if (table_open(maps, sizeof(Mapping), MOST + ROOM / sizeof(Mapping)))
        return -1;
    proc_path(path, pid, "maps");
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read_lines(maps, file, (char *)((Mapping *)maps->rows + MOST))) {
        table_close(maps);
        maps->used = 0;
    }
    if (file >= 0)
        close(file);
    if (!maps->used)
        return -1;
    mark_libraries(maps);
    return 0;
}

const Mapping *maps_find(const Table *maps, uintptr_t address)
{
    const Mapping *all = maps->rows;
    size_t low = 0, high = maps->used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < maps->used && all[low].start <= address ? &all[low] : NULL;
}

int maps_hold(const Table *maps, uintptr_t start, uint64_t bytes, uint32_t is)
{
    const Mapping *last = (const Mapping *)maps->rows + maps->used;
    const Mapping *mapping = maps_find(maps, start);
    if (mapping == NULL || start + bytes < start)
        return 0;
    while ((mapping->is & is) == is) {
        if (mapping->end >= start + bytes)
            return 1;
        if (mapping + 1 == last || mapping[1].start != mapping->end)
            return 0;
        mapping++;
    }
    return 0;
}
