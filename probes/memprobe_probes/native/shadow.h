/* From an object's address to its number: a shadow of the heap, page by page.

   Objects lie at multiples of 16 bytes, but for some static ones at multiples of 8: those are in
   a table of their own. */
#ifndef MEMPROBE_SHADOW_H
#define MEMPROBE_SHADOW_H

#include "memory.h"

typedef struct {
    uintptr_t page;
    uint32_t block; /* 0: free place */
} ShadowPage;

typedef struct {
    uintptr_t key; /* 0: free place */
    uint32_t value;
} ShadowOdd;

typedef struct {
    Table pages;  /* ShadowPage, open addressing; room is a power of 2 */
    Table blocks; /* 256 uint32_t each; block 0 is never used */
    Table odd;    /* ShadowOdd, open addressing; room is a power of 2 */
    uintptr_t last_page;
    uint32_t last_block;
} Shadow;

int shadow_open(Shadow *shadow);
void shadow_close(Shadow *shadow);

/* Returns the place of an address's number (0: new), or NULL without memory. It is valid until
   the next call. */
uint32_t *shadow_place(Shadow *shadow, const void *address);

/* Returns the number of an address, 0 where there is none. */
uint32_t shadow_find(const Shadow *shadow, const void *address);

#endif
