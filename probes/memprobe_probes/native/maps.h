/* The process's memory map, as it was when it was read. */
#ifndef MEMPROBE_MAPS_H
#define MEMPROBE_MAPS_H

#include "memory.h"

enum {
    MAP_PLAIN = 1, /* anonymous, to read and write: nothing else is safe to look into */
    MAP_CODE = 2,  /* executable, or of a file that is mapped as executable elsewhere */
    MAP_FILE = 4,  /* backed by a file, shared memory included */
    MAP_HEAP = 8,  /* what brk() gave */
    MAP_READ = 16, /* readable at all */
};

typedef struct {
    uintptr_t start, end;
    uint64_t file; /* device and inode; 0: anonymous */
    uint32_t is;   /* of the constants above */
} Mapping;

/* Fills a table with the Mappings of /proc/self/maps, by address. Returns 0, or -1. */
int maps_open(Table *maps);

/* The same of another process; `pid` 0: this one. */
int maps_open_of(Table *maps, int pid);

/* Fills `both` with what lies in two maps, for as long as what it is in each of them. */
int maps_common(const Table *one, const Table *other, Table *both);

/* Returns the mapping an address lies in, or NULL. */
const Mapping *maps_find(const Table *maps, uintptr_t address);

/* Whether all of the bytes from `start` on are mapped, in one mapping or several without a gap,
   each of which `is` all of the constants. */
int maps_hold(const Table *maps, uintptr_t start, uint64_t bytes, uint32_t is);

/* Whether bytes can be read. A page of a file, or of the kernel's own ([vvar]), may end the process
   that reads it. */
static inline int maps_plain(const Table *maps, uintptr_t start, uint64_t bytes)
{
    return maps_hold(maps, start, bytes, MAP_PLAIN);
}

#endif
