#include "chunk.h"

#include <unistd.h>

int chunk_pages(const Table *maps, const Chunk *chunk, size_t page, uintptr_t *start,
                uintptr_t *end)
{
    uintptr_t here = (uintptr_t)chunk;
    uint64_t size = chunk_size(chunk);
    if ((chunk->size & 7) != CHUNK_MAPPED || chunk->before > here || size > UINT64_MAX / 4 ||
        (here - chunk->before) % page || (chunk->before + size) % page || size < page / 2)
        return 0;
    *start = here - chunk->before;
    *end = here + size;
    return maps_plain(maps, *start, *end - *start);
}

/* A used chunk is followed by one that knows that the one before it is used. */
static int is_used(const Table *maps, const Chunk *chunk)
{
    uint64_t size = chunk_size(chunk);
    uintptr_t next = (uintptr_t)chunk + size;
    if (size < CHUNK_LEAST || size % 16 || size > UINT64_MAX / 4 ||
        !maps_plain(maps, (uintptr_t)chunk, size + sizeof(Chunk)))
        return 0;
    return ((const Chunk *)next)->size & CHUNK_PREVIOUS_USED;
}

const Chunk *chunk_of(const Table *maps, uintptr_t data)
{
    uintptr_t start, end;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (data % 16 || data < CHUNK_HEADER || !maps_plain(maps, data - CHUNK_HEADER, 16))
        return NULL;
    const Chunk *chunk = (const Chunk *)(data - CHUNK_HEADER);
    if (chunk->size & CHUNK_MAPPED)
        return chunk_pages(maps, chunk, page, &start, &end) ? chunk : NULL;
    return is_used(maps, chunk) ? chunk : NULL;
}

uint64_t chunk_usable(const Table *maps, uintptr_t data)
{
    const Chunk *chunk = chunk_of(maps, data);
    if (chunk == NULL)
        return 0;
    return chunk_size(chunk) - (chunk->size & CHUNK_MAPPED ? sizeof(Chunk) : 8);
}
