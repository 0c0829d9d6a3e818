/* Which pages are in memory: what was never touched cannot come back. */
#ifndef MEMPROBE_RESIDENT_H
#define MEMPROBE_RESIDENT_H

#include <stddef.h>
#include <stdint.h>

/* Returns a file to ask by, or -1 where the kernel is older than 6.7: then pages that were only
   read count as resident too. */
int resident_open(void);
void resident_close(int file);

/* Returns the resident bytes of a range of whole pages. */
uint64_t resident_bytes(int file, uintptr_t start, uintptr_t end, size_t page);

/* Sets a bit for each resident page of the range; `bits` are zero before. */
void resident_pages(int file, uintptr_t start, uintptr_t end, size_t page, uint64_t *bits);

/* Tells each run of resident pages. By the first way returns how far it came: not to the end where
   the kernel refused. */
typedef void ResidentFound(uintptr_t start, uintptr_t end, void *context);
uintptr_t resident_by_scan(int file, uintptr_t start, uintptr_t end, ResidentFound *tell,
                           void *context);
void resident_by_mincore(uintptr_t start, uintptr_t end, size_t page, ResidentFound *tell,
                         void *context);

#endif
