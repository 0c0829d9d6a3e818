/* Memory that is read word by word: of this process, or from outside of another one.

   Of this process only what its map showed is touched. Of another one whole blocks are copied and
   kept for a while; what has gone meanwhile cannot be read, and that is all. */
#ifndef MEMPROBE_SOURCE_H
#define MEMPROBE_SOURCE_H

#include <sys/types.h>

#include "maps.h"

enum { SOURCE_BLOCK = 1 << 14, SOURCE_KEPT = 256 };

typedef struct {
    pid_t pid;   /* 0: this process */
    Table maps;  /* Mapping */
    Table seen[2]; /* what it was narrowed from: they lie in memory that it shows */
    uintptr_t low, high; /* the mapping that was read last */
    uintptr_t *keys;     /* of another process: addresses of the blocks that are kept, + 1 */
    char *blocks;
} Source;

/* Returns 0, or -1 where the map cannot be read. */
int source_open(Source *source, pid_t pid);
void source_close(Source *source);

/* Leaves what is mapped still. A copy's own tables were there when the map was read, and move while
   it works: a pointer that the program forgot may lead to where one was. Returns 0, or -1. */
int source_narrow(Source *source);

/* Copies a word; returns whether it can be read. The address is a multiple of 8. */
int source_elsewhere(Source *source, uintptr_t address, uint64_t *word);
static inline int source_word(Source *source, uintptr_t address, uint64_t *word)
{
    if (source->pid || address - source->low >= source->high - source->low || address % 8)
        return source_elsewhere(source, address, word);
    *word = *(const uint64_t *)address;
    return 1;
}

/* Returns SOURCE_BLOCK bytes at a multiple of it, there or copied to `room`; NULL: not readable. */
const char *source_block(Source *source, uintptr_t address, char *room);

#endif
