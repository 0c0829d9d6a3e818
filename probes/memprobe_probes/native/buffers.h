/* Native memory that several libraries see, each at an address of its own: counted once. */
#ifndef MEMPROBE_BUFFERS_H
#define MEMPROBE_BUFFERS_H

#include "graph.h"

/* Gives each byte of the buffers to one node. What lies inside of a larger buffer adds nothing, but
   keeps it; memory that a library borrowed from a Python object explains one reference to that. */
int buffers_settle(Graph *graph);

#endif
