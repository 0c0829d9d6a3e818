/* Which named roots reach each node: sets of roots, told apart by number.

   Sets are handed on along the edges, node by node in the order of the walk, until none grows: most
   edges lead onward, so one look at each is nearly all. Where that takes too long, many holders
   having come to the same objects by ways of different length, cycles are taken together (Tarjan)
   and every set is handed on once along each edge. */
#ifndef MEMPROBE_OWNERS_H
#define MEMPROBE_OWNERS_H

#include "graph.h"

typedef struct {
    uint32_t roots; /* bit `roots` stands for something unnamed */
    size_t words;   /* of 64 bits, per set */
    Table bits;     /* uint64_t[words] per set; set 0 is empty */
    Table places;   /* uint32_t, open addressing over the bits */
    Table memo;     /* of unions */
    uint32_t everybody; /* the set that stands for "too many to tell" */
    int full;           /* that had to be used */
    Table set_of;   /* uint32_t per node */
} Owners;

/* `nodes_of`: the node of each root, or NO_NODE. Only nodes below `count` take part.
   Returns 0, or -1 without memory. */
int owners_find(Owners *owners, const Graph *graph, const uint32_t *nodes_of, uint32_t roots,
                size_t count);
void owners_close(Owners *owners);

static inline const uint64_t *owners_bits(const Owners *owners, uint32_t set)
{
    return (const uint64_t *)owners->bits.rows + set * owners->words;
}
static inline uint32_t owners_set(const Owners *owners, uint32_t node)
{
    return ((uint32_t *)owners->set_of.rows)[node];
}
/* Whether somebody named is in a set, and whether somebody unnamed is. */
int owners_named(const Owners *owners, uint32_t set);
int owners_unnamed(const Owners *owners, uint32_t set);
int owners_within(const Owners *owners, uint32_t small, uint32_t large);

/* Whether an object has references that nobody has met and that count. */
int owners_is_unmet(const Graph *graph, uint32_t node);

#endif
