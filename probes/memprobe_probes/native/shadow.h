/* From an object's address to its number: a shadow of the heap, page by page.

   Objects lie at multiples of 16 bytes and are seldom smaller than 32, so one place for 32 bytes
   does, with a bit for the half of it. The second object in one place, and static objects at other
   multiples of 8, are in a table of their own. */
#ifndef MEMPROBE_SHADOW_H
#define MEMPROBE_SHADOW_H

#include "memory.h"

/* 512 pages of 4 KiB: their blocks lie together, so that those of a heap stay in the cache. */
typedef struct {
    uintptr_t key;   /* of the region, from 1; 0: free place */
    uint32_t blocks; /* where its row of 512 uint32_t is: the block of each page, 0: none */
} ShadowRegion;

enum { SHADOW_RECENT = 64 };

typedef struct {
    uintptr_t key; /* 0: free place */
    uint32_t value;
} ShadowOdd;

typedef struct {
    Table regions; /* ShadowRegion, open addressing; room is a power of 2 */
    Table pages;   /* uint32_t[512] per region */
    Table blocks;  /* uint32_t[128] per page, 0: free, else number << 1 | half; 0 is never used */
    Table odd;     /* ShadowOdd, open addressing; room is a power of 2 */
    ShadowRegion recent[SHADOW_RECENT]; /* of the regions, by the lowest bits of their keys */
} Shadow;

/* Where an address's number is kept. It stays valid. */
typedef uint64_t ShadowPlace;
#define SHADOW_NONE UINT64_C(0)
#define SHADOW_ODD UINT64_MAX
#define SHADOW_MOST (UINT32_MAX >> 1) /* the largest number */

int shadow_open(Shadow *shadow);
void shadow_close(Shadow *shadow);

/* Makes a place for an address, SHADOW_NONE without memory. */
ShadowPlace shadow_locate(Shadow *shadow, const void *address);

/* Returns the number at a place, 0: none yet. */
uint32_t shadow_elsewhere(const Shadow *shadow, const void *address);
static inline uint32_t shadow_get(const Shadow *shadow, ShadowPlace place, const void *address)
{
    if (place == SHADOW_ODD)
        return shadow_elsewhere(shadow, address);
    uint32_t kept = ((const uint32_t *)shadow->blocks.rows)[place];
    if (!kept || (kept & 1) == ((uintptr_t)address >> 4 & 1))
        return kept >> 1;
    return shadow_elsewhere(shadow, address);
}

/* Keeps a number at a place. Returns 0, or -1 without memory. */
int shadow_set(Shadow *shadow, ShadowPlace place, const void *address, uint32_t number);

static inline void shadow_prefetch(const Shadow *shadow, ShadowPlace place)
{
    if (place != SHADOW_ODD)
        __builtin_prefetch((const uint32_t *)shadow->blocks.rows + place);
}

/* Returns the number of an address, 0 where there is none. */
uint32_t shadow_find(const Shadow *shadow, const void *address);

/* Returns one number after the other, 0 at the end; those of one page follow each other. `cursor`
   begins with 0. */
uint32_t shadow_next(const Shadow *shadow, size_t *cursor);

#endif
