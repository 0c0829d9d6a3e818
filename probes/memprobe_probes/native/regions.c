#define _GNU_SOURCE
#include "regions.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 16, FIRST = 4096, MOST = 1 << 17 };

typedef struct {
    const char *part;
    uint32_t library;
} Known;

static const Known known[] = {
    {"libarrow.", LIBRARY_ARROW}, {"libarrow-", LIBRARY_ARROW}, {"_polars_", LIBRARY_POLARS},
    {"polars.abi3", LIBRARY_POLARS}, {"libtorch", LIBRARY_TORCH}, {"libc10", LIBRARY_TORCH},
    {"libpython", LIBRARY_PYTHON}, {"/python3", LIBRARY_PYTHON}, {"/python", LIBRARY_PYTHON},
};

static uint64_t number(const char **text, unsigned base)
{
    uint64_t value = 0;
    for (;; (*text)++) {
        unsigned digit = (unsigned)(**text - '0');
        if (digit > 9)
            digit = **text >= 'a' && **text <= 'f' ? (unsigned)(**text - 'a' + 10) : base;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

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

/* 7f0c00000000-7f0c00021000 rw-p 00000000 00:00 0     [heap] */
static int add_region(Regions *regions, const char *line)
{
    if (regions->rows.used == MOST || table_make_room(&regions->rows, 1))
        return -1;
    Region *row = regions_row(regions, regions->rows.used++);
    memset(row, 0, sizeof *row);
    row->start = number(&line, 16);
    line++;
    row->end = number(&line, 16);
    if (line[0] != ' ' || row->end <= row->start)
        return -1;
    int shared = line[4] == 's';
    row->writable = line[2] == 'w';
    row->guard = line[1] == '-' && line[2] == '-' && line[3] == '-';
    row->code = line[3] == 'x';
    line += 6;
    number(&line, 16);
    line++;
    uint64_t major = number(&line, 16);
    line++;
    uint64_t minor = number(&line, 16);
    line++;
    uint64_t inode = number(&line, 10);
    while (*line == ' ')
        line++;
    row->file = inode ? inode ^ major << 56 ^ minor << 40 : 0;
    row->heap = begins(line, "[heap]");
    row->plain = !inode && row->writable && !shared && (!*line || row->heap || begins(line, "[anon:"));
    row->library = *line == '/' ? library_of(line) : LIBRARY_NONE;
    row->rest = rest_of(line, shared, row->code);
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
    uint64_t bytes = number(&digits, 10) * 1024;
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

static int add_line(Regions *regions, const char *line)
{
    int is_mapping = (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
    return is_mapping ? add_region(regions, line) : add_amount(regions, line);
}

static long add_lines(Regions *regions, char *text, size_t length)
{
    size_t done = 0;
    for (char *end; (end = memchr(text + done, '\n', length - done)) != NULL;) {
        *end = '\0';
        if (add_line(regions, text + done))
            return -1;
        done = (size_t)(end - text) + 1;
    }
    return (long)done;
}

static int read_lines(Regions *regions, int file, char *text)
{
    size_t held = 0;
    for (;;) {
        ssize_t got = read(file, text + held, ROOM - held);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && held == 0 && regions->rows.used ? 0 : -1;
        held += (size_t)got;
        long done = add_lines(regions, text, held);
        if (done < 0 || (done == 0 && held == ROOM))
            return -1;
        held -= (size_t)done;
        memmove(text, text + done, held);
    }
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
    char *text = memory_map(ROOM);
    if (text == NULL || table_open(&regions->rows, sizeof(Region), FIRST) ||
        read_lines(regions, file, text)) {
        memory_unmap(text, ROOM);
        regions_close(regions);
        return -1;
    }
    memory_unmap(text, ROOM);
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
