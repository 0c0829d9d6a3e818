#include "tcache.h"

#include <string.h>

#include "chunk.h"

enum { STEP = 16 };

/* tcache_perthread_struct of glibc 2.30 to 2.41: the first chunk of the main heap. */
typedef struct {
    Chunk header;
    uint16_t counts[TCACHE_BINS];
    uintptr_t entries[TCACHE_BINS];
} Shared;

static int is_known(const Shared *shared)
{
    if (shared->header.size != (sizeof(Shared) | CHUNK_PREVIOUS_USED))
        return 0;
    for (size_t bin = 0; bin < TCACHE_BINS; bin++)
        if (shared->counts[bin] > TCACHE_ROOM || !shared->counts[bin] != !shared->entries[bin])
            return 0;
    return 1;
}

void tcache_open(Tcache *cache, uintptr_t heap)
{
    const Shared *shared = heap && is_known((const Shared *)heap) ? (const Shared *)heap : NULL;
    for (size_t bin = 0; bin < TCACHE_BINS; bin++)
        cache->room[bin] = (uint8_t)(TCACHE_ROOM - (shared ? shared->counts[bin] : 0));
    tcache_reset(cache);
}

void tcache_offer(Tcache *cache, uintptr_t chunk, uint64_t size)
{
    size_t bin = (size - CHUNK_LEAST + STEP - 1) / STEP;
    if (bin >= TCACHE_BINS || cache->room[bin] == 0)
        return;
    cache->chunks[bin][cache->next[bin]] = chunk;
    cache->next[bin] = (uint8_t)((cache->next[bin] + 1) % cache->room[bin]);
    if (cache->used[bin] < cache->room[bin])
        cache->used[bin]++;
}

void tcache_reset(Tcache *cache)
{
    memset(cache->used, 0, sizeof(cache->used));
    memset(cache->next, 0, sizeof(cache->next));
}
