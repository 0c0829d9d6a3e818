/* Python's own allocator for blocks of up to 512 bytes, as it lies in memory.

   An arena is 1 MiB by mmap, cut into pools of 16 KiB; each pool holds blocks of one size. An
   arena goes back to the system when all its pools are empty. (Objects/obmalloc.c, 3.10 to 3.13.) */
#ifndef MEMPROBE_PYMALLOC_H
#define MEMPROBE_PYMALLOC_H

#include "memory.h"

typedef struct {
    uintptr_t start;    /* of the arena */
    uint32_t pools;     /* whole pools in it */
    uint32_t free;      /* pools that were empty before, or never used */
    uint32_t emptied;   /* pools that the freed blocks empty */
    uint32_t touched;   /* whether a block in it was freed */
    int64_t resident;   /* bytes; -1: not asked yet */
} Arena;

typedef struct {
    Table arenas;     /* Arena */
    Table places;     /* uint32_t by MiB, open addressing: number of the arena + 1 */
    Table touched;    /* uint32_t: arenas with freed blocks */
    uint16_t *freed;  /* per pool: its freed blocks */
    uint64_t *blocks; /* per 16 bytes of each arena: whether a freed block begins there */
    uint32_t last;
} Pymalloc;

/* Once per process, GIL held. Returns 0, or -1 with the reason in words. */
int pymalloc_prepare(const Table *maps, const char **reason);

/* Returns 0, or -1. Where Python runs without its own allocator there are no arenas. */
int pymalloc_open(Pymalloc *state, const Table *maps);

/* Frees the block that an address lies in; returns whether it lies in an arena at all. */
int pymalloc_free(Pymalloc *state, uintptr_t address);

/* Returns the resident bytes of the arenas that go back; `pagemap` as in resident.h. */
uint64_t pymalloc_returned(Pymalloc *state, int pagemap, size_t page);

void pymalloc_reset(Pymalloc *state);
void pymalloc_close(Pymalloc *state);

/* The address of the runtime's variable that names the arenas; 0: not found, or not in use. */
uintptr_t pymalloc_place(void);

#endif
