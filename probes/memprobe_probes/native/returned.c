#include "returned.h"

#include <unistd.h>

#include "chunk.h"
#include "extents.h"
#include "heaps.h"
#include "maps.h"
#include "pymalloc.h"
#include "resident.h"
#include "tuning.h"

struct Returned {
    Table maps;
    Table extents;
    Pymalloc pymalloc;
    Heaps heaps;
    uint64_t largest_mapped; /* freed chunk: glibc's thresholds follow it */
    size_t page;
    int pagemap;
};

static const char *reason = "nothing was prepared";

int returned_prepare(void)
{
    Table maps;
    if (tuning_prepare(&reason))
        return -1;
    reason = "/proc/self/maps cannot be read";
    if (maps_open(&maps))
        return -2;
    int failed = pymalloc_prepare(&maps, &reason);
    table_close(&maps);
    return failed ? -3 : 0;
}

const char *returned_reason(void)
{
    return reason;
}

static int open_tables(Returned *r)
{
    return maps_open(&r->maps) || table_open(&r->extents, sizeof(Extent), 4096) ||
           pymalloc_open(&r->pymalloc, &r->maps) || heaps_open(&r->heaps, &r->maps, r->page);
}

Returned *returned_open(void)
{
    Returned *r = reason == NULL ? memory_map(sizeof(Returned)) : NULL;
    if (r == NULL)
        return NULL;
    r->page = (size_t)sysconf(_SC_PAGESIZE);
    r->pagemap = resident_open();
    if (open_tables(r)) {
        returned_close(r);
        return NULL;
    }
    return r;
}

static void add_extent(Returned *r, uintptr_t start, uintptr_t end, uint64_t when)
{
    if (end <= start || table_make_room(&r->extents, 1))
        return;
    ((Extent *)r->extents.rows)[r->extents.used++] = (Extent){start, end, when};
}

/* Returns whether a chunk was mapped for itself. */
static int free_mapped(Returned *r, uintptr_t data, size_t nbytes)
{
    const Chunk *chunk = chunk_of(&r->maps, data);
    uintptr_t start, end;
    if (chunk == NULL || !chunk_pages(&r->maps, chunk, r->page, &start, &end) ||
        end - data < nbytes)
        return 0;
    uint64_t size = end - start;
    add_extent(r, start, end, EXTENT_AT_ONCE);
    if (size > r->largest_mapped)
        r->largest_mapped = size;
    return 1;
}

/* A buffer of a file, or of an allocator that is not known; constants of libraries stay. */
static void free_other(Returned *r, uintptr_t data, size_t nbytes)
{
    const Mapping *mapping = maps_find(&r->maps, data);
    if (mapping == NULL || mapping->is & MAP_CODE || !maps_hold(&r->maps, data, nbytes, 0))
        return;
    add_extent(r, data, data + nbytes, mapping->is & MAP_FILE ? EXTENT_AT_ONCE : EXTENT_LATER);
}

static int is_known(Returned *r, uintptr_t data, size_t nbytes)
{
    return pymalloc_free(&r->pymalloc, data) || heaps_free(&r->heaps, &r->maps, data) ||
           free_mapped(r, data, nbytes);
}

void returned_block(Returned *r, const void *start)
{
    is_known(r, (uintptr_t)start, 0);
}

void returned_malloc(Returned *r, const void *data, size_t nbytes)
{
    if (!is_known(r, (uintptr_t)data, nbytes))
        free_other(r, (uintptr_t)data, nbytes);
}

void returned_result(Returned *r, uint64_t *trimmed, uint64_t *untrimmed)
{
    Tuning tuning = tuning_now();
    tuning_freed(&tuning, r->largest_mapped);
    Amounts heaps = heaps_returned(&r->heaps, &tuning, r->pagemap);
    uint64_t at_once = pymalloc_returned(&r->pymalloc, r->pagemap, r->page) +
                       extents_returned(&r->extents, EXTENT_AT_ONCE, r->pagemap, r->page);
    *untrimmed = at_once + heaps.untrimmed;
    *trimmed = at_once + heaps.trimmed +
               extents_returned(&r->extents, EXTENT_LATER, r->pagemap, r->page);
}

void returned_reset(Returned *r)
{
    pymalloc_reset(&r->pymalloc);
    heaps_reset(&r->heaps);
    r->extents.used = 0;
    r->largest_mapped = 0;
}

void returned_close(Returned *r)
{
    if (r == NULL)
        return;
    pymalloc_close(&r->pymalloc);
    heaps_close(&r->heaps);
    table_close(&r->extents);
    table_close(&r->maps);
    resident_close(r->pagemap);
    memory_unmap(r, sizeof(Returned));
}
