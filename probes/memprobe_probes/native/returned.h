/* How many bytes go back to the system when a set of memory blocks is freed: a simulation.

   Freed memory is not returned memory. Python's allocator gives an arena back only when all of it
   is free, glibc gives whole pages back and the rest of a heap only from its end. Nothing is freed
   here: the allocators' own tables are read, and the blocks are crossed off in a copy.

   No function but returned_prepare() calls malloc, stdio or Python. All of them read foreign
   memory, and only what /proc/self/maps showed as readable when returned_open() was called: they
   belong into a clone whose memory stands still, or under the GIL where no other thread frees. */
#ifndef MEMPROBE_RETURNED_H
#define MEMPROBE_RETURNED_H

#include <stddef.h>
#include <stdint.h>

/* Once per process, GIL held, before any clone: find the allocators and verify what was found.
   Returns 0, or a negative number; returned_reason() then says why in words, else it is NULL. */
int returned_prepare(void);
const char *returned_reason(void);

/* One simulation. */
typedef struct Returned Returned;

/* Returns NULL where it is not possible: not prepared, or no memory. */
Returned *returned_open(void);

/* One Python object is freed; `start` is where its allocation begins: before the GC header and
   before what precedes objects with a managed dict. */
void returned_block(Returned *r, const void *start);

/* One buffer is freed: numpy data, the items of a list, the keys of a dict. Whose allocator it
   came from is decided by the address. A buffer of neither Python nor glibc counts as returned
   after a trim only: its owner (Arrow's pool, jemalloc) gives it back when told to. */
void returned_malloc(Returned *r, const void *data, size_t nbytes);

/* The bytes that go back to the system for all blocks so far: with malloc_trim(0), which is
   compared with a trim that finds them still in use, and without. Only resident bytes count. */
void returned_result(Returned *r, uint64_t *trimmed, uint64_t *untrimmed);

/* Forget the blocks, keep the tables. */
void returned_reset(Returned *r);

void returned_close(Returned *r);

#endif
