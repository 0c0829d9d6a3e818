#include "extents.h"

#include "resident.h"

enum { MOST_SIDE_BY_SIDE = 128 << 10 }; /* bytes of a block; larger ones are mapped in pages */

static int is_before(const Extent *one, const Extent *other)
{
    return one->when != other->when ? one->when < other->when : one->start < other->start;
}

static void sift(Extent *all, size_t place, size_t count)
{
    for (;;) {
        size_t child = place * 2 + 1;
        if (child >= count)
            return;
        if (child + 1 < count && is_before(&all[child], &all[child + 1]))
            child++;
        if (!is_before(&all[place], &all[child]))
            return;
        Extent kept = all[place];
        all[place] = all[child];
        all[child] = kept;
        place = child;
    }
}

/* Heapsort: qsort may call malloc. */
static void sort(Extent *all, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(all, i, count);
    for (size_t i = count; i-- > 1;) {
        Extent kept = all[0];
        all[0] = all[i];
        all[i] = kept;
        sift(all, 0, i);
    }
}

/* Other allocators keep blocks of one size side by side, each a little larger than was asked for:
   what lies between two freed ones, and is smaller than them, is nobody's. */
static int go_together(const Extent *one, const Extent *next)
{
    if (next->start <= one->end)
        return 1;
    uint64_t size = one->end - one->start, after = next->end - next->start;
    uint64_t larger = size > after ? size : after;
    return one->when == EXTENT_LATER && larger <= MOST_SIDE_BY_SIDE &&
           next->start - one->end < larger;
}

uint64_t extents_returned(Table *extents, uint64_t when, int pagemap, size_t page)
{
    Extent *all = extents->rows;
    uint64_t bytes = 0;
    sort(all, extents->used);
    for (size_t i = 0; i < extents->used;) {
        uintptr_t start = all[i].start, end = all[i].end;
        uint64_t kind = all[i].when;
        Extent last = all[i];
        for (i++; i < extents->used && all[i].when == kind && go_together(&last, &all[i]); i++)
            if (all[i].end > end) {
                last = all[i];
                end = all[i].end;
            }
        if (kind == when)
            bytes += resident_bytes(pagemap, (start + page - 1) & ~(uintptr_t)(page - 1),
                                    end & ~(uintptr_t)(page - 1), page);
    }
    return bytes;
}
