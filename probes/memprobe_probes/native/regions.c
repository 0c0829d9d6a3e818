#define _GNU_SOURCE
#include "regions.h"

#include <string.h>

#include "lines.h"

enum { FIRST = 4096, MOST = 1 << 17 };

typedef struct {
    const char *part;
    uint32_t library;
} Known;

static const Known known[] = {
    {"libarrow.", LIBRARY_ARROW}, {"libarrow-", LIBRARY_ARROW}, {"_polars_", LIBRARY_POLARS},
    {"polars.abi3", LIBRARY_POLARS}, {"libtorch", LIBRARY_TORCH}, {"libc10", LIBRARY_TORCH},
    {"libpython", LIBRARY_PYTHON}, {"/python3", LIBRARY_PYTHON}, {"/python", LIBRARY_PYTHON},
};

static uint32_t library_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    for (size_t at = 0; slash && at < sizeof known / sizeof *known; at++)
        if (strstr(slash, known[at].part))
            return known[at].library;
    return LIBRARY_OTHER;
}

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The bucket of what nobody claims of a mapping, by its name. */
static uint8_t rest_of(const char *path, int shared, int code)
{
    if (begins(path, "/dev/shm/") || begins(path, "/memfd:") || begins(path, "/SYSV") ||
        begins(path, "/dev/zero") || begins(path, "[anon_shmem"))
        return BUCKET_SHARED;
    if (*path == '/')
        return code ? BUCKET_LIBRARIES : BUCKET_FILES;
    if (begins(path, "[stack"))
        return BUCKET_STACKS;
    if (begins(path, "[v"))
        return BUCKET_LIBRARIES;
    return shared ? BUCKET_SHARED : BUCKET_UNKNOWN;
}

static int add_region(Regions *regions, const char *line)
{
    MappedLine mapped;
    if (regions->rows.used == MOST || table_make_room(&regions->rows, 1) ||
        lines_mapped(line, &mapped))
        return -1;
    const char *rights = mapped.rights, *name = mapped.name;
    Region *row = regions_row(regions, regions->rows.used++);
    memset(row, 0, sizeof *row);
    row->start = mapped.start;
    row->end = mapped.end;
    row->file = mapped.file;
    int shared = rights[3] == 's';
    row->writable = rights[1] == 'w';
    row->guard = rights[0] == '-' && rights[1] == '-' && rights[2] == '-';
    row->code = rights[2] == 'x';
    row->heap = begins(name, "[heap]");
    row->plain = !row->file && row->writable && !shared &&
                 (!*name || row->heap || begins(name, "[anon:"));
    row->library = *name == '/' ? library_of(name) : LIBRARY_NONE;
    row->rest = rest_of(name, shared, row->code);
    return 0;
}

static int add_amount(Regions *regions, const char *line)
{
    const char *colon = strchr(line, ':');
    if (!regions->rows.used || colon == NULL)
        return -1;
    const char *digits = colon + 1;
    while (*digits == ' ')
        digits++;
    uint64_t bytes = lines_number(&digits, 10) * 1024;
    Region *row = regions_row(regions, regions->rows.used - 1);
    if (begins(line, "Rss:"))
        row->rss = bytes;
    else if (begins(line, "Anonymous:"))
        row->anonymous = bytes;
    else if (begins(line, "Pss:"))
        regions->pss += bytes;
    else if (begins(line, "Swap:"))
        regions->swap += bytes;
    return 0;
}

static int add_line(void *into, const char *line)
{
    Regions *regions = into;
    int is_mapping = (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
    return is_mapping ? add_region(regions, line) : add_amount(regions, line);
}

/* Constants and variables of what is executable elsewhere belong to it, and so does the anonymous
   memory right behind them: its .bss. */
static void mark_libraries(Regions *regions)
{
    Region *all = regions->rows.rows;
    size_t count = regions->rows.used;
    for (size_t code = 0; code < count; code++) {
        if (!all[code].file || !all[code].code)
            continue;
        size_t first = code, last = code;
        while (first > 0 && all[first - 1].file == all[code].file)
            first--;
        while (last + 1 < count && all[last + 1].file == all[code].file)
            last++;
        for (size_t at = first; at <= last; at++)
            all[at].rest = BUCKET_LIBRARIES;
    }
}

int regions_open(Regions *regions, int file)
{
    memset(regions, 0, sizeof *regions);
    char *text = memory_map(LINES_ROOM);
    if (text == NULL || table_open(&regions->rows, sizeof(Region), FIRST) ||
        lines_read(file, text, add_line, regions) || !regions->rows.used) {
        memory_unmap(text, LINES_ROOM);
        regions_close(regions);
        return -1;
    }
    memory_unmap(text, LINES_ROOM);
    mark_libraries(regions);
    for (size_t at = 0; at < regions->rows.used; at++) {
        regions->rss += regions_row(regions, at)->rss;
        regions->anonymous += regions_row(regions, at)->anonymous;
    }
    return 0;
}

void regions_close(Regions *regions)
{
    table_close(&regions->rows);
}

size_t regions_after(Regions *regions, uintptr_t address)
{
    const Region *all = regions->rows.rows;
    size_t low = 0, high = regions->rows.used;
    if (regions->last < high && all[regions->last].end > address &&
        (regions->last == 0 || all[regions->last - 1].end <= address))
        return regions->last;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return regions->last = low;
}

/* What a region's buckets have together is what smaps says: what was claimed beyond it (the program
   went on while it was read) is taken off in proportion. */
static void settle(Region *row)
{
    if (row->told <= row->rss) {
        row->in[row->rest] += row->rss - row->told;
        return;
    }
    uint64_t left = row->rss;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint64_t share = (uint64_t)((double)row->in[bucket] / (double)row->told * (double)row->rss);
        row->in[bucket] = share < left ? share : left;
        left -= row->in[bucket];
    }
    row->in[row->rest] += left;
}

void regions_sum(Regions *regions, uint64_t *sums)
{
    memset(sums, 0, BUCKETS * sizeof *sums);
    for (size_t at = 0; at < regions->rows.used; at++) {
        settle(regions_row(regions, at));
        for (size_t bucket = 0; bucket < BUCKETS; bucket++)
            sums[bucket] += regions_row(regions, at)->in[bucket];
    }
}
