#define _GNU_SOURCE
#include "pages.h"

#include <fcntl.h>
#include <unistd.h>

#include "proc.h"
#include "resident.h"

enum { ENTRIES = 4096 };
#define PRESENT (UINT64_C(1) << 63)

typedef struct {
    uintptr_t start, end;
} Run;

static void add_run(uintptr_t start, uintptr_t end, void *context)
{
    Pages *pages = context;
    Run *last = pages->runs.used ? (Run *)pages->runs.rows + pages->runs.used - 1 : NULL;
    if (last && last->end == start)
        last->end = end;
    else if (table_make_room(&pages->runs, 1) == 0)
        ((Run *)pages->runs.rows)[pages->runs.used++] = (Run){start, end};
}

int pages_open(Pages *pages, pid_t pid)
{
    char path[64];
    *pages = (Pages){.pid = pid, .page = (size_t)sysconf(_SC_PAGESIZE), .file = -1};
    proc_path(path, pid, "pagemap");
    pages->file = open(path, O_RDONLY | O_CLOEXEC);
    pages->how = pages->file >= 0 ? PAGES_SCAN : pid ? PAGES_NONE : PAGES_MINCORE;
    return table_open(&pages->runs, sizeof(Run), 1 << 16);
}

void pages_close(Pages *pages)
{
    if (pages->file >= 0)
        close(pages->file);
    pages->file = -1;
    table_close(&pages->runs);
}

/* Of each page a word of which the highest bit says that it is there; a page of zeros is, too. */
static uintptr_t by_pagemap(Pages *pages, uintptr_t start, uintptr_t end)
{
    uint64_t entries[ENTRIES];
    while (start < end) {
        size_t count = (end - start) / pages->page;
        count = count < ENTRIES ? count : ENTRIES;
        ssize_t got = pread(pages->file, entries, count * 8, (off_t)(start / pages->page * 8));
        if (got < 8)
            return start;
        for (size_t at = 0; at < (size_t)got / 8; at++, start += pages->page)
            if (entries[at] & PRESENT)
                add_run(start, start + pages->page, pages);
    }
    return start;
}

void pages_look(Pages *pages, uintptr_t start, uintptr_t end)
{
    if (pages->how == PAGES_SCAN) {
        start = resident_by_scan(pages->file, start, end, add_run, pages);
        if (start < end) /* an older kernel, or a sandbox */
            pages->how = pages->pid ? PAGES_PAGEMAP : PAGES_MINCORE;
    }
    if (pages->how == PAGES_PAGEMAP) {
        start = by_pagemap(pages, start, end);
        if (start < end)
            pages->how = PAGES_NONE;
    }
    if (start < end && pages->how == PAGES_MINCORE)
        resident_by_mincore(start, end, pages->page, add_run, pages);
    else if (start < end)
        add_run(start, end, pages);
}

static size_t first_after(const Pages *pages, uintptr_t address)
{
    const Run *runs = pages->runs.rows;
    size_t low = 0, high = pages->runs.used, last = pages->last;
    for (size_t at = last; at < last + 2 && at < high; at++)
        if (runs[at].end > address && (at == 0 || runs[at - 1].end <= address))
            return at;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (runs[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t pages_in(Pages *pages, uintptr_t start, uintptr_t end)
{
    const Run *runs = pages->runs.rows;
    uint64_t bytes = 0;
    size_t at = first_after(pages, start);
    pages->last = at;
    for (; at < pages->runs.used && runs[at].start < end; at++) {
        uintptr_t from = runs[at].start > start ? runs[at].start : start;
        uintptr_t to = runs[at].end < end ? runs[at].end : end;
        bytes += to - from;
    }
    return bytes;
}
