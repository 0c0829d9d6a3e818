/* Growable tables by anonymous mmap: nothing here ever calls malloc. */
#ifndef MEMPROBE_MEMORY_H
#define MEMPROBE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Returns zeroed memory, or NULL. The bytes are rounded up to whole pages. */
void *memory_map(size_t bytes);

/* Returns the memory at its new size (it may have moved), or NULL: then `old` is as before. */
void *memory_remap(void *old, size_t old_bytes, size_t new_bytes);

void memory_unmap(void *start, size_t bytes);

/* Bytes that are mapped by these functions now. */
size_t memory_in_use(void);

/* From how many bytes on memory_map refuses. */
void memory_bound(size_t bytes);

/* A table of `item` bytes per row. */
typedef struct {
    void *rows;
    size_t used, room, item;
} Table;

int table_open(Table *table, size_t item, size_t room);
int table_grow(Table *table, size_t room);
void table_close(Table *table);

static inline int table_make_room(Table *table, size_t more)
{
    return table->used + more <= table->room ? 0 : table_grow(table, table->used + more);
}

#endif
