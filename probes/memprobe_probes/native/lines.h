/* Text files of /proc line by line, and what is on a line of maps or smaps; without stdio, which may
   not be called in a copy of the process. */
#ifndef MEMPROBE_LINES_H
#define MEMPROBE_LINES_H

#include <stddef.h>
#include <stdint.h>

enum { LINES_ROOM = 1 << 16 /* bytes: a line is at most a path and 100 characters */ };

/* Gives each line of a file, without its end, to `take`, which returns 0 to go on. `room` has
   LINES_ROOM bytes. Returns 0 where the file ended with a whole line, else -1. */
int lines_read(int file, char *room, int (*take)(void *into, const char *line), void *into);

/* Reads a number in base 10 or 16, and moves `text` behind it. */
uint64_t lines_number(const char **text, unsigned base);

/* 7f0c00000000-7f0c00021000 rw-p 00000000 00:00 0     [heap] */
typedef struct {
    uintptr_t start, end;
    const char *rights; /* "rw-p" */
    uint64_t file;      /* device and inode; 0: anonymous */
    const char *name;   /* a path, "[heap]" and the like, or "" */
} MappedLine;

/* Returns 0, or -1: it is no such line. */
int lines_mapped(const char *line, MappedLine *mapped);

#endif
