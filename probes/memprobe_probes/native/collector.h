/* What the garbage collector would find: cycles that nothing reaches any more.

   The walk below the named roots meets an object with more references than it has seen. Whether
   somebody alive has the others, or only garbage that waits, is answered as the collector itself
   would: all objects it tracks, their references less those from each other. */
#ifndef MEMPROBE_COLLECTOR_H
#define MEMPROBE_COLLECTOR_H

#include "graph.h"

/* Finds the collector's lists, with the GIL held. Returns 0, or -1 where they are not as expected. */
int collector_prepare(void);

typedef struct {
    int known; /* the lists could be read to the end */
    uint64_t bytes, objects;
    uint64_t frozen_bytes; /* of objects that gc.freeze() hides, and of what these keep */
    Table dead; /* uint32_t: nodes of the garbage, and of what only it keeps */
    Table credits; /* uint32_t per node of the walk: references that only garbage has; may be none */
    size_t first, tracked_end; /* nodes of tracked objects that the walk had not met */
    size_t frozen_first;       /* from here on the frozen ones among them */
} Garbage;

/* Credits the references that garbage has to nodes of the walk. The graph grows; nodes from
   `garbage->first` on have no named holder. */
void collector_look(Graph *graph, Garbage *garbage);
void collector_close(Garbage *garbage);

#endif
