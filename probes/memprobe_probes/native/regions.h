/* What smaps tells: each mapping with its resident bytes, and which of them lie in which bucket. */
#ifndef MEMPROBE_REGIONS_H
#define MEMPROBE_REGIONS_H

#include "memory.h"

/* The same order as account_buckets.NATIVE_ORDER. */
enum {
    BUCKET_UNKNOWN, BUCKET_PYTHON, BUCKET_PYTHON_FREE, BUCKET_ARRAYS, BUCKET_ARROW,
    BUCKET_ARROW_FREE, BUCKET_POLARS, BUCKET_POLARS_FREE, BUCKET_TORCH, BUCKET_MALLOC,
    BUCKET_MALLOC_FREE, BUCKET_NATIVE, BUCKET_LIBRARIES, BUCKET_FILES, BUCKET_SHARED,
    BUCKET_STACKS, BUCKET_HEAP, BUCKET_METASPACE, BUCKET_CODE, BUCKET_GC,
    BUCKET_BEHIND, BUCKETS
};

enum { LIBRARY_NONE, LIBRARY_PYTHON, LIBRARY_ARROW, LIBRARY_POLARS, LIBRARY_TORCH, LIBRARY_OTHER };

typedef struct {
    uintptr_t start, end;
    uint64_t rss, anonymous, file; /* file: device and inode; 0: none */
    uint32_t library;              /* whose code or variables it is */
    uint8_t writable, guard, code, plain, heap;
    uint8_t rest; /* the bucket of what nobody claims */
    uint64_t told; /* bytes in the buckets below */
    uint64_t in[BUCKETS];
} Region;

typedef struct {
    Table rows; /* Region, by address */
    uint64_t rss, pss, swap, anonymous;
    size_t last;
} Regions;

/* Reads an open smaps file. Returns 0, or -1. */
int regions_open(Regions *regions, int file);
void regions_close(Regions *regions);

static inline Region *regions_row(const Regions *regions, size_t number)
{
    return (Region *)regions->rows.rows + number;
}

/* Returns the number of the first region that ends after an address. */
size_t regions_after(Regions *regions, uintptr_t address);

/* Sums up the buckets of all regions into `sums`: together they are `rss`. */
void regions_sum(Regions *regions, uint64_t *sums);

#endif
