/* From an object's address to its number: a shadow of the heap, page by page.

   Objects lie at multiples of 16 bytes, but for some static ones at multiples of 8: those are in
   a table of their own. */
#ifndef MEMPROBE_SHADOW_H
#define MEMPROBE_SHADOW_H

#include "memory.h"

/* 512 pages of 4 KiB: their blocks lie together, so that those of a heap stay in the cache. */
typedef struct {
    uintptr_t key;   /* of the region, from 1; 0: free place */
    uint32_t blocks; /* where its row of 512 uint32_t is: the block of each page, 0: none */
} ShadowRegion;

typedef struct {
    uintptr_t key; /* 0: free place */
    uint32_t value;
} ShadowOdd;

typedef struct {
    Table regions; /* ShadowRegion, open addressing; room is a power of 2 */
    Table pages;   /* uint32_t[512] per region */
    Table blocks;  /* uint32_t[256] per page; block 0 is never used */
    Table odd;     /* ShadowOdd, open addressing; room is a power of 2 */
    uintptr_t last_key;
    uint32_t last_blocks;
} Shadow;

/* Where an address's number is kept. It stays valid, what shadow_at returns does not. */
typedef uint64_t ShadowPlace;
#define SHADOW_NONE UINT64_C(0)
#define SHADOW_ODD UINT64_MAX

int shadow_open(Shadow *shadow);
void shadow_close(Shadow *shadow);

/* Makes a place for an address, SHADOW_NONE without memory. */
ShadowPlace shadow_locate(Shadow *shadow, const void *address);

/* Returns what is kept at a place (0: new), valid until the next shadow_locate. */
uint32_t *shadow_at(const Shadow *shadow, ShadowPlace place, const void *address);

/* Both at once; NULL without memory. */
uint32_t *shadow_place(Shadow *shadow, const void *address);

/* Returns the number of an address, 0 where there is none. */
uint32_t shadow_find(const Shadow *shadow, const void *address);

#endif
