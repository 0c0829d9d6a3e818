/* glibc's heaps as they lie in memory: the one that brk() grows, and those of threads.

   Freed chunks grow together with free neighbours. A trim gives back the whole pages inside;
   without one only the end of a heap goes back, once it is large. */
#ifndef MEMPROBE_HEAPS_H
#define MEMPROBE_HEAPS_H

#include "maps.h"
#include "tcache.h"
#include "tuning.h"

typedef struct {
    uintptr_t start, end; /* chunks lie between */
    int is_main;          /* the one that brk() grows */
    uint64_t *freed;      /* bit per 16 bytes: a freed chunk begins there */
    uint64_t *groups;     /* bit per 64 words of `freed` that are not all zero */
    uint64_t *resident;   /* bit per page; NULL: not asked yet */
} Heap;

typedef struct {
    Table heaps; /* Heap, the main one first where there is one */
    Tcache cache;
    size_t last;
    size_t page;
} Heaps;

typedef struct {
    uint64_t trimmed, untrimmed;
} Amounts;

/* Returns 0, or -1 without memory. */
int heaps_open(Heaps *state, const Table *maps, size_t page);

/* Frees the chunk whose data begins at an address; returns whether it is one of a heap. */
int heaps_free(Heaps *state, const Table *maps, uintptr_t data);

/* Returns the resident bytes that go back; `pagemap` as in resident.h. */
Amounts heaps_returned(Heaps *state, const Tuning *tuning, int pagemap);

void heaps_reset(Heaps *state);
void heaps_close(Heaps *state);

#endif
