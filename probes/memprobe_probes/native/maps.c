#define _GNU_SOURCE
#include "maps.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "proc.h"

enum { MOST = 1 << 17 /* mappings; the kernel's own limit is mostly 65530 */ };

static int add_line(void *into, const char *line)
{
    Table *maps = into;
    MappedLine mapped;
    if (maps->used == MOST || lines_mapped(line, &mapped))
        return -1;
    const char *rights = mapped.rights, *name = mapped.name;
    int readable = rights[0] == 'r' && rights[1] == 'w' && rights[3] == 'p';
    int heap = strcmp(name, "[heap]") == 0;
    int named = *name != '\0' && !heap && strncmp(name, "[anon", 5);
    uint32_t is = (rights[2] == 'x' ? MAP_CODE : 0) | (rights[0] == 'r' ? MAP_READ : 0) |
                  (mapped.file ? MAP_FILE : 0) | (heap ? MAP_HEAP : 0) |
                  (readable && !mapped.file && !named ? MAP_PLAIN : 0);
    ((Mapping *)maps->rows)[maps->used++] =
        (Mapping){.start = mapped.start, .end = mapped.end, .file = mapped.file, .is = is};
    return 0;
}

/* A library's constants and variables are never freed: mark them like its code. */
static void mark_libraries(Table *maps)
{
    Mapping *all = maps->rows;
    for (size_t code = 0; code < maps->used; code++) {
        if (!all[code].file || !(all[code].is & MAP_CODE))
            continue;
        for (size_t i = code; i-- > 0 && all[i].file == all[code].file;)
            all[i].is |= MAP_CODE;
        for (size_t i = code + 1; i < maps->used && all[i].file == all[code].file; i++)
            all[i].is |= MAP_CODE;
    }
}

/* The text is read behind the rows: a table that grew, or a buffer that is gone afterwards, would
   stay in the map as memory that can be read. */
int maps_open(Table *maps)
{
    return maps_open_of(maps, 0);
}

int maps_open_of(Table *maps, int pid)
{
    char path[64];
    if (table_open(maps, sizeof(Mapping), MOST + LINES_ROOM / sizeof(Mapping)))
        return -1;
    proc_path(path, pid, "maps");
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || lines_read(file, (char *)((Mapping *)maps->rows + MOST), add_line, maps)) {
        table_close(maps);
        maps->used = 0;
    }
    if (file >= 0)
        close(file);
    if (!maps->used)
        return -1;
    mark_libraries(maps);
    return 0;
}

int maps_common(const Table *one, const Table *other, Table *both)
{
    if (table_open(both, sizeof(Mapping), one->used + other->used + 1))
        return -1;
    for (size_t at = 0, beside = 0; at < one->used && beside < other->used;) {
        const Mapping *a = (Mapping *)one->rows + at, *b = (Mapping *)other->rows + beside;
        uintptr_t start = a->start > b->start ? a->start : b->start;
        uintptr_t end = a->end < b->end ? a->end : b->end;
        if (start < end && a->file == b->file)
            ((Mapping *)both->rows)[both->used++] =
                (Mapping){.start = start, .end = end, .file = a->file, .is = a->is & b->is};
        if (a->end < b->end)
            at++;
        else
            beside++;
    }
    return 0;
}

const Mapping *maps_find(const Table *maps, uintptr_t address)
{
    const Mapping *all = maps->rows;
    size_t low = 0, high = maps->used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < maps->used && all[low].start <= address ? &all[low] : NULL;
}

int maps_hold(const Table *maps, uintptr_t start, uint64_t bytes, uint32_t is)
{
    const Mapping *last = (const Mapping *)maps->rows + maps->used;
    const Mapping *mapping = maps_find(maps, start);
    if (mapping == NULL || start + bytes < start)
        return 0;
    while ((mapping->is & is) == is) {
        if (mapping->end >= start + bytes)
            return 1;
        if (mapping + 1 == last || mapping[1].start != mapping->end)
            return 0;
        mapping++;
    }
    return 0;
}
