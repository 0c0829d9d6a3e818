/* The header that glibc's malloc puts before each piece of memory (malloc/malloc.c). */
#ifndef MEMPROBE_CHUNK_H
#define MEMPROBE_CHUNK_H

#include "maps.h"

enum {
    CHUNK_HEADER = 16, /* from a chunk's begin to what malloc returned */
    CHUNK_LEAST = 32,
    CHUNK_PREVIOUS_USED = 1,
    CHUNK_MAPPED = 2,  /* by mmap, for itself alone */
    CHUNK_NOT_MAIN = 4 /* of a thread's heap */
};

typedef struct {
    uint64_t before; /* size of the chunk before, where that is free; mapped: bytes before this */
    uint64_t size;   /* with the three flags */
} Chunk;

static inline uint64_t chunk_size(const Chunk *chunk)
{
    return chunk->size & ~UINT64_C(7);
}

/* Returns the header before `data` where that may be a used chunk, else NULL. */
const Chunk *chunk_of(const Table *maps, uintptr_t data);

/* Tells the pages of a mapped chunk; returns 0 where it is none. */
int chunk_pages(const Table *maps, const Chunk *chunk, size_t page, uintptr_t *start,
                uintptr_t *end);

/* Returns how many bytes a used chunk can hold, 0 where `data` has no header of one. */
uint64_t chunk_usable(const Table *maps, uintptr_t data);

#endif
