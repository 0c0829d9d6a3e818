/* The strongly connected components of a graph, in the order in which Tarjan's algorithm ends them. */
#ifndef MEMPROBE_COMPONENTS_H
#define MEMPROBE_COMPONENTS_H

#include "graph.h"

typedef struct {
    Table low, order;   /* uint32_t per node: the lowest one reached; when it was seen, from 1 */
    Table component;    /* uint32_t per node, from 1; 0: not reached from a root */
    Table finished;     /* uint32_t: nodes, those below before those above */
    Table stack, steps; /* while it is searched */
    uint32_t seen, components;
} Components;

/* Looks at what `roots` nodes reach among the first `count`. Returns 0, or -1 without memory. */
int components_find(Components *found, const Graph *graph, const uint32_t *nodes_of,
                    uint32_t roots, size_t count);
void components_close(Components *found);

#endif
