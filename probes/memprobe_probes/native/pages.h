/* The runs of pages that are in memory, of this process or from outside of another one. */
#ifndef MEMPROBE_PAGES_H
#define MEMPROBE_PAGES_H

#include <sys/types.h>

#include "memory.h"

typedef enum { PAGES_SCAN, PAGES_MINCORE, PAGES_PAGEMAP, PAGES_NONE } PagesHow;

typedef struct {
    Table runs; /* pairs of uintptr_t: start and end, by address */
    size_t last;
    size_t page;
    int file;
    pid_t pid;
    PagesHow how; /* PAGES_NONE: everything that is asked about is taken to be in memory */
} Pages;

/* Returns 0, or -1 without memory. */
int pages_open(Pages *pages, pid_t pid);
void pages_close(Pages *pages);

/* Looks at a range of whole pages; ranges come by address. */
void pages_look(Pages *pages, uintptr_t start, uintptr_t end);

/* Returns the resident bytes of any range that was looked at. */
uint64_t pages_in(Pages *pages, uintptr_t start, uintptr_t end);

#endif
