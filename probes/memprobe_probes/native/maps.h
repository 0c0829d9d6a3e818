/* The process's memory map, as it was when it was read. */
#ifndef MEMPROBE_MAPS_H
#define MEMPROBE_MAPS_H

#include "memory.h"

enum {
    MAP_READ = 1,
    MAP_WRITE = 2,
    MAP_CODE = 4,  /* executable, or of a file that is mapped as executable elsewhere */
    MAP_FILE = 8,  /* backed by a file, shared memory included */
    MAP_HEAP = 16, /* what brk() gave */
};

typedef struct {
    uintptr_t start, end;
    uint64_t file; /* device and inode; 0: anonymous */
    uint32_t is;   /* of the constants above */
} Mapping;

/* Fills a table with the Mappings of /proc/self/maps, by address. Returns 0, or -1. */
int maps_open(Table *maps);

/* Returns the mapping an address lies in, or NULL. */
const Mapping *maps_find(const Table *maps, uintptr_t address);

/* Whether all of the bytes from `start` on can be read, in one mapping or several without a gap. */
int maps_readable(const Table *maps, uintptr_t start, uint64_t bytes);

#endif
