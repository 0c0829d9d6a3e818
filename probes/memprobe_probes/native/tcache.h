/* The few small chunks that a thread keeps at hand when it frees them (tcache, glibc 2.26 on).

   They stay in use for the heap, even in a trim: one of them near the end of a heap holds all that
   lies before it. Which ones depends on the order of freeing, which nobody knows beforehand: what
   was told last is taken to be freed first, as lists and tuples do it. */
#ifndef MEMPROBE_TCACHE_H
#define MEMPROBE_TCACHE_H

#include <stddef.h>
#include <stdint.h>

enum { TCACHE_BINS = 64, TCACHE_ROOM = 7 };

typedef struct {
    uint8_t room[TCACHE_BINS]; /* chunks that fit in still */
    uint8_t used[TCACHE_BINS];
    uint8_t next[TCACHE_BINS]; /* place of the next one */
    uintptr_t chunks[TCACHE_BINS][TCACHE_ROOM];
} Tcache;

/* Reads what the main thread has in it; `heap` is where the main heap begins, 0: there is none. */
void tcache_open(Tcache *cache, uintptr_t heap);

/* One chunk is freed. */
void tcache_offer(Tcache *cache, uintptr_t chunk, uint64_t size);

void tcache_reset(Tcache *cache);

#endif
