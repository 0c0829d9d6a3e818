#define _GNU_SOURCE
#include "source.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int source_open(Source *source, pid_t pid)
{
    memset(source, 0, sizeof *source);
    source->pid = pid;
    if (maps_open_of(&source->maps, pid))
        return -1;
    if (pid == 0)
        return 0;
    source->keys = memory_map(SOURCE_KEPT * sizeof *source->keys);
    source->blocks = memory_map((size_t)SOURCE_KEPT * SOURCE_BLOCK);
    if (source->keys != NULL && source->blocks != NULL)
        return 0;
    source_close(source);
    return -1;
}

void source_close(Source *source)
{
    memory_unmap(source->keys, SOURCE_KEPT * sizeof *source->keys);
    memory_unmap(source->blocks, (size_t)SOURCE_KEPT * SOURCE_BLOCK);
    table_close(&source->maps);
    for (size_t at = 0; at < 2; at++)
        table_close(&source->seen[at]);
}

int source_narrow(Source *source)
{
    Table now, both;
    if (maps_open(&now))
        return -1;
    if (maps_common(&source->maps, &now, &both)) {
        table_close(&now);
        return -1;
    }
    source->seen[0] = source->maps;
    source->seen[1] = now;
    source->maps = both;
    source->low = source->high = 0;
    return 0;
}

static int copy(pid_t pid, uintptr_t address, void *room, size_t bytes)
{
    struct iovec to = {room, bytes}, from = {(void *)address, bytes};
    return syscall(SYS_process_vm_readv, pid, &to, 1UL, &from, 1UL, 0UL) == (long)bytes;
}

/* Copies a block; where not all of it is there, the page that is asked for. */
static const char *kept_block(Source *source, uintptr_t address)
{
    uintptr_t start = address & ~(uintptr_t)(SOURCE_BLOCK - 1), page = address & ~(uintptr_t)4095;
    size_t place = start / SOURCE_BLOCK % SOURCE_KEPT;
    char *block = source->blocks + place * SOURCE_BLOCK;
    if (source->keys[place] == start + 1)
        return block;
    source->keys[place] = 0;
    if (copy(source->pid, start, block, SOURCE_BLOCK)) {
        source->keys[place] = start + 1;
        return block;
    }
    return copy(source->pid, page, block + (page - start), 4096) ? block : NULL;
}

int source_elsewhere(Source *source, uintptr_t address, uint64_t *word)
{
    int same = source->pid && address - source->low < source->high - source->low;
    const Mapping *mapping = same ? NULL : maps_find(&source->maps, address);
    if (address % 8 || (!same && (mapping == NULL || !(mapping->is & MAP_READ))))
        return 0;
    if (source->pid) {
        source->low = same ? source->low : mapping->start;
        source->high = same ? source->high : mapping->end;
        const char *block = kept_block(source, address);
        if (block == NULL)
            return 0;
        memcpy(word, block + address % SOURCE_BLOCK, 8);
        return 1;
    }
    if (!(mapping->is & (MAP_PLAIN | MAP_CODE)))
        return 0;
    source->low = mapping->start;
    source->high = mapping->end;
    *word = *(const uint64_t *)address;
    return 1;
}

const char *source_block(Source *source, uintptr_t address, char *room)
{
    if (!maps_plain(&source->maps, address, SOURCE_BLOCK))
        return NULL;
    if (source->pid == 0)
        return (const char *)address;
    return copy(source->pid, address, room, SOURCE_BLOCK) ? room : NULL;
}
