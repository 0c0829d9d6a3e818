#define _GNU_SOURCE
#include "memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE ((size_t)2 << 20) /* bytes of a huge page */
#define LARGE (2 * HUGE)       /* from here on a table has such */

static size_t in_use;
static size_t bound = SIZE_MAX;

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

/* The system's own calls: libc's may be a profiler's (memray's hooks of mmap, munmap), which notes
   them in a file that it shares with the program. */
static void *map(size_t bytes, int protection, int flags)
{
    return (void *)syscall(SYS_mmap, NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags,
                           -1L, 0L);
}

static void unmap(void *start, size_t bytes)
{
    syscall(SYS_munmap, start, bytes);
}

/* Maps at a multiple of a huge page: only there a table keeps its huge pages when it grows. */
static void *map_aligned(size_t bytes, int protection)
{
    char *start = map(bytes + HUGE, protection, MAP_NORESERVE);
    if (start == MAP_FAILED)
        return NULL;
    size_t before = (HUGE - (uintptr_t)start % HUGE) % HUGE;
    if (before)
        unmap(start, before);
    unmap(start + before + bytes, HUGE - before);
    return start + before;
}

static void *map_small(size_t bytes)
{
    void *start = map(bytes, PROT_READ | PROT_WRITE, 0);
    return start == MAP_FAILED ? NULL : start;
}

void *memory_map(size_t bytes)
{
    bytes = whole_pages(bytes);
    if (bytes > bound || in_use > bound - bytes)
        return NULL;
    void *start = bytes < LARGE ? map_small(bytes) : map_aligned(bytes, PROT_READ | PROT_WRITE);
    if (start == NULL)
        return NULL;
    if (bytes >= LARGE)
        madvise(start, bytes, MADV_HUGEPAGE); /* refused is fine */
    in_use += bytes;
    return start;
}

/* Moves the pages themselves, not what is in them. */
static void *move(void *old, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes < LARGE)
        return mremap(old, old_bytes, new_bytes, MREMAP_MAYMOVE);
    void *place = map_aligned(new_bytes, PROT_NONE);
    if (place == NULL)
        return MAP_FAILED;
    void *start = mremap(old, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (start == MAP_FAILED)
        unmap(place, new_bytes);
    return start;
}

void *memory_remap(void *old, size_t old_bytes, size_t new_bytes)
{
    if (old == NULL)
        return memory_map(new_bytes);
    old_bytes = whole_pages(old_bytes);
    new_bytes = whole_pages(new_bytes);
    if (new_bytes > old_bytes && (new_bytes > bound || in_use > bound - (new_bytes - old_bytes)))
        return NULL;
    void *start = move(old, old_bytes, new_bytes);
    if (start == MAP_FAILED)
        return NULL;
    if (new_bytes >= LARGE)
        madvise(start, new_bytes, MADV_HUGEPAGE);
    in_use += new_bytes - old_bytes;
    return start;
}

void memory_unmap(void *start, size_t bytes)
{
    if (start == NULL)
        return;
    unmap(start, whole_pages(bytes));
    in_use -= whole_pages(bytes);
}

size_t memory_in_use(void)
{
    return in_use;
}

void memory_bound(size_t bytes)
{
    bound = bytes;
}

int table_open(Table *table, size_t item, size_t room)
{
    table->used = 0;
    table->item = item;
    table->room = room;
    table->rows = memory_map(room * item);
    return table->rows == NULL ? -1 : 0;
}

int table_grow(Table *table, size_t room)
{
    size_t doubled = table->room * 2;
    room = room > doubled ? room : doubled;
    void *rows = memory_remap(table->rows, table->room * table->item, room * table->item);
    if (rows == NULL)
        return -1;
    table->rows = rows;
    table->room = room;
    return 0;
}

void table_close(Table *table)
{
    memory_unmap(table->rows, table->room * table->item);
    table->rows = NULL;
    table->used = table->room = 0;
}
