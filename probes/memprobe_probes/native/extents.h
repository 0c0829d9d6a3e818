/* Freed memory outside of heaps and arenas: what is mapped for itself, and other allocators'. */
#ifndef MEMPROBE_EXTENTS_H
#define MEMPROBE_EXTENTS_H

#include "memory.h"

enum { EXTENT_AT_ONCE, EXTENT_LATER }; /* goes back when freed, or when its allocator is told to */

typedef struct {
    uintptr_t start, end;
    uint64_t when;
} Extent;

/* Returns the resident bytes of whole pages of the extents of one kind; one that is in the table
   twice counts once. Sorts the table. */
uint64_t extents_returned(Table *extents, uint64_t when, int pagemap, size_t page);

#endif
