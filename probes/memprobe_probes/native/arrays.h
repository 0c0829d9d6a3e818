/* ndarrays: their data, the base of a view, the objects in an array of objects. */
#ifndef MEMPROBE_ARRAYS_H
#define MEMPROBE_ARRAYS_H

#include "graph.h"
#include "layout.h"

void arrays_refer(Graph *graph, uint32_t node, const void *array);

const void *arrays_base(const void *array);

/* Tells the elements of an array that holds them itself, and its extent and strides. */
void arrays_blocks(const Graph *graph, const void *array, layout_tell tell, void *arg);

/* Bytes of the elements, and the addresses they lie between. */
uint64_t arrays_extent(const Graph *graph, const void *array, uint64_t *low, uint64_t *high);

#endif
