#define _GNU_SOURCE
#include "resident.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* linux/fs.h of Linux 6.7: older headers do not have it. */
typedef struct {
    uint64_t start, end, categories;
} Region;

typedef struct {
    uint64_t size, flags, start, end, walk_end, regions, room, max_pages;
    uint64_t inverted, wanted, any_of, told;
} Scan;

enum { PRESENT = 1 << 3, ZERO_PAGE = 1 << 5, REGIONS = 128, VECTOR = 4096 };


static long scan(int file, uintptr_t start, uintptr_t end, Region *regions, uintptr_t *reached)
{
    Scan asked = {
        .size = sizeof(Scan), .start = start, .end = end,
        .regions = (uintptr_t)regions, .room = REGIONS,
        .inverted = ZERO_PAGE, .wanted = PRESENT | ZERO_PAGE, .told = PRESENT,
    };
    long found;
    do
        found = ioctl(file, _IOWR('f', 16, Scan), &asked);
    while (found < 0 && errno == EINTR);
    *reached = asked.walk_end;
    return found;
}

int resident_open(void)
{
    Region regions[REGIONS];
    uintptr_t reached = 0, here = (uintptr_t)regions & ~(uintptr_t)65535;
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    regions[0].start = 1;
    if (scan(file, here, here + 65536, regions, &reached) > 0)
        return file;
    close(file);
    return -1;
}

void resident_close(int file)
{
    if (file >= 0)
        close(file);
}

/* Returns how far it came: not to the end where the kernel refused. */
uintptr_t resident_by_scan(int file, uintptr_t start, uintptr_t end, ResidentFound *tell, void *context)
{
    Region regions[REGIONS];
    while (start < end) {
        uintptr_t reached = start;
        long count = scan(file, start, end, regions, &reached);
        if (count < 0 || reached <= start)
            break;
        for (long i = 0; i < count; i++)
            tell(regions[i].start, regions[i].end, context);
        start = reached;
    }
    return start;
}

/* Anonymous memory that cannot be asked for is unmapped: it counts as not resident. */
void resident_by_mincore(uintptr_t start, uintptr_t end, size_t page, ResidentFound *tell, void *context)
{
    unsigned char vector[VECTOR];
    while (start < end) {
        size_t pages = (end - start) / page;
        pages = pages < VECTOR ? pages : VECTOR;
        if (mincore((void *)start, pages * page, vector) < 0)
            return;
        for (size_t i = 0; i < pages; i++)
            if (vector[i] & 1)
                tell(start + i * page, start + (i + 1) * page, context);
        start += pages * page;
    }
}

static void each(int file, uintptr_t start, uintptr_t end, size_t page, ResidentFound *tell, void *context)
{
    if (file >= 0)
        start = resident_by_scan(file, start, end, tell, context);
    resident_by_mincore(start, end, page, tell, context);
}

static void add(uintptr_t start, uintptr_t end, void *context)
{
    *(uint64_t *)context += end - start;
}

uint64_t resident_bytes(int file, uintptr_t start, uintptr_t end, size_t page)
{
    uint64_t bytes = 0;
    if (start < end)
        each(file, start, end, page, add, &bytes);
    return bytes;
}

typedef struct {
    uintptr_t start;
    size_t page;
    uint64_t *bits;
} Pages;

static void mark(uintptr_t start, uintptr_t end, void *context)
{
    Pages *pages = context;
    size_t last = (end - pages->start) / pages->page;
    for (size_t i = (start - pages->start) / pages->page; i < last; i++)
        pages->bits[i / 64] |= (uint64_t)1 << i % 64;
}

void resident_pages(int file, uintptr_t start, uintptr_t end, size_t page, uint64_t *bits)
{
    Pages pages = {start, page, bits};
    if (start < end)
        each(file, start, end, page, mark, &pages);
}
