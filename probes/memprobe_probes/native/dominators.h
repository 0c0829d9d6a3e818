/* What is inside of one holder: which of its objects keeps how much of it.

   An object keeps what can only be reached through it (its dominator tree, after Cooper, Harvey and
   Kennedy). Only what the holder has for itself takes part: what others reach too is not its own. */
#ifndef MEMPROBE_DOMINATORS_H
#define MEMPROBE_DOMINATORS_H

#include "owners.h"

typedef struct {
    uint32_t node;      /* NO_NODE: `count` objects of one kind, each too small for a row */
    uint32_t parent;    /* number of the row it lies in; NO_NODE for the first */
    uint32_t kind;
    uint64_t count, own, kept, objects; /* bytes: its own, and of all that it keeps */
} Inner;

/* Fills `rows` (a Table of Inner), the holder's object first, parents before what they keep.
   Returns 0, or -1 without memory or time. */
int dominators_find(const Graph *graph, const Owners *owners, uint32_t top, size_t count,
                    uint64_t least, Table *rows);

#endif
